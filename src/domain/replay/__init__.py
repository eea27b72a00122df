"""Replaying facts: they give an event's counters, its bookings, and what happened to single tickets (promise 7)."""
