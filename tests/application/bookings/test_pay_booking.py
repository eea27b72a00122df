"""Paying, with the failures that can happen between the service and the provider."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.bookings.pay_booking import Bill, PaymentUnknown
from boxoffice.application.bookings.queries import ListPayments
from boxoffice.application.ports.errors import OutcomeUnknown, Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest
from boxoffice.application.ports.payments import ChargeReply
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.event import EventStatus
from boxoffice.domain.payment import UNDER_WAY, ChargeStatus, PaymentMethod
from boxoffice.domain.refusals import (
    NotFound,
    PaymentActionRequired,
    PaymentDeclined,
    PaymentNotDue,
    PaymentUnderWay,
    PaymentWindowClosed,
    RequestInProgress,
)
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, BEN, ORGANIZER, STRANGER, FakeApp, once

PRICE = Money(2_500, "EUR")


async def held(app: FakeApp, total_tickets: int = 1) -> tuple[UUID, Booking]:
    """An event whose tickets must be paid within half an hour, and Ana's hold."""
    event_id = await app.event(total_tickets, price=PRICE, payment_window_minutes=30)
    return event_id, await app.book(event_id, ANA)


async def stands(app: FakeApp, booking: Booking) -> tuple[str, str]:
    """The status of a booking and of its payment."""
    kept = await app.booking(booking.id)
    return kept.status.value, kept.payment_status.value


async def check_all(app: FakeApp) -> None:
    """No promise is broken, and the provider has exactly the stored charges and refunds."""
    await app.check_promises()
    ours = [each for payments in app.tables.payments.values() for each in payments.values()]
    done = {each.id for each in ours if each.status is ChargeStatus.SUCCEEDED}
    assert done & app.gateway.charges.keys() == {
        each for each, answer in app.gateway.charges.items() if answer is Answer.DONE
    }
    assert app.gateway.refunds.keys() == done & app.gateway.refunds.keys()


async def charging(
    app: FakeApp, booking: Booking, key: IdempotentRequest[Booking] | None = None
) -> tuple[Any, asyncio.Event]:
    """A payment whose charge waits for the returned gate."""
    reached, opened = app.gateway.gate()
    paying = asyncio.ensure_future(app.pay(booking, once=key))
    await reached.wait()
    return paying, opened


async def test_cash_never_reaches_the_provider(app: FakeApp) -> None:
    _, booking = await held(app)
    await app.pay(booking, "", ORGANIZER)
    assert await stands(app, booking) == ("confirmed", "taken")
    await app.cancel(booking)
    app.clock.time += timedelta(days=1)
    assert (await app.sweep()).payments == 0
    assert await stands(app, booking) == ("cancelled", "refund_pending")
    assert app.gateway.asked == []


async def test_only_visible_bookings_can_be_paid(app: FakeApp) -> None:
    _, booking = await held(app)
    with pytest.raises(NotFound):
        await app.pay(booking, actor=STRANGER)
    with pytest.raises(NotFound):
        await app.pay_booking(Bill(booking_id=app.ids.new(), actor=ANA, method=PaymentMethod.CARD))


@pytest.mark.parametrize("hears", [True, False])
async def test_after_no_answer_the_next_attempt_asks_before_it_charges(app: FakeApp, hears: bool) -> None:
    _, booking = await held(app)
    app.gateway.is_silent, app.gateway.hears = True, hears
    with pytest.raises(PaymentUnknown):
        await app.pay(booking)
    app.gateway.is_silent, app.gateway.hears = False, True
    await app.pay(booking)
    assert app.gateway.asked == ["charge", "find"] if hears else ["charge", "find", "charge"]
    assert len(app.gateway.charges) == 1
    await check_all(app)


async def test_a_retry_whose_commit_is_not_answered_does_not_wait_for_itself(app: FakeApp) -> None:
    _, booking = await held(app)
    app.gateway.is_silent = True
    with pytest.raises(PaymentUnknown):
        await app.pay(booking)
    app.gateway.is_silent = False
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    assert (await app.pay(booking)).status == "confirmed"
    assert app.pauses == []
    assert app.gateway.asked == ["charge", "find"]
    await check_all(app)


@pytest.mark.parametrize("was_charged", [True, False])
async def test_a_crash_before_the_answer_was_recorded_charges_once(app: FakeApp, was_charged: bool) -> None:
    _, booking = await held(app)
    reached, opened = app.gateway.gate()
    app.gateway.hears = was_charged
    paying = asyncio.ensure_future(app.pay(booking))
    await reached.wait()
    if was_charged:
        (payment,) = await app.storage.payment_queries.payments(booking.id)
        app.gateway.charges[payment.id] = Answer.DONE
    paying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await paying
    opened.set()
    after = FakeApp(app.storage, app.ids)
    after.gateway.charges = app.gateway.charges
    after.clock.time = app.clock.time + UNDER_WAY
    await after.sweep()
    assert await stands(after, booking) == (("confirmed", "taken") if was_charged else ("held", "due"))
    if not was_charged:
        after.clock.time += timedelta(seconds=5)
        await after.pay(booking)
    await check_all(after)


async def test_of_two_concurrent_payments_one_waits_and_finds_the_booking_paid(app: FakeApp) -> None:
    _, booking = await held(app)
    first, opened = await charging(app, booking)
    second = asyncio.ensure_future(app.pay(booking))
    await app.has_paused.wait()
    opened.set()
    assert (await first).payment_status == "taken"
    with pytest.raises(PaymentNotDue):
        await second
    assert app.gateway.asked == ["charge"]


async def test_a_payment_waits_for_another_one_for_five_seconds_at_most(app: FakeApp) -> None:
    _, booking = await held(app)
    first, opened = await charging(app, booking, once())
    with pytest.raises(PaymentUnderWay):
        await app.pay(booking)
    with pytest.raises(PaymentUnderWay):
        await app.pay(booking, once=once("another"))
    with pytest.raises(RequestInProgress):
        await app.pay(booking, once=once())
    assert sum(app.pauses) == pytest.approx(3 * 5)
    opened.set()
    await first


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_payment_that_succeeds_too_late_gets_tickets_or_a_refund(app: FakeApp, is_taken: bool) -> None:
    event_id, booking = await held(app)
    paying, opened = await charging(app, booking)
    app.clock.time += timedelta(hours=1)
    if is_taken:
        await app.book(event_id, BEN)
    opened.set()
    if is_taken:
        with pytest.raises(PaymentWindowClosed):
            await paying
    else:
        await paying
    await app.sweep()
    assert await stands(app, booking) == (("expired", "refunded") if is_taken else ("confirmed", "taken"))
    await check_all(app)


async def test_a_payment_for_a_booking_that_was_cancelled_is_refunded(app: FakeApp) -> None:
    _, booking = await held(app)
    paying, opened = await charging(app, booking)
    await app.cancel(booking)
    opened.set()
    with pytest.raises(PaymentNotDue):
        await paying
    await app.sweep()
    assert await stands(app, booking) == ("cancelled", "refunded")
    await check_all(app)


# A bank that asks for its customer.


async def asked(app: FakeApp, booking: Booking) -> None:
    """The customer is sent to the bank, with or without a key."""
    for key in (None, once()):
        with pytest.raises(PaymentActionRequired) as refusal:
            await app.pay(booking, "tok_action", once=key)
        assert refusal.value.members == {"next_action_url": "https://bank.example/"}


def authenticate(app: FakeApp) -> UUID:
    """The customer does what the bank wants. Returns the charge."""
    (charge,) = [each for each, answer in app.gateway.charges.items() if answer is Answer.ACTION_REQUIRED]
    app.gateway.charges[charge] = Answer.DONE
    return charge


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_customer_who_was_asked_for_pays_once(app: FakeApp, comes_back: bool) -> None:
    """Whether they send the payment again or not."""
    _, booking = await held(app)
    await asked(app, booking)
    assert await stands(app, booking) == ("held", "due")
    authenticate(app)
    if comes_back:
        assert (await app.pay(booking, once=once())).payment_status == "taken"
    else:
        app.clock.time += timedelta(seconds=2)
        await app.sweep()
    assert await stands(app, booking) == ("confirmed", "taken")
    (payment,) = await app.storage.payment_queries.payments(booking.id)
    assert payment.provider_id == f"at the provider: {payment.id}"
    await check_all(app)


async def test_a_failed_authentication_is_a_decline_and_another_card_may_pay(app: FakeApp) -> None:
    _, booking = await held(app)
    await asked(app, booking)
    app.gateway.charges[authenticate(app)] = Answer.DECLINED
    with pytest.raises(PaymentDeclined):
        await app.pay(booking)
    assert (await app.pay(booking)).payment_status == "taken"
    await check_all(app)


@pytest.mark.parametrize("crashes", [None, "before the end", "after the end"])
async def test_a_charge_whose_customer_never_comes_back_ends_with_the_hold(app: FakeApp, crashes: str | None) -> None:
    event_id, booking = await held(app)
    await asked(app, booking)
    second = await app.book(event_id, BEN)
    app.clock.time += timedelta(minutes=30)
    if crashes is not None:
        # The process ends before the provider was asked, or before its answer was recorded.
        app.gateway.is_silent = crashes == "before the end"
        app.faults.plan(Step.COMMIT, None, *[Unavailable()] * 9)
        with suppress(Unavailable):
            await app.sweep()
        after = FakeApp(app.storage, app.ids)
        after.gateway.charges = app.gateway.charges
        after.clock.time = app.clock.time + timedelta(seconds=10)
        app = after
    for _ in range(2):
        await app.sweep()
    assert await app.statuses([booking, second]) == ["expired", "held"]
    assert set(app.gateway.charges.values()) == {Answer.DECLINED}
    assert [each.status for each in await app.storage.payment_queries.payments(booking.id)] == [ChargeStatus.FAILED]
    await check_all(app)


@pytest.mark.parametrize("who_asks", ["sweep", "customer"])
async def test_a_customer_who_acts_after_the_hold_gets_the_money_back(app: FakeApp, who_asks: str) -> None:
    event_id, booking = await held(app)
    await asked(app, booking)
    await app.book(event_id, BEN)
    app.clock.time += timedelta(minutes=30)
    authenticate(app)
    if who_asks == "customer":
        with pytest.raises(PaymentWindowClosed):
            await app.pay(booking)
    for _ in range(2):
        await app.sweep()
    assert await stands(app, booking) == ("expired", "refunded")
    assert "cancel" not in app.gateway.asked
    await check_all(app)


async def test_a_customer_who_comes_back_too_late_without_acting_ends_the_charge(app: FakeApp) -> None:
    event_id, booking = await held(app)
    await asked(app, booking)
    await app.book(event_id, BEN)
    app.clock.time += timedelta(minutes=30)
    with pytest.raises(PaymentDeclined):
        await app.pay(booking)
    with pytest.raises(PaymentWindowClosed):
        await app.pay(booking)
    assert app.gateway.asked[-2:] == ["find", "cancel"]
    await check_all(app)


async def test_a_bank_without_an_address_leaves_the_outcome_unknown(
    app: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, booking = await held(app)

    async def asks(*_: object) -> ChargeReply:
        return ChargeReply(answer=Answer.ACTION_REQUIRED)

    monkeypatch.setattr(app.gateway, "charge", asks)
    with pytest.raises(PaymentUnknown):
        await app.pay(booking)


# The sweep.


async def test_the_sweep_gives_lapsed_holds_to_the_waiting_list(app: FakeApp) -> None:
    event_id, first = await held(app)
    second = await app.book(event_id, BEN)
    app.clock.time += timedelta(minutes=30)
    swept = await app.sweep()
    assert (swept.is_ours, swept.events) == (True, 1)
    assert await app.statuses([first, second]) == ["expired", "held"]
    assert (await app.sweep()).events == 0


async def test_one_process_at_a_time_sweeps(app: FakeApp) -> None:
    await held(app)
    other = FakeApp(app.storage, app.ids)
    assert (await app.sweep()).is_ours
    assert not (await other.sweep()).is_ours
    assert (await app.sweep()).is_ours
    other.clock.time += timedelta(seconds=4)
    assert (await other.sweep()).is_ours


async def test_refunds_are_tried_until_they_succeed(app: FakeApp) -> None:
    _, booking = await held(app)
    await app.pay(booking)
    await app.cancel(booking)
    app.gateway.is_silent = True
    await app.sweep()
    app.gateway.is_silent, app.gateway.refund_answer = False, Answer.DECLINED
    app.clock.time += timedelta(seconds=2)
    await app.sweep()
    assert await stands(app, booking) == ("cancelled", "refund_pending")
    app.gateway.refund_answer = Answer.DONE
    app.clock.time += timedelta(seconds=4)
    await app.sweep()
    assert await stands(app, booking) == ("cancelled", "refunded")
    assert (await app.sweep()).payments == 0
    await check_all(app)


async def test_a_cancelled_event_refunds_every_payment(app: FakeApp) -> None:
    event_id = await app.event(600, price=PRICE)
    bookings = await app.crowd(event_id, 600)
    await asyncio.gather(*(app.pay(booking) for booking in bookings))
    await app.edit(event_id, status=EventStatus.CANCELLED)
    await app.idle()
    while (await app.sweep()).payments:
        pass
    assert {await stands(app, booking) for booking in bookings} == {("cancelled", "refunded")}
    await check_all(app)


async def test_the_payments_of_a_booking_are_visible_to_its_customer_and_organizer(app: FakeApp) -> None:
    _, booking = await held(app)
    with pytest.raises(PaymentDeclined):
        await app.pay(booking, "tok_decline")
    await app.pay(booking)
    await app.cancel(booking)
    list_payments = ListPayments(app.storage.booking_queries, app.storage.payment_queries, app.duties)
    for actor in (ANA, ORGANIZER):
        found = await list_payments(booking.id, actor)
        assert [(each.kind.value, each.status.value) for each in found] == [
            ("charge", "failed"),
            ("charge", "succeeded"),
            ("refund", "pending"),
        ]
    with pytest.raises(NotFound):
        await list_payments(booking.id, STRANGER)


async def test_a_payment_that_cannot_be_settled_delays_no_other(app: FakeApp) -> None:
    event_id = await app.event(2, price=PRICE)
    bookings = [await app.book(event_id, ANA), await app.book(event_id, BEN)]
    for booking in bookings:
        await app.pay(booking)
        await app.cancel(booking)
    kept = app.tables.bookings.pop(bookings[0].id)
    with pytest.raises(NotFound):
        await app.complete_payments()
    app.tables.bookings[kept.id] = kept
    assert [await stands(app, booking) for booking in bookings] == [
        ("cancelled", "refund_pending"),
        ("cancelled", "refunded"),
    ]


async def test_a_provider_that_hangs_is_asked_again_later(app: FakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxoffice.application.background.sweep.PATIENCE", 0.0)

    _, booking = await held(app)
    await app.pay(booking)
    await app.cancel(booking)
    monkeypatch.setattr(app.gateway, "refund", lambda *_: asyncio.Event().wait())
    await app.sweep()
    assert await stands(app, booking) == ("cancelled", "refund_pending")
