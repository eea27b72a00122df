"""Use cases of an event's staff: appoint, change, dismiss, and the query about it."""
