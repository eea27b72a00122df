"""Use cases and queries, and the ports they need."""
