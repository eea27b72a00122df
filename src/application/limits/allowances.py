"""Allowances: how much each user may use of what is kept for long, whatever the limits on requests let through."""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from ...domain.refusals import TooManyRequests

REFILLED_IN: Final = timedelta(hours=24)

MOST_SUBJECTS: Final = 20_000
"""Users that a process remembers for one allowance; beyond it those not heard of for the longest begin anew."""

NEW_EVENTS: Final = 1_000
"""Events that one user initializes in a day: with 50 ticket types each, they take 60 KB that stay for ever."""

ANSWERS: Final = 32 * 1024 * 1024
"""Bytes that are kept for the idempotency keys of one user, as long as answers are kept."""

ANSWER_OVERHEAD: Final = 300
"""Bytes of a kept answer apart from its body: its key, its fingerprint, its places in the indexes."""


class Allowance:
    """An amount for each subject that refills evenly within 24 hours. Each process counts by itself, in memory."""

    def __init__(self, most: int, *, most_subjects: int = MOST_SUBJECTS) -> None:
        self._most = most
        self._most_subjects = most_subjects
        self._used: OrderedDict[Hashable, tuple[float, datetime]] = OrderedDict()

    def check(self, subject: Hashable, now: datetime) -> None:
        """Raises: TooManyRequests where nothing is left, with the seconds until something is."""
        used = self._used_by(subject, now)
        if used >= self._most:
            seconds = (used - self._most + 1) / self._most * REFILLED_IN.total_seconds()
            raise TooManyRequests(
                "You have used up what is allowed in a day; it comes back bit by bit.", retry_after=ceil(seconds)
            )

    def use(self, subject: Hashable, amount: int, now: datetime) -> None:
        """Count what was used, even where it is more than was left."""
        used = self._used_by(subject, now) + amount
        self._used[subject] = (used, now)
        self._used.move_to_end(subject)
        if len(self._used) > self._most_subjects:
            self._used.popitem(last=False)

    def _used_by(self, subject: Hashable, now: datetime) -> float:
        before = self._used.get(subject)
        if before is None:
            return 0.0
        used, at = before
        # A clock that is set back gives nothing back.
        elapsed = max(now - at, timedelta(0))
        return max(0.0, used - elapsed / REFILLED_IN * self._most)
