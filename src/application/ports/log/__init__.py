"""Ports of events' logs: what is stored of them, and how they are written down."""
