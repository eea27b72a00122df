"""The search for an order: what it must find, what it must not, and what it says then."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus
from boxoffice.entrypoints.harness.history import Sale, Verdict, check_linearizable
from tests.entrypoints.harness.history.written_history import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVENT,
    KIND,
    ORGANIZER,
    WrittenHistory,
    booking_id,
)


def judged(written: WrittenHistory) -> Verdict:
    """By what clients saw alone."""
    return check_linearizable(written.history, written.sale)


def test_overlapping_calls_may_have_come_in_either_order() -> None:
    written = WrittenHistory(total=1)
    written.book("a", ANA)
    written.book("b", BEN)
    written.answered("a", status="waitlisted", position=1)
    written.answered("b", status="confirmed")
    verdict = judged(written)
    assert verdict.is_linearizable
    assert [operation.number for operation in verdict.order] == [2, 1]


def test_what_ended_before_the_other_began_came_first() -> None:
    written = WrittenHistory(total=1)
    written.book("a", ANA)
    written.answered("a", status="waitlisted", position=1)
    written.booked("b", BEN)
    verdict = judged(written)
    assert verdict.answer == "not linearizable"
    assert verdict.order == ()
    assert "the specification answers status=confirmed" in verdict.stuck[0]
    assert "stuck" in str(verdict)


@pytest.mark.parametrize(
    ("seen", "answer"),
    [([2], "linearizable"), ([1], "linearizable"), ([0], "not linearizable"), ([1, 2], "not linearizable")],
)
def test_an_unknown_booking_happened_once_or_never_and_does_not_come_and_go(seen: list[int], answer: str) -> None:
    written = WrittenHistory(total=2)
    written.book("a", ANA)
    written.lost("a")
    for available in seen:
        written.saw(available=available)
    assert judged(written).answer == answer


def test_a_whole_life() -> None:
    written = WrittenHistory(total=2, policy="fill", limit=3)
    written.booked("a", ANA, quantity=2)
    written.joined("b", BEN, quantity=2)
    written.joined("c", CLEO, position=2)
    written.book("d", DAN, quantity=3)
    written.refused("d", "exceeds-capacity")
    written.ask("p", "policy", policy="strict")
    written.answered("p", promoted=0)
    written.ask("t", "total", ORGANIZER, ticket_type_id=KIND, quantity=3)
    written.answered("t", promoted=0)
    written.ask("q", "policy", policy="fill")
    written.answered("q", promoted=1)
    written.book("o", DAN, only_if_available=True)
    written.refused("o", "sold-out")
    written.ask("l", "waiting_list", waiting_list="off")
    written.answered("l", promoted=0)
    written.book("m", DAN)
    written.refused("m", "sold-out")
    written.ask("n", "total", ANA, ticket_type_id=KIND, quantity=9)
    written.refused("n", "not-allowed")
    written.ask("x", "cancel", BEN, booking_id=booking_id("a"))
    written.refused("x", "not-found")
    written.ask("y", "cancel", BEN)
    written.answered("y", status="cancelled", promoted=0)
    written.ask("z", "call_off")
    written.answered("z")
    written.ask("s", "status", ticket_type_id=KIND)
    written.answered("s", status="cancelled", available=3, waiting=0)
    written.ask("e", "total", ticket_type_id=KIND, quantity=4)
    written.refused("e", "event-closed")
    written.ask("w", "cancel", ANA, booking_id=booking_id("a"))
    written.refused("w", "already-cancelled")
    assert judged(written).is_linearizable, judged(written)


def test_a_key_is_answered_again_as_it_was() -> None:
    written = WrittenHistory(total=1)
    for number in "12":
        written.ask(f"a{number}", "book", ANA, key="k")
        written.answered(f"a{number}", status="confirmed", booking_id=booking_id("a"))
    written.ask("b1", "book", BEN, key="k", quantity=2)
    written.refused("b1", "exceeds-capacity")
    written.ask("x", "cancel", booking_id=booking_id("a"))
    written.answered("x", status="cancelled", promoted=0)
    written.ask("t", "total", ticket_type_id=KIND, quantity=2)
    written.answered("t")
    written.ask("b2", "book", BEN, key="k", quantity=2)
    written.refused("b2", "exceeds-capacity")
    written.ask("a3", "book", ANA, key="k")
    written.answered("a3", status="confirmed", booking_id=booking_id("a"))
    written.ask("a4", "book", ANA, key="k", quantity=2)
    written.refused("a4", "idempotency-key-reused")
    written.saw(available=2, waiting=0)
    assert judged(written).is_linearizable, judged(written)


def test_holds_are_paid_or_lapse() -> None:
    sale = Sale(event_id=EVENT, totals={KIND: 1}, prices=frozenset({KIND}), holds=True, may_lapse=True)
    written = WrittenHistory(total=1)
    written.book("a", ANA)
    written.answered("a", status="held")
    written.joined("b", BEN)
    written.saw("b", status="held")
    written.ask("p", "pay", BEN, booking_id=booking_id("b"))
    written.answered("p", status="confirmed")
    written.ask("q", "pay", ANA, booking_id=booking_id("a"))
    written.refused("q", "hold-expired")
    assert check_linearizable(written.history, sale).is_linearizable
    timeless = Sale(event_id=EVENT, totals={KIND: 1}, prices=frozenset({KIND}), holds=True)
    assert check_linearizable(written.history, timeless).answer == "not linearizable"


def test_a_payment_may_have_gone_through_without_an_answer_to_its_key() -> None:
    sale = Sale(event_id=EVENT, totals={KIND: 1}, prices=frozenset({KIND}), holds=True)
    written = WrittenHistory(total=1)
    written.book("a", ANA)
    written.takes("a", ANA, until=60)
    written.answered("a", status="held", booking_id=booking_id("a"))
    for again in "pq":
        written.ask(again, "pay", ANA, booking_id=booking_id("a"), key="k")
        written.lost(again)
    held = written.stored()
    paid = replace(held.bookings[booking_id("a")], status=BookingStatus.CONFIRMED)
    for final in (held, replace(held, bookings={paid.id: paid})):
        verdict = check_linearizable(written.history, sale, final=final)
        assert verdict.is_linearizable, str(verdict)


def test_the_order_has_to_lead_to_what_is_stored() -> None:
    written = WrittenHistory(total=2)
    written.booked("a", ANA)
    written.booked("b", BEN)
    assert check_linearizable(written.history, written.sale, final=written.stored()).is_linearizable
    written.ends("a")
    assert judged(written).is_linearizable
    verdict = check_linearizable(written.history, written.sale, final=written.stored())
    assert verdict.answer == "not linearizable"
    assert "does not lead to what is stored" in verdict.stuck[0]


def test_what_is_stored_tells_what_became_of_lost_answers() -> None:
    written = WrittenHistory(total=1)
    written.ask("a", "book", ANA)
    written.takes("a", ANA)
    written.lost("a")
    written.book("b", BEN)
    written.lost("b")
    verdict = check_linearizable(written.history, written.sale, final=written.stored())
    assert verdict.is_linearizable
    assert [operation.call.customer_id for operation in verdict.order] == [ANA]


def test_it_gives_up_rather_than_say_what_it_does_not_know() -> None:
    written = WrittenHistory(total=50)
    for number in range(12):
        written.ask(f"b{number}", "book", booking_id(f"customer {number}"), quantity=number % 3 + 1)
    for number in range(12):
        written.lost(f"b{number}")
    written.saw(available=50, waiting=9)
    verdict = check_linearizable(written.history, written.sale, most_states=100)
    assert verdict.answer == "undecided"
    assert not verdict.is_linearizable


def test_a_booking_id_that_no_answer_told_of_leaves_it_open() -> None:
    written = WrittenHistory(total=2)
    written.ask("a", "book", ANA)
    written.lost("a")
    written.saw("of whom", status="confirmed")
    assert judged(written).answer == "undecided"


def passed_over() -> WrittenHistory:
    """A history in which the first waiting customer is passed over, and stands first again."""
    written = WrittenHistory(total=1)
    written.booked("a", ANA)
    written.joined("b", BEN)
    written.joined("c", CLEO, position=2)
    written.suspends("b")
    written.saw("b", status="waitlisted", position=None)
    written.saw("c", status="waitlisted", position=1)
    written.saw(waiting=1)
    written.cancelled("a", "c")
    written.joined("d", DAN)
    written.resumes("b")
    written.saw("d", position=2)
    written.cancelled("c", "b")
    return written


def test_accounts_that_are_disabled_and_enabled_explain_the_order_of_a_waiting_list() -> None:
    written = passed_over()
    verdict = check_linearizable(written.history, written.sale, final=written.stored())
    assert verdict.is_linearizable, str(verdict)
    assert written.broken() == set()
    assert judged(written).answer == "not linearizable", "clients do not see why"


def test_a_booking_that_cannot_be_resumed_is_cancelled() -> None:
    written = WrittenHistory(total=2)
    written.booked("a", ANA)
    written.joined("b", BEN, quantity=2)
    written.suspends("b")
    written.ask("t", "total", ticket_type_id=KIND, quantity=1)
    written.grows(1)
    written.answered("t")
    written.ends("b", by="organizer")
    written.saw("b", status="cancelled")
    verdict = check_linearizable(written.history, written.sale, final=written.stored())
    assert verdict.is_linearizable, str(verdict)
    assert written.broken() == set()


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        (lambda written: written.suspends("a"), (5, "suspended")),
        (lambda written: written.resumes("d"), (5, "suspended")),
        (lambda written: written.ends("d", by="organizer"), (2, "unasked")),
        (lambda written: (written.suspends("d"), written.ends("d", by="organizer")), (2, "unasked")),
        (lambda written: (written.suspends("d"), written.promotes("d")), (5, "order")),
    ],
)
def test_what_was_done_to_suspended_bookings_must_be_possible(
    wrong: Callable[[WrittenHistory], object], broken: tuple[int, str]
) -> None:
    written = passed_over()
    wrong(written)
    assert broken in written.broken()


def test_a_suspension_serves_the_others_at_once() -> None:
    written = WrittenHistory(total=2)
    written.booked("a", ANA)
    written.joined("b", BEN, quantity=2)
    written.joined("c", CLEO, position=2)
    written.suspends("b")
    assert written.broken() == {(6, "idle")}
    written.promotes("c")
    assert written.broken() == set()
