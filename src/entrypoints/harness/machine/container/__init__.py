"""A container under test: its storage with troubles, its provider of payments, and what needs no commands."""
