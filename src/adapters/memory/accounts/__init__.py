"""API keys, links in mails and the staff of events, in memory. No rules."""
