"""Metrics; and traces and error reports if their optional libraries are installed."""

from .composite import CompositeObserver
from .counters import Counters, SharedCounters
from .metrics import Metrics
from .reporting import UnhandledErrors

__all__ = ["CompositeObserver", "Counters", "Metrics", "SharedCounters", "UnhandledErrors"]
