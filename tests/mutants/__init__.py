"""Deliberate faults in the real code, one at a time: what the suite does not notice, it does not hold."""
