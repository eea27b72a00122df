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


class _SetDisabled:
    def __init__(
        self, storage: Storage, clock: Clock, review: ReviewAccount, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._review = review
        self._jitter = jitter

    async def _set_disabled(self, account: str, *, is_disabled: bool) -> User:
        name = account_name(account)
        now = self._clock.now()

        async def change(unit_of_work: UnitOfWork) -> User:
            user = await lock_named(unit_of_work, name)
            disabled_at = (user.disabled_at or now) if is_disabled else None
            changed = replace(user, disabled_at=disabled_at, standing_changed_at=now)
            await unit_of_work.users.save(changed)
            if is_disabled:
                await unit_of_work.users.end_sessions(user.id, now, but=None)
            await unit_of_work.users.put_review(AccountReview(user.id, now + REVIEWED_FOR, now))
            return changed

        changed = await in_transaction(self._storage, change, jitter=self._jitter)
        try:
            await self._review(changed.id)
        except Unavailable as failure:
            # The account is marked, so the rest follows.
            _log.warning("The waiting bookings of account %s follow in the background: %s", changed.id, failure)
        return changed


class DisableUser(_SetDisabled):
    """Disable an account. Only operators can do this."""

    async def __call__(self, account: str) -> User:
        """End every session, prevent new ones, and suspend the waiting bookings of the account.

        `account` is its id or e-mail address. Its other bookings and its events are unchanged. What cannot be suspended
        at once, the background review does.

        Raises: InvalidRequest, NotFound, Unavailable.
        """
        return await self._set_disabled(account, is_disabled=True)


class EnableUser(_SetDisabled):
    """Enable a disabled account. Only operators can do this."""

    async def __call__(self, account: str) -> User:
        """Let the user sign in again, and the suspended bookings wait again; `account` as for `DisableUser`.

        Raises: InvalidRequest, NotFound, Unavailable.
        """
        return await self._set_disabled(account, is_disabled=False)
