"""Draws: the order of a waiting list by chance, which anyone can recompute. No beacon is fetched or verified here."""
