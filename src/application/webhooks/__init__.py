"""Use cases of an organizer's webhooks."""
