"""What operators see: metrics; traces and error reports where their libraries are installed."""

from .metrics import Metrics
from .numbers import Numbers, SharedNumbers

__all__ = ["Metrics", "Numbers", "SharedNumbers"]
