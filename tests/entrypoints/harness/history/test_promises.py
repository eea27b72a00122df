"""Histories written by hand: right ones are accepted, and each wrong one is refused for the right reason."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.idempotency import Response
from boxoffice.domain.booking import BookingStatus
from boxoffice.entrypoints.harness.history import History, check_linearizable, check_promises
from tests.entrypoints.harness.history.written_history import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT,
    KIND,
    WrittenHistory,
    booking_id,
    rules,
)

Rules = set[tuple[int, str]]
Write = Callable[[WrittenHistory], None]
CASES: Final[list[Any]] = []


def breaks(*broken: tuple[int, str], is_seen: bool = True, **event: Any) -> Callable[[Write], Write]:
    """Name the promises and rules that are broken, in an event of two tickets unless more is said.

    `is_seen`: the clients' calls alone show it, because no order of them explains their answers.
    """

    def register(write: Write) -> Write:
        CASES.append(pytest.param(write, event, set(broken), is_seen and bool(broken), id=write.__name__))
        return write

    return register


# What was acknowledged is stored, and nothing else is (promise 2).


@breaks()
def a_busy_day(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.booked("b", BEN)
    written.joined("c", CLEO, quantity=2)
    written.book("d", DAN)
    written.waits("d", DAN)
    written.lost("d")
    written.cancelled("a")
    written.saw(available=1, waiting=2)
    written.cancelled("b", "c")
    written.ask("t", "total", ticket_type_id=KIND, quantity=3)
    written.grows(3)
    written.promotes("d")
    written.answered("t")
    written.saw("d", status="confirmed")


@breaks(total=3)
def tickets_that_are_given_past_those_who_wait(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN, quantity=2)
    written.given("c", CLEO, passed_over=1)
    written.book("d", DAN, complimentary=True)
    written.refused("d", "sold-out")
    written.cancelled("c")


@breaks((5, "passed over"), is_seen=False, total=3)
def a_gift_that_hides_whom_it_passed_over(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN, quantity=2)
    written.given("c", CLEO, passed_over=0)


@breaks((1, "oversold"), total=2)
def a_gift_of_tickets_that_are_taken(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.given("c", CLEO, passed_over=0)


@breaks((5, "overtaken"), total=3)
def a_gift_that_nobody_asked_for(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN, quantity=2)
    written.booked("c", CLEO)


def _bounded(written: WrittenHistory) -> None:
    """A large booking waits, and two small ones behind it."""
    written.booked("a", ANA, quantity=2)
    written.booked("b", BEN)
    written.joined("c", CLEO, quantity=3)
    written.joined("d", DAN, position=2)
    written.joined("e", EVE, position=3)


@breaks(total=3, policy="fill", max_overtakes=1)
def one_overtake_is_allowed_and_no_second_one(written: WrittenHistory) -> None:
    _bounded(written)
    written.cancelled("a", "d")
    written.saw(available=1, waiting=2)
    written.ask("m", "max_overtakes", quantity=2)
    written.becomes(maxOvertakes=2)
    written.promotes("e")
    written.answered("m", promoted=1)
    written.cancelled("d")
    written.joined("f", ANA, position=2)
    written.ask("n", "max_overtakes")
    written.becomes(maxOvertakes=None)
    written.promotes("f")
    written.answered("n", promoted=1)


@breaks((5, "bound"), (5, "overtaken"), total=3, policy="fill", max_overtakes=1)
def a_promotion_past_one_that_was_overtaken_before(written: WrittenHistory) -> None:
    _bounded(written)
    written.cancelled("a", "d", "e")


@breaks((5, "bound"), total=3, policy="fill", max_overtakes=0)
def a_newcomer_past_one_that_may_not_be_overtaken(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN, quantity=2)
    written.booked("c", CLEO)


@breaks((6, "idle"), total=3, policy="fill", max_overtakes=2)
def a_ticket_that_is_kept_too_early(written: WrittenHistory) -> None:
    _bounded(written)
    written.cancelled("a", "d")


@breaks((6, "needless"), (6, "idle"), total=3, policy="fill", max_overtakes=1)
def a_newcomer_who_might_have_overtaken(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN, quantity=2)
    written.joined("c", CLEO, position=2)


@breaks(total=3, policy="fill", max_overtakes=1)
def one_that_was_overtaken_leaves_and_is_forgotten(written: WrittenHistory) -> None:
    _bounded(written)
    written.cancelled("a", "d")
    written.cancelled("c", "e")
    written.joined("f", ANA, quantity=3)
    written.cancelled("d")
    written.booked("g", CLEO)


@breaks((2, "lost"), is_seen=False)
def a_booking_that_is_not_stored(written: WrittenHistory) -> None:
    written.book("a", ANA)
    written.answered("a", status="confirmed")


@breaks((2, "lost"), is_seen=False)
def a_cancellation_that_is_not_stored(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.cancel("x", "a", ANA)
    written.answered("x", status="cancelled", promoted=0)


@breaks((2, "altered"), total=1)
def another_status_than_was_acknowledged(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.book("b", BEN)
    written.waits("b", BEN)
    written.answered("b", status="confirmed")


@breaks((5, "position"), total=1)
def another_position_than_was_acknowledged(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN, position=2)


@breaks((2, "unasked"), is_seen=False)
def a_booking_without_a_call(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.takes("b", BEN)


@breaks((2, "failed"))
def the_effect_of_a_refused_booking(written: WrittenHistory) -> None:
    written.book("a", ANA)
    written.takes("a", ANA)
    written.refused("a", "limit-exceeded")


@breaks((2, "unasked"), is_seen=False)
def a_cancellation_without_a_call(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.ends("a")


@breaks((2, "unasked"), is_seen=False)
def a_booking_that_ended_with_an_open_event(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.ends("a", by="event")


@breaks((2, "unasked"), is_seen=False)
def a_change_without_a_call(written: WrittenHistory) -> None:
    written.grows(5)


@breaks((2, "failed"))
def the_effect_of_a_refused_change(written: WrittenHistory) -> None:
    written.ask("t", "total", ticket_type_id=KIND, quantity=5)
    written.grows(5)
    written.refused("t", "capacity-below-taken")


@breaks((2, "stale"), is_seen=False)
def a_change_that_is_not_stored(written: WrittenHistory) -> None:
    written.ask("t", "total", ticket_type_id=KIND, quantity=5)
    written.answered("t")


@breaks((2, "unasked"), is_seen=False)
def a_change_that_happened_twice(written: WrittenHistory) -> None:
    written.switched("pause", "paused")
    written.ask("r", "resume")
    for status in ("on_sale", "paused", "on_sale"):
        written.becomes(status=status)
    written.answered("r")


@breaks()
def an_unknown_booking_that_did_not_happen(written: WrittenHistory) -> None:
    written.book("a", ANA)
    written.lost("a")


@breaks((2, "unasked"), is_seen=False, total=4)
def an_unknown_booking_that_happened_twice(written: WrittenHistory) -> None:
    written.ask("a", "book", ANA, quantity=1)
    written.takes("one", ANA)
    written.lost("a")
    assert written.broken() == set()
    written.cancelled("one")
    written.takes("two", ANA)


@breaks((2, "unasked"), is_seen=False)
def an_unknown_cancellation_that_happened_twice(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.ask("x", "cancel", ANA)
    written.ends("a")
    written.lost("x")
    assert written.broken() == set()
    written.booked("b", ANA)
    written.ends("b")


# What was read, and what was refused, was so (promise 2).


@breaks((2, "stale"))
def a_stale_read(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.saw(available=2, waiting=0)


@breaks((2, "stale"))
def a_read_of_what_was_asked_for_only_afterwards(written: WrittenHistory) -> None:
    written.saw(available=1)
    written.booked("a", ANA)


@breaks((2, "stale"))
def reads_that_go_back_in_time(written: WrittenHistory) -> None:
    written.book("a", ANA)
    written.takes("a", ANA)
    for available in (1, 2):
        written.saw(available=available)
    written.answered("a", status="confirmed")


@breaks((2, "stale"), total=1)
def a_read_in_the_middle_of_a_decision(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.ask("s", "status")
    written.cancelled("a", "b")
    written.answered("s", available=1, waiting=1)


@breaks((2, "stale"))
def a_stale_read_of_a_booking(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.cancelled("a")
    written.saw("a", status="confirmed")


@breaks((2, "refused"))
def a_read_that_misses_a_booking(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.ask("r", "booking", ANA, booking_id=booking_id("a"))
    written.refused("r", "not-found")


@breaks((2, "refused"))
def a_refusal_of_a_first_booking(written: WrittenHistory) -> None:
    written.book("a", ANA)
    written.refused("a", "already-booked")


@breaks((2, "refused"))
def a_refusal_of_a_first_cancellation(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.cancel("x", "a", ANA)
    written.refused("x", "already-cancelled")


# Tickets (promises 1 and 4), and facts (promise 7).


@breaks((1, "oversold"), total=1)
def more_tickets_than_there_are_for_a_moment(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.booked("b", BEN)
    written.cancelled("a")


@breaks((1, "oversold"))
def fewer_tickets_than_are_taken(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.ask("t", "total", ticket_type_id=KIND, quantity=1)
    written.grows(1)
    written.answered("t")


@breaks((1, "capacity"))
def more_tickets_than_there_will_ever_be(written: WrittenHistory) -> None:
    written.joined("a", ANA, quantity=3)


@breaks((7, "booking"), is_seen=False)
def tickets_with_other_numbers_than_their_order_gives(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.booked("b", BEN)
    for name, number in (("a", 2), ("b", 1)):
        booking = written.bookings[booking_id(name)]
        written.bookings[booking.id] = replace(booking, first_ticket_number=number)


@breaks((7, "event"), is_seen=False)
def a_ticket_number_that_was_left_out(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.last_ticket_number += 1


@breaks((1, "counters"), (7, "booking"), is_seen=False)
def a_row_that_its_facts_contradict(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.moves("a", BookingStatus.EXPIRED)


@breaks((4, "freed twice"))
def a_cancellation_acknowledged_twice(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.cancel("x", "a", ANA)
    written.cancelled("a")
    written.answered("x", status="cancelled", promoted=0)


# Parts of bookings (promises 2, 4 and 6).


@breaks(total=4)
def parts_that_are_given_back(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=4)
    written.joined("b", BEN, quantity=3)
    written.joined("c", CLEO, position=2)
    written.gave_back("a")
    written.gave_back("b", 2, "b")
    written.saw("b", status="confirmed", quantity=1)
    written.gave_back("a", 2, "c")
    written.saw(available=1, waiting=0)
    written.give_back("x", "a")
    written.refused("x", "exceeds-booking")
    written.cancelled("a")
    written.give_back("y", "a")
    written.refused("y", "already-cancelled")


@breaks()
def a_part_whose_answer_was_lost(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.give_back("x", "a")
    written.give_back("y", "a")
    written.shrinks("a")
    written.lost("x")
    written.refused("y", "exceeds-booking")
    written.saw("a", status="confirmed", quantity=1)


@breaks((2, "lost"), is_seen=False)
def a_part_that_was_acknowledged_and_not_given_back(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.give_back("x", "a")
    written.answered("x", status="confirmed", promoted=0, quantity=1)


@breaks((4, "freed twice"))
def a_part_that_was_acknowledged_twice(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.give_back("x", "a")
    written.gave_back("a")
    written.answered("x", status="confirmed", promoted=0, quantity=1)


@breaks((2, "unasked"), is_seen=False)
def a_part_for_which_nobody_asked(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.give_back("x", "a", 2)
    written.refused("x", "exceeds-booking")
    written.shrinks("a")


@breaks((2, "altered"))
def a_part_that_is_said_to_promote_another_number(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN)
    written.gave_back("a", 1, "b", says=0)


@breaks((6, "idle"))
def a_part_that_serves_nobody(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN)
    written.gave_back("a")


@breaks((5, "order"))
def a_part_that_was_given_back_before_it_was_asked_for(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=2)
    written.book("b", BEN)
    written.shrinks("a")
    written.takes("b", BEN)
    written.answered("b", status="confirmed")
    written.give_back("x", "a")
    written.answered("x", status="confirmed", promoted=0, quantity=1)


@breaks((2, "lapsed early"))
def a_hold_that_lapsed_before_its_time(written: WrittenHistory) -> None:
    written.book("a", ANA)
    written.takes("a", ANA, until=60.0)
    written.answered("a", status="held")
    written.lapses("a")


# The waiting list (promises 5 and 6).


@breaks((5, "overtaken"))
def a_newcomer_who_overtook_the_waiting_list(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN, quantity=2)
    written.booked("c", CLEO)


@breaks(policy="fill")
def a_newcomer_who_took_what_fits_no_one_under_fill(written: WrittenHistory) -> None:
    a_newcomer_who_overtook_the_waiting_list(written)


@breaks((5, "off"), total=1)
def a_newcomer_who_joined_a_waiting_list_that_was_off(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.closed_waiting_list()
    written.joined("b", BEN)


@breaks(total=1)
def a_waiting_list_that_is_served_while_it_is_off(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.closed_waiting_list()
    written.book("c", CLEO)
    written.refused("c", "sold-out")
    written.cancelled("a", "b")


@breaks((5, "overtaken"), is_seen=False, total=1)
def a_promotion_out_of_turn(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.joined("c", CLEO, position=2)
    written.cancelled("a", "c")


@breaks((5, "overtaken"), is_seen=False, total=1, policy="fill")
def a_promotion_out_of_turn_under_fill(written: WrittenHistory) -> None:
    a_promotion_out_of_turn(written)


@breaks(policy="fill")
def a_promotion_of_the_first_that_fits_under_fill(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.booked("b", BEN)
    written.joined("c", CLEO, quantity=2)
    written.joined("d", DAN, position=2)
    written.cancelled("a", "d")


@breaks((5, "overtaken"))
def a_promotion_of_the_first_that_fits_under_strict(written: WrittenHistory) -> None:
    a_promotion_of_the_first_that_fits_under_fill(written)


@breaks((5, "order"), total=1)
def a_later_caller_who_stands_first(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.book("b", BEN)
    written.waits("c", CLEO)
    written.waits("b", BEN)
    written.answered("b", status="waitlisted", position=2)
    written.book("c", CLEO)
    written.answered("c", status="waitlisted", position=1)


@breaks((5, "order"), is_seen=False, total=1)
def queue_numbers_that_fall(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    for name, customer, number, position in (("b", BEN, 7, 1), ("c", CLEO, 3, 2)):
        written.book(name, customer)
        written.waits(name, customer, number=number)
        written.answered(name, position=position)


@breaks((6, "needless"), (6, "idle"))
def a_customer_who_waits_although_tickets_are_free(written: WrittenHistory) -> None:
    written.joined("a", ANA)


@breaks((6, "idle"), total=1)
def a_freed_ticket_that_idles(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.cancelled("a")


@breaks((6, "idle"), total=1)
def a_freed_ticket_that_idled_for_a_moment(written: WrittenHistory) -> None:
    a_freed_ticket_that_idles(written)
    written.ask("p", "promote")
    written.promotes("b", later=True)
    written.answered("p", promoted=1)


@breaks(total=1)
def a_ticket_that_is_freed_during_a_pause_and_promoted_after_it(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.switched("pause", "paused")
    written.cancelled("a")
    assert written.broken() == set()
    written.ask("r", "resume")
    written.becomes(status="on_sale")
    assert written.broken() == {(6, "idle")}
    written.promotes("b")
    written.answered("r")


@breaks((5, "closed"), total=1)
def a_promotion_during_a_pause(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.switched("pause", "paused")
    written.cancelled("a", "b")


@breaks((5, "closed"))
def a_booking_during_a_pause(written: WrittenHistory) -> None:
    written.switched("pause", "paused")
    written.booked("a", ANA)


# One effect (promise 3).


@breaks((3, "two live"))
def two_live_bookings_of_one_customer(written: WrittenHistory) -> None:
    written.booked("a", ANA)
    written.booked("b", ANA)


@breaks((3, "limit"), total=5, limit=2)
def more_tickets_than_a_customer_may_have(written: WrittenHistory) -> None:
    written.booked("a", ANA, quantity=3)


@breaks((3, "forgotten"), is_seen=False)
def a_lost_answer_that_is_not_remembered_with_its_effect(written: WrittenHistory) -> None:
    written.book("a", ANA, key="k")
    written.takes("a", ANA)
    written.lost("a")


def send_twice(written: WrittenHistory, first: str, second: str) -> None:
    """Send one request twice with one key; the bookings of these names answer."""
    for operation, name in (("1", first), ("2", second)):
        written.ask(operation, "book", ANA, key="k")
        if booking_id(name) not in written.bookings:
            written.takes(name, ANA)
        written.answered(operation, status="confirmed", booking_id=booking_id(name))
    written.remembered[ANA, "k"] = Response(b"", booking_id(first))


@breaks()
def one_effect_of_one_key(written: WrittenHistory) -> None:
    send_twice(written, "a", "a")


@breaks((3, "forgotten"), is_seen=False)
def a_key_that_is_forgotten(written: WrittenHistory) -> None:
    send_twice(written, "a", "a")
    written.remembered.clear()


@breaks((3, "key"), is_seen=False)
def a_key_that_remembers_something_else(written: WrittenHistory) -> None:
    send_twice(written, "a", "a")
    written.remembered[ANA, "k"] = Response(b"", UUID(int=77))


@breaks((3, "key"))
def a_key_that_was_answered_twice_and_differently(written: WrittenHistory) -> None:
    send_twice(written, "a", "a")
    written.ask("3", "book", ANA, key="k")
    written.refused("3", "already-booked")


@pytest.mark.parametrize(("write", "event", "broken", "is_seen"), CASES)
def test_it_is_accepted_or_refused_for_its_reason(
    write: Write, event: dict[str, Any], broken: Rules, is_seen: bool
) -> None:
    written = WrittenHistory(**event)
    write(written)
    assert written.broken() == broken
    verdict = check_linearizable(written.history, written.sale)
    assert (verdict.answer == "not linearizable") is is_seen
    assert verdict.stuck or not is_seen
    if not broken:
        assert check_linearizable(written.history, written.sale, final=written.stored()).is_linearizable


def test_two_effects_break_several_rules() -> None:
    written = WrittenHistory(total=4)
    send_twice(written, "a", "b")
    assert {(3, "twice"), (3, "key")} <= written.broken()
    assert not check_linearizable(written.history, written.sale).is_linearizable
    written = WrittenHistory(total=4)
    send_twice(written, "a", "a")
    written.cancelled("a")
    written.ask("3", "book", ANA, key="k", quantity=2)
    written.takes("b", ANA, quantity=2)
    written.answered("3", status="confirmed", booking_id=booking_id("b"))
    assert (3, "key") in written.broken()
    assert not check_linearizable(written.history, written.sale).is_linearizable
    written = WrittenHistory()
    written.booked("a", ANA)
    written.ask("2", "book", ANA)
    written.answered("2", status="confirmed", booking_id=booking_id("a"))
    assert (3, "twice") in written.broken()
    assert not check_linearizable(written.history, written.sale).is_linearizable


def test_what_does_not_fit_into_one_step_may_follow() -> None:
    """No ticket idles as long as a whole step was done before; a step that was not whole is no excuse."""
    for step, broken in ((2, set[tuple[int, str]]()), (3, {(6, "idle")})):
        written = WrittenHistory(total=1)
        written.booked("a", ANA)
        for number, customer in enumerate((BEN, CLEO, DAN), start=1):
            written.joined(f"w{number}", customer, position=number)
        written.ask("t", "total", ticket_type_id=KIND, quantity=4)
        written.grows(4)
        written.promotes("w1")
        written.promotes("w2")
        written.answered("t")
        written.is_unsettled = True
        assert written.broken(step=step) == broken
        written.promotes("w3", later=True)
        written.is_unsettled = False
        assert written.broken(step=step) == broken


def test_what_is_stored_may_not_be_rewritten_or_vanish() -> None:
    written = WrittenHistory()
    written.booked("a", ANA)
    before = written.stored()
    assert written.broken(before=before) == set()
    vanished = replace(before, events={}, facts={}, bookings={})
    assert rules(check_promises(written.history, vanished)) == {(2, "lost")}
    (kind,) = before.events[EVENT].ticket_types
    miscounted = {EVENT: replace(before.events[EVENT], ticket_types=(replace(kind, taken=0),))}
    assert rules(check_promises(written.history, replace(before, events=miscounted))) == {(1, "counters")}
    stored = before.events[EVENT]
    bounded = {EVENT: replace(stored, event=replace(stored.event, max_overtakes=2))}
    assert rules(check_promises(written.history, replace(before, events=bounded))) == {(7, "event")}
    written.facts[1] = replace(written.facts[1], occurred_at=written.facts[0].occurred_at)
    assert written.broken(before=before) == {(2, "rewritten")}
    written.facts[1] = replace(written.facts[1], seq=5)
    assert (7, "facts") in written.broken()
    assert check_promises(History(), WrittenHistory().stored()) == []
