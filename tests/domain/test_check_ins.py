"""The door: which entries count, whatever their order, what is answered, and what undoing leaves."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.check_in import UndoCheckIn, undo_check_in
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import CheckInUndone, TicketCheckedIn
from boxoffice.domain.policy import KeyRole, KeyScope, StaffRole
from boxoffice.domain.refusals import NotAllowed, NotFound
from boxoffice.domain.tickets.check_in import CheckIn, Scan, ScanResult
from boxoffice.domain.user import Actor
from tests.domain.domain_driver import ANA, BEN, EVENT_ID, NOW, ORGANIZER, STRANGER, DomainDriver

ADMITTED, USED, VOID, UNKNOWN, OTHER_EVENT = ScanResult


def at(minute: float) -> object:
    """So many minutes after `NOW`."""
    return NOW + timedelta(minutes=minute)


def results(driver: DomainDriver, *scans: Scan) -> list[ScanResult]:
    """The answers to scans."""
    return [each.result for each in driver.check_in(*scans)]


def conflicts(driver: DomainDriver) -> dict[int, list[UUID]]:
    """The tickets that were let in more than once, with their entries by time."""
    standing: dict[int, list[CheckIn]] = {}
    for each in sorted(driver.check_ins.values(), key=lambda one: (one.at, one.id)):
        if each.stands:
            standing.setdefault(each.number, []).append(each)
    return {number: [each.id for each in entries] for number, entries in standing.items() if len(entries) > 1}


def test_the_first_scan_admits_and_every_later_one_is_refused_with_its_time() -> None:
    driver = DomainDriver(2)
    booking = driver.book(ANA, 2)
    first, again, other = driver.scan(booking), driver.scan(booking, minute=1), driver.scan(booking, 1, minute=1)
    answers = driver.check_in(first, again, other)
    assert [(each.result, each.admitted_at, each.number) for each in answers] == [
        (ADMITTED, at(0), 1),
        (USED, at(0), 1),
        (ADMITTED, at(1), 2),
    ]
    assert driver.bookings[booking.id].used == 2
    assert [type(each) for each in driver.happened(2)] == [TicketCheckedIn, TicketCheckedIn]
    assert conflicts(driver) == {}


def test_an_earlier_entry_that_comes_later_counts_and_changes_no_answer() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    late, early = driver.scan(booking, minute=5), driver.scan(booking, minute=3)
    (before,) = driver.check_in(late)
    (answer,) = driver.check_in(early)
    assert (answer.result, answer.admitted_at) == (ADMITTED, at(3))
    assert driver.check_in(late) == (before,)
    assert (before.result, before.admitted_at) == (ADMITTED, at(5))
    assert conflicts(driver) == {1: [early.id, late.id]}
    assert len(driver.happened(2)) == 1, "it is no fact that the time is another"


def test_of_the_same_time_the_first_heard_of_counts() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    assert results(driver, driver.scan(booking), driver.scan(booking)) == [ADMITTED, USED]


def test_who_was_let_in_without_a_network_is_kept_although_the_ticket_was_used() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    online, offline = driver.scan(booking), driver.scan(booking, minute=2, is_offline=True)
    assert results(driver, online, offline) == [ADMITTED, USED]
    assert conflicts(driver) == {1: [online.id, offline.id]}
    assert driver.undo(online.id).checked_in_at == at(2)
    assert conflicts(driver) == {}


def test_a_scan_that_is_sent_again_gets_its_answer_again_with_any_body_and_after_an_undo() -> None:
    driver = DomainDriver(2)
    booking = driver.book(ANA, 2)
    scan = driver.scan(booking)
    (first, again) = driver.check_in(scan, scan)
    assert first == again
    other = replace(driver.scan(booking, 1, minute=-9), id=scan.id)
    unreadable = replace(scan, ticket=None, is_of_other_event=True)
    assert driver.check_in(other, unreadable) == (first, first)
    driver.undo(scan.id)
    facts = len(driver.facts)
    assert driver.check_in(scan) == (first,)
    assert (len(driver.facts), driver.bookings[booking.id].used, len(driver.check_ins)) == (facts, 0, 1)


def test_what_is_no_code_of_the_event_is_answered_and_not_recorded() -> None:
    driver = DomainDriver(1)
    scan = driver.scan(driver.book(ANA))
    unknown = replace(scan, ticket=None)
    answers = driver.check_in(unknown, replace(unknown, is_of_other_event=True))
    assert [(each.result, each.booking_id, each.admitted_at) for each in answers] == [
        (UNKNOWN, None, None),
        (OTHER_EVENT, None, None),
    ]
    assert driver.check_ins == {}


def test_tickets_of_a_cancelled_booking_and_older_codes_are_void() -> None:
    driver = DomainDriver(2)
    cancelled, reissued = driver.book(ANA), driver.book(BEN)
    first = driver.scan(cancelled)
    driver.cancel(cancelled)
    key = 2
    driver.check_in(driver.scan(reissued))
    driver.undo(next(iter(driver.check_ins)))
    driver.tickets[key] = replace(driver.tickets[key], serial=3)
    older, newer = driver.scan(reissued, serial=2), driver.scan(reissued, serial=3)
    answers = driver.check_in(first, older, newer)
    assert [each.result for each in answers] == [VOID, VOID, ADMITTED]
    again = driver.book(ANA)
    assert results(driver, replace(first, id=driver.new_id()), driver.scan(again)) == [VOID, ADMITTED]


def test_a_void_code_that_was_let_in_without_a_network_uses_no_ticket_and_is_a_conflict() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    driver.check_in(driver.scan(booking, minute=9))
    driver.undo(next(iter(driver.check_ins)))
    driver.tickets[1] = replace(driver.tickets[1], serial=2)
    thief, holder = driver.scan(booking, is_offline=True), driver.scan(booking, serial=2, minute=1)
    assert results(driver, thief, holder) == [VOID, ADMITTED]
    assert conflicts(driver) == {1: [thief.id, holder.id]}
    assert driver.tickets[1].checked_in_at == at(1)
    driver.undo(thief.id)
    assert (conflicts(driver), driver.bookings[booking.id].used) == ({}, 1)


def test_a_ticket_that_was_given_back_is_void_and_its_entries_count_for_nothing_else() -> None:
    driver = DomainDriver(2)
    booking = driver.book(ANA, 2)
    first = driver.scan(booking)
    driver.check_in(first, driver.scan(booking, 1))
    key = 1
    driver.tickets[key] = replace(driver.tickets[key], is_returned=True)
    driver.bookings[booking.id] = replace(driver.bookings[booking.id], used=1)
    inventory, facts = driver.inventory, len(driver.facts)
    answers = driver.check_in(driver.scan(booking, minute=1))
    assert [(each.result, each.admitted_at) for each in answers] == [(VOID, at(0))]
    assert driver.inventory.event.last_seq == inventory.event.last_seq == facts


def test_all_tickets_of_a_cancelled_event_are_void_also_before_their_bookings_are_cancelled() -> None:
    driver = DomainDriver(2)
    booking, other = driver.book(ANA), driver.book(BEN)
    driver.check_in(driver.scan(other))
    driver.edit(status=EventStatus.CANCELLED)
    driver.bookings[booking.id] = replace(driver.bookings[booking.id], status=BookingStatus.CONFIRMED)
    assert results(driver, driver.scan(booking)) == [VOID]


@pytest.mark.parametrize("status", [EventStatus.PAUSED, EventStatus.COMPLETED])
def test_late_entries_are_taken_in_every_other_status(status: EventStatus) -> None:
    driver = DomainDriver(1, starts_at=NOW + timedelta(hours=1))
    booking = driver.book(ANA)
    driver.pass_time(hours=2)
    driver.edit(status=status)
    assert results(driver, driver.scan(booking)) == [ADMITTED]


def test_undoing_lets_the_next_entry_count_and_has_its_effect_once() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    third, second, first = (driver.scan(booking, minute=minute) for minute in (3, 2, 1))
    refused = driver.scan(booking, minute=4)
    driver.check_in(third, second, first, refused)
    assert driver.undo(first.id).checked_in_at == driver.undo(first.id).checked_in_at == at(2)
    assert driver.undo(third.id).checked_in_at == at(2)
    assert driver.undo(refused.id).checked_in_at == at(2), "who was refused was not let in"
    assert driver.happened(3) == []
    undone = driver.undo(second.id)
    assert (undone.checked_in_at, undone.check_in.is_undone, driver.bookings[booking.id].used) == (None, True, 0)
    driver.undo(second.id)
    assert [type(each) for each in driver.happened(3)] == [CheckInUndone]
    assert results(driver, driver.scan(booking, minute=9)) == [ADMITTED]
    assert [type(each) for each in driver.happened(3)] == [CheckInUndone, TicketCheckedIn]


def test_undoing_an_entry_of_a_void_ticket_is_no_fact() -> None:
    driver = DomainDriver(3)
    booking, other = driver.book(ANA), driver.book(BEN, 2)
    scans = [driver.scan(booking), driver.scan(other), driver.scan(other, 1)]
    driver.check_in(*scans)
    driver.cancel(booking, ORGANIZER)
    driver.tickets[2] = replace(driver.tickets[2], is_returned=True)
    driver.bookings[other.id] = replace(driver.bookings[other.id], used=1)
    for scan in scans[:2]:
        decision = undo_check_in(
            driver.inventory, UndoCheckIn(event_id=EVENT_ID, actor=ORGANIZER, check_in_id=scan.id), driver.now
        )
        assert (decision.outcome.checked_in_at, decision.facts, decision.changed) == (None, (), ())
        driver.tickets.update({each.number: each for each in decision.tickets})
    assert [driver.tickets[number].checked_in_at for number in (1, 2, 3)] == [None, None, NOW]


def test_only_who_works_for_the_event_checks_in_and_undoes() -> None:
    driver = DomainDriver(1)
    scan = driver.scan(driver.book(ANA))
    door = STRANGER.on_duty(EVENT_ID, StaffRole.DOOR)
    for actor in (ANA, STRANGER, replace(door, scope=KeyScope(KeyRole.READ))):
        with pytest.raises(NotAllowed):
            driver.check_in(scan, actor=actor)
        with pytest.raises(NotAllowed):
            driver.undo(scan.id, actor)
    with pytest.raises(NotFound):
        driver.undo(scan.id)
    keyed = replace(door, scope=KeyScope(KeyRole.DOOR, EVENT_ID))
    assert [each.result for each in driver.check_in(scan, actor=keyed)] == [ADMITTED]
    assert driver.undo(scan.id, door).check_in.is_undone
    draft = DomainDriver(1, status=EventStatus.DRAFT)
    with pytest.raises(NotFound):
        draft.check_in(actor=Actor(UUID(int=77)))


Entries = list[tuple[int, int, bool]]
entries = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans()), min_size=1, max_size=12)


def scanned(found: Entries, order: list[int], sizes: list[int]) -> DomainDriver:
    """An event whose entries (ticket, minute, offline) came in this order, in groups of these sizes."""
    driver = DomainDriver(3)
    booking = driver.book(ANA, 3)
    scans = [
        replace(driver.scan(booking, ticket, minute=minute, is_offline=is_offline), id=UUID(int=number))
        for number, (ticket, minute, is_offline) in enumerate(found)
    ]
    queue = [scans[place] for place in order]
    while queue:
        size = sizes.pop() if sizes else len(queue)
        driver.check_in(*queue[:size])
        queue = queue[size:]
    return driver


def used(driver: DomainDriver) -> dict[int, object]:
    """The used tickets and their times."""
    return {key: each.checked_in_at for key, each in driver.tickets.items() if each.checked_in_at}


@given(entries, st.data())
def test_any_order_and_grouping_of_the_same_entries_gives_the_same_used_tickets_and_times(
    found: Entries, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(found))))
    repeated = data.draw(st.lists(st.sampled_from(order), max_size=4))
    one = scanned(found, list(range(len(found))), [])
    other = scanned(found, [*order, *repeated], data.draw(st.lists(st.integers(1, 4), max_size=6)))
    assert used(one) == used(other)
    assert one.bookings == other.bookings
    offline = [(ticket, minute, True) for ticket, minute, _ in found]
    again = scanned(offline, order, [])
    assert used(again) == used(one)
    assert conflicts(again) == conflicts(scanned(offline, list(range(len(found))), [])), "nobody was asked"
