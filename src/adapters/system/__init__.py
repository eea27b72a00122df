"""The system's clock and new ids."""

from .clock import SystemClock
from .ids import Uuid7Ids

__all__ = ["SystemClock", "Uuid7Ids"]
