"""Signing in, no more often in vain than anybody needs who has only forgotten a password."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final
from uuid import UUID

from msgspec import structs

from ..domain.addresses import spellings
from ..domain.fields import checked
from ..domain.refusals import TooManyRequests, WrongCredentials
from ..domain.user import LOGIN_RULES
from .limits import subject_key
from .log_in import Credentials, LogIn, SignedIn
from .ports import Clock, Storage, UnitOfWork
from .transaction import in_transaction

MOST_FAILURES: Final = 10
WITHIN: Final = timedelta(minutes=15)
"""After so many failures within that time, for one account or from one address, nobody signs in there any more."""

MOST_REMEMBERED: Final = 10_000


class FailedLogins:
    """Failures to sign in, by e-mail address, whether an account has it or not, and by network address.

    All processes see them at once. An attempt is judged when its password has been looked at: a right one and a wrong
    one look alike once there were too many failures, however many attempts run side by side. A success forgives none.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._closed: OrderedDict[UUID, datetime] = OrderedDict()

    def check(self, subjects: Sequence[UUID]) -> None:
        """Without a round trip: what this process was told before. Raises: TooManyRequests."""
        now = self._clock.now()
        for subject in subjects:
            until = self._closed.get(subject)
            if until is not None and now < until <= now + WITHIN:
                raise TooManyRequests(retry_after=_seconds(until - now))

    async def judge(self, subjects: Sequence[UUID], *, was_right: bool) -> None:
        """Count a failure, or let a success pass. Raises: TooManyRequests, Unavailable."""

        async def judge(unit_of_work: UnitOfWork) -> datetime | None:
            now = self._clock.now()
            limits = unit_of_work.limits
            found = await (limits.failures(subjects) if was_right else limits.lock_failures(subjects))
            recent = {subject: _recent(found.get(subject, ()), now) for subject in subjects}
            full = {subject: times[-MOST_FAILURES] + WITHIN for subject, times in recent.items() if _is_full(times)}
            for subject, until in full.items():
                self._remember(subject, until)
            if full:
                return max(full.values())
            if not was_right:
                await limits.save_failures({subject: (*times, now) for subject, times in recent.items()})
            return None

        until = await in_transaction(self._storage, judge)
        if until is not None:
            raise TooManyRequests(retry_after=_seconds(until - self._clock.now()))

    async def forget(self) -> None:
        """Forget failures that count no longer. Raises: Unavailable."""
        before = self._clock.now() - WITHIN
        await in_transaction(self._storage, lambda unit_of_work: unit_of_work.limits.forget_failures(before))

    def _remember(self, subject: UUID, until: datetime) -> None:
        self._closed[subject] = until
        self._closed.move_to_end(subject)
        while len(self._closed) > MOST_REMEMBERED:
            self._closed.popitem(last=False)


class LogInWithinLimits:
    """Sign in, unless too many tried in vain. Without `failed_logins` there is no limit."""

    def __init__(self, log_in: LogIn, failed_logins: FailedLogins | None) -> None:
        self._log_in = log_in
        self._failed_logins = failed_logins

    async def __call__(self, credentials: Credentials, address: Hashable) -> SignedIn:
        """`address` is where the attempt comes from.

        Raises: InvalidRequest, WrongCredentials, TooManyRequests, Unavailable.
        """
        if self._failed_logins is None:
            return await self._log_in(credentials)
        kept = checked(structs.asdict(credentials), LOGIN_RULES)
        subjects = (subject_key("account", spellings(kept["email"])[-1]), subject_key("address", address))
        self._failed_logins.check(subjects)
        try:
            signed_in = await self._log_in(credentials)
        except WrongCredentials:
            await self._failed_logins.judge(subjects, was_right=False)
            raise
        # The session is there by now, but nobody gets its tokens.
        await self._failed_logins.judge(subjects, was_right=True)
        return signed_in


def _recent(times: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """Those that count: also what a clock that is a little ahead wrote down."""
    return tuple(sorted(each for each in times if abs(now - each) < WITHIN))[-MOST_FAILURES:]


def _is_full(times: Sequence[datetime]) -> bool:
    return len(times) >= MOST_FAILURES


def _seconds(left: timedelta) -> int:
    return max(1, ceil(left.total_seconds()))
