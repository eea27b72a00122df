"""Limits on requests in a minute, on amounts in a day, and on shares of slow work."""
