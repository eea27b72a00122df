"""Telling others: webhooks over HTTPS, mails over SMTP."""

from .couriers import HttpCourier

__all__ = ["HttpCourier"]
"""The SMTP library is loaded where mails are sent (`postmen`)."""
