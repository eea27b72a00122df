"""Failures to prove a password, by signing in or when an account is changed, and the limits on them."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final
from uuid import UUID

from msgspec import structs

from ...domain.refusals import TooManyRequests, WrongCredentials
from ...domain.user import LOGIN_RULES
from ...domain.values.addresses import spellings
from ...domain.values.fields import checked
from ..limits.networks import network_of
from ..limits.rate_limits import subject_key
from ..ports.repositories import Failures
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .log_in import Credentials, LogIn, SignedIn

WITHIN: Final = timedelta(minutes=15)
"""The time in which failures count."""

MOST_FAILURES: Final = 10
"""Failures for one account from one address; after them that pair is refused, the right password too."""

MOST_OF_ACCOUNT: Final = 100
"""Failures for one account from everywhere. Few enough to make guessing hopeless; a stranger needs ten addresses."""

MOST_OF_ADDRESS: Final = 300
"""Failures from one address for all accounts: many people may share one."""

MOST_REMEMBERED: Final = 10_000

_KEPT_ONE_BY_ONE: Final = 16
"""Up to so many failures each is kept with its moment; beyond, those of a minute together, so that rows stay small."""

Subjects = Mapping[UUID, int]
"""What failures are counted for, each with the number after which it is closed."""


def subjects_of(email: str, address: Hashable) -> Subjects:
    """The account with an address, the account alone, and the address alone where it is known.

    Every spelling of an e-mail address counts for the same account.
    """
    network = network_of(address)
    account = spellings(email)[-1]
    subjects = {
        subject_key("account and address", account, network): MOST_FAILURES,
        subject_key("account", account): MOST_OF_ACCOUNT,
    }
    if network is not None:
        subjects[subject_key("address", network)] = MOST_OF_ADDRESS
    return subjects


class FailedLogins:
    """Failures to prove a password, by the account's e-mail address, whether there is such an account or not.

    All processes see them at once. An attempt is judged when its password has been looked at: a right one and a wrong
    one look alike once there were too many failures, however many attempts run side by side. A success forgives none.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._closed: OrderedDict[UUID, datetime] = OrderedDict()

    def check(self, subjects: Subjects) -> None:
        """Refuse without a round trip what this process knows to be closed. Raises: TooManyRequests."""
        now = self._clock.now()
        for subject in subjects:
            until = self._closed.get(subject)
            if until is not None and now < until <= now + WITHIN:
                raise TooManyRequests(retry_after=_seconds(until - now))

    async def judge(self, subjects: Subjects, *, was_right: bool) -> None:
        """Count a failure, or let a success pass. Raises: TooManyRequests, Unavailable."""

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
        """`address` is the network address of the attempt; one of IPv6 counts with its network of 64 bits.

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
        # The session exists, but its tokens are given to no one.
        await self._failed_logins.judge(subjects, was_right=True)
        return signed_in


def _recent(failures: Sequence[Failures], now: datetime) -> tuple[Failures, ...]:
    """Those that count, including what a clock that is a little ahead wrote down."""
    counting = (each for each in failures if abs(now - each.at) < WITHIN)
    return tuple(sorted(counting, key=lambda each: each.at))


def _closed_until(failures: Sequence[Failures], most: int) -> datetime | None:
    """When fewer than that many count again; None: fewer do now."""
    counted = 0
    for each in reversed(failures):
        counted += each.number
        if counted >= most:
            return each.at + WITHIN
    return None


def _with(failures: tuple[Failures, ...], now: datetime, most: int) -> tuple[Failures, ...]:
    """One more failure. With a clock that is behind it counts in the last minute that others wrote down."""
    if most > _KEPT_ONE_BY_ONE and failures and _minute(now) <= _minute(failures[-1].at):
        last = failures[-1]
        return (*failures[:-1], Failures(max(last.at, now), last.number + 1))
    return (*failures, Failures(now))


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _seconds(left: timedelta) -> int:
    return max(1, ceil(left.total_seconds()))
