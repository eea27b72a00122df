"""Charges and refunds: what is written of them, what is loaded under a lock, and which are still open."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.pay import Answer, complete_payment, start_payment
from boxoffice.domain.event import EventState
from boxoffice.domain.inventory import Inventory
from boxoffice.domain.payment import ChargeStatus, Payment, PaymentMethod, refund_of
from boxoffice.domain.replay import replay_booking
from boxoffice.domain.values.money import Money

from .box_office import NOW, BoxOffice, new_id, payment_command, settling_command

SECOND = timedelta(seconds=1)
DEAR = Money(100_000_000, "EUR")


async def priced(office: BoxOffice, total: int = 10) -> EventState:
    return await office.initialize(total, price=Money(2_500, "EUR"), payment_window_minutes=15)


async def locked(office: BoxOffice, booking: Booking, *, payments: bool = True) -> Inventory:
    needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, payments=payments)
    async with office.storage.begin() as unit_of_work:
        return (await unit_of_work.events.lock([needs]))[booking.event_id]


async def stored(office: BoxOffice, booking: Booking) -> Booking:
    found = await office.storage.booking_queries.booking(booking.id)
    assert found is not None
    return found.booking


async def test_every_field_of_a_charge_comes_back(office: BoxOffice) -> None:
    state = await office.initialize(1_000, price=DEAR, max_tickets_per_customer=1_000, payment_window_minutes=1)
    booking = await office.book(state, quantity=1_000)
    started = await office.start_payment(booking, key="!~Key" + "k" * 250, now=NOW + timedelta(microseconds=7))
    payment = started.payment
    assert payment.amount == Money(100_000_000_000, "EUR")
    assert (payment.status, payment.settled_at) == (ChargeStatus.PENDING, None)
    assert await office.storage.payment_queries.payments(booking.id) == [payment]
    assert (await locked(office, booking)).payments == (payment,)
    assert (await locked(office, booking)).bookings == (booking,)

    settled = await office.complete_payment(payment, now=NOW + SECOND)
    assert settled.payment == replace(payment, status=ChargeStatus.SUCCEEDED, settled_at=NOW + SECOND, ask_at=None)
    assert await office.storage.payment_queries.payments(booking.id) == [settled.payment]
    assert (await locked(office, booking)).payments == (settled.payment,)


async def test_what_paid_a_booking_is_kept_with_it(office: BoxOffice) -> None:
    state = await priced(office)
    by_card, in_cash = await office.book(state), await office.book(state)
    paid = [
        await office.pay(by_card, now=NOW + SECOND),
        (await office.start_payment(in_cash, method=PaymentMethod.CASH)).booking,
    ]
    assert [each.paid_with for each in paid] == [PaymentMethod.CARD, PaymentMethod.CASH]
    for each in paid:
        charge = (await office.storage.payment_queries.payments(each.id))[0]
        assert (each.status, each.payment_status) == (BookingStatus.CONFIRMED, PaymentStatus.TAKEN)
        assert (each.paid_by, each.paid_with) == (charge.id, charge.method)
        assert await stored(office, each) == each
        assert (await locked(office, each)).bookings == (each,)


async def test_a_refund_stands_behind_its_charge(office: BoxOffice) -> None:
    paid = await office.pay(await office.book(await priced(office)))
    cancelled = await office.cancel(paid, now=NOW + SECOND)
    assert await stored(office, paid) == cancelled
    charge, refund = await office.storage.payment_queries.payments(paid.id)
    assert refund.id == refund_of(charge.id)
    assert await office.storage.payment_queries.open_payments(NOW + SECOND, 9) == [refund]
    waiting = (await office.complete_payment(refund, Answer.SILENT, now=NOW + SECOND)).payment
    assert waiting.attempts == 1
    assert await office.storage.payment_queries.payments(paid.id) == [charge, waiting]
    done = await office.complete_payment(waiting, now=NOW + 2 * SECOND)
    assert await office.storage.payment_queries.payments(paid.id) == [charge, done.payment]
    assert await stored(office, paid) == done.booking
    assert done.booking.payment_status is PaymentStatus.REFUNDED
    assert await office.storage.payment_queries.open_payments(NOW + timedelta(days=1), 9) == []


async def test_facts_of_money_come_back_and_tell_the_booking(office: BoxOffice) -> None:
    state = await priced(office)
    declined = await office.book(state)
    failed = await office.complete_payment((await office.start_payment(declined)).payment, Answer.DECLINED)
    paid = await office.pay(await office.book(state))
    await office.cancel(paid, now=NOW + SECOND)
    refunded = (await office.complete_payment((await office.storage.payment_queries.payments(paid.id))[1])).booking
    told = await office.storage.event_queries.facts(state.event.id, 1, 99)
    for booking, kinds in [
        (failed.booking, ["TicketsBooked", "PaymentStarted", "PaymentFailed"]),
        (refunded, ["TicketsBooked", "PaymentStarted", "PaymentTaken", "BookingCancelled", "PaymentRefunded"]),
    ]:
        own = [fact for fact in told if fact.booking_id == booking.id]
        assert [fact.kind for fact in own] == kinds
        assert replay_booking(own) == booking == await stored(office, booking)


async def test_payments_are_loaded_where_they_are_needed(office: BoxOffice) -> None:
    state, other = await priced(office), await priced(office)
    bookings = [await office.book(each) for each in (state, state, other)]
    charges = [(await office.start_payment(each)).payment for each in bookings]
    assert (await locked(office, bookings[0], payments=False)).payments == ()
    needs = [
        LoadSpec(event_id=state.event.id, booking_id=bookings[0].id, payments=True),
        LoadSpec(event_id=state.event.id, booking_id=bookings[1].id),
        LoadSpec(event_id=other.event.id, booking_id=bookings[2].id, payments=True),
        # Of another event, and of nobody.
        LoadSpec(event_id=other.event.id, booking_id=bookings[1].id, payments=True),
        LoadSpec(event_id=other.event.id, booking_id=new_id(), payments=True),
        LoadSpec(event_id=other.event.id, customer_id=bookings[2].customer_id, payments=True),
    ]
    async with office.storage.begin() as unit_of_work:
        found = await unit_of_work.events.lock(needs)
    assert found[state.event.id].payments == (charges[0],)
    assert found[other.event.id].payments == (charges[2],)


async def test_who_tried_a_charge_last_is_kept(office: BoxOffice) -> None:
    booking = await office.book(await priced(office))
    first = (await office.start_payment(booking)).payment
    await office.complete_payment(first, Answer.SILENT)
    second = (await office.start_payment(booking, now=NOW + SECOND)).payment
    assert (second.id, second.tried_at) == (first.id, NOW + SECOND)
    assert second.tried_by not in (None, first.tried_by)
    assert await office.storage.payment_queries.payments(booking.id) == [second]
    assert (await locked(office, booking)).payments == (second,)


async def test_begun_and_settled_in_one_transaction(office: BoxOffice) -> None:
    booking = await office.book(await priced(office))
    command = payment_command(booking)
    async with office.storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, payments=True)
        inventory = (await unit_of_work.events.lock([needs]))[booking.event_id]
        started = start_payment(inventory, command, NOW)
        payment = started.outcome.payment
        inventory = replace(started.inventory, payments=(payment,))
        settled = complete_payment(inventory, settling_command(payment), NOW)
        await unit_of_work.events.save([started, settled], new_id())
        await unit_of_work.commit()
    assert await office.storage.payment_queries.payments(booking.id) == [settled.outcome.payment]
    assert (await stored(office, booking)).paid_by == payment.id


async def test_many_settled_in_one_transaction_each_with_its_own(office: BoxOffice) -> None:
    state = await priced(office, 60)
    bookings = await office.book_many(state, [1] * 60)
    charges = [(await office.start_payment(each)).payment for each in bookings[:40]]
    answers = [Answer.DECLINED if number % 4 == 0 else Answer.DONE for number in range(40)]
    async with office.storage.begin() as unit_of_work:
        needs = [LoadSpec(event_id=state.event.id, booking_id=each.booking_id, payments=True) for each in charges]
        inventory = seen = (await unit_of_work.events.lock(needs))[state.event.id]
        decisions = []
        for charge, answer in zip(charges, answers, strict=True):
            inventory = replace(inventory, bookings=seen.bookings, payments=seen.payments)
            decisions.append(complete_payment(inventory, settling_command(charge, answer), NOW + SECOND))
            inventory = decisions[-1].inventory
        await unit_of_work.events.save(decisions, new_id())
        await unit_of_work.commit()
    for decision in decisions:
        assert await stored(office, decision.outcome.booking) == decision.outcome.booking
        assert await office.storage.payment_queries.payments(decision.outcome.booking.id) == [decision.outcome.payment]
    assert await stored(office, bookings[40]) == bookings[40]
    assert (await office.read(state)).event == decisions[-1].inventory.event


async def test_a_payment_that_stands_already_conflicts(office: BoxOffice) -> None:
    booking = await office.book(await priced(office))
    command = payment_command(booking)
    # Nobody loads what was paid already.
    blind = LoadSpec(event_id=booking.event_id, booking_id=booking.id)
    await office.decide(blind, lambda inventory: start_payment(inventory, command, NOW))
    with pytest.raises(Conflict):
        await office.decide(blind, lambda inventory: start_payment(inventory, command, NOW))
    assert len(await office.storage.payment_queries.payments(booking.id)) == 1


async def test_what_is_not_committed_was_not_paid(office: BoxOffice) -> None:
    booking = await office.book(await priced(office))
    await office.start_payment(booking, commits=False)
    assert await office.storage.payment_queries.payments(booking.id) == []
    assert await office.storage.payment_queries.open_payments(NOW + timedelta(days=1), 9) == []
    assert (await locked(office, booking)).payments == ()


async def test_open_payments_that_waited_longest_come_first(office: BoxOffice) -> None:
    state = await priced(office)
    charges: list[Payment] = []
    for delay in (3, 1, 2, 1):
        attempt = await office.start_payment(await office.book(state), now=NOW + delay * SECOND)
        charges.append(attempt.payment)
    await office.complete_payment((await office.start_payment(await office.book(state))).payment)
    in_order = [charges[1], charges[3], charges[2], charges[0]]
    later = NOW + timedelta(minutes=1)
    assert await office.storage.payment_queries.open_payments(later, 9) == in_order
    assert await office.storage.payment_queries.open_payments(later, 3) == in_order[:3]
    ask_at = charges[1].ask_at
    assert ask_at is not None
    assert await office.storage.payment_queries.open_payments(ask_at, 9) == in_order[:2]
    assert await office.storage.payment_queries.open_payments(ask_at - timedelta(microseconds=1), 9) == []
    assert await office.storage.payment_queries.payments(new_id()) == []
