"""What can go wrong with a storage, as the application sees it. Adapters turn their drivers' errors into these."""

from collections.abc import Iterable
from uuid import UUID


class StorageFailure(Exception):
    """Something other than a rule stood in the way."""


class Retryable(StorageFailure):
    """Nothing of the transaction happened (deadlock, connection lost before COMMIT): run all of it again."""


class OutcomeUnknown(StorageFailure):
    """The connection was lost during COMMIT: it may have happened or not. Look for the transaction's mark."""


class Conflict(StorageFailure):
    """The schema itself refused (a unique key, a check), and the transaction was rolled back."""


class Unavailable(StorageFailure):
    """Not now: the database is away or read-only, a lock was waited for too long, or too many commands wait.

    Nothing is promised about the command; asking again after `retry_after` seconds is right.
    """

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Locked(Unavailable):
    """Somebody else has held a lock for too long: of these events, where the storage can tell."""

    def __init__(self, event_ids: Iterable[UUID] = ()) -> None:
        super().__init__("Somebody else holds what is needed for too long; try again in a moment.")
        self.event_ids = frozenset(event_ids)
