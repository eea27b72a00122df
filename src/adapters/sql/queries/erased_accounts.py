"""What must not be left of erased accounts: counts of rows for the verification of the promises."""

from typing import Any, Final

from sqlalchemy import Select, func, or_, select

from ....domain.booking import BookingStatus
from ....domain.decisions.erase import UNFINISHED_EVENTS
from ....domain.event import EventStatus
from ..schema.tables import (
    account_links,
    api_keys,
    bookings,
    customer_log_keys,
    erasures,
    event_staff,
    events,
    sessions,
    stored_responses,
    tickets,
    users,
    webhooks,
)


def _of_erased(column: Any) -> Select[Any]:
    """Count the rows whose account, in this column, is erased."""
    return (
        select(func.count()).join_from(users, column.table, column == users.c.id).where(users.c.erased_at.is_not(None))
    )


def _of_finished(column: Any) -> Select[Any]:
    """Count the rows whose account is erased and has been ended in every part."""
    return _of_erased(column).outerjoin(erasures, erasures.c.user_id == users.c.id).where(erasures.c.user_id.is_(None))


LEFT_OF_ERASED: Final[dict[str, Select[Any]]] = {
    "erased accounts with a name, an address or a password": select(func.count())
    .select_from(users)
    .where(
        users.c.erased_at.is_not(None),
        or_(
            users.c.name != "",
            users.c.email.is_not(None),
            users.c.pending_email.is_not(None),
            users.c.password_hash.is_not(None),
        ),
    ),
    "sessions of erased accounts": _of_erased(sessions.c.user_id),
    "links to erased accounts": _of_erased(account_links.c.user_id),
    "duties of erased accounts": _of_erased(event_staff.c.user_id),
    "keys of erased accounts in logs": _of_erased(customer_log_keys.c.customer_id),
    "API keys of erased accounts": _of_finished(api_keys.c.user_id),
    "webhooks of erased accounts": _of_finished(webhooks.c.organizer_id),
    "stored responses to erased accounts": _of_finished(stored_responses.c.user_id),
    "waiting or held bookings of erased accounts": _of_finished(bookings.c.customer_id)
    .join(events, events.c.id == bookings.c.event_id)
    .where(
        bookings.c.status.in_([BookingStatus.WAITLISTED, BookingStatus.HELD]),
        events.c.status.not_in([EventStatus.CANCELLED, EventStatus.COMPLETED]),
    ),
    # The staff may name the holders of confirmed ones again.
    "named tickets of ended bookings of erased accounts": _of_finished(bookings.c.customer_id)
    .join(tickets, tickets.c.booking_id == bookings.c.id)
    .where(bookings.c.status != BookingStatus.CONFIRMED, tickets.c.holder_name.is_not(None)),
    "unfinished events of erased accounts": _of_finished(events.c.organizer_id).where(
        events.c.status.in_(sorted(UNFINISHED_EVENTS))
    ),
}
"""The statements, by what they count."""
