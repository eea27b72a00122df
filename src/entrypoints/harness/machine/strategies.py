"""The users of a run, and the Hypothesis strategies for commands."""

from typing import Any, Final, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ....domain.event import LogMode, WaitingListMode, WaitingListPolicy
from ....domain.policy import StaffRole
from ....domain.values.money import Money
from .box_office import FIRST_WITHOUT_ACCOUNT
from .model.event import OFFSETS

CUSTOMERS: Final = [UUID(int=number) for number in range(1, 7)]
ORGANIZERS: Final = [UUID(int=101), UUID(int=102)]
ADMIN: Final = UUID(int=201)
WITHOUT_ACCOUNT: Final = [UUID(int=FIRST_WITHOUT_ACCOUNT + number) for number in range(2)]
HELPERS: Final = [UUID(int=211), UUID(int=212)]
"""Users who mostly work for events."""

LEAVERS: Final = [UUID(int=221), UUID(int=222), UUID(int=223)]
"""Users who organize, work for events and book, and are erased."""

USERS: Final = [*CUSTOMERS, *ORGANIZERS, ADMIN, *HELPERS]

picks: SearchStrategy[int] = st.integers(0, 1_000)
"""Numbers that choose an item of a list whose length is not known when they are drawn."""

quantities: SearchStrategy[int] = st.integers(1, 5)
totals: SearchStrategy[int] = st.integers(1, 8)
new_totals: SearchStrategy[int] = st.integers(0, 8)
FIVE: Final = Money(500, "EUR")
prices: SearchStrategy[Money | None] = st.sampled_from(
    [None, None, FIVE, FIVE, Money(0, "EUR"), Money(300, "EUR"), Money(900, "EUR"), Money(500, "USD")]
)
policies: SearchStrategy[WaitingListPolicy] = st.sampled_from(WaitingListPolicy)
bounds: SearchStrategy[int | None] = st.sampled_from([None, None, 0, 1, 2, 3])
modes: SearchStrategy[WaitingListMode] = st.sampled_from([*[WaitingListMode.ON] * 6, WaitingListMode.OFF])
logs: SearchStrategy[LogMode] = st.sampled_from(LogMode)
sides: SearchStrategy[int] = st.sampled_from([-1, 0, 1])
"""Just before a moment, at it, and just after, in microseconds."""

hours: SearchStrategy[int] = st.integers(0, 30)
windows: SearchStrategy[int | None] = st.sampled_from([None, 60, 60, 600])
zones: SearchStrategy[str] = st.sampled_from(["UTC", *OFFSETS])
roles: SearchStrategy[StaffRole] = st.sampled_from(StaffRole)
fees: SearchStrategy[int] = st.sampled_from([0, 0, 10, 33, 100])
deadlines: SearchStrategy[int] = st.sampled_from([0, 0, 12, 48])
limits: SearchStrategy[int] = st.integers(1, 9)
new_events: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "types": st.lists(st.tuples(totals, st.sampled_from([None, FIVE])), min_size=1, max_size=3),
        "window": windows,
        "policy": policies,
        "bound": bounds,
        "mode": modes,
        "log": logs,
        "limit": limits,
        "starts_in": st.none() | st.integers(1, 200),
        "zone": zones,
        "sales": st.sampled_from([(None, None), (None, None), (1, None), (None, 5), (2, 24), (30, None)]),
        "deadline_hours": deadlines,
        "fee": fees,
        "is_draft": st.sampled_from([False, False, False, True]),
        "organizer": st.sampled_from(ORGANIZERS),
        "staff": st.fixed_dictionaries(dict.fromkeys(HELPERS, st.none() | roles)),
    }
)
edits: SearchStrategy[tuple[str, Any]] = (
    st.tuples(st.just("policy"), policies)
    | st.tuples(st.just("bound"), bounds)
    | st.tuples(st.just("mode"), modes)
    | st.tuples(st.just("log"), logs)
    | st.tuples(st.just("limit"), limits)
    | st.tuples(st.just("starts_in"), st.integers(1, 60))
    | st.tuples(st.just("starts_later"), st.sampled_from([-24, -2, -1, 1, 2, 24]))
    | st.tuples(st.just("sales_open_in"), st.none() | st.integers(-3, 12))
    | st.tuples(st.just("sales_close_in"), st.none() | st.integers(-1, 24))
    | st.tuples(st.just("zone"), zones)
    | st.tuples(st.just("window"), windows)
    | st.tuples(st.just("deadline_hours"), deadlines)
    | st.tuples(st.just("fee"), fees)
)


FIELDS: Final = {
    "policy": "waiting_list_policy",
    "bound": "max_overtakes",
    "mode": "waiting_list",
    "log": "log",
    "limit": "max_tickets_per_customer",
    "starts_at": "starts_at",
    "sales_open_at": "sales_open_at",
    "sales_close_at": "sales_close_at",
    "zone": "time_zone",
    "window": "payment_window_minutes",
    "deadline_hours": "cancellation_deadline_hours",
    "fee": "refund_fee_percent",
}
"""The domain's names of the model's fields."""


class BookingRequest(NamedTuple):
    """What is booked for a customer. `which` chooses a ticket type. `booked_by` None: the customer books.

    With a `reason` it is a gift.
    """

    customer_id: UUID
    which: int
    quantity: int
    only_if_available: bool
    booked_by: UUID | None = None
    reason: str | None = None


Requests = SearchStrategy[BookingRequest]
_NO_REASON: Final = st.none()


def _requests(
    customers: list[UUID], booked_by: SearchStrategy[UUID | None], reasons: SearchStrategy[str | None] = _NO_REASON
) -> Requests:
    rarely = st.sampled_from([False, False, False, True])
    return st.builds(BookingRequest, st.sampled_from(customers), picks, quantities, rarely, booked_by, reasons)


customers_requests: Requests = _requests(CUSTOMERS, st.none())
requests_for_others: Requests = _requests(
    [*CUSTOMERS, *WITHOUT_ACCOUNT * 3], st.sampled_from([*ORGANIZERS, *ORGANIZERS, ADMIN, CUSTOMERS[0], *HELPERS])
)
gifts: Requests = _requests(
    [*CUSTOMERS, *CUSTOMERS, *WITHOUT_ACCOUNT],
    st.sampled_from([*ORGANIZERS, *ORGANIZERS, *HELPERS]),
    st.sampled_from(["For the band", "She won the draw"]),
)
booking_requests: SearchStrategy[list[BookingRequest]] = st.lists(_requests(USERS, st.none()), min_size=1, max_size=8)

deeds: SearchStrategy[tuple[str, Any]] = (
    st.tuples(st.just("cancel"), picks)
    | st.tuples(st.just("cancel"), picks)
    | st.tuples(st.just("book"), customers_requests)
    | st.tuples(st.just("total"), st.tuples(picks, totals))
    | st.tuples(st.just("status"), st.sampled_from(["on_sale", "on_sale", "paused", "completed", "cancelled"]))
    | st.tuples(st.just("time"), hours)
)
"""What other users do, and the passage of time."""
