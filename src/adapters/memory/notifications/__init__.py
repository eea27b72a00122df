"""Webhooks, their deliveries, and mails in memory."""
