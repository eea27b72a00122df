"""Decisions: what a command does to an inventory, or the refusal that it raises."""
