"""Deterministic simulation: one seed decides scheduling, time, ids and faults; a failing seed replays byte for byte.

The idea is FoundationDB's and TigerBeetle's. The use cases, the turnstile and the in-memory adapter are the real ones;
the event loop, the clock, the clients, the payment provider's network and everything that goes wrong are the seed's.
"""

from .many import Failure, Totals, simulate_here, simulate_many
from .run import Report, simulate

__all__ = ["Failure", "Report", "Totals", "simulate", "simulate_here", "simulate_many"]
