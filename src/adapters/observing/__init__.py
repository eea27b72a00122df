"""What operators see: metrics; traces and error reports where their libraries are installed."""

from .metrics import Metrics
from .numbers import Numbers, SharedNumbers
from .reporting import Unforeseen
from .together import Together

__all__ = ["Metrics", "Numbers", "SharedNumbers", "Together", "Unforeseen"]
