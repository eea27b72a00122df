"""Complimentary tickets: given while some are free, also past those who wait, and told of in a fact."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.decisions.book import Book, Complimentary, OtherCustomer, book
from boxoffice.domain.event import EventStatus, WaitingListMode, WaitingListPolicy
from boxoffice.domain.facts import TicketsBooked, TicketsGranted
from boxoffice.domain.mails import MailKind, mails_of
from boxoffice.domain.policy import KeyRole, KeyScope, StaffRole
from boxoffice.domain.refusals import (
    AlreadyBooked,
    EventStarted,
    ExceedsCapacity,
    InvalidRequest,
    LimitExceeded,
    NotAllowed,
    NotFound,
    NotOnSale,
    PaymentNotDue,
    Refusal,
    SoldOut,
)
from boxoffice.domain.replay.booking_replay import replay_booking
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor
from tests.domain.domain_driver import (
    ADMIN,
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT_ID,
    NOW,
    ORGANIZER,
    START,
    STRANGER,
    DomainDriver,
    euros,
)

STRICT, FILL = WaitingListPolicy
MANAGER, DESK, DOOR = (Actor(UUID(int=910 + rank), duties={EVENT_ID: role}) for rank, role in enumerate(StaffRole))


@pytest.mark.parametrize("policy", WaitingListPolicy)
def test_tickets_are_given_past_those_who_wait_and_the_fact_says_how_many(policy: WaitingListPolicy) -> None:
    driver = DomainDriver(5, waiting_list_policy=policy, price=euros(10), payment_window_minutes=30)
    driver.book(ANA, 3)
    waiting = [driver.book(BEN, 4), driver.book(CLEO, 3)]
    given = driver.give(DAN, 2, actor=MANAGER)
    assert (given.status, given.payment_status, given.amount) == (BookingStatus.CONFIRMED, PaymentStatus.NONE, euros(0))
    assert (given.expires_at, given.queue_number, list(given.ticket_numbers)) == (None, None, [1, 2])
    assert driver.statuses(*waiting) == ["waitlisted"] * 2
    fact = driver.facts[-1].what
    assert isinstance(fact, TicketsGranted)
    assert (fact.customer_id, fact.granted_by) == (DAN.user_id, MANAGER.user_id)
    assert (fact.quantity, fact.reason, fact.passed_over) == (2, "For the band", 2)
    with pytest.raises(SoldOut):
        driver.give(EVE)
    with pytest.raises(PaymentNotDue):
        driver.start(given)


def test_only_those_who_wait_for_the_type_are_passed_over() -> None:
    stalls, balcony = (TicketTypeSpec(name=name, total_tickets=1) for name in ("Stalls", "Balcony"))
    driver = DomainDriver(types=[stalls, balcony])
    driver.book(ANA, 1, driver.ticket_types[0])
    driver.book(BEN, 1, driver.ticket_types[0])
    driver.give(DAN, 1, driver.ticket_types[1])
    fact = driver.facts[-1].what
    assert isinstance(fact, TicketsGranted)
    assert fact.passed_over == 0


def test_a_free_ticket_ends_like_any_other() -> None:
    driver = DomainDriver(2, price=euros(10), starts_at=START, cancellation_deadline_hours=24, refund_fee_percent=20)
    given = driver.give(DAN, 2)
    waits = driver.book(ANA)
    assert (given.cancellation_deadline_hours, given.refund_fee_percent) == (24, 0)
    assert driver.cancel(given, DAN).payment_status is PaymentStatus.NONE
    assert driver.status_of(waits) == "confirmed"


def test_tickets_are_given_while_the_waiting_list_is_still_being_served() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    driver.book(BEN)
    unsettled = replace(
        driver.stored,
        event=replace(driver.stored.event, is_unsettled=True),
        ticket_types=(replace(driver.ticket_type, total_tickets=2),),
    )
    command = Book(
        booking_id=driver.new_id(),
        event_id=EVENT_ID,
        actor=ORGANIZER,
        on_behalf_of=OtherCustomer(DAN.user_id),
        complimentary=Complimentary("For the band"),
    )
    decision = book(unsettled, command, driver.now)
    assert decision.outcome.status is BookingStatus.CONFIRMED
    assert decision.inventory.ticket_types[0].available == 0
    assert decision.inventory.event.is_unsettled
    with pytest.raises(SoldOut):
        book(decision.inventory, command, driver.now)


@pytest.mark.parametrize(
    ("actor", "may"), [(MANAGER, True), (ORGANIZER, True), (ADMIN, True), (DESK, False), (DOOR, False), (BEN, False)]
)
def test_managers_and_above_give_tickets_away(actor: Actor, may: bool) -> None:
    driver = DomainDriver(1)
    if may:
        assert driver.give(ANA, actor=actor).customer_id == ANA.user_id
    else:
        with pytest.raises(NotAllowed, match="its managers, its organizer or an admin"):
            driver.give(ANA, actor=actor)
    draft = DomainDriver(status=EventStatus.DRAFT)
    refusal = NotOnSale if may else NotAllowed if actor in (DESK, DOOR) else NotFound
    with pytest.raises(refusal):
        draft.give(ANA, actor=actor)


@pytest.mark.parametrize(("role", "may"), [(KeyRole.DESK, False), (KeyRole.MANAGER, True), (KeyRole.ORGANIZER, True)])
def test_an_api_key_gives_tickets_away_as_a_manager(role: KeyRole, may: bool) -> None:
    key = replace(ORGANIZER, scope=KeyScope(role))
    driver = DomainDriver(1)
    if may:
        driver.give(ANA, actor=key)
    else:
        with pytest.raises(NotAllowed):
            driver.give(ANA, actor=key)


def test_all_limits_are_those_of_the_person() -> None:
    driver = DomainDriver(
        types=[TicketTypeSpec(name=name, total_tickets=3) for name in "AB"], max_tickets_per_customer=3
    )
    first, second = driver.ticket_types
    with pytest.raises(ExceedsCapacity):
        driver.give(ANA, 4, first)
    driver.book(ANA, 2, first)
    with pytest.raises(AlreadyBooked):
        driver.give(ANA, 1, first)
    with pytest.raises(LimitExceeded):
        driver.give(ANA, 2, second)
    driver.book(BEN, 3, second)
    with pytest.raises(LimitExceeded):
        driver.give(ANA, 2, second)
    with pytest.raises(SoldOut):
        driver.give(ANA, 1, second)
    assert driver.give(CLEO, 1, first).status is BookingStatus.CONFIRMED
    with pytest.raises(AlreadyBooked):
        driver.book(CLEO, 1, first)


@pytest.mark.parametrize(
    ("details", "refusal"),
    [
        ({"sales_open_at": NOW + timedelta(days=1)}, NotOnSale),
        ({"starts_at": NOW + timedelta(hours=1), "sales_close_at": NOW + timedelta(minutes=1)}, NotOnSale),
        ({"starts_at": NOW + timedelta(minutes=1)}, EventStarted),
    ],
)
def test_tickets_are_given_while_newcomers_may_book(details: dict[str, Any], refusal: type[Refusal]) -> None:
    driver = DomainDriver(1, **details)
    if "sales_open_at" not in details:
        driver.now += timedelta(minutes=1)
    with pytest.raises(refusal):
        driver.give(ANA)
    paused = DomainDriver(1)
    paused.pause()
    with pytest.raises(NotOnSale):
        paused.give(ANA)


def test_a_waiting_list_that_is_off_keeps_nobody_from_a_gift() -> None:
    driver = DomainDriver(2, waiting_list=WaitingListMode.OFF)
    assert driver.give(ANA, 2).status is BookingStatus.CONFIRMED


def test_nothing_is_given_to_a_disabled_account_or_to_oneself() -> None:
    driver = DomainDriver(1)
    with pytest.raises(NotAllowed, match="this person"):
        driver.book(ORGANIZER, on_behalf_of=OtherCustomer(ANA.user_id, is_disabled=True), reason="For the band")
    with pytest.raises(InvalidRequest):
        Book(booking_id=ANA.user_id, event_id=EVENT_ID, actor=ORGANIZER, complimentary=Complimentary("For myself"))


@pytest.mark.parametrize("reason", ["", " ", "\u200b", "x" * 201, "a\nb", "a\x00", "\u202eab"])
def test_a_reason_is_a_line_of_text(reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Complimentary(reason)
    assert [error.path for error in refused.value.errors] == [("reason",)]
    assert Complimentary("  Cafe\u0301 " + "x" * 195).reason == "Caf\u00e9 " + "x" * 195


def test_the_person_is_told_once_that_the_tickets_are_theirs() -> None:
    driver = DomainDriver(1)
    booking = driver.give(ANA)
    (mail,) = mails_of(driver.facts[-1])
    assert (mail.kind, mail.booking_id) == (MailKind.CONFIRMED, booking.id)
    assert mail.is_true(booking, driver.stored.event, driver.facts[-1], driver.now)


def test_replay_knows_a_gift_and_finds_a_lie_about_it() -> None:
    driver = DomainDriver(2, starts_at=START, cancellation_deadline_hours=3)
    driver.edit(starts_at=START - timedelta(days=1))
    driver.book(ANA)
    driver.book(BEN, 2)
    booking = driver.give(DAN)
    fact = driver.facts[-1]
    assert replay_booking([fact]) == replace(booking, first_ticket_number=None)
    assert isinstance(fact.what, TicketsGranted)
    for wrong, breach in [
        (replace(fact.what, passed_over=0), (5, "it tells of 0 bookings that it passed over, not 1")),
        (replace(fact.what, quantity=2), (1, "3 of 2 tickets are taken")),
    ]:
        replay = EventReplay(EVENT_ID)
        for each in (*driver.facts[:-1], replace(fact, what=wrong)):
            replay.apply(each)
        (found,) = replay.breaches
        assert (found.promise, found.what.split(": ")[1]) == breach
    sold = TicketsBooked(
        ticket_type_id=fact.what.ticket_type_id,
        customer_id=DAN.user_id,
        quantity=1,
        amount=euros(0),
        status=BookingStatus.CONFIRMED,
    )
    replay = EventReplay(EVENT_ID)
    for each in (*driver.facts[:-1], replace(fact, what=sold)):
        replay.apply(each)
    assert [each.promise for each in replay.breaches] == [5], "without the fact it would be an overtaking"


def test_a_gift_while_nothing_is_on_sale_is_a_breach() -> None:
    driver = DomainDriver(2)
    driver.give(ANA)
    given = driver.facts[-1]
    driver.pause()
    replay = EventReplay(EVENT_ID)
    for fact in (driver.facts[0], replace(driver.facts[2], seq=2), replace(given, seq=3)):
        replay.apply(fact)
    assert [each.promise for each in replay.breaches] == [5]
    assert STRANGER.user_id not in driver.bookings
