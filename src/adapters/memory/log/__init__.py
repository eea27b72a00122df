"""Events' logs in memory."""
