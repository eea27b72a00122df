"""Repositories: reads under locks and writes, inside a unit of work."""
