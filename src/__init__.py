"""Boxoffice: an event ticket booking service that never oversells, loses no booking and keeps the line in order."""

__version__ = "0.1.0"
