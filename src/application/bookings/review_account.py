"""Let the waiting bookings of an account follow whether it is disabled."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from ...domain.decisions.suspend import ResumeWaiting, SuspendWaiting, resume_waiting, suspend_waiting
from ..ports.errors import Unavailable
from ..ports.loading import LoadSpec
from ..ports.queries import AccountQueries, BookingQueries
from ..ports.security import AccountKey
from ..turnstile.turnstile import Turnstile

AT_ONCE: Final = 100
"""Most bookings that one call suspends or resumes."""

REVIEWED_FOR: Final = timedelta(minutes=2)
"""How long an account is reviewed after it was disabled or enabled.

Its tokens may book for five seconds longer, commands run for a few seconds, and processes' clocks may differ.
"""


class ReviewAccount:
    """Suspend the waiting bookings of a disabled account; let those of an enabled one wait again.

    Each event's bookings change in a transaction of their own, so a crash loses none of them.
    """

    def __init__(self, turnstile: Turnstile, accounts: AccountQueries, bookings: BookingQueries) -> None:
        self._turnstile = turnstile
        self._accounts = accounts
        self._bookings = bookings

    async def __call__(self, user_id: UUID) -> bool:
        """Return whether nothing is left to do; otherwise call it again. Raises: Unavailable."""
        key = AccountKey(user_id, None)
        account = (await self._accounts.accounts([key])).get(key)
        if account is None:
            return True
        is_disabled = account.user.disabled_at is not None
        found = await self._bookings.waitlisted_of_customer(user_id, AT_ONCE, suspended=not is_disabled)
        failure: Unavailable | None = None
        for event_id in dict.fromkeys(each.event_id for each in found):
            try:
                await self._change(event_id, user_id, is_disabled=is_disabled)
            except Unavailable as unavailable:
                # One event that is locked for long does not stop the others.
                failure = unavailable
        if failure is not None:
            raise failure
        return len(found) < AT_ONCE

    async def _change(self, event_id: UUID, customer_id: UUID, *, is_disabled: bool) -> None:
        needs = LoadSpec(event_id=event_id, customer_id=customer_id, whole=True, settles=True)
        if is_disabled:
            suspend = SuspendWaiting(event_id=event_id, customer_id=customer_id)
            await self._turnstile.admit(suspend, needs, suspend_waiting)
        else:
            resume = ResumeWaiting(event_id=event_id, customer_id=customer_id)
            await self._turnstile.admit(resume, needs, resume_waiting)
