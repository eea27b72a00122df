"""Allowances: how much long-lived data each user may add in a day, beside the limits on requests."""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from ...domain.refusals import TooManyRequests

REFILLED_IN: Final = timedelta(hours=24)

MOST_SUBJECTS: Final = 20_000
"""Users that a process keeps for one allowance; beyond it the least recent ones start again with a full one."""

NEW_EVENTS: Final = 1_000
"""Events that one user may initialize in a day, because they stay for ever."""

NEW_CUSTOMERS: Final = 10_000
"""Accounts that one user may make in a day by booking for persons who have none."""

STORED_RESPONSE_BYTES: Final = 32 * 1024 * 1024
"""Bytes of stored responses for one user's idempotency keys."""

STORED_RESPONSE_OVERHEAD: Final = 300
"""Bytes of a stored response besides its payload: key, fingerprint and index entries."""


class Allowance:
    """An amount for each subject that refills evenly within 24 hours. Each process counts in its own memory."""

    def __init__(self, most: int, *, most_subjects: int = MOST_SUBJECTS) -> None:
        self._most = most
        self._most_subjects = most_subjects
        self._used: OrderedDict[Hashable, tuple[float, datetime]] = OrderedDict()

    def check(self, subject: Hashable, now: datetime) -> None:
        """Raise TooManyRequests if nothing is left, with the seconds until something is."""
        used = self._current_use(subject, now)
        if used >= self._most:
            seconds = (used - self._most + 1) / self._most * REFILLED_IN.total_seconds()
            raise TooManyRequests(
                "You have used up what is allowed in a day; it is restored gradually.", retry_after=ceil(seconds)
            )

    def use(self, subject: Hashable, amount: int, now: datetime) -> None:
        """Count an amount, even one that exceeds the rest."""
        used = self._current_use(subject, now) + amount
        self._used[subject] = (used, now)
        self._used.move_to_end(subject)
        if len(self._used) > self._most_subjects:
            self._used.popitem(last=False)

    def _current_use(self, subject: Hashable, now: datetime) -> float:
        previous = self._used.get(subject)
        if previous is None:
            return 0.0
        used, updated_at = previous
        # A clock that is set back restores nothing.
        elapsed = max(now - updated_at, timedelta(0))
        return max(0.0, used - elapsed / REFILLED_IN * self._most)
