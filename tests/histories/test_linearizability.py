"""The search for an order: what it must find, what it must not, and what it says then."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus
from boxoffice.entrypoints.harness.history import Sale, Verdict, check_linearizable
from tests.histories.ledger import ANA, BEN, CLEO, DAN, EVENT, KIND, ORGANIZER, Ledger, booking_id


def judged(ledger: Ledger) -> Verdict:
    """By what clients saw alone."""
    return check_linearizable(ledger.history, ledger.sale)


def test_overlapping_calls_may_have_come_in_either_order() -> None:
    ledger = Ledger(total=1)
    ledger.book("a", ANA)
    ledger.book("b", BEN)
    ledger.told("a", status="waitlisted", position=1)
    ledger.told("b", status="confirmed")
    verdict = judged(ledger)
    assert verdict.is_linearizable
    assert [operation.number for operation in verdict.order] == [2, 1]


def test_what_ended_before_the_other_began_came_first() -> None:
    ledger = Ledger(total=1)
    ledger.book("a", ANA)
    ledger.told("a", status="waitlisted", position=1)
    ledger.book("b", BEN)
    ledger.told("b", status="confirmed")
    verdict = judged(ledger)
    assert verdict.answer == "not linearizable"
    assert verdict.order == ()
    assert "the specification answers status=confirmed" in verdict.stuck[0]
    assert "stuck" in str(verdict)


def test_what_nobody_knows_may_have_happened_late_early_or_never() -> None:
    for available, promoted in ((2, 0), (1, 0), (2, 0)):
        ledger = Ledger(total=2)
        ledger.book("a", ANA)
        ledger.lost("a")
        ledger.ask("s", "status")
        ledger.told("s", available=available, waiting=promoted)
        assert judged(ledger).is_linearizable


def test_what_nobody_knows_happened_once_at_most() -> None:
    ledger = Ledger(total=3)
    ledger.ask("a", "book", ANA)
    ledger.lost("a")
    ledger.ask("s", "status")
    ledger.told("s", available=1)
    assert judged(ledger).answer == "not linearizable"


def test_what_nobody_knows_does_not_come_and_go() -> None:
    ledger = Ledger(total=3)
    ledger.book("a", ANA)
    ledger.lost("a")
    for number, available in enumerate((2, 3)):
        ledger.ask(f"s{number}", "status")
        ledger.told(f"s{number}", available=available)
    assert judged(ledger).answer == "not linearizable"


def stale_read(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    ledger.ask("s", "status")
    ledger.told("s", available=2, waiting=0)


def vanished(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    ledger.ask("r", "booking", ANA, booking_id=booking_id("a"))
    ledger.refused("r", "not-found")


def oversold(ledger: Ledger) -> None:
    for name, customer in (("a", ANA), ("b", BEN), ("c", CLEO)):
        ledger.booked(name, customer)


def overtaken(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    ledger.joined("b", BEN, quantity=2)
    ledger.booked("c", CLEO)


def needless(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)


def freed_twice(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    for number in "12":
        ledger.cancel(f"x{number}", "a", ANA)
        ledger.told(f"x{number}", status="cancelled", promoted=0)


def promoted_nobody(ledger: Ledger) -> None:
    ledger.booked("a", ANA, quantity=2)
    ledger.joined("b", BEN)
    ledger.cancel("x", "a", ANA)
    ledger.told("x", status="cancelled", promoted=0)


def wrong_position(ledger: Ledger) -> None:
    ledger.booked("a", ANA, quantity=2)
    ledger.joined("b", BEN)
    ledger.joined("c", CLEO, position=1)


def not_served_in_order(ledger: Ledger) -> None:
    ledger.booked("a", ANA, quantity=2)
    ledger.joined("b", BEN)
    ledger.joined("c", CLEO, position=2)
    ledger.joined("d", DAN, position=3)
    ledger.cancel("x", "a", ANA)
    ledger.told("x", status="cancelled", promoted=2)
    ledger.ask("r", "booking", booking_id=booking_id("d"))
    ledger.told("r", status="confirmed")


def two_live(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    ledger.booked("b", ANA)


def effect_of_a_refusal(ledger: Ledger) -> None:
    ledger.book("a", ANA, quantity=3)
    ledger.refused("a", "exceeds-capacity")
    ledger.ask("s", "status")
    ledger.told("s", available=0, waiting=1)


def wrong_refusal(ledger: Ledger) -> None:
    ledger.book("a", ANA)
    ledger.refused("a", "exceeds-capacity")


def two_answers_of_a_key(ledger: Ledger) -> None:
    for name in "ab":
        ledger.ask(name, "book", ANA, key="k")
        ledger.told(name, status="confirmed", booking_id=booking_id(name))


def two_effects_of_a_key(ledger: Ledger) -> None:
    for name in "ab":
        ledger.ask(name, "book", ANA, key="k")
        ledger.told(name, status="confirmed", booking_id=booking_id("a"))
    ledger.ask("s", "status")
    ledger.told("s", available=0)


def key_of_another_request(ledger: Ledger) -> None:
    ledger.ask("a", "book", ANA, key="k")
    ledger.told("a", status="confirmed", booking_id=booking_id("a"))
    ledger.ask("b", "book", ANA, key="k", quantity=2)
    ledger.told("b", status="confirmed", booking_id=booking_id("a"))


def booked_while_paused(ledger: Ledger) -> None:
    ledger.ask("p", "pause")
    ledger.told("p")
    ledger.booked("a", ANA)


def shrunk_below_taken(ledger: Ledger) -> None:
    ledger.booked("a", ANA, quantity=2)
    ledger.ask("t", "total", ticket_type_id=KIND, quantity=1)
    ledger.told("t")


def one_booking_for_two(ledger: Ledger) -> None:
    ledger.booked("a", ANA)
    ledger.ask("b", "book", BEN)
    ledger.told("b", status="confirmed", booking_id=booking_id("a"))


WRONG = [
    stale_read,
    vanished,
    oversold,
    overtaken,
    needless,
    freed_twice,
    promoted_nobody,
    wrong_position,
    not_served_in_order,
    two_live,
    effect_of_a_refusal,
    wrong_refusal,
    two_answers_of_a_key,
    two_effects_of_a_key,
    key_of_another_request,
    booked_while_paused,
    shrunk_below_taken,
    one_booking_for_two,
]


@pytest.mark.parametrize("happen", WRONG, ids=lambda happen: happen.__name__)
def test_no_order_explains(happen: Callable[[Ledger], None]) -> None:
    ledger = Ledger(total=2)
    happen(ledger)
    verdict = judged(ledger)
    assert verdict.answer == "not linearizable"
    assert verdict.stuck


def test_a_whole_life() -> None:
    ledger = Ledger(total=2, policy="fill", limit=3)
    ledger.booked("a", ANA, quantity=2)
    ledger.joined("b", BEN, quantity=2)
    ledger.joined("c", CLEO, position=2)
    ledger.book("d", DAN, quantity=3)
    ledger.refused("d", "exceeds-capacity")
    ledger.ask("p", "policy", policy="strict")
    ledger.told("p", promoted=0)
    ledger.ask("t", "total", ORGANIZER, ticket_type_id=KIND, quantity=3)
    ledger.told("t", promoted=0)
    ledger.ask("q", "policy", policy="fill")
    ledger.told("q", promoted=1)
    ledger.ask("n", "total", ANA, ticket_type_id=KIND, quantity=9)
    ledger.refused("n", "not-allowed")
    ledger.ask("x", "cancel", BEN, booking_id=booking_id("a"))
    ledger.refused("x", "not-found")
    ledger.ask("y", "cancel", BEN)
    ledger.told("y", status="cancelled", promoted=0)
    ledger.ask("z", "call_off")
    ledger.told("z")
    ledger.ask("s", "status", ticket_type_id=KIND)
    ledger.told("s", status="cancelled", available=3, waiting=0)
    ledger.ask("e", "total", ticket_type_id=KIND, quantity=4)
    ledger.refused("e", "event-closed")
    ledger.ask("w", "cancel", ANA, booking_id=booking_id("a"))
    ledger.refused("w", "already-cancelled")
    assert judged(ledger).is_linearizable, judged(ledger)


def test_a_key_is_answered_again_as_it_was() -> None:
    ledger = Ledger(total=1)
    for number in "12":
        ledger.ask(f"a{number}", "book", ANA, key="k")
        ledger.told(f"a{number}", status="confirmed", booking_id=booking_id("a"))
    ledger.ask("b1", "book", BEN, key="k", quantity=2)
    ledger.refused("b1", "exceeds-capacity")
    ledger.cancel("x", "a", ANA)
    ledger.told("x", status="cancelled", promoted=0)
    ledger.ask("t", "total", ticket_type_id=KIND, quantity=2)
    ledger.told("t")
    ledger.ask("b2", "book", BEN, key="k", quantity=2)
    ledger.refused("b2", "exceeds-capacity")
    ledger.ask("a3", "book", ANA, key="k")
    ledger.told("a3", status="confirmed", booking_id=booking_id("a"))
    ledger.ask("a4", "book", ANA, key="k", quantity=2)
    ledger.refused("a4", "idempotency-key-reused")
    ledger.ask("s", "status")
    ledger.told("s", available=2, waiting=0)
    assert judged(ledger).is_linearizable, judged(ledger)


def test_holds_are_paid_or_lapse() -> None:
    sale = Sale(event_id=EVENT, totals={KIND: 1}, prices=frozenset({KIND}), holds=True, may_lapse=True)
    ledger = Ledger(total=1)
    ledger.book("a", ANA)
    ledger.told("a", status="held")
    ledger.joined("b", BEN)
    ledger.ask("r", "booking", booking_id=booking_id("b"))
    ledger.told("r", status="held")
    ledger.ask("p", "pay", BEN, booking_id=booking_id("b"))
    ledger.told("p", status="confirmed")
    ledger.ask("q", "pay", ANA, booking_id=booking_id("a"))
    ledger.refused("q", "hold-expired")
    assert check_linearizable(ledger.history, sale).is_linearizable
    timeless = Sale(event_id=EVENT, totals={KIND: 1}, prices=frozenset({KIND}), holds=True)
    assert check_linearizable(ledger.history, timeless).answer == "not linearizable"


def test_a_payment_may_have_gone_through_without_an_answer_to_its_key() -> None:
    sale = Sale(event_id=EVENT, totals={KIND: 1}, prices=frozenset({KIND}), holds=True)
    ledger = Ledger(total=1)
    ledger.book("a", ANA)
    ledger.takes("a", ANA, until=60)
    ledger.told("a", status="held", booking_id=booking_id("a"))
    for again in "pq":
        ledger.ask(again, "pay", ANA, booking_id=booking_id("a"), key="k")
        ledger.lost(again)
    held = ledger.stored()
    paid = replace(held.bookings[booking_id("a")], status=BookingStatus.CONFIRMED)
    for final in (held, replace(held, bookings={paid.id: paid})):
        verdict = check_linearizable(ledger.history, sale, final=final)
        assert verdict.is_linearizable, str(verdict)


def test_the_order_has_to_lead_to_what_is_stored() -> None:
    ledger = Ledger(total=2)
    ledger.booked("a", ANA)
    ledger.booked("b", BEN)
    assert check_linearizable(ledger.history, ledger.sale, final=ledger.stored()).is_linearizable
    ledger.ends("a")
    assert judged(ledger).is_linearizable
    verdict = check_linearizable(ledger.history, ledger.sale, final=ledger.stored())
    assert verdict.answer == "not linearizable"
    assert "does not lead to what is stored" in verdict.stuck[0]


def test_what_is_stored_tells_what_became_of_lost_answers() -> None:
    ledger = Ledger(total=1)
    ledger.ask("a", "book", ANA)
    ledger.takes("a", ANA)
    ledger.lost("a")
    ledger.book("b", BEN)
    ledger.lost("b")
    verdict = check_linearizable(ledger.history, ledger.sale, final=ledger.stored())
    assert verdict.is_linearizable
    assert [operation.call.customer_id for operation in verdict.order] == [ANA]


def test_it_gives_up_rather_than_say_what_it_does_not_know() -> None:
    ledger = Ledger(total=50)
    for number in range(12):
        ledger.ask(f"b{number}", "book", booking_id(f"customer {number}"), quantity=number % 3 + 1)
    for number in range(12):
        ledger.lost(f"b{number}")
    ledger.ask("s", "status")
    ledger.told("s", available=50, waiting=9)
    verdict = check_linearizable(ledger.history, ledger.sale, most_states=100)
    assert verdict.answer == "undecided"
    assert not verdict.is_linearizable


def test_a_booking_id_that_no_answer_told_of_leaves_it_open() -> None:
    ledger = Ledger(total=2)
    ledger.ask("a", "book", ANA)
    ledger.lost("a")
    ledger.ask("r", "booking", ANA, booking_id=booking_id("whose?"))
    ledger.told("r", status="confirmed")
    assert judged(ledger).answer == "undecided"
