"""Explanations of bookings: why one stands where it stands, and how likely it is to be served. No loading, no clock."""
