"""Deterministic simulation: one seed decides scheduling, time, ids and faults, so a failing seed can be replayed.

The idea is FoundationDB's and TigerBeetle's. The use cases, the turnstile and the in-memory adapter are those of the
service; the event loop, the clock, the clients, the payment provider's network and the faults are simulated.
"""

from .many import Failure, Totals, simulate_here, simulate_many
from .run import Report, simulate

__all__ = ["Failure", "Report", "Totals", "simulate", "simulate_here", "simulate_many"]
