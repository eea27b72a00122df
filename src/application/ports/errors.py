"""Failures of a storage. Adapters translate their drivers' errors into these."""

from collections.abc import Iterable
from uuid import UUID


class StorageFailure(Exception):
    """The command failed for another reason than a rule."""


class Retryable(StorageFailure):
    """The transaction was rolled back (deadlock, connection lost before COMMIT): run all of it again."""


class OutcomeUnknown(StorageFailure):
    """The connection was lost during COMMIT, which may have succeeded: look up the batch id."""


class Conflict(StorageFailure):
    """The schema refused (a unique key, a check), and the transaction was rolled back."""


class Unavailable(StorageFailure):
    """The database is unreachable or read-only, a lock timed out, or too many commands are waiting.

    The command may or may not have been executed; repeat it after `retry_after` seconds.
    """

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after: int = retry_after


class Locked(Unavailable):
    """Another transaction has held locks for too long: those of `event_ids`, if the storage knows them."""

    def __init__(self, event_ids: Iterable[UUID] = ()) -> None:
        super().__init__("The event is locked by another process; try again in a moment.")
        self.event_ids: frozenset[UUID] = frozenset(event_ids)
