"""What the machine gives: the time, and ids."""

from .clock import SystemClock
from .ids import Uuid7Ids

__all__ = ["SystemClock", "Uuid7Ids"]
