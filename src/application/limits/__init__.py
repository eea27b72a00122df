"""Limits: requests in a minute, amounts in a day, shares of slow work."""
