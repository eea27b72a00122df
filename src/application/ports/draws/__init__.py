"""Ports of draws: where public randomness comes from."""
