"""Connections, transactions and the meaning of errors. No statement about bookings lives here."""
