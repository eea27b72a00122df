"""Errors: the catalogue of codes, and the rendering of exceptions as problem details (RFC 9457)."""
