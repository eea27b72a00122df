"""Tickets: their bodies, their codes as pictures, and bookings as entries for calendars. No rules."""
