"""What the sequential specification starts from."""

from uuid import UUID

from msgspec import Struct

from ....domain.tickets.ticket_type import EventState


class Sale(Struct, frozen=True, kw_only=True):
    """An event when the history began, without bookings.

    `totals` are the tickets of each type and `prices` the types that have a price. `holds`: tickets with a price are
    held until they are paid. `may_lapse`: time advances, so holds may expire at any moment.
    """

    event_id: UUID
    organizer_id: UUID | None = None
    totals: dict[UUID, int]
    prices: frozenset[UUID] = frozenset()
    policy: str = "strict"
    max_overtakes: int | None = None
    waiting_list: str = "on"
    limit: int = 10
    status: str = "on_sale"
    holds: bool = False
    may_lapse: bool = False

    @classmethod
    def of(cls, state: EventState, *, may_lapse: bool = False) -> "Sale":
        """Return it for the state of an event before the first booking."""
        event = state.event
        return cls(
            event_id=event.id,
            organizer_id=event.organizer_id,
            totals={each.id: each.total_tickets for each in state.ticket_types},
            prices=frozenset(each.id for each in state.ticket_types if each.price and each.price.amount),
            policy=event.waiting_list_policy.value,
            max_overtakes=event.max_overtakes,
            waiting_list=event.waiting_list.value,
            limit=event.max_tickets_per_customer,
            status=event.status.value,
            holds=event.payment_window_minutes is not None,
            may_lapse=may_lapse,
        )
