"""Decisions: pure functions from an inventory and a command to the next inventory, or a refusal."""
