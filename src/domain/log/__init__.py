"""The hashing of events' logs: pure functions over hashes. What entries say and how logs are written is elsewhere."""
