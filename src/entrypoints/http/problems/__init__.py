"""Errors on the wire: the catalogue of codes, and how exceptions become problem details (RFC 9457)."""
