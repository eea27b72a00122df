"""Disable and enable accounts."""

import logging
import random
from collections.abc import Callable

from msgspec.structs import replace

from ...domain.user import User
from ..bookings.review_account import REVIEWED_FOR, ReviewAccount
from ..ports.errors import Unavailable
from ..ports.repositories import AccountReview
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .named_account import account_name, lock_named

_log = logging.getLogger(__name__)


class DisableUser:
    """Disable an account. Only operators can do this."""

    def __init__(
        self, storage: Storage, clock: Clock, review: ReviewAccount, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._review = review
        self._jitter = jitter

    async def __call__(self, account: str) -> User:
        """End every session, prevent new ones, and suspend the waiting bookings of the account.

        `account` is its id or e-mail address. Its other bookings and its events are unchanged. What cannot be suspended
        at once, the background review does.

        Raises: InvalidRequest, NotFound, Unavailable.
        """
        name = account_name(account)
        now = self._clock.now()

        async def disable(unit_of_work: UnitOfWork) -> User:
            user = await lock_named(unit_of_work, name)
            disabled = replace(user, disabled_at=user.disabled_at or now, standing_changed_at=now)
            await unit_of_work.users.save(disabled)
            await unit_of_work.users.end_sessions(user.id, now, but=None)
            await unit_of_work.users.put_review(AccountReview(user.id, now + REVIEWED_FOR, now))
            return disabled

        disabled = await in_transaction(self._storage, disable, jitter=self._jitter)
        await _begin(self._review, disabled)
        return disabled


class EnableUser:
    """Enable a disabled account. Only operators can do this."""

    def __init__(
        self, storage: Storage, clock: Clock, review: ReviewAccount, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._review = review
        self._jitter = jitter

    async def __call__(self, account: str) -> User:
        """Let the user sign in again, and the suspended bookings wait again; `account` as for `DisableUser`.

        Raises: InvalidRequest, NotFound, Unavailable.
        """
        name = account_name(account)
        now = self._clock.now()

        async def enable(unit_of_work: UnitOfWork) -> User:
            user = await lock_named(unit_of_work, name)
            enabled = replace(user, disabled_at=None, standing_changed_at=now)
            await unit_of_work.users.save(enabled)
            await unit_of_work.users.put_review(AccountReview(user.id, now + REVIEWED_FOR, now))
            return enabled

        enabled = await in_transaction(self._storage, enable, jitter=self._jitter)
        await _begin(self._review, enabled)
        return enabled


async def _begin(review: ReviewAccount, user: User) -> None:
    """Do what can be done at once; the account is marked, so the rest follows."""
    try:
        await review(user.id)
    except Unavailable as failure:
        _log.warning("The waiting bookings of account %s follow in the background: %s", user.id, failure)
