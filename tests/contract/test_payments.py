"""Charges and refunds: what is stored, what is loaded under a lock, and which are still open."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.observability import Backlog
from boxoffice.domain.booking import Booking, PaymentStatus
from boxoffice.domain.decisions.payments.notices import NoticeKind, PaymentNotice, RecordNotice, record_notice
from boxoffice.domain.decisions.payments.pay import Answer, complete_payment, start_payment
from boxoffice.domain.decisions.payments.refunds import GrantRefund, SettleRefund, grant_refund, settle_refund
from boxoffice.domain.inventory import Inventory
from boxoffice.domain.payment import OVERDUE, ChargeStatus, DisputeStatus, Need, Payment, PaymentMethod
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.values.money import Money
from tests.settable_clock import SettableClock

from .storage_driver import NOW, ORGANIZER, StorageDriver, new_id, payment_command, settling_command

SECOND = timedelta(seconds=1)


async def locked(driver: StorageDriver, booking: Booking, *, payments: bool = True) -> Inventory:
    needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, payments=payments)
    async with driver.storage.begin() as unit_of_work:
        return (await unit_of_work.events.lock([needs]))[booking.event_id]


async def test_every_field_of_a_charge_comes_back(driver: StorageDriver) -> None:
    dear = Money(100_000_000, "EUR")
    state = await driver.initialize_priced(1_000, price=dear, max_tickets_per_customer=1_000)
    booking = await driver.book(state, quantity=1_000)
    started = await driver.start_payment(booking, key="!~Key" + "k" * 250, now=NOW + timedelta(microseconds=7))
    payment = started.payment
    assert payment.amount == Money(100_000_000_000, "EUR")
    settled = replace(payment, status=ChargeStatus.SUCCEEDED, settled_at=NOW + SECOND, ask_at=None)
    for expected in (payment, settled):
        assert await driver.storage.payment_queries.payments(booking.id) == [expected]
        assert (await locked(driver, booking)).payments == (expected,)
        assert (await locked(driver, booking)).bookings == (await driver.stored(booking),)
        if expected is payment:
            assert (await driver.complete_payment(payment, now=NOW + SECOND)).payment == settled


async def test_a_charge_that_waits_for_its_customer_is_found_by_the_providers_id(driver: StorageDriver) -> None:
    bookings = await driver.book_many(await driver.initialize_priced(2), [1] * 2)
    queries = driver.storage.payment_queries
    for booking in bookings:
        payment = (await driver.start_payment(booking)).payment
        assert await queries.charge_of_provider(f"pi_{booking.id}") is None
        for answer in (Answer.ACTION_REQUIRED, Answer.DONE):
            kept = (await driver.complete_payment(payment, answer, provider_id=f"pi_{booking.id}")).payment
            assert (kept.awaits_customer, kept.provider_id) == (answer is Answer.ACTION_REQUIRED, f"pi_{booking.id}")
            assert await queries.payments(booking.id) == [kept]
            assert (await locked(driver, booking)).payments == (kept,)
            assert await queries.charge_of_provider(f"pi_{booking.id}") == payment.id
    assert await queries.charge_of_provider("pi") is None


async def test_payments_are_loaded_where_they_are_needed(driver: StorageDriver) -> None:
    state, other = await driver.initialize_priced(9), await driver.initialize_priced(9)
    bookings = [await driver.book(each) for each in (state, state, other)]
    charges = [(await driver.start_payment(each)).payment for each in bookings]
    assert (await locked(driver, bookings[0], payments=False)).payments == ()
    needs = [
        LoadSpec(event_id=state.event.id, booking_id=bookings[0].id, payments=True),
        LoadSpec(event_id=state.event.id, booking_id=bookings[1].id),
        LoadSpec(event_id=other.event.id, booking_id=bookings[2].id, payments=True),
        # Of another event, and of no booking.
        LoadSpec(event_id=other.event.id, booking_id=bookings[1].id, payments=True),
        LoadSpec(event_id=other.event.id, booking_id=new_id(), payments=True),
        LoadSpec(event_id=other.event.id, customer_id=bookings[2].customer_id, payments=True),
    ]
    async with driver.storage.begin() as unit_of_work:
        found = await unit_of_work.events.lock(needs)
    assert found[state.event.id].payments == (charges[0],)
    assert found[other.event.id].payments == (charges[2],)


async def test_many_are_settled_in_one_transaction_each_with_its_own_answer(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(60)
    bookings = await driver.book_many(state, [1] * 60)
    charges = [(await driver.start_payment(each)).payment for each in bookings[:40]]
    async with driver.storage.begin() as unit_of_work:
        needs = [LoadSpec(event_id=state.event.id, booking_id=each.booking_id, payments=True) for each in charges]
        inventory = seen = (await unit_of_work.events.lock(needs))[state.event.id]
        decisions = []
        for number, charge in enumerate(charges):
            inventory = replace(inventory, bookings=seen.bookings, payments=seen.payments)
            command = settling_command(charge, Answer.DONE if number % 4 else Answer.DECLINED)
            decisions.append(complete_payment(inventory, command, NOW + SECOND))
            inventory = decisions[-1].inventory
        await unit_of_work.events.save(decisions, new_id())
        await unit_of_work.commit()
    for decision in decisions:
        assert await driver.stored(decision.outcome.booking) == decision.outcome.booking
        assert await driver.storage.payment_queries.payments(decision.outcome.booking.id) == [decision.outcome.payment]
    assert await driver.stored(bookings[40]) == bookings[40]


async def test_a_second_payment_with_the_same_id_conflicts(driver: StorageDriver) -> None:
    booking = await driver.book(await driver.initialize_priced(1))
    command = payment_command(booking)
    # What was paid already is not loaded.
    blind = LoadSpec(event_id=booking.event_id, booking_id=booking.id)
    await driver.decide(blind, lambda inventory: start_payment(inventory, command, NOW))
    with pytest.raises(Conflict):
        await driver.decide(blind, lambda inventory: start_payment(inventory, command, NOW))
    assert len(await driver.storage.payment_queries.payments(booking.id)) == 1


async def test_open_payments_that_waited_longest_come_first(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(9)
    charges: list[Payment] = []
    for delay in (3, 1, 2, 1):
        attempt = await driver.start_payment(await driver.book(state), now=NOW + delay * SECOND)
        charges.append(attempt.payment)
    await driver.complete_payment((await driver.start_payment(await driver.book(state))).payment)
    await driver.start_payment(await driver.book(state), commits=False)
    in_order = [charges[1], charges[3], charges[2], charges[0]]
    later = NOW + timedelta(minutes=1)
    assert await driver.storage.payment_queries.open_payments(later, 9) == in_order
    assert await driver.storage.payment_queries.open_payments(later, 3) == in_order[:3]
    ask_at = charges[1].ask_at
    assert ask_at is not None
    assert await driver.storage.payment_queries.open_payments(ask_at, 9) == in_order[:2]
    assert await driver.storage.payment_queries.open_payments(ask_at - timedelta(microseconds=1), 9) == []
    assert await driver.storage.payment_queries.payments(new_id()) == []


async def grant(driver: StorageDriver, booking: Booking, amount: int, *, now: datetime = NOW) -> Payment:
    """A refund of a part of a payment, as the organizer."""
    command = GrantRefund(
        refund_id=new_id(),
        booking_id=booking.id,
        event_id=booking.event_id,
        actor=ORGANIZER,
        amount=Money(amount, "EUR"),
        reason="Pfeiler \u2019 vor \\ der 'Bühne'",
    )
    needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, payments=True)
    return await driver.decide(needs, lambda inventory: grant_refund(inventory, command, now), now=now)


async def notice(driver: StorageDriver, payment: Payment, kind: NoticeKind, *, at: datetime = NOW) -> None:
    """The provider tells something."""
    command = RecordNotice(
        notice=PaymentNotice(payment_id=payment.id, kind=kind, occurred_at=at),
        event_id=payment.event_id,
        booking_id=payment.booking_id,
        customer_id=new_id(),
    )
    needs = LoadSpec(event_id=payment.event_id, booking_id=payment.booking_id, payments=True)
    await driver.decide(needs, lambda inventory: record_notice(inventory, command, NOW), now=NOW)


async def cash_refund(driver: StorageDriver, state: EventState, *, now: datetime = NOW) -> Payment:
    """The refund that a cancelled booking, paid in cash, is owed."""
    booking = (await driver.start_payment(await driver.book(state), method=PaymentMethod.CASH, now=now)).booking
    await driver.cancel(booking, now=now)
    return (await driver.storage.payment_queries.payments(booking.id))[1]


async def test_every_field_of_a_refund_comes_back(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(9, price=Money(2_500, "EUR"), refund_fee_percent=10)
    booking = await driver.pay(await driver.book(state))
    refund = await grant(driver, booking, 700)
    assert (await driver.stored(booking)).kept == 1_800
    queries = driver.storage.payment_queries
    assert await queries.payment(refund.id) == refund
    assert await queries.payment(new_id()) is None
    await notice(driver, refund, NoticeKind.REFUND_FAILED, at=NOW + timedelta(microseconds=7))
    command = SettleRefund(
        payment_id=refund.id, booking_id=booking.id, event_id=booking.event_id, actor=ORGANIZER, note="Bar, \u00a77"
    )
    needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, payments=True)
    settled = await driver.decide(needs, lambda inventory: settle_refund(inventory, command, NOW))
    assert (settled.noticed_at, settled.note) == (NOW + timedelta(microseconds=7), "Bar, \u00a77")
    (charge,) = (each for each in await queries.payments(booking.id) if each.id != refund.id)
    await notice(driver, charge, NoticeKind.DISPUTE_LOST)
    assert (await locked(driver, booking)).payments == (
        replace(charge, dispute=DisputeStatus.LOST, noticed_at=NOW),
        settled,
    )
    stored = await driver.stored(booking)
    assert (stored.payment_status, stored.kept, stored.refund_fee_percent) == (PaymentStatus.DISPUTED, 0, 10)
    assert (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches == []


async def test_the_payments_of_an_event_come_by_id(driver: StorageDriver) -> None:
    state, other = await driver.initialize_priced(9), await driver.initialize_priced(9)
    await driver.pay(await driver.book(other))
    refund = await cash_refund(driver, state)
    failed = (await driver.complete_payment((await driver.start_payment(await driver.book(state))).payment)).payment
    pending = (await driver.start_payment(await driver.book(state))).payment
    (charge, _) = await driver.storage.payment_queries.payments(refund.booking_id)
    in_order = sorted([charge, refund, failed, pending], key=lambda each: each.id, reverse=True)
    read = driver.storage.payment_queries.payments_of_event
    assert await read(state.event.id, None, None, 9) == in_order
    assert await read(state.event.id, None, in_order[1].id, 1) == in_order[2:3]
    open_ones = [each for each in in_order if each.status is ChargeStatus.PENDING]
    assert await read(state.event.id, ChargeStatus.PENDING, None, 9) == open_ones
    assert await read(state.event.id, ChargeStatus.PENDING, open_ones[0].id, 9) == open_ones[1:]
    assert await read(new_id(), None, None, 9) == []


async def test_payments_that_need_a_person_are_found_and_counted(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(99)
    queries, statistics = driver.storage.payment_queries, driver.storage.statistics
    assert await statistics.payments_due(NOW) == {need: Backlog(0, None) for need in Need}
    cash = [await cash_refund(driver, state, now=NOW + number * SECOND) for number in range(3)]
    failed = await grant(driver, await driver.pay(await driver.book(state)), 1)
    await driver.complete_payment(failed, Answer.FAILED, now=NOW + SECOND)
    disputed, lost = [await driver.pay(await driver.book(state)) for _ in range(2)]
    parked = [await grant(driver, each, 1) for each in (disputed, lost)]
    charges = [(await queries.payments(each.id))[0] for each in (disputed, lost)]
    await notice(driver, charges[0], NoticeKind.DISPUTE_OPENED, at=NOW - SECOND)
    await notice(driver, charges[1], NoticeKind.DISPUTE_LOST)
    pending = (await driver.start_payment(await driver.book(state))).payment
    await driver.complete_payment((await driver.start_payment(await driver.book(state))).payment, Answer.DECLINED)
    later = NOW + OVERDUE

    async def needing(need: Need, after: UUID | None = None, limit: int = 9) -> list[UUID]:
        return [each.id for each in await queries.needing_payments(need, later, after, limit)]

    by_id = sorted(each.id for each in cash)
    assert await needing(Need.CASH) == by_id
    assert await needing(Need.CASH, by_id[0], 1) == by_id[1:2]
    assert await needing(Need.REFUND_FAILED) == [failed.id]
    assert await needing(Need.DISPUTED) == [charges[0].id]
    assert await needing(Need.PENDING) == [pending.id]
    assert await queries.needing_payments(Need.PENDING, later - timedelta(microseconds=1), None, 9) == []
    assert await statistics.payments_due(later) == {
        Need.CASH: Backlog(3, NOW),
        Need.REFUND_FAILED: Backlog(1, NOW + SECOND),
        Need.DISPUTED: Backlog(1, NOW - SECOND),
        Need.PENDING: Backlog(1, NOW),
    }
    found = [each for booking in (disputed, lost) for each in await queries.payments(booking.id)]
    assert {each.id for each in found} == {each.id for each in (*charges, *parked)}
    assert (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches == []
