"""The ports: what the use cases need from adapters. Docstrings state the guarantees that adapters are held to."""
