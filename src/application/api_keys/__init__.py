"""API keys: make, list and revoke them, authenticate callers by them, and record their use. No rules here."""
