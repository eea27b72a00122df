"""Erasing accounts: what prevents it, and what is left of one."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import CONFIRMED, Booking
from ..event import Event, EventStatus
from ..user import User
from .cancel import may_customer_cancel

LIVE_EVENTS: Final = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
"""The events that their organizer may not leave: those that customers count on."""

UNFINISHED_EVENTS: Final = LIVE_EVENTS | {EventStatus.DRAFT}
"""The events of an erased account that are cancelled. Live ones were initialized while it was being erased."""

LAST_LOOK_AFTER: Final = timedelta(minutes=1)
"""When an erasure looks for what the account did meanwhile: its access tokens are refused everywhere by then."""

TAKEN_OVER_AFTER: Final = timedelta(seconds=10)
"""When the background work continues an erasure whose request has not finished it."""


class Erasure(Struct, frozen=True, gc=False, kw_only=True):
    """An account that was erased at `erased_at`, and whose bookings and events are still ended: next at `due_at`."""

    user_id: UUID
    erased_at: datetime
    due_at: datetime

    @classmethod
    def begun(cls, user_id: UUID, now: datetime) -> "Erasure":
        """Return a new erasure, which the request itself continues."""
        return cls(user_id=user_id, erased_at=now, due_at=now + TAKEN_OVER_AFTER)

    def is_last_look(self, now: datetime) -> bool:
        """Return whether a step begun now sees all that the account did."""
        return now >= self.erased_at + LAST_LOOK_AFTER

    def after_step(self, now: datetime, *, is_done: bool) -> "Erasure | None":
        """Return the erasure after a step, which left nothing to do if `is_done`; None: it is finished."""
        if not is_done:
            return replace(self, due_at=now)
        return None if self.is_last_look(now) else replace(self, due_at=self.erased_at + LAST_LOOK_AFTER)


def erased(user: User, now: datetime) -> User:
    """Return what is left of the account: its id and times."""
    return User(
        id=user.id,
        name="",
        email=None,
        password_hash=None,
        created_at=user.created_at,
        standing_changed_at=now,
        erased_at=now,
    )


def binds(event: Event, booking: Booking, now: datetime) -> bool:
    """Return whether the booking binds its customer: it cannot be cancelled any more, and its event is not over.

    A booking with a ticket that somebody came in with cannot.
    """
    if booking.status is not CONFIRMED or event.status.is_closed or event.is_over(now):
        return False
    return not may_customer_cancel(event, booking, now)


def ends_with_account(event: Event, booking: Booking, now: datetime) -> bool:
    """Return whether a live booking is cancelled when its customer's account is erased.

    Who waits or holds leaves whenever that is. Who has tickets leaves by the rules of customers; otherwise the booking
    stays: the event is over, or the booking became binding while the account was being erased.
    """
    if event.status.is_closed:
        return False
    return booking.status is not CONFIRMED or (not booking.used and may_customer_cancel(event, booking, now))
