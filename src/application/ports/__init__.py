"""The ports: protocols that the use cases need from adapters, with their guarantees in docstrings."""
