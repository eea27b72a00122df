"""Repositories: what a unit of work reads under locks and writes."""
