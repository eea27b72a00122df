"""Tickets: their codes, and who sees them. It signs and stores nothing itself."""
