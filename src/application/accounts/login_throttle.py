"""Limits on failed passwords, at sign-in and when an account is changed."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final
from uuid import UUID

from msgspec import structs

from ...domain.refusals import TooManyRequests, WrongCredentials
from ...domain.user import LOGIN_RULES
from ...domain.values.fields import checked
from ..limits.networks import network_of
from ..limits.rate_limits import subject_key
from ..ports.repositories import Failures
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .log_in import Credentials, LogIn, SignedIn

WITHIN: Final = timedelta(minutes=15)
"""How long a failure counts."""

MOST_FAILURES: Final = 10
"""Failures for one account from one address; after them that pair is refused, even with the right password."""

MOST_OF_ACCOUNT: Final = 100
"""Failures for one account from all addresses: low enough against guessing, and a stranger needs ten addresses."""

MOST_OF_ADDRESS: Final = 300
"""Failures from one address for all accounts; many people may share an address."""

MOST_REMEMBERED: Final = 10_000

_MOST_SINGLE: Final = 16
"""Subjects with a higher limit keep the failures of a minute together, so rows stay small."""

Subjects = Mapping[UUID, int]
"""The keys that failures are counted for, each with its limit."""


def subjects_of(account: str | UUID, address: Hashable) -> Subjects:
    """Return the subjects: account with address, account, and address if it is known.

    `account` is the e-mail address that was tried, in the spelling of accounts, or the id of an account without one.
    """
    network = network_of(address)
    subjects = {
        subject_key("account and address", account, network): MOST_FAILURES,
        subject_key("account", account): MOST_OF_ACCOUNT,
    }
    if network is not None:
        subjects[subject_key("address", network)] = MOST_OF_ADDRESS
    return subjects


class FailedLogins:
    """Counts failed passwords by e-mail address, whether the account exists or not.

    All processes share the counts. An attempt is judged after its password was verified, so right and wrong passwords
    look alike after too many failures, however many attempts run concurrently. A success resets nothing.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._closed: OrderedDict[UUID, datetime] = OrderedDict()

    def check(self, subjects: Subjects) -> None:
        """Raise TooManyRequests, without a round trip, if this process knows that a subject has reached its limit."""
        now = self._clock.now()
        for subject in subjects:
            until = self._closed.get(subject)
            if until is not None and now < until <= now + WITHIN:
                raise TooManyRequests(retry_after=_seconds(until - now))

    async def judge(self, subjects: Subjects, *, was_right: bool) -> None:
        """Count a failure. Raises: TooManyRequests if a limit was reached, also for a success; Unavailable."""

        async def judge(unit_of_work: UnitOfWork) -> datetime | None:
            now = self._clock.now()
            limits = unit_of_work.limits
            found = await (limits.failures(list(subjects)) if was_right else limits.lock_failures(list(subjects)))
            recent = {subject: _recent(found.get(subject, ()), now) for subject in subjects}
            ends = {subject: _closed_until(recent[subject], most) for subject, most in subjects.items()}
            closed = {subject: until for subject, until in ends.items() if until is not None}
            for subject, until in closed.items():
                self._remember(subject, until)
            if closed:
                return max(closed.values())
            if not was_right:
                added = {subject: _with(recent[subject], now, most) for subject, most in subjects.items()}
                await limits.save_failures(added)
            return None

        until = await in_transaction(self._storage, judge)
        if until is not None:
            raise TooManyRequests(retry_after=_seconds(until - self._clock.now()))

    async def forget(self) -> None:
        """Delete failures that no longer count. Raises: Unavailable."""
        before = self._clock.now() - WITHIN
        await in_transaction(self._storage, lambda unit_of_work: unit_of_work.limits.forget_failures(before))

    def _remember(self, subject: UUID, until: datetime) -> None:
        self._closed[subject] = until
        self._closed.move_to_end(subject)
        while len(self._closed) > MOST_REMEMBERED:
            self._closed.popitem(last=False)


class LogInWithinLimits:
    """Sign in, within the limits on failures. Without `failed_logins` there is no limit."""

    def __init__(self, log_in: LogIn, failed_logins: FailedLogins | None) -> None:
        self._log_in = log_in
        self._failed_logins = failed_logins

    async def __call__(self, credentials: Credentials, address: Hashable) -> SignedIn:
        """Return the new tokens. `address` is the caller's network address; an IPv6 address counts as its /64 network.

        Raises: InvalidRequest, WrongCredentials, TooManyRequests, Unavailable.
        """
        if self._failed_logins is None:
            return await self._log_in(credentials, address)
        kept = checked(structs.asdict(credentials), LOGIN_RULES)
        subjects = subjects_of(kept["email"], address)
        self._failed_logins.check(subjects)
        try:
            signed_in = await self._log_in(credentials, address)
        except WrongCredentials:
            await self._failed_logins.judge(subjects, was_right=False)
            raise
        # If this raises, the session exists, but its tokens are never issued.
        await self._failed_logins.judge(subjects, was_right=True)
        return signed_in


def _recent(failures: Sequence[Failures], now: datetime) -> tuple[Failures, ...]:
    """Return the failures that count, those of a clock that is slightly ahead included."""
    counting = (each for each in failures if abs(now - each.at) < WITHIN)
    return tuple(sorted(counting, key=lambda each: each.at))


def _closed_until(failures: Sequence[Failures], most: int) -> datetime | None:
    """Return when fewer than `most` failures count again; None: fewer count now."""
    counted = 0
    for each in reversed(failures):
        counted += each.number
        if counted >= most:
            return each.at + WITHIN
    return None


def _with(failures: tuple[Failures, ...], now: datetime, most: int) -> tuple[Failures, ...]:
    """Return the failures with one more. If the clock is behind, it counts in the last minute that others wrote."""
    if most > _MOST_SINGLE and failures and _minute(now) <= _minute(failures[-1].at):
        last = failures[-1]
        return (*failures[:-1], Failures(max(last.at, now), last.number + 1))
    return (*failures, Failures(now))


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _seconds(left: timedelta) -> int:
    return max(1, ceil(left.total_seconds()))
