"""The meaning of a driver's error."""

from enum import Enum, auto


class ErrorClass(Enum):
    """The classes of drivers' errors."""

    CONFLICT = auto()
    """A constraint of the schema was violated."""
    ROLLED_BACK = auto()
    """The database rolled back the whole transaction, or never began it."""
    CONNECTION_LOST = auto()
    """The connection was lost."""
    LOCK_TIMEOUT = auto()
    """A wait for a lock timed out."""
    UNAVAILABLE = auto()
    """The database refuses to work at present."""
