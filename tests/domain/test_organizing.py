"""What organizers do: initialize an event, edit it and its ticket types, change its status."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.organize import EventChanges, Initialize, general_admission, initialize
from boxoffice.domain.event import MOST_LIVE_EVENTS, EventDetails, EventStatus, WaitingListMode, WaitingListPolicy
from boxoffice.domain.facts import EventChanged, EventInitialized, TicketTypeAdded, TicketTypeChanged
from boxoffice.domain.refusals import (
    CapacityBelowTaken,
    EventClosed,
    ExceedsCapacity,
    IllegalStatusChange,
    InvalidRequest,
    NameTaken,
    NotAllowed,
    NotFound,
    Refusal,
    StaleVersion,
    TooManyEvents,
    TooManyTicketTypes,
)
from boxoffice.domain.tickets.ticket_type import TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.user import Actor, Organizers
from boxoffice.domain.values.money import MOST, Money
from tests.domain.domain_driver import (
    ADMIN,
    ANA,
    BEN,
    CLEO,
    EVENT_ID,
    MICROSECOND,
    NOW,
    ORGANIZER,
    OTHER_ORGANIZER,
    START,
    STRANGER,
    DomainDriver,
    euros,
)

DRAFT, ON_SALE, PAUSED, COMPLETED, CANCELLED = EventStatus
STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4, price=euros(10))


def paths(refused: "pytest.ExceptionInfo[InvalidRequest]") -> list[tuple[str | int, ...]]:
    """The broken fields of a refusal."""
    return [error.path for error in refused.value.errors]


def only(field: str, value: Any) -> dict[str, Any]:
    """One value by the name of its field."""
    return {field: value}


def in_status(status: EventStatus) -> DomainDriver:
    """An event in this status."""
    driver = DomainDriver(status=DRAFT if status is DRAFT else ON_SALE)
    driver.edit(status=status)
    return driver


def edits(
    driver: DomainDriver, actor: Actor = ORGANIZER, versions: set[int] | None = None
) -> list[Callable[[], object]]:
    """An edit of the event, one of its ticket type, and a new ticket type."""
    return [
        lambda: driver.edit(actor, versions, venue="Cellar"),
        lambda: driver.edit_type(driver.ticket_type, actor, versions, name="Other"),
        lambda: driver.add_type("Another", actor=actor, versions=versions),
    ]


def refused(refusal: type[Refusal], *calls: Callable[[], object]) -> None:
    """Assert that each of these calls is refused."""
    for call in calls:
        with pytest.raises(refusal):
            call()


# Initializing.


def _initialize(
    *specs: TicketTypeSpec,
    actor: Actor = ANA,
    organizers: Organizers = Organizers.EVERYONE,
    status: EventStatus = ON_SALE,
    **details: Any,
) -> Initialize:
    command = Initialize(
        event_id=EVENT_ID,
        actor=actor,
        details=EventDetails(**{"name": "Jazz night", **details}),
        ticket_types=tuple((UUID(int=number), spec) for number, spec in enumerate(specs, start=1)),
        currency="EUR",
        status=status,
    )
    initialize(command, organizers, NOW)
    return command


def test_a_new_event_has_its_organizer_and_the_defaults_of_the_contract() -> None:
    driver = DomainDriver(7, price=euros(5))
    event = driver.state.event
    assert (event.id, event.organizer_id, event.created_at) == (EVENT_ID, ORGANIZER.user_id, NOW)
    assert (event.status, event.version, event.last_queue_number, event.is_unsettled) == (ON_SALE, 1, 0, False)
    assert (event.description, event.venue, event.max_tickets_per_customer) == ("", "", 10)
    assert (event.starts_at, event.ends_at, event.sales_open_at, event.sales_close_at) == (None,) * 4
    assert (event.payment_window_minutes, event.cancellation_deadline_hours) == (None, 0)
    assert (event.waiting_list_policy, event.waiting_list) == (WaitingListPolicy.STRICT, WaitingListMode.ON)
    (only,) = driver.ticket_types
    assert (only.name, only.total_tickets, only.price, only.ordinal) == ("General admission", 7, euros(5), 0)


def test_the_first_fact_holds_the_whole_event() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY], starts_at=START, venue="Cellar")
    stalls, balcony = driver.ticket_types
    assert driver.facts[0].seq == 1
    assert driver.facts[0].booking_id is None
    assert driver.facts[0].what == EventInitialized(
        organizer_id=ORGANIZER.user_id,
        currency="EUR",
        values={
            "name": "Jazz night",
            "description": "",
            "venue": "Cellar",
            "startsAt": "2027-05-01T19:00:00Z",
            "endsAt": None,
            "timeZone": "UTC",
            "salesOpenAt": None,
            "salesCloseAt": None,
            "maxTicketsPerCustomer": 10,
            "paymentWindowMinutes": None,
            "cancellationDeadlineHours": 0,
            "refundFeePercent": 0,
            "waitingListPolicy": "strict",
            "maxOvertakes": None,
            "waitingList": "on",
            "log": "receipts",
            "admission": "line",
            "status": "on_sale",
        },
        ticket_types=[
            TicketTypeAdded(ticket_type_id=stalls.id, name="Stalls", total_tickets=2, price=None),
            TicketTypeAdded(ticket_type_id=balcony.id, name="Balcony", total_tickets=4, price=euros(10)),
        ],
    )


def test_organizing_needs_a_role_where_it_is_granted() -> None:
    _initialize(STALLS)
    _initialize(STALLS, actor=OTHER_ORGANIZER, organizers=Organizers.GRANTED)
    with pytest.raises(NotAllowed):
        _initialize(STALLS, organizers=Organizers.GRANTED)
    with pytest.raises(InvalidRequest):
        _initialize(STALLS, organizers=Organizers.GRANTED, venue="x" * 201)


@pytest.mark.parametrize(
    ("details", "broken"),
    [
        ({"starts_at": NOW}, ["starts_at"]),
        ({"starts_at": NOW + MICROSECOND}, []),
        ({"ends_at": START}, ["ends_at"]),
        ({"starts_at": START, "ends_at": START}, ["ends_at"]),
        ({"starts_at": START, "ends_at": START + MICROSECOND}, []),
        ({"sales_open_at": NOW, "sales_close_at": NOW}, ["sales_close_at"]),
        ({"sales_open_at": START, "sales_close_at": START}, ["sales_close_at"]),
        ({"sales_open_at": NOW - timedelta(days=9), "sales_close_at": NOW + MICROSECOND}, []),
        ({"sales_open_at": START, "starts_at": START}, ["sales_open_at"]),
        ({"sales_open_at": START - MICROSECOND, "starts_at": START}, []),
        (
            {"starts_at": NOW, "ends_at": NOW, "sales_open_at": START, "sales_close_at": NOW},
            ["starts_at", "sales_close_at", "ends_at", "sales_open_at"],
        ),
    ],
)
def test_times_lie_in_the_future_and_in_their_order(details: dict[str, Any], broken: list[str]) -> None:
    if not broken:
        _initialize(STALLS, **details)
        return
    with pytest.raises(InvalidRequest) as refusal:
        _initialize(STALLS, **details)
    assert paths(refusal) == [(field,) for field in broken]


@pytest.mark.parametrize(
    ("field", "kept", "broken"),
    [
        ("max_tickets_per_customer", [1, 1_000], [0, 1_001]),
        ("payment_window_minutes", [1, 43_200], [0, 43_201]),
        ("cancellation_deadline_hours", [0, 8_760], [-1, 8_761]),
        ("name", ["x", "x" * 200], ["", "x" * 201, "a\nb"]),
        ("description", ["", "x" * 1_000, "a\nb"], ["x" * 1_001]),
        ("venue", ["", "x" * 200], ["x" * 201, "a\nb"]),
    ],
)
def test_values_of_an_event_have_bounds(field: str, kept: list[Any], broken: list[Any]) -> None:
    for value in kept:
        _initialize(STALLS, **only(field, value))
        EventChanges(**only(field, value))
    for value in broken:
        for make in (lambda **details: _initialize(STALLS, **details), EventChanges):
            with pytest.raises(InvalidRequest) as refusal:
                make(**only(field, value))
            assert paths(refusal) == [(field,)]


def test_every_broken_value_is_named() -> None:
    twice = (general_admission(1), general_admission(1))
    with pytest.raises(InvalidRequest) as refusal:
        _initialize(*twice, status=PAUSED, name=" ", venue="\x07")
    assert paths(refusal) == [("name",), ("venue",), ("ticket_types", 1, "name"), ("status",)]
    with pytest.raises(InvalidRequest) as refusal:
        _initialize(*twice, status=PAUSED, starts_at=NOW, ends_at=NOW)
    assert paths(refusal) == [("starts_at",), ("ends_at",), ("ticket_types", 1, "name"), ("status",)]


# Ticket types.


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("total_tickets", number) for number in (-1, 1_000_001)),
        *(("price", price) for price in (Money(-1, "EUR"), Money(MOST + 1, "EUR"), Money(1, "eur"), Money(1, "XXX"))),
    ],
)
def test_tickets_and_prices_have_bounds(field: str, value: Any) -> None:
    for make in (TicketTypeSpec, TicketTypeChanges, EventChanges):
        values = {"name": "Stalls", "total_tickets": 1, field: value}
        with pytest.raises(InvalidRequest) as refusal:
            make(**values)
        assert paths(refusal) == [(field,)]
    for total_tickets in (1, 1_000_000):
        assert general_admission(total_tickets).total_tickets == total_tickets


def test_an_event_has_1_to_50_types() -> None:
    specs = [TicketTypeSpec(name=f"Row {number}", total_tickets=1) for number in range(51)]
    for wrong in ([], specs):
        with pytest.raises(InvalidRequest) as refusal:
            _initialize(*wrong)
        assert paths(refusal) == [("ticket_types",)]
    driver = DomainDriver(types=specs[:49])
    driver.add_type("The last")
    for name in ("One more", "The last"):
        with pytest.raises(TooManyTicketTypes):
            driver.add_type(name)


def test_names_of_types_differ_without_case() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        _initialize(STALLS, BALCONY, replace(STALLS, name="STALLS"), replace(STALLS, name="balcony"))
    assert paths(refusal) == [("ticket_types", 2, "name"), ("ticket_types", 3, "name")]
    with pytest.raises(InvalidRequest):
        _initialize(replace(STALLS, name="Straße"), replace(STALLS, name="STRASSE"))
    driver = DomainDriver(types=[STALLS, BALCONY])
    stalls, _ = driver.ticket_types
    assert driver.edit_type(stalls, name="STALLS").ticket_types[0].name == "STALLS"
    with pytest.raises(NameTaken):
        driver.edit_type(stalls, name="bAlCoNy")
    with pytest.raises(NameTaken):
        driver.add_type("BALCONY")


def test_an_event_has_the_one_currency_of_its_prices() -> None:
    dollars = replace(BALCONY, name="Other", price=Money(1, "USD"))
    with pytest.raises(InvalidRequest) as refusal:
        _initialize(BALCONY, dollars)
    assert paths(refusal) == [("ticket_types", 1, "price", "currency")]
    assert DomainDriver(types=[STALLS, dollars]).state.event.currency == "USD"
    assert DomainDriver(types=[STALLS]).state.event.currency == "EUR"


def test_a_free_event_takes_a_price_in_any_one_currency() -> None:
    """Prices of nothing take its currency too, and one edit does all of it."""
    driver = DomainDriver(types=[replace(STALLS, price=euros(0)), replace(BALCONY, price=None)])
    stalls, balcony = driver.ticket_types
    before = len(driver.facts)
    driver.edit_type(balcony, price=Money(7, "USD"))
    assert [each.price for each in driver.ticket_types] == [Money(0, "USD"), Money(7, "USD")]
    version, price = 2, {"amount": 7, "currency": "USD"}
    assert driver.happened(before) == [
        TicketTypeChanged(version=version, ticket_type_id=stalls.id, changes={"price": {**price, "amount": 0}}),
        TicketTypeChanged(version=version, ticket_type_id=balcony.id, changes={"price": price}),
        EventChanged(version=version, changes={"currency": "USD"}),
    ]
    refused(
        InvalidRequest,
        lambda: driver.edit_type(stalls, price=euros(1)),
        lambda: driver.edit_type(balcony, price=euros(1)),
        lambda: driver.add_type("Boxes", price=euros(0)),
    )
    driver.edit_type(balcony, price=None)
    driver.add_type("Boxes", price=Money(5, "GBP"))
    assert [each.price for each in driver.ticket_types] == [Money(0, "GBP"), None, Money(5, "GBP")]
    assert driver.state.event.currency == "GBP"

    single = DomainDriver(1)
    assert single.edit(price=Money(9, "JPY"), venue="Hall").event.currency == "JPY"
    assert single.book(ANA).amount == Money(9, "JPY")


# Who may edit, and in which order it is refused.


@pytest.mark.parametrize("actor", [STRANGER, OTHER_ORGANIZER])
@pytest.mark.parametrize("status", list(EventStatus))
def test_others_may_not_edit_an_event_and_do_not_find_a_draft(actor: Actor, status: EventStatus) -> None:
    refused(NotFound if status is DRAFT else NotAllowed, *edits(in_status(status), actor, {99}))


@pytest.mark.parametrize("status", [CANCELLED, COMPLETED])
def test_a_closed_event_is_not_edited_and_an_old_version_is_refused_first(status: EventStatus) -> None:
    driver = in_status(status)
    refused(StaleVersion, *edits(driver, versions={1}), *edits(driver, versions=set()))
    refused(EventClosed, *edits(driver, versions={7, 2}), driver.edit, lambda: driver.edit(status=status))


def test_the_version_counts_edits_and_not_bookings() -> None:
    driver = DomainDriver()
    driver.cancel(driver.book(ANA))
    assert driver.edit(versions={1}, venue="Cellar").event.version == 2
    assert driver.edit(versions={2}, venue="Hall", status=PAUSED, total_tickets=9).event.version == 3
    assert driver.edit_type(driver.ticket_type, versions={3}, name="Seats").event.version == 4
    assert driver.add_type("Standing", versions={4}).event.version == 5
    with pytest.raises(StaleVersion):
        driver.edit(versions={4}, venue="Bar")


def test_an_edit_that_changes_nothing_has_no_version_and_no_fact() -> None:
    driver = DomainDriver(price=euros(5), starts_at=START, venue="Cellar")
    facts = len(driver.facts)
    driver.edit()
    driver.edit(venue=" Cellar ", starts_at=START, status=ON_SALE, total_tickets=3, price=euros(5))
    driver.edit_type(driver.ticket_type, name="General admission", total_tickets=3, price=euros(5))
    assert driver.state.event.version == 1
    assert len(driver.facts) == facts


def test_broken_values_and_other_currencies_are_refused_before_an_old_version() -> None:
    driver = DomainDriver(2, price=euros(10))
    dollars: list[Callable[[], object]] = [
        lambda: driver.edit(versions={9}, price=Money(0, "USD")),
        lambda: driver.edit_type(driver.ticket_type, versions={9}, price=Money(5, "USD")),
        lambda: driver.add_type("Other", price=Money(5, "USD"), versions={9}),
    ]
    for call in dollars:
        with pytest.raises(InvalidRequest) as refusal:
            call()
        assert paths(refusal) == [("price", "currency")]
    refused(InvalidRequest, lambda: driver.edit(versions={9}, starts_at=NOW))


# The status of an event.

STEPS = {
    DRAFT: {ON_SALE, CANCELLED},
    ON_SALE: {PAUSED, COMPLETED, CANCELLED},
    PAUSED: {ON_SALE, COMPLETED, CANCELLED},
}


@pytest.mark.parametrize("before", list(EventStatus))
@pytest.mark.parametrize("after", list(EventStatus))
def test_the_status_of_an_event_changes_in_these_steps_only(before: EventStatus, after: EventStatus) -> None:
    driver = in_status(before)
    version = driver.state.event.version
    if before in (COMPLETED, CANCELLED):
        assert before.is_closed
        assert not before.may_become(after)
    elif after is before:
        assert driver.edit(status=after).event.version == version, "no step"
    elif after in STEPS[before]:
        assert driver.edit(status=after).event.status is after
        assert driver.facts[-1].what == EventChanged(version=version + 1, changes={"status": after.value})
    else:
        with pytest.raises(IllegalStatusChange):
            driver.edit(status=after)


# Editing times.


def test_a_start_is_moved_into_the_future_and_may_stay_in_the_past() -> None:
    driver = DomainDriver(starts_at=START)
    with pytest.raises(InvalidRequest) as refusal:
        driver.edit(starts_at=NOW)
    assert paths(refusal) == [("starts_at",)]
    assert driver.edit(starts_at=NOW + MICROSECOND).event.starts_at == NOW + MICROSECOND
    driver.edit(starts_at=START)
    driver.now = START + timedelta(hours=1)
    driver.edit(starts_at=START, description="Doors are open", ends_at=START + timedelta(hours=3))
    assert driver.state.event.ends_at == START + timedelta(hours=3)


def test_edited_times_are_checked_against_those_that_stay() -> None:
    driver = DomainDriver(starts_at=START, ends_at=START + timedelta(hours=2), sales_open_at=NOW)
    wrong: list[dict[str, Any]] = [
        {"starts_at": None},
        {"starts_at": START + timedelta(hours=2)},
        {"ends_at": START},
        {"sales_close_at": NOW},
    ]
    for changes in wrong:
        with pytest.raises(InvalidRequest):
            driver.edit(**changes)
    assert driver.edit(starts_at=None, ends_at=None).event.starts_at is None


# Editing tickets.


def test_the_tickets_of_an_event_with_several_types_are_edited_by_type() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY])
    changes: list[dict[str, Any]] = [{"total_tickets": 5}, {"price": euros(1)}, {"total_tickets": 5, "price": None}]
    for each in changes:
        with pytest.raises(InvalidRequest) as refusal:
            driver.edit(**each)
        assert paths(refusal) == [(field,) for field in each]


def test_an_edit_of_event_and_tickets_is_two_facts_of_one_version() -> None:
    driver = DomainDriver(3)
    driver.edit(venue="Cellar", total_tickets=4, price=euros(2))
    assert driver.happened(1) == [
        TicketTypeChanged(
            version=2,
            ticket_type_id=driver.ticket_type.id,
            changes={"totalTickets": 4, "price": {"amount": 200, "currency": "EUR"}},
        ),
        EventChanged(version=2, changes={"venue": "Cellar"}),
    ]


def test_there_cannot_be_fewer_tickets_than_are_taken_or_one_waiting_booking_asks_for() -> None:
    driver = DomainDriver(5)
    driver.book(ANA, 3)
    by_type = lambda: driver.edit_type(driver.ticket_type, total_tickets=2)  # noqa: E731
    refused(CapacityBelowTaken, lambda: driver.edit(total_tickets=2), by_type)
    driver.book(BEN, 4)
    driver.book(CLEO, 1)
    with pytest.raises(CapacityBelowTaken, match="asks for 4"):
        driver.edit(total_tickets=3)
    assert driver.edit(total_tickets=4).ticket_types[0].total_tickets == 4


def test_a_type_is_withdrawn_once_none_of_its_tickets_are_taken_or_asked_for() -> None:
    driver = DomainDriver(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("Stalls", "Box")])
    stalls = driver.ticket_types[0]
    withdraw = partial(driver.edit_type, stalls, total_tickets=0)
    taken, waiting = driver.book(ANA, ticket_type=stalls), driver.book(BEN, ticket_type=stalls)
    refused(CapacityBelowTaken, withdraw)
    driver.cancel(waiting)
    refused(CapacityBelowTaken, withdraw)
    driver.cancel(taken)
    assert withdraw().ticket_types[0].total_tickets == 0
    refused(ExceedsCapacity, lambda: driver.book(ANA, ticket_type=stalls))
    driver.book(CLEO, ticket_type=driver.ticket_types[1])
    assert driver.state.is_sold_out(driver.now)
    assert driver.edit_type(stalls, total_tickets=1).ticket_types[0].available == 1
    assert not driver.state.is_sold_out(driver.now)
    assert driver.book(ANA, ticket_type=stalls).status is BookingStatus.CONFIRMED


def test_only_a_change_of_a_type_withdraws_it() -> None:
    driver = DomainDriver(5)
    refused(
        InvalidRequest,
        lambda: TicketTypeSpec(name="Box", total_tickets=0),
        lambda: driver.edit(total_tickets=0),
        lambda: driver.edit_type(driver.ticket_type, total_tickets=-1),
    )


def test_a_new_price_changes_no_existing_booking() -> None:
    driver = DomainDriver(3, price=euros(10))
    before = driver.book(ANA)
    driver.edit(price=euros(99))
    assert driver.bookings[before.id].amount == euros(10)
    assert driver.book(BEN).amount == euros(99)
    driver.edit_type(driver.ticket_type, price=None)
    assert driver.book(CLEO).amount == euros(0)


@pytest.mark.parametrize("actor", [ORGANIZER, STRANGER])
def test_an_unknown_type_is_not_found(actor: Actor) -> None:
    elsewhere = DomainDriver(types=[STALLS, BALCONY]).ticket_types[1]
    with pytest.raises(NotFound):
        DomainDriver().edit_type(elsewhere, actor, versions={9}, name="Other")


def test_names_of_ticket_types_differ_in_what_can_be_seen() -> None:
    with pytest.raises(InvalidRequest, match="must differ"):
        DomainDriver(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("VIP", "vi\u200bp")])
    driver = DomainDriver(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("VIP", "Balcony")])
    for name in ("V\u2063IP", "vip\u00ad", "Bal\u3164cony"):
        with pytest.raises(NameTaken):
            driver.add_type(name)
        with pytest.raises(NameTaken):
            driver.edit_type(driver.ticket_types[0 if name.startswith("B") else 1], name=name)


def test_look_alike_names_from_before_this_rule_may_stay() -> None:
    driver = DomainDriver(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("VIP", "Balcony")])
    vip, balcony = driver.ticket_types
    driver.stored = replace(driver.stored, ticket_types=(vip, replace(balcony, name="V\u200bIP")))
    assert driver.edit_type(driver.ticket_types[1], total_tickets=5).ticket_types[1].total_tickets == 5


def test_a_cancelled_draft_stays_hidden() -> None:
    driver = DomainDriver(status=DRAFT)
    driver.edit(status=CANCELLED)
    event = driver.state.event
    assert not event.was_published
    for actor in (STRANGER, OTHER_ORGANIZER, None):
        with pytest.raises(NotFound):
            event.check_visible_to(actor)
    for actor in (ORGANIZER, ADMIN):
        event.check_visible_to(actor)
    with pytest.raises(NotFound):
        driver.book(ANA)
    with pytest.raises(NotFound):
        driver.edit(STRANGER, name="Another")


def test_an_organizer_has_200_live_events_at_most() -> None:
    command = _initialize(STALLS)
    assert MOST_LIVE_EVENTS == 200
    initialize(command, Organizers.EVERYONE, NOW, 199)
    with pytest.raises(TooManyEvents, match="200"):
        initialize(command, Organizers.EVERYONE, NOW, 200)
    with pytest.raises(TooManyEvents):
        initialize(command, Organizers.EVERYONE, NOW, 2, 2)
    with pytest.raises(NotAllowed):
        initialize(command, Organizers.GRANTED, NOW, 200)
