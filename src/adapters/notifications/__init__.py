"""Webhooks over HTTPS and mails over SMTP. `smtp_sender`, which needs the SMTP library, is imported only when used."""

from .webhook_sender import HttpWebhookSender

__all__ = ["HttpWebhookSender"]
