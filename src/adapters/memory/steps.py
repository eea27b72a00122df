"""The points at which tests and simulations can make a transaction fail."""

from collections.abc import Awaitable, Callable
from enum import StrEnum


class Step(StrEnum):
    """A point at which a transaction can fail. At `COMMITTED` its changes are already durable.

    `READ` is a read of committed rows, outside of any transaction.
    """

    BEGIN = "begin"
    LOCK = "lock"
    LOAD = "load"
    SAVE = "save"
    COMMIT = "commit"
    COMMITTED = "committed"
    READ = "read"


Fault = Callable[[Step], Awaitable[None]]
