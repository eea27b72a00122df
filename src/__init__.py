"""Boxoffice: an event ticket booking service that never oversells, never loses a booking and keeps the line in order."""

__version__ = "0.1.0"
