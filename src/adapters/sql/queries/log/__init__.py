"""What is read of events' logs, without locks."""
