"""Connections, transactions and error classes. It contains no statements about events or bookings."""
