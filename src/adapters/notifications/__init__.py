"""Telling others: webhooks over HTTPS, mails over SMTP."""

from .webhook_sender import HttpWebhookSender

__all__ = ["HttpWebhookSender"]
"""The SMTP library is loaded where mails are sent (`postmen`)."""
