"""Histories written by hand: the right ones are accepted, the wrong ones are refused for the right reason."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.idempotency import Response
from boxoffice.domain.booking import BookingStatus
from boxoffice.entrypoints.harness.history import History, check_promises
from tests.histories.ledger import ANA, BEN, CLEO, DAN, EVENT, KIND, Ledger, booking_id, rules


def test_a_busy_day_is_right() -> None:
    ledger = Ledger(total=2)
    ledger.booked("a", ANA)
    ledger.booked("b", BEN)
    ledger.joined("c", CLEO, quantity=2)
    ledger.book("d", DAN)
    ledger.waits("d", DAN)
    ledger.lost("d")
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.told("x", status="cancelled", promoted=0)
    ledger.ask("s", "status")
    ledger.told("s", available=1, waiting=2)
    ledger.cancel("y", "b", BEN)
    ledger.ends("b")
    ledger.promotes("c")
    ledger.told("y", status="cancelled", promoted=1)
    ledger.ask("t", "total", ticket_type_id=KIND, quantity=3)
    ledger.grows(3)
    ledger.promotes("d")
    ledger.told("t")
    ledger.ask("r", "booking", booking_id=booking_id("d"))
    ledger.told("r", status="confirmed")
    assert ledger.breaches() == []


# What was acknowledged is there (promise 2).


def test_a_lost_booking() -> None:
    ledger = Ledger()
    ledger.book("a", ANA)
    ledger.told("a", status="confirmed")
    assert ledger.broken() == {(2, "lost")}


def test_a_booking_that_vanished_from_the_rows_alone() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    del ledger.bookings[booking_id("a")]
    assert ledger.broken() == {(2, "lost"), (1, "counters")}


def test_an_event_that_vanished() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    stored = replace(ledger.stored(), events={}, facts={}, bookings={})
    assert rules(check_promises(ledger.history, stored)) == {(2, "lost")}


def test_a_cancellation_that_did_not_happen() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.cancel("x", "a", ANA)
    ledger.told("x", status="cancelled", promoted=0)
    assert ledger.broken() == {(2, "lost")}


@pytest.mark.parametrize(("customer", "quantity"), [(ANA, 2), (BEN, 1)])
def test_a_booking_that_is_not_the_one_that_was_asked_for(customer: UUID, quantity: int) -> None:
    ledger = Ledger()
    ledger.book("a", ANA)
    ledger.takes("a", customer, quantity)
    ledger.told("a", status="confirmed")
    assert ledger.broken() == {(2, "altered")}


def test_another_status_than_was_told() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.book("b", BEN)
    ledger.waits("b", BEN)
    ledger.told("b", status="confirmed")
    assert ledger.broken() == {(2, "altered")}


def test_another_position_than_was_told() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN, position=2)
    assert ledger.broken() == {(5, "position")}


def test_another_number_of_promoted_than_was_told() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.promotes("b")
    ledger.told("x", promoted=0)
    assert ledger.broken() == {(2, "altered")}


def test_a_history_that_was_rewritten() -> None:
    ledger = Ledger()
    ledger.takes("a", ANA)
    before = ledger.stored()
    assert ledger.broken(before=before) == set()
    ledger.facts[1] = replace(ledger.facts[1], occurred_at=ledger.facts[0].occurred_at)
    assert ledger.broken(before=before) == {(2, "rewritten")}


# Nothing happened that nobody asked for, and a refusal left nothing behind (promise 2).


def test_a_booking_that_nobody_asked_for() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.takes("b", BEN)
    assert ledger.broken() == {(2, "unasked")}


def test_the_effect_of_a_failed_booking() -> None:
    ledger = Ledger()
    ledger.book("a", ANA)
    ledger.takes("a", ANA)
    ledger.refused("a", "limit-exceeded")
    assert ledger.broken() == {(2, "failed")}


def test_the_effect_of_a_failed_cancellation() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.refused("x", "cancellation-closed")
    assert ledger.broken() == {(2, "failed")}


def test_a_cancellation_that_nobody_asked_for() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.ends("a")
    assert ledger.broken() == {(2, "unasked")}


def test_a_booking_that_ended_with_an_open_event() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.ends("a", by="event")
    assert (2, "unasked") in ledger.broken()


def test_a_change_that_nobody_asked_for_and_one_that_was_refused() -> None:
    ledger = Ledger()
    ledger.grows(5)
    assert ledger.broken() == {(2, "unasked")}
    ledger = Ledger()
    ledger.ask("t", "total", ticket_type_id=KIND, quantity=5)
    ledger.grows(5)
    ledger.refused("t", "capacity-below-taken")
    assert ledger.broken() == {(2, "failed")}


def test_a_change_that_happened_twice() -> None:
    ledger = Ledger()
    for number in "12":
        ledger.ask(f"p{number}", "pause")
        ledger.becomes(status="paused")
        ledger.told(f"p{number}")
    ledger.ask("r", "resume")
    ledger.becomes(status="on_sale")
    ledger.becomes(status="paused")
    ledger.becomes(status="on_sale")
    ledger.told("r")
    assert ledger.broken() == {(2, "unasked")}


def test_unknown_may_have_happened_or_not() -> None:
    for has_happened in (True, False):
        ledger = Ledger()
        ledger.book("a", ANA)
        if has_happened:
            ledger.takes("a", ANA)
        ledger.lost("a")
        assert ledger.breaches() == []


def test_unknown_happened_twice() -> None:
    ledger = Ledger(total=4)
    ledger.ask("a", "book", ANA, quantity=1)
    ledger.takes("one", ANA)
    ledger.lost("a")
    assert ledger.breaches() == []
    ledger.ask("x", "cancel", ANA, booking_id=booking_id("one"))
    ledger.ends("one")
    ledger.told("x")
    ledger.takes("two", ANA)
    assert ledger.broken() == {(2, "unasked")}


def test_a_lost_cancellation_may_explain_one_only() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.ask("x", "cancel", ANA)
    ledger.ends("a")
    ledger.lost("x")
    assert ledger.breaches() == []
    ledger.booked("b", ANA)
    ledger.ends("b")
    assert ledger.broken() == {(2, "unasked")}


# Tickets (promises 1 and 4).


def test_more_tickets_than_there_are() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.booked("b", BEN)
    assert ledger.broken() == {(1, "oversold")}


def test_more_tickets_than_there_are_for_a_moment() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.booked("b", BEN)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.told("x", promoted=0)
    assert ledger.broken() == {(1, "oversold")}


def test_counters_that_are_wrong() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    stored = ledger.stored()
    state = stored.events[EVENT]
    (kind,) = state.ticket_types
    stored.events[EVENT] = replace(state, ticket_types=(replace(kind, taken=0),))
    assert rules(check_promises(ledger.history, stored)) == {(1, "counters")}


def test_a_booking_that_its_facts_do_not_tell_of() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger._move("a", BookingStatus.EXPIRED)
    assert ledger.broken() == {(1, "counters"), (7, "booking")}


def test_freed_twice() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    for number in "12":
        ledger.cancel(f"x{number}", "a", ANA)
        ledger.ends("a")
        ledger.told(f"x{number}", status="cancelled", promoted=0)
    assert (4, "freed twice") in ledger.broken()


def test_two_cancellations_were_acknowledged_and_one_happened() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.cancel("x", "a", ANA)
    ledger.cancel("y", "a", ANA)
    ledger.ends("a")
    ledger.told("x", status="cancelled", promoted=0)
    ledger.told("y", status="cancelled", promoted=0)
    assert ledger.broken() == {(4, "freed twice")}


def test_a_hold_that_lapsed_before_its_time() -> None:
    for seconds, broken in ((0.5, set[tuple[int, str]]()), (60.0, {(2, "lapsed early")})):
        ledger = Ledger()
        ledger.book("a", ANA)
        ledger.takes("a", ANA, until=seconds)
        ledger.told("a", status="held")
        ledger.lapses("a")
        assert ledger.broken() == broken


# The line (promises 5 and 6).


def test_a_newcomer_who_overtook_the_line() -> None:
    ledger = Ledger(total=2)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN, quantity=2)
    ledger.booked("c", CLEO)
    assert ledger.broken() == {(5, "overtaken")}


def test_under_fill_a_newcomer_may_take_what_fits_nobody() -> None:
    ledger = Ledger(total=2, policy="fill")
    ledger.booked("a", ANA)
    ledger.joined("b", BEN, quantity=2)
    ledger.booked("c", CLEO)
    assert ledger.breaches() == []


def test_somebody_was_promoted_out_of_turn() -> None:
    for policy in ("strict", "fill"):
        ledger = Ledger(total=1, policy=policy)
        ledger.booked("a", ANA)
        ledger.joined("b", BEN)
        ledger.joined("c", CLEO, position=2)
        ledger.cancel("x", "a", ANA)
        ledger.ends("a")
        ledger.promotes("c")
        ledger.told("x", promoted=1)
        assert ledger.broken() == {(5, "overtaken")}


def test_under_fill_the_first_that_fits_is_served() -> None:
    ledger = Ledger(total=2, policy="fill")
    ledger.booked("a", ANA)
    ledger.booked("b", BEN)
    ledger.joined("c", CLEO, quantity=2)
    ledger.joined("d", DAN, position=2)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.promotes("d")
    ledger.told("x", promoted=1)
    assert ledger.breaches() == []
    strict = Ledger(total=2)
    strict.facts[1:], strict.bookings, strict.history = ledger.facts[1:], ledger.bookings, ledger.history
    assert (5, "overtaken") in strict.broken()


def test_whoever_was_told_first_stands_first() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.book("b", BEN)
    ledger.waits("c", CLEO)
    ledger.waits("b", BEN)
    ledger.told("b", status="waitlisted", position=2)
    ledger.book("c", CLEO)
    ledger.told("c", status="waitlisted", position=1)
    assert ledger.broken() == {(5, "order")}


def test_queue_numbers_only_grow() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.book("b", BEN)
    ledger.waits("b", BEN, number=7)
    ledger.told("b", position=1)
    ledger.book("c", CLEO)
    ledger.waits("c", CLEO, number=3)
    ledger.told("c", position=2)
    assert ledger.broken() == {(5, "order")}


def test_waiting_although_tickets_are_free() -> None:
    ledger = Ledger(total=2)
    ledger.joined("a", ANA)
    assert ledger.broken() == {(6, "needless"), (6, "idle")}


def test_a_freed_ticket_that_idles() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.told("x", promoted=0)
    assert ledger.broken() == {(6, "idle")}


def test_a_freed_ticket_that_idled_for_a_moment() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.promotes("b", later=True)
    ledger.told("x", promoted=0)
    assert ledger.broken() == {(6, "idle")}


def test_nobody_is_served_while_the_event_is_paused() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)
    ledger.ask("p", "pause")
    ledger.becomes(status="paused")
    ledger.told("p")
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.told("x", promoted=0)
    assert ledger.breaches() == []
    ledger.ask("r", "resume")
    ledger.becomes(status="on_sale")
    assert ledger.broken() == {(6, "idle")}
    ledger.promotes("b")
    ledger.told("r")
    assert ledger.breaches() == []


def test_a_promotion_while_the_event_is_paused() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)
    ledger.ask("p", "pause")
    ledger.becomes(status="paused")
    ledger.told("p")
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.promotes("b")
    ledger.told("x", promoted=1)
    assert ledger.broken() == {(5, "closed")}


def test_a_booking_while_the_event_is_paused() -> None:
    ledger = Ledger(total=1)
    ledger.ask("p", "pause")
    ledger.becomes(status="paused")
    ledger.told("p")
    ledger.booked("a", ANA)
    assert ledger.broken() == {(5, "closed")}


def test_what_did_not_go_into_one_step_may_follow() -> None:
    """Nobody idles as long as a whole step was done before; a step that was not whole is no excuse."""
    for step, broken in ((2, set[tuple[int, str]]()), (3, {(6, "idle")})):
        ledger = Ledger(total=1)
        ledger.booked("a", ANA)
        for number, customer in enumerate((BEN, CLEO, DAN), start=1):
            ledger.joined(f"w{number}", customer, position=number)
        ledger.ask("t", "total", ticket_type_id=KIND, quantity=4)
        ledger.grows(4)
        ledger.promotes("w1")
        ledger.promotes("w2")
        ledger.told("t")
        ledger.is_unsettled = True
        assert ledger.broken(step=step) == broken
        ledger.promotes("w3", later=True)
        ledger.is_unsettled = False
        assert ledger.broken(step=step) == broken


# Once (promise 3).


def test_two_live_bookings_of_one_customer() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.booked("b", ANA)
    assert ledger.broken() == {(3, "two live")}


def test_more_tickets_than_a_customer_may_have() -> None:
    ledger = Ledger(total=5, limit=2)
    ledger.booked("a", ANA, quantity=3)
    assert ledger.broken() == {(3, "limit")}


def test_more_tickets_than_there_will_ever_be() -> None:
    ledger = Ledger(total=2)
    ledger.joined("a", ANA, quantity=3)
    assert ledger.broken() == {(1, "capacity")}


def keyed(first: str, second: str, *, is_kept: bool = True) -> Ledger:
    """One request, sent twice with one key; the bookings of these names answer."""
    ledger = Ledger(total=4)
    for operation, name in (("1", first), ("2", second)):
        ledger.ask(operation, "book", ANA, key="k")
        if booking_id(name) not in ledger.bookings:
            ledger.takes(name, ANA)
        ledger.told(operation, status="confirmed", booking_id=booking_id(name))
    if is_kept:
        ledger.remembered[ANA, "k"] = Response(b"", booking_id(first))
    return ledger


def test_one_effect_of_one_key() -> None:
    assert keyed("a", "a").breaches() == []


def test_two_effects_of_one_key() -> None:
    assert {(3, "twice"), (3, "key")} <= keyed("a", "b").broken()


def test_a_key_that_is_forgotten() -> None:
    assert keyed("a", "a", is_kept=False).broken() == {(3, "forgotten")}


def test_a_key_that_remembers_something_else() -> None:
    ledger = keyed("a", "a")
    ledger.remembered[ANA, "k"] = Response(b"", UUID(int=77))
    assert ledger.broken() == {(3, "key")}


def test_a_lost_answer_is_remembered_with_its_effect() -> None:
    ledger = Ledger()
    ledger.book("a", ANA, key="k")
    ledger.takes("a", ANA)
    ledger.lost("a")
    assert ledger.broken() == {(3, "forgotten")}


def test_a_key_that_was_answered_twice_and_differently() -> None:
    ledger = keyed("a", "a")
    ledger.ask("3", "book", ANA, key="k")
    ledger.refused("3", "already-booked")
    assert ledger.broken() == {(3, "key")}


def test_a_key_that_served_two_requests() -> None:
    ledger = keyed("a", "a")
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.told("x", promoted=0)
    ledger.ask("3", "book", ANA, key="k", quantity=2)
    ledger.takes("b", ANA, quantity=2)
    ledger.told("3", status="confirmed", booking_id=booking_id("b"))
    assert (3, "key") in ledger.broken()


def test_one_booking_that_answers_two_customers_requests() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.ask("2", "book", ANA)
    ledger.told("2", status="confirmed", booking_id=booking_id("a"))
    assert (3, "twice") in ledger.broken()


# What was read, and what was refused, was so (promise 2).


def test_a_stale_read() -> None:
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.ask("s", "status")
    ledger.told("s", available=2, waiting=0)
    assert ledger.broken() == {(2, "stale")}


def test_a_read_may_see_what_happened_while_it_ran() -> None:
    for available in (2, 1):
        ledger = Ledger()
        ledger.ask("s", "status")
        ledger.booked("a", ANA)
        ledger.told("s", available=available)
        assert ledger.breaches() == []


def test_a_read_of_what_was_asked_for_only_afterwards() -> None:
    ledger = Ledger()
    ledger.ask("s", "status")
    ledger.told("s", available=1)
    ledger.booked("a", ANA)
    assert ledger.broken() == {(2, "stale")}


def test_reads_that_go_back_in_time() -> None:
    ledger = Ledger()
    ledger.book("a", ANA)
    ledger.takes("a", ANA)
    for number, available in enumerate((1, 2)):
        ledger.ask(f"s{number}", "status")
        ledger.told(f"s{number}", available=available)
    ledger.told("a", status="confirmed")
    assert ledger.broken() == {(2, "stale")}


def test_a_read_in_the_middle_of_a_decision() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.joined("b", BEN)
    ledger.cancel("x", "a", ANA)
    ledger.ask("s", "status")
    ledger.ends("a")
    ledger.promotes("b")
    ledger.told("x", promoted=1)
    ledger.told("s", available=1, waiting=1)
    assert ledger.broken() == {(2, "stale")}


def test_a_stale_read_of_a_booking_and_of_one_that_vanished() -> None:
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.cancel("x", "a", ANA)
    ledger.ends("a")
    ledger.told("x", promoted=0)
    ledger.ask("r", "booking", ANA, booking_id=booking_id("a"))
    ledger.told("r", status="confirmed")
    assert ledger.broken() == {(2, "stale")}
    ledger = Ledger(total=1)
    ledger.booked("a", ANA)
    ledger.ask("r", "booking", ANA, booking_id=booking_id("a"))
    ledger.refused("r", "not-found")
    assert ledger.broken() == {(2, "refused")}


def test_refusals_that_were_never_right() -> None:
    ledger = Ledger()
    ledger.book("a", ANA)
    ledger.refused("a", "already-booked")
    assert ledger.broken() == {(2, "refused")}
    ledger = Ledger()
    ledger.booked("a", ANA)
    ledger.cancel("x", "a", ANA)
    ledger.refused("x", "already-cancelled")
    assert ledger.broken() == {(2, "refused")}


def test_an_edit_that_was_acknowledged_and_is_not_there() -> None:
    ledger = Ledger()
    ledger.ask("t", "total", ticket_type_id=KIND, quantity=5)
    ledger.told("t")
    assert ledger.broken() == {(2, "stale")}


def test_facts_with_a_gap() -> None:
    ledger = Ledger(total=3)
    for name, customer in (("a", ANA), ("b", BEN)):
        ledger.booked(name, customer)
    ledger.facts[2] = replace(ledger.facts[2], seq=5)
    assert (7, "facts") in ledger.broken()


def test_nothing_asked_is_nothing_broken() -> None:
    assert check_promises(History(), Ledger().stored()) == []
