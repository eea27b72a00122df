"""Read what is stored after a history, through the storage port, so that it works with every adapter."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from ....application.ports.idempotency import Key, Response
from ....application.ports.storage import Storage
from ....domain.booking import Booking
from ....domain.facts import Fact
from ....domain.tickets.ticket_type import EventState
from .history import History

NOT_KEPT: Final = frozenset(
    {
        "not-found",
        "not-allowed",
        "invalid-request",
        "idempotency-key-reused",
        "request-in-progress",
        "payment-under-way",
        "not-on-sale",
        "sold-out",
        "too-many-events",
        "stale-version",
        "not-signed-in",
        "invalid-token",
        "too-many-requests",
    }
)
"""Refusals that are not stored for a key (API.md)."""

AT_ONCE: Final = 2_000
"""Rows of one read."""


class Stored(Struct, frozen=True, kw_only=True):
    """The events of a history: their state, facts in order, bookings, and the stored responses.

    `responses` are those to the keys of the history, by user and key; None: they were not read.
    """

    events: dict[UUID, EventState]
    facts: dict[UUID, Sequence[Fact]]
    bookings: dict[UUID, Booking]
    responses: dict[tuple[UUID, str], Response] | None = None

    @classmethod
    async def load(cls, storage: Storage, history: History, *, keys: bool = True) -> "Stored":
        """Read everything. Nothing may be under way: keys and bookings are not read at the same moment.

        Raises: Unavailable.
        """
        calls = [operation.call for operation in history.operations()]
        event_ids = {call.event_id for call in calls}
        events: dict[UUID, EventState] = {}
        facts: dict[UUID, Sequence[Fact]] = {}
        bookings: dict[UUID, Booking] = {}
        async with storage.snapshot() as snapshot:
            last: UUID | None = None
            while states := await snapshot.events(last, AT_ONCE):
                events.update((state.event.id, state) for state in states if state.event.id in event_ids)
                last = states[-1].event.id
            for event_id in events:
                found: list[Fact] = []
                while some := await snapshot.facts(event_id, found[-1].seq if found else 0, AT_ONCE):
                    found += some
                facts[event_id] = found
            last = None
            while rows := await snapshot.bookings(last, AT_ONCE):
                bookings.update((row.booking.id, row.booking) for row in rows if row.booking.event_id in event_ids)
                last = rows[-1].booking.id
        used = {Key(*call.owned_key) for call in calls if call.owned_key}
        responses = await _responses(storage, sorted(used, key=str)) if keys else None
        return cls(events=events, facts=facts, bookings=bookings, responses=responses)


async def _responses(storage: Storage, keys: Sequence[Key]) -> dict[tuple[UUID, str], Response]:
    found: dict[tuple[UUID, str], Response] = {}
    for first in range(0, len(keys), AT_ONCE):
        async with storage.begin() as unit_of_work:
            some = await unit_of_work.events.stored_responses(keys[first : first + AT_ONCE])
        found.update(((key.user_id, key.text), each.response) for key, each in some.items())
    return found
