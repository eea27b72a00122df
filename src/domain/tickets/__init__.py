"""Ticket types and single tickets. The decisions about them are in `decisions`."""
