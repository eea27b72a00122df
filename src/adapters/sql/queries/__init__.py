"""Queries: committed state, read without locks."""
