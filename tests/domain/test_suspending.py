"""Disabled accounts in the waiting list: their bookings are passed over, and take their places again."""

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.settle import STEP, Settle, settle
from boxoffice.domain.decisions.suspend import SuspendWaiting, suspend_waiting
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingCancelled,
    BookingPromoted,
    Fact,
    WaitingResumed,
    WaitingSuspended,
)
from boxoffice.domain.inventory import WaitingList
from boxoffice.domain.mails import mails_of
from boxoffice.domain.refusals import AlreadyBooked
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from tests.domain.domain_driver import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT_ID,
    FAY,
    NOW,
    ORGANIZER,
    DomainDriver,
    euros,
)

FILL, STRICT = WaitingListPolicy.FILL, WaitingListPolicy.STRICT


def numbers(driver: DomainDriver) -> list[int | None]:
    return [booking.queue_number for booking in driver.in_line()]


def test_a_suspended_booking_counts_for_nobody_and_keeps_its_number() -> None:
    driver = DomainDriver(2)
    driver.book(ANA, 2)
    bens, cleos, dans = driver.book(BEN, 2), driver.book(CLEO), driver.book(DAN)
    driver.disable(BEN)
    assert (driver.ticket_type.waiting, driver.ticket_type.waiting_tickets) == (2, 2)
    assert driver.inventory.waiting_sizes[driver.ticket_type.id].largest == 1
    suspended = driver.bookings[bens.id]
    assert (suspended.status, suspended.queue_number, suspended.is_waiting) == (bens.status, 1, False)
    assert numbers(driver) == [2, 3]
    assert [driver.bookings[each.id] for each in (cleos, dans)] == [replace(each, place=None) for each in (cleos, dans)]
    (fact,) = driver.happened(4 + 1)
    assert fact == WaitingSuspended(
        ticket_type_id=driver.ticket_type.id, customer_id=BEN.user_id, quantity=2, queue_number=1
    )
    eves = driver.book(EVE)
    assert eves.place is not None
    assert (eves.place.position, eves.place.tickets_ahead) == (3, 2)


@pytest.mark.parametrize("policy", WaitingListPolicy)
def test_tickets_pass_over_it_and_newcomers_need_not_wait_for_it(policy: WaitingListPolicy) -> None:
    driver = DomainDriver(2, waiting_list_policy=policy)
    anas = driver.book(ANA, 2)
    bens, cleos = driver.book(BEN), driver.book(CLEO)
    driver.disable(BEN)
    driver.cancel(anas)
    assert driver.statuses(bens, cleos) == ["waitlisted", "confirmed"]
    assert not driver.state.is_sold_out(driver.now)
    assert driver.book(DAN).status == "confirmed"


def test_the_list_that_it_blocked_is_served_at_once() -> None:
    driver = DomainDriver(
        types=[TicketTypeSpec(name="Stalls", total_tickets=3), TicketTypeSpec(name="Box", total_tickets=2)]
    )
    stalls, box = driver.ticket_types
    driver.book(ANA, 2, stalls)
    driver.book(ANA, 1, box)
    blocking = driver.book(BEN, 2, stalls), driver.book(BEN, 2, box)
    blocked = driver.book(CLEO, 1, stalls), driver.book(CLEO, 1, box)
    driver.disable(BEN)
    assert driver.statuses(*blocking, *blocked) == ["waitlisted"] * 2 + ["confirmed"] * 2


def test_enabled_again_it_stands_where_its_number_says() -> None:
    driver = DomainDriver(1)
    anas = driver.book(ANA)
    bens, cleos, dans = driver.book(BEN), driver.book(CLEO), driver.book(DAN)
    driver.disable(CLEO)
    driver.book(EVE)
    driver.enable(CLEO)
    assert numbers(driver) == [1, 2, 3, 4]
    assert driver.bookings[cleos.id] == replace(cleos, place=None)
    assert driver.happened(7) == [
        WaitingResumed(ticket_type_id=driver.ticket_type.id, customer_id=CLEO.user_id, quantity=1, queue_number=2)
    ]
    driver.cancel(anas)
    driver.cancel(bens)
    assert driver.statuses(bens, cleos, dans) == ["cancelled", "confirmed", "waitlisted"]


@pytest.mark.parametrize(("policy", "passes"), [(STRICT, False), (FILL, True)])
def test_enabled_again_the_list_is_served_by_the_usual_rules(policy: WaitingListPolicy, passes: bool) -> None:
    driver = DomainDriver(3, waiting_list_policy=policy)
    anas, bens = driver.book(ANA, 2), driver.book(BEN)
    cleos = driver.book(CLEO, 2)
    driver.disable(CLEO)
    driver.cancel(anas)
    driver.enable(CLEO)
    assert driver.statuses(cleos) == ["confirmed"], "its tickets are free"
    dans = driver.book(DAN, 3)
    driver.disable(DAN)
    driver.cancel(bens)
    driver.enable(DAN)
    assert driver.statuses(dans) == ["waitlisted"]
    assert (driver.book(EVE).status == "confirmed") is passes, "a newcomer waits behind it under strict"


@pytest.mark.parametrize("policy", WaitingListPolicy)
def test_it_is_served_after_those_who_were_served_meanwhile(policy: WaitingListPolicy) -> None:
    driver = DomainDriver(2, waiting_list_policy=policy)
    anas = driver.book(ANA, 2)
    bens, cleos, dans, eves = (driver.book(each) for each in (BEN, CLEO, DAN, EVE))
    driver.disable(BEN)
    driver.disable(CLEO)
    driver.cancel(anas)
    fays = driver.book(FAY)
    driver.enable(CLEO)
    driver.enable(BEN)
    assert numbers(driver) == [1, 2, 5]
    driver.cancel(dans)
    driver.cancel(eves)
    assert driver.statuses(bens, cleos, fays) == ["confirmed", "confirmed", "waitlisted"]


def test_what_does_not_wait_stays_as_it_is_and_repeating_changes_nothing() -> None:
    driver = DomainDriver(1, price=euros(5), payment_window_minutes=10)
    held = driver.book(ANA)
    driver.book(BEN)
    for change in (driver.enable, driver.disable):
        facts = len(driver.facts)
        change(ANA)
        change(FAY)
        assert len(driver.facts) == facts
    assert driver.status_of(held) == "held"
    driver.disable(BEN)
    driver.disable(BEN)
    driver.enable(BEN)
    driver.enable(BEN)
    assert [type(each) for each in driver.happened(3)] == [WaitingSuspended, WaitingResumed]
    assert all(not mails_of(fact) for fact in driver.facts[3:])


def test_it_is_live_for_its_own_customer() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    bens = driver.book(BEN)
    driver.disable(BEN)
    command = Book(booking_id=driver.new_id(), event_id=EVENT_ID, actor=BEN)
    with pytest.raises(AlreadyBooked):
        book(driver.inventory, command, driver.now)
    driver.cancel(bens)
    assert driver.status_of(bens) == "cancelled"


def test_the_organizer_cancels_it() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    bens = driver.book(BEN)
    driver.disable(BEN)
    assert driver.cancel(bens, ORGANIZER).is_suspended is False
    fact = driver.happened()[-1]
    assert isinstance(fact, BookingCancelled)
    assert (fact.was, fact.was_suspended, fact.by) == ("waitlisted", True, "organizer")
    assert (driver.ticket_type.taken, driver.ticket_type.waiting) == (1, 0)
    assert [mail.kind.value for mail in mails_of(driver.facts[-1])] == ["cancelled"]
    driver.enable(BEN)
    assert driver.status_of(bens) == "cancelled"


@pytest.mark.parametrize("status", [EventStatus.COMPLETED, EventStatus.CANCELLED])
def test_the_end_of_the_event_ends_it(status: EventStatus) -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    waiting = [driver.book(each) for each in (BEN, CLEO)]
    driver.disable(BEN)
    driver.disable(CLEO)
    driver.edit(status=status)
    assert driver.stored.event.is_unsettled
    facts = len(driver.facts)
    driver.enable(BEN)
    assert {type(each) for each in driver.happened(facts)} == {BookingCancelled}, "it ends as it is"
    assert not driver.stored.event.is_unsettled
    assert driver.statuses(*waiting) == ["cancelled"] * 2


def test_more_suspended_bookings_than_a_step_end_in_several() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    for number, waiting in enumerate(driver.crowd(STEP + 1)):
        if number in (0, STEP):
            driver.disable(replace(ANA, user_id=waiting.customer_id))
    driver.edit(status=EventStatus.COMPLETED)
    assert len(driver.settle().changed) == STEP
    assert driver.stored.event.is_unsettled
    assert len(driver.settle().changed) == 1
    assert not driver.stored.event.is_unsettled


def test_a_hold_that_lapses_while_its_event_is_cancelled_ends_once() -> None:
    driver = DomainDriver(1, price=euros(5), payment_window_minutes=10)
    held = driver.book(ANA)
    driver.edit(status=EventStatus.CANCELLED)
    driver.now = driver.bookings[held.id].expires_at or NOW
    driver.take(settle(driver.inventory, Settle(EVENT_ID), driver.now))
    assert driver.status_of(held) == "expired"
    assert driver.ticket_type.taken == 0


def test_one_that_could_never_be_served_again_is_cancelled_instead() -> None:
    driver = DomainDriver(3)
    driver.book(ANA)
    bens, cleos = driver.book(BEN, 3), driver.book(CLEO, 2)
    driver.disable(BEN)
    assert driver.status_of(cleos) == "confirmed"
    driver.cancel(cleos)
    driver.edit(total_tickets=2)
    driver.enable(BEN)
    assert driver.status_of(bens) == "cancelled"
    fact = driver.happened()[-1]
    assert isinstance(fact, BookingCancelled)
    assert fact.by == "organizer"


def test_an_unfinished_settlement_goes_on_with_every_type() -> None:
    types = [TicketTypeSpec(name=name, total_tickets=1) for name in ("Stalls", "Box")]
    driver = DomainDriver(types=types)
    stalls, box = driver.ticket_types
    driver.book(ANA, 1, stalls)
    driver.book(ANA, 1, box)
    bens = driver.book(BEN, 1, stalls)
    cleos = driver.book(CLEO, 1, box)
    inventory = replace(
        driver.inventory,
        event=replace(driver.stored.event, is_unsettled=True),
        ticket_types=(driver.ticket_types[0], replace(driver.ticket_types[1], total_tickets=2)),
    )
    decision = suspend_waiting(inventory, SuspendWaiting(event_id=EVENT_ID, customer_id=BEN.user_id), driver.now)
    assert {change.after.id: change.after.status.value for change in decision.changed} == {
        bens.id: "waitlisted",
        cleos.id: "confirmed",
    }


def test_a_list_of_which_a_part_is_loaded_takes_it_back_where_it_belongs() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    first, second, third = (driver.book(each, quantity) for each, quantity in ((BEN, 1), (CLEO, 1), (DAN, 1)))

    def heads(line: WaitingList, booking: Booking) -> list[int | None]:
        return [each.queue_number for each in line.joined_by(booking).head]

    assert heads(WaitingList((first, third), None, is_whole=False), second) == [1, 2, 3]
    assert heads(WaitingList((first, second), None, is_whole=False), third) == [1, 2], "others may stand between them"
    assert heads(WaitingList((first, second), None, is_whole=True), third) == [1, 2, 3]
    assert heads(WaitingList((first, third), 1, is_whole=True), replace(second, quantity=2)) == [1, 3]


def breaches(driver: DomainDriver, *later: tuple[Booking, AnyFactPayload]) -> list[str]:
    """Replay the driver's facts and more of them, and return the breaches."""
    replay = EventReplay(EVENT_ID)
    for fact in driver.facts:
        replay.apply(fact)
    for booking, what in later:
        fact = Fact(event_id=EVENT_ID, seq=replay.seq + 1, booking_id=booking.id, occurred_at=NOW, what=what)
        replay.apply(fact)
    return [breach.what for breach in replay.breaches]


def promotion(booking: Booking) -> tuple[Booking, BookingPromoted]:
    return booking, BookingPromoted(
        ticket_type_id=booking.ticket_type_id,
        customer_id=booking.customer_id,
        quantity=booking.quantity,
        queue_number=booking.queue_number or 0,
        status=replace(booking).status.CONFIRMED,
        payment_status=booking.payment_status,
    )


@pytest.mark.parametrize(("policy", "quantity", "is_breach"), [(STRICT, 2, True), (FILL, 1, True), (FILL, 2, False)])
def test_replay_finds_that_it_was_overtaken_after_it_was_resumed(
    policy: WaitingListPolicy, quantity: int, is_breach: bool
) -> None:
    driver = DomainDriver(2, waiting_list_policy=policy)
    anas = driver.book(ANA, 2)
    bens, cleos, dans = driver.book(BEN, 1), driver.book(CLEO, 2), driver.book(DAN, quantity)
    driver.disable(BEN)
    driver.cancel(anas)
    assert driver.status_of(cleos) == "confirmed"
    driver.enable(BEN)
    driver.cancel(cleos)
    assert driver.status_of(bens) == "confirmed", "served after a later one, but never overtaken while it waited"
    again = DomainDriver(2, waiting_list_policy=policy)
    again.book(ANA, 2)
    bens, _, dans = again.book(BEN, 1), again.book(CLEO, 2), again.book(DAN, quantity)
    again.disable(BEN)
    again.enable(BEN)
    found = [each for each in breaches(again, promotion(dans)) if "overtaken after" in each]
    assert bool(found) is is_breach
    again.disable(BEN)
    assert not [each for each in breaches(again, promotion(dans)) if "overtaken after" in each]
    again.enable(BEN)
    again.cancel(bens)
    assert not [each for each in breaches(again, promotion(dans)) if "overtaken after" in each]
