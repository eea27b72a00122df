"""What organizers do: initialize an event, edit it, lead it through its life, keep its ticket types."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.decisions.organize import Edit, Initialize, edit, general_admission, initialize
from boxoffice.domain.event import (
    MOST_LIVE_EVENTS,
    EventChanges,
    EventDetails,
    EventStatus,
    TicketTypeChanges,
    TicketTypeSpec,
    WaitingListPolicy,
)
from boxoffice.domain.facts import EventChanged, EventInitialized, TicketTypeAdded, TicketTypeChanged
from boxoffice.domain.refusals import (
    CapacityBelowTaken,
    EventClosed,
    IllegalStatusChange,
    InvalidRequest,
    NameTaken,
    NotAllowed,
    NotFound,
    StaleVersion,
    TooManyEvents,
    TooManyTicketTypes,
)
from boxoffice.domain.user import Actor, Organizers, Role
from boxoffice.domain.values.money import MOST, Money
from tests.domain.office import (
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
    Office,
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


def put(office: Office, status: EventStatus) -> Office:
    """Lead an event that is on sale to a status."""
    if status is not ON_SALE:
        office.edit(status=status)
    return office


def in_status(status: EventStatus, **details: Any) -> Office:
    """An event in this status."""
    return Office(status=DRAFT, **details) if status is DRAFT else put(Office(**details), status)


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


def test_whoever_initializes_an_event_organizes_it() -> None:
    office = Office(3)
    event = office.state.event
    assert (event.id, event.organizer_id, event.created_at) == (EVENT_ID, ORGANIZER.user_id, NOW)
    assert (event.status, event.version, event.last_queue_number, event.is_unsettled) == (ON_SALE, 1, 0, False)


def test_an_event_that_names_no_types_has_general_admission() -> None:
    office = Office(7, price=euros(5))
    assert len(office.ticket_types) == 1
    only = office.ticket_type
    assert (only.name, only.total_tickets, only.price, only.ordinal) == ("General admission", 7, euros(5), 0)
    assert only.event_id == EVENT_ID


def test_the_defaults_are_those_of_the_contract() -> None:
    event = Office().state.event
    assert (event.description, event.venue, event.max_tickets_per_customer) == ("", "", 10)
    assert (event.starts_at, event.ends_at, event.sales_open_at, event.sales_close_at) == (None,) * 4
    assert (event.payment_window_minutes, event.cancellation_deadline_hours) == (None, 0)
    assert event.waiting_list_policy is WaitingListPolicy.STRICT


def test_several_types_keep_their_order() -> None:
    types = Office(types=[STALLS, BALCONY]).ticket_types
    assert [(each.ordinal, each.name) for each in types] == [(0, "Stalls"), (1, "Balcony")]


def test_the_new_event_is_told_as_it_is() -> None:
    command = _initialize(STALLS, BALCONY, status=DRAFT)
    decision = initialize(command, Organizers.EVERYONE, NOW)
    assert decision.is_new_event
    assert [each.id for each in decision.new_ticket_types] == [UUID(int=1), UUID(int=2)]
    assert decision.outcome.event == decision.inventory.event
    assert decision.outcome.event.status is DRAFT
    assert decision.outcome.ticket_types == decision.inventory.ticket_types


def test_the_first_fact_tells_the_whole_event() -> None:
    office = Office(types=[STALLS, BALCONY], starts_at=START, venue="Cellar")
    stalls, balcony = office.ticket_types
    assert office.facts[0].seq == 1
    assert office.facts[0].booking_id is None
    assert office.facts[0].what == EventInitialized(
        organizer_id=ORGANIZER.user_id,
        currency="EUR",
        values={
            "name": "Jazz night",
            "description": "",
            "venue": "Cellar",
            "startsAt": "2027-05-01T19:00:00Z",
            "endsAt": None,
            "salesOpenAt": None,
            "salesCloseAt": None,
            "maxTicketsPerCustomer": 10,
            "paymentWindowMinutes": None,
            "cancellationDeadlineHours": 0,
            "waitingListPolicy": "strict",
            "status": "on_sale",
        },
        ticket_types=[
            TicketTypeAdded(ticket_type_id=stalls.id, name="Stalls", total_tickets=2, price=None),
            TicketTypeAdded(ticket_type_id=balcony.id, name="Balcony", total_tickets=4, price=euros(10)),
        ],
    )


@pytest.mark.parametrize("role", list(Role))
def test_everyone_may_initialize_where_everyone_organizes(role: Role) -> None:
    _initialize(STALLS, actor=Actor(ANA.user_id, role))


@pytest.mark.parametrize("role", list(Role))
def test_where_organizing_is_granted_customers_may_not(role: Role) -> None:
    actor = Actor(ANA.user_id, role)
    if role is Role.CUSTOMER:
        with pytest.raises(NotAllowed):
            _initialize(STALLS, actor=actor, organizers=Organizers.GRANTED)
    else:
        _initialize(STALLS, actor=actor, organizers=Organizers.GRANTED)


def test_broken_values_come_before_the_right_to_initialize() -> None:
    with pytest.raises(InvalidRequest):
        _initialize(STALLS, organizers=Organizers.GRANTED, venue="x" * 201)


@pytest.mark.parametrize("status", [PAUSED, COMPLETED, CANCELLED])
def test_an_event_begins_on_sale_or_as_a_draft(status: EventStatus) -> None:
    with pytest.raises(InvalidRequest) as refused:
        _initialize(STALLS, status=status)
    assert paths(refused) == [("status",)]


def test_the_start_lies_in_the_future() -> None:
    for starts_at in (NOW, NOW - timedelta(days=1)):
        with pytest.raises(InvalidRequest) as refused:
            _initialize(STALLS, starts_at=starts_at)
        assert paths(refused) == [("starts_at",)]
    _initialize(STALLS, starts_at=NOW + MICROSECOND)


@pytest.mark.parametrize(
    ("details", "broken"),
    [
        ({"ends_at": START}, [("ends_at",)]),
        ({"starts_at": START, "ends_at": START}, [("ends_at",)]),
        ({"starts_at": START, "ends_at": START - MICROSECOND}, [("ends_at",)]),
        ({"sales_open_at": NOW, "sales_close_at": NOW}, [("sales_close_at",)]),
        ({"sales_open_at": NOW, "sales_close_at": NOW - MICROSECOND}, [("sales_close_at",)]),
        ({"starts_at": START, "ends_at": START + MICROSECOND}, []),
        ({"sales_open_at": NOW, "sales_close_at": NOW + MICROSECOND}, []),
        ({"sales_open_at": NOW - timedelta(days=9)}, []),
        ({"sales_close_at": NOW + MICROSECOND}, []),
        ({"sales_close_at": NOW}, [("sales_close_at",)]),
        ({"sales_open_at": START, "starts_at": START}, [("sales_open_at",)]),
        ({"sales_open_at": START - MICROSECOND, "starts_at": START}, []),
        ({"sales_open_at": START, "sales_close_at": START + MICROSECOND}, []),
        (
            {"starts_at": NOW, "ends_at": NOW, "sales_open_at": START, "sales_close_at": NOW},
            [("starts_at",), ("sales_close_at",), ("ends_at",), ("sales_open_at",)],
        ),
    ],
)
def test_times_do_not_contradict_each_other(details: dict[str, Any], broken: list[tuple[str, ...]]) -> None:
    if not broken:
        _initialize(STALLS, **details)
        return
    with pytest.raises(InvalidRequest) as refused:
        _initialize(STALLS, **details)
    assert paths(refused) == broken


def test_times_are_kept_in_utc() -> None:
    office = Office(starts_at=START.astimezone(timezone(timedelta(hours=5, minutes=30))))
    starts_at = office.state.event.starts_at
    assert starts_at == START
    assert starts_at is not None
    assert starts_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("max_tickets_per_customer", 1, 1_000),
        ("payment_window_minutes", 1, 43_200),
        ("cancellation_deadline_hours", 0, 8_760),
    ],
)
def test_numbers_of_an_event_have_bounds(field: str, least: int, most: int) -> None:
    for value in (least, most):
        _initialize(STALLS, **only(field, value))
        EventChanges(**only(field, value))
    for value in (least - 1, most + 1):
        with pytest.raises(InvalidRequest) as refused:
            _initialize(STALLS, **only(field, value))
        assert paths(refused) == [(field,)]
        with pytest.raises(InvalidRequest) as refused:
            EventChanges(**only(field, value))
        assert paths(refused) == [(field,)]


@pytest.mark.parametrize(("field", "least", "most"), [("name", 1, 200), ("description", 0, 1_000), ("venue", 0, 200)])
def test_texts_of_an_event_have_bounds(field: str, least: int, most: int) -> None:
    for length in (least, most):
        _initialize(STALLS, **only(field, "x" * length))
    too_many = [most + 1] if least == 0 else [0, most + 1]
    for length in too_many:
        with pytest.raises(InvalidRequest) as refused:
            _initialize(STALLS, **only(field, "x" * length))
        assert paths(refused) == [(field,)]


def test_only_the_description_holds_line_breaks() -> None:
    assert Office(description=" a\r\n\tb ").state.event.description == "a\r\n\tb"
    for field in ("name", "venue"):
        with pytest.raises(InvalidRequest):
            _initialize(STALLS, **only(field, "a\nb"))


def test_every_broken_value_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        _initialize(STALLS, name=" ", venue="\x07", max_tickets_per_customer=0)
    assert paths(refused) == [("name",), ("venue",), ("max_tickets_per_customer",)]


def test_what_is_wrong_with_the_event_its_tickets_and_its_status_is_named_together() -> None:
    twice = (general_admission(1), general_admission(1))
    with pytest.raises(InvalidRequest) as refused:
        _initialize(*twice, status=EventStatus.PAUSED, name=" ")
    assert paths(refused) == [("name",), ("ticket_types", 1, "name"), ("status",)]
    with pytest.raises(InvalidRequest) as refused:
        _initialize(*twice, status=EventStatus.PAUSED, starts_at=NOW, ends_at=NOW)
    assert paths(refused) == [("starts_at",), ("ends_at",), ("ticket_types", 1, "name"), ("status",)]


# Ticket types.


@pytest.mark.parametrize("total_tickets", [0, 1_000_001])
def test_a_type_has_1_to_1000000_tickets(total_tickets: int) -> None:
    for make in (TicketTypeSpec, TicketTypeChanges):
        with pytest.raises(InvalidRequest) as refused:
            make(name="Stalls", total_tickets=total_tickets)
        assert paths(refused) == [("total_tickets",)]
    with pytest.raises(InvalidRequest):
        EventChanges(total_tickets=total_tickets)


@pytest.mark.parametrize("total_tickets", [1, 1_000_000])
def test_a_type_may_have_as_few_and_as_many_tickets(total_tickets: int) -> None:
    assert general_admission(total_tickets).total_tickets == total_tickets


@pytest.mark.parametrize("price", [Money(-1, "EUR"), Money(MOST + 1, "EUR"), Money(1, "eur"), Money(1, "XXX")])
def test_a_price_is_0_to_100000000_in_a_currency_that_one_can_pay_with(price: Money) -> None:
    for make in (TicketTypeSpec, TicketTypeChanges):
        with pytest.raises(InvalidRequest) as refused:
            make(name="Stalls", total_tickets=1, price=price)
        assert paths(refused) == [("price",)]
    with pytest.raises(InvalidRequest):
        EventChanges(price=price)


def test_a_name_is_kept_trimmed() -> None:
    assert TicketTypeSpec(name=" Stalls ", total_tickets=1).name == "Stalls"
    assert TicketTypeChanges(name=" Stalls ").name == "Stalls"
    assert EventChanges(name=" Jazz ").name == "Jazz"


def test_an_event_has_1_to_50_types() -> None:
    specs = [TicketTypeSpec(name=f"Row {number}", total_tickets=1) for number in range(51)]
    _initialize(*specs[:50])
    for wrong in ([], specs):
        with pytest.raises(InvalidRequest) as refused:
            _initialize(*wrong)
        assert paths(refused) == [("ticket_types",)]


def test_names_of_types_differ_without_case() -> None:
    with pytest.raises(InvalidRequest) as refused:
        _initialize(STALLS, BALCONY, replace(STALLS, name="STALLS"), replace(STALLS, name="balcony"))
    assert paths(refused) == [("ticket_types", 2, "name"), ("ticket_types", 3, "name")]
    with pytest.raises(InvalidRequest):
        _initialize(replace(STALLS, name="Straße"), replace(STALLS, name="STRASSE"))


def test_an_event_has_one_currency() -> None:
    with pytest.raises(InvalidRequest) as refused:
        _initialize(BALCONY, replace(BALCONY, name="Other", price=Money(1, "USD")))
    assert paths(refused) == [("ticket_types", 1, "price", "currency")]


def test_the_currency_is_that_of_the_prices_else_the_one_that_applies_here() -> None:
    dollars = Office(types=[STALLS, replace(BALCONY, price=Money(1, "USD"))])
    assert dollars.state.event.currency == "USD"
    assert Office(types=[STALLS]).state.event.currency == "EUR"


# Who may edit, and in which order it is refused.


@pytest.mark.parametrize("actor", [ORGANIZER, ADMIN])
def test_its_organizer_and_admins_edit_an_event(actor: Actor) -> None:
    for status in (DRAFT, ON_SALE, PAUSED):
        assert in_status(status).edit(actor, venue="Cellar").event.venue == "Cellar"


@pytest.mark.parametrize("actor", [STRANGER, OTHER_ORGANIZER])
@pytest.mark.parametrize("status", list(EventStatus))
def test_others_may_not_edit_what_they_see_and_do_not_see_a_draft(actor: Actor, status: EventStatus) -> None:
    office = in_status(status)
    refusal = NotFound if status is DRAFT else NotAllowed
    with pytest.raises(refusal):
        office.edit(actor, versions={99}, venue="Cellar")
    with pytest.raises(refusal):
        office.edit_type(office.ticket_type, actor, versions={99}, name="Other")
    with pytest.raises(refusal):
        office.add_type("Other", actor=actor, versions={99})


@pytest.mark.parametrize("status", [CANCELLED, COMPLETED])
def test_any_edit_of_a_closed_event_is_refused(status: EventStatus) -> None:
    office = in_status(status)
    for changes in ({}, {"venue": "Cellar"}, {"status": status}, {"status": ON_SALE}, {"total_tickets": 9}):
        with pytest.raises(EventClosed):
            office.edit(**changes)
    with pytest.raises(EventClosed):
        office.edit_type(office.ticket_type, name="Other")
    with pytest.raises(EventClosed):
        office.add_type("General Admission")


def test_an_old_version_comes_before_a_closed_event() -> None:
    office = in_status(CANCELLED)
    with pytest.raises(StaleVersion):
        office.edit(versions={1}, venue="Cellar")
    with pytest.raises(StaleVersion):
        office.edit_type(office.ticket_type, versions={1}, name="Other")
    with pytest.raises(StaleVersion):
        office.add_type("Other", versions={1})
    with pytest.raises(EventClosed):
        office.edit(versions={2}, venue="Cellar")


def test_an_edit_that_names_no_version_that_could_be_is_refused() -> None:
    with pytest.raises(StaleVersion):
        Office().edit(versions=set(), venue="Cellar")


def test_one_of_several_versions_suffices() -> None:
    assert Office().edit(versions={7, 1}, venue="Cellar").event.version == 2


def test_the_version_counts_edits_and_not_bookings() -> None:
    office = Office()
    office.cancel(office.book(ANA))
    assert office.edit(versions={1}, venue="Cellar").event.version == 2
    assert office.edit(versions={2}, venue="Hall", status=PAUSED, total_tickets=9).event.version == 3
    assert office.edit_type(office.ticket_type, versions={3}, name="Seats").event.version == 4
    assert office.add_type("Standing", versions={4}).event.version == 5
    with pytest.raises(StaleVersion):
        office.edit(versions={4}, venue="Bar")


def test_an_edit_that_changes_nothing_is_none() -> None:
    office = Office(price=euros(5), starts_at=START, venue="Cellar")
    facts = len(office.facts)
    office.edit()
    office.edit(venue=" Cellar ", starts_at=START, status=ON_SALE, total_tickets=3, price=euros(5))
    office.edit_type(office.ticket_type, name="General admission", total_tickets=3, price=euros(5))
    assert office.state.event.version == 1
    assert len(office.facts) == facts


def test_broken_values_come_before_an_old_version() -> None:
    office = Office()
    with pytest.raises(InvalidRequest):
        office.edit(versions={9}, starts_at=NOW)
    with pytest.raises(InvalidRequest):
        office.edit_type(office.ticket_type, versions={9}, price=Money(1, "USD"))
    with pytest.raises(InvalidRequest):
        office.add_type("Other", price=Money(1, "USD"), versions={9})


# The life of an event.

STEPS = {
    DRAFT: {ON_SALE, CANCELLED},
    ON_SALE: {PAUSED, COMPLETED, CANCELLED},
    PAUSED: {ON_SALE, COMPLETED, CANCELLED},
}


@pytest.mark.parametrize("before", list(STEPS))
@pytest.mark.parametrize("after", list(EventStatus))
def test_the_life_of_an_event_has_these_steps_only(before: EventStatus, after: EventStatus) -> None:
    office = in_status(before)
    version = office.state.event.version
    if after is before:
        assert office.edit(status=after).event.version == version, "no step"
    elif after in STEPS[before]:
        assert office.edit(status=after).event.status is after
        assert office.facts[-1].what == EventChanged(version=version + 1, changes={"status": after.value})
    else:
        with pytest.raises(IllegalStatusChange):
            office.edit(status=after)


@pytest.mark.parametrize("status", [COMPLETED, CANCELLED])
def test_nothing_leaves_a_closed_status(status: EventStatus) -> None:
    assert status.is_closed
    assert not any(status.may_become(other) for other in EventStatus)


def test_only_cancelled_and_completed_are_closed() -> None:
    assert [status for status in EventStatus if status.is_closed] == [COMPLETED, CANCELLED]


def test_an_illegal_step_comes_before_the_capacity() -> None:
    office = Office(3)
    office.book(ANA, 2)
    with pytest.raises(IllegalStatusChange):
        office.edit(status=DRAFT, total_tickets=1)


# Editing times.


def test_a_start_is_moved_into_the_future_only() -> None:
    office = Office(starts_at=START)
    with pytest.raises(InvalidRequest) as refused:
        office.edit(starts_at=NOW)
    assert paths(refused) == [("starts_at",)]
    assert office.edit(starts_at=NOW + MICROSECOND).event.starts_at == NOW + MICROSECOND


def test_an_event_that_began_may_still_be_edited_around_its_start() -> None:
    office = Office(starts_at=START)
    office.now = START + timedelta(hours=1)
    office.edit(starts_at=START, description="Doors are open", ends_at=START + timedelta(hours=3))
    assert office.state.event.ends_at == START + timedelta(hours=3)


def test_edited_times_are_held_against_those_that_stay() -> None:
    office = Office(starts_at=START, ends_at=START + timedelta(hours=2), sales_open_at=NOW)
    for wrong in (
        {"starts_at": None},
        {"starts_at": START + timedelta(hours=2)},
        {"ends_at": START},
        {"sales_close_at": NOW},
    ):
        with pytest.raises(InvalidRequest):
            office.edit(**wrong)
    assert office.edit(starts_at=None, ends_at=None).event.starts_at is None


def test_times_without_an_offset_are_refused_wherever_they_stand() -> None:
    naive = datetime(2027, 5, 1, 19)  # noqa: DTZ001 - what is refused
    for field in ("starts_at", "ends_at", "sales_open_at", "sales_close_at"):
        with pytest.raises(InvalidRequest) as refused:
            EventChanges(**only(field, naive))
        assert paths(refused) == [(field,)]
        with pytest.raises(InvalidRequest) as refused:
            _initialize(STALLS, **only(field, naive))
        assert paths(refused) == [(field,)]


def test_an_edit_is_a_fact_with_what_is_new() -> None:
    office = Office(starts_at=START)
    office.edit(starts_at=None, waiting_list_policy=WaitingListPolicy.FILL, max_tickets_per_customer=3)
    assert office.facts[-1].what == EventChanged(
        version=2, changes={"startsAt": None, "waitingListPolicy": "fill", "maxTicketsPerCustomer": 3}
    )


# Editing tickets.


@pytest.mark.parametrize("field", ["total_tickets", "price"])
def test_the_tickets_of_an_event_with_several_types_are_edited_by_type(field: str) -> None:
    office = Office(types=[STALLS, BALCONY])
    value = 5 if field == "total_tickets" else euros(1)
    with pytest.raises(InvalidRequest) as refused:
        office.edit(**only(field, value))
    assert paths(refused) == [(field,)]


def test_both_are_named_where_both_are_wrong() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Office(types=[STALLS, BALCONY]).edit(total_tickets=5, price=None)
    assert paths(refused) == [("total_tickets",), ("price",)]


def test_an_edit_of_event_and_tickets_is_two_facts_of_one_version() -> None:
    office = Office(3)
    office.edit(venue="Cellar", total_tickets=4, price=euros(2))
    assert office.happened(1) == [
        TicketTypeChanged(
            version=2,
            ticket_type_id=office.ticket_type.id,
            changes={"totalTickets": 4, "price": {"amount": 200, "currency": "EUR"}},
        ),
        EventChanged(version=2, changes={"venue": "Cellar"}),
    ]


def test_there_cannot_be_fewer_tickets_than_are_taken() -> None:
    office = Office(5)
    office.book(ANA, 3)
    shrinking: list[Callable[[], object]] = [
        lambda: office.edit(total_tickets=2),
        lambda: office.edit_type(office.ticket_type, total_tickets=2),
    ]
    for shrink in shrinking:
        with pytest.raises(CapacityBelowTaken):
            shrink()
    assert office.edit(total_tickets=3).ticket_types[0].available == 0


def test_there_cannot_be_fewer_tickets_than_one_waiting_booking_asks_for() -> None:
    office = Office(5)
    office.book(ANA, 2)
    office.book(BEN, 4)
    office.book(CLEO, 1)
    with pytest.raises(CapacityBelowTaken, match="waits for 4"):
        office.edit(total_tickets=3)
    assert office.edit(total_tickets=4).ticket_types[0].total_tickets == 4


def test_more_tickets_need_no_look_at_the_line() -> None:
    office = Office(1)
    office.book(ANA)
    office.book(BEN)
    unseen = replace(office.inventory, waiting_sizes={})
    command = Edit(event_id=EVENT_ID, actor=ORGANIZER, changes=EventChanges(total_tickets=2))
    assert edit(unseen, command, NOW).promoted == 1


def test_a_price_change_touches_no_booking_already_made() -> None:
    office = Office(2, price=euros(10))
    before = office.book(ANA)
    office.edit(price=euros(99))
    assert office.bookings[before.id].amount == euros(10)
    assert office.book(BEN).amount == euros(99)


def test_a_price_may_be_taken_away() -> None:
    office = Office(2, price=euros(10))
    office.edit_type(office.ticket_type, price=None)
    assert office.book(ANA).amount == euros(0)


def test_the_currency_of_an_event_never_changes() -> None:
    office = Office(2, price=euros(10))
    changes: list[Callable[[], object]] = [
        lambda: office.edit(price=Money(0, "USD")),
        lambda: office.edit_type(office.ticket_type, price=Money(5, "USD")),
        lambda: office.add_type("Other", price=Money(5, "USD")),
    ]
    for change in changes:
        with pytest.raises(InvalidRequest) as refused:
            change()
        assert paths(refused) == [("price", "currency")]


def test_a_types_name_may_change_its_case_but_not_into_anothers() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, _ = office.ticket_types
    assert office.edit_type(stalls, name="STALLS").ticket_types[0].name == "STALLS"
    with pytest.raises(NameTaken):
        office.edit_type(stalls, name="bAlCoNy")


def test_the_capacity_comes_before_the_name() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, _ = office.ticket_types
    office.book(ANA, 2, stalls)
    with pytest.raises(CapacityBelowTaken):
        office.edit_type(office.ticket_types[0], name="Balcony", total_tickets=1)


def test_an_edited_type_leaves_the_others_alone() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    office.edit_type(balcony, name="Gallery")
    assert office.ticket_types == (stalls, replace(balcony, name="Gallery"))
    assert office.facts[-1].what == TicketTypeChanged(version=2, ticket_type_id=balcony.id, changes={"name": "Gallery"})


@pytest.mark.parametrize("actor", [ORGANIZER, STRANGER])
def test_an_unknown_type_is_not_found_by_anybody_who_sees_the_event(actor: Actor) -> None:
    elsewhere = Office(types=[STALLS, BALCONY]).ticket_types[1]
    with pytest.raises(NotFound):
        Office().edit_type(elsewhere, actor, versions={9}, name="Other")


def test_a_type_is_added_at_the_end() -> None:
    office = Office(types=[STALLS, BALCONY])
    state = office.add_type(" Standing ", 100, euros(3))
    added = state.ticket_types[-1]
    assert [each.name for each in state.ticket_types] == ["Stalls", "Balcony", "Standing"]
    assert (added.ordinal, added.event_id, added.total_tickets, added.price) == (2, EVENT_ID, 100, euros(3))
    assert office.facts[-1].what == TicketTypeAdded(
        ticket_type_id=added.id, name="Standing", total_tickets=100, price=euros(3)
    )
    assert office.book(ANA, 1, added).amount == euros(3)


def test_an_added_type_takes_no_name_that_is_there() -> None:
    with pytest.raises(NameTaken):
        Office().add_type("GENERAL ADMISSION")


def test_an_event_has_50_types_at_most() -> None:
    office = Office(types=[TicketTypeSpec(name=f"Row {number}", total_tickets=1) for number in range(49)])
    office.add_type("The last")
    with pytest.raises(TooManyTicketTypes):
        office.add_type("One more")
    with pytest.raises(TooManyTicketTypes):
        office.add_type("The last")


# What is told after an edit.


def test_an_edit_answers_with_the_event_as_it_is_then() -> None:
    office = Office(1)
    office.book(ANA)
    office.book(BEN)
    told = office.edit(total_tickets=2, venue="Cellar")
    assert told.event == office.state.event
    assert told.ticket_types == office.ticket_types
    assert told.ticket_types[0].waiting == 0


def test_an_edit_knows_what_those_in_line_ask_for() -> None:
    office = Office(3)
    office.book(ANA, 3)
    office.book(BEN, 2)
    office.book(CLEO, 3)
    assert office.edit(status=PAUSED).smallest_waiting == {office.ticket_type.id: 2}


def test_names_of_ticket_types_differ_in_what_can_be_seen() -> None:
    with pytest.raises(InvalidRequest, match="must differ"):
        Office(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("VIP", "vi\u200bp")])
    office = Office(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("VIP", "Balcony")])
    for name in ("V\u2063IP", "vip\u00ad", "Bal\u3164cony"):
        with pytest.raises(NameTaken):
            office.add_type(name)
        with pytest.raises(NameTaken):
            office.edit_type(office.ticket_types[0 if name.startswith("B") else 1], name=name)


def test_names_that_were_taken_before_may_stay() -> None:
    office = Office(types=[TicketTypeSpec(name=name, total_tickets=1) for name in ("VIP", "Balcony")])
    vip, balcony = office.ticket_types
    office._kept = replace(office._kept, ticket_types=(vip, replace(balcony, name="V\u200bIP")))
    assert office.edit_type(office.ticket_types[1], total_tickets=5).ticket_types[1].total_tickets == 5


def test_a_draft_that_is_cancelled_stays_hidden() -> None:
    office = Office(status=DRAFT)
    office.edit(status=CANCELLED)
    event = office.state.event
    assert not event.was_published
    for actor in (STRANGER, OTHER_ORGANIZER, None):
        with pytest.raises(NotFound):
            event.check_visible_to(actor)
    for actor in (ORGANIZER, ADMIN):
        event.check_visible_to(actor)
    with pytest.raises(NotFound):
        office.book(ANA)
    with pytest.raises(NotFound):
        office.edit(STRANGER, name="Another")


@pytest.mark.parametrize("statuses", [[ON_SALE], [ON_SALE, PAUSED], [ON_SALE, COMPLETED], [ON_SALE, CANCELLED]])
def test_what_has_been_on_sale_stays_visible(statuses: list[EventStatus]) -> None:
    office = Office(status=DRAFT)
    for status in statuses:
        office.edit(status=status)
    assert office.state.event.was_published
    office.state.event.check_visible_to(None)


def test_that_it_has_been_on_sale_is_told_by_its_status_alone() -> None:
    office = Office(status=DRAFT)
    office.edit(status=ON_SALE)
    (changed,) = office.happened(since=1)
    assert isinstance(changed, EventChanged)
    assert changed.changes == {"status": "on_sale"}


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
