"""Repositories of accounts: users and sessions, links in mails, API keys, and who works for events."""
