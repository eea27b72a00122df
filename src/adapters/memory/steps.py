"""Where a transaction in memory can be made to fail."""

from collections.abc import Awaitable, Callable
from enum import StrEnum


class Step(StrEnum):
    """Where a transaction can be made to fail. A failure at `COMMITTED` comes when all is durable already.

    `READ` is a look at what is committed, outside of any transaction.
    """

    BEGIN = "begin"
    LOCK = "lock"
    LOAD = "load"
    SAVE = "save"
    COMMIT = "commit"
    COMMITTED = "committed"
    READ = "read"


Fault = Callable[[Step], Awaitable[None]]
