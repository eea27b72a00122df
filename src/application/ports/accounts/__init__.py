"""API keys, links in mails and the staff of events: their repositories and queries."""
