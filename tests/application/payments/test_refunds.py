"""Refunds beside the provider: what it tells by itself, parts, and money that is given back by hand."""

import asyncio

import pytest
from msgspec.structs import replace

from boxoffice.application.bookings.queries import ListPayments
from boxoffice.application.payments.grant_refund import Grant
from boxoffice.application.payments.queries import ListDuePayments, ListEventPayments
from boxoffice.application.payments.settle_refund import Settlement
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.payments.notices import NoticeKind, PaymentNotice
from boxoffice.domain.payment import ChargeStatus, Need, Payment
from boxoffice.domain.refusals import AlreadySettled, NotAllowed, NotFound
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ADMIN, ANA, NOW, ORGANIZER, FakeApp, once

PRICE = Money(2_500, "EUR")


async def paid(app: FakeApp) -> Booking:
    """Ana's paid booking."""
    return await app.pay(await app.book(await app.event(price=PRICE), ANA))


async def payments(app: FakeApp, booking: Booking) -> list[Payment]:
    """The charges and refunds of a booking."""
    return await ListPayments(app.storage.booking_queries, app.storage.payment_queries, app.duties)(booking.id, ADMIN)


async def status(app: FakeApp, booking: Booking) -> str:
    """The status of a booking's payment."""
    return (await app.booking(booking.id)).payment_status.value


def notice(payment: Payment, kind: NoticeKind) -> PaymentNotice:
    """What the provider tells of a payment."""
    return PaymentNotice(payment_id=payment.id, kind=kind, occurred_at=NOW)


async def test_a_notice_twice_at_once_counts_once(app: FakeApp) -> None:
    booking = await paid(app)
    (charge,) = await payments(app, booking)
    opened = notice(charge, NoticeKind.DISPUTE_OPENED)
    await asyncio.gather(app.record_notice(opened), app.record_notice(opened))
    assert await status(app, booking) == "disputed"
    assert [fact.kind for fact in await app.facts(booking.event_id)].count("PaymentDisputed") == 1
    await app.check_promises()


async def test_a_notice_about_an_unknown_payment_changes_nothing(app: FakeApp) -> None:
    booking = await paid(app)
    (charge,) = await payments(app, booking)
    facts = len(await app.facts(booking.event_id))
    await app.record_notice(
        PaymentNotice(payment_id=app.ids.new(), kind=NoticeKind.DISPUTE_LOST, occurred_at=charge.created_at)
    )
    assert len(await app.facts(booking.event_id)) == facts


# Refunds by organizers.


async def test_a_part_is_refunded_in_the_background_once(app: FakeApp) -> None:
    booking = await paid(app)
    grant = Grant(booking_id=booking.id, actor=ORGANIZER, amount=Money(1_000, "EUR"), reason="A pillar in the view")
    first, second = await asyncio.gather(
        app.grant_refund(grant, once(actor=ORGANIZER)),
        app.grant_refund(grant, once(actor=ORGANIZER)),
        return_exceptions=True,
    )
    assert isinstance(first, Payment)
    assert isinstance(second, Replayed)
    await app.sweep()
    charge, refund = await payments(app, booking)
    assert (refund.id, refund.status, refund.charge_id) == (first.id, ChargeStatus.SUCCEEDED, charge.id)
    assert app.gateway.refunds == {refund.id: charge.id}
    with pytest.raises(NotFound):
        await app.grant_refund(replace(grant, booking_id=app.ids.new()))
    await app.check_promises()


async def test_cash_is_settled_once(app: FakeApp) -> None:
    booking = await app.pay(await app.book(await app.event(price=PRICE), ANA), "", ORGANIZER)
    await app.cancel(booking)
    _, refund = await payments(app, booking)
    settlement = Settlement(booking_id=booking.id, payment_id=refund.id, actor=ORGANIZER, note="Handed over")
    settled, second = await asyncio.gather(
        *(app.settle_refund(settlement, once(actor=ORGANIZER)) for _ in range(2)), return_exceptions=True
    )
    assert isinstance(second, Replayed)
    with pytest.raises(AlreadySettled):
        await app.settle_refund(settlement)
    with pytest.raises(NotFound):
        await app.settle_refund(replace(settlement, booking_id=app.ids.new()))
    assert await payments(app, booking) == [(await payments(app, booking))[0], settled]
    assert await status(app, booking) == "refunded"
    await app.check_promises()


async def test_operators_see_what_needs_a_person(app: FakeApp) -> None:
    event_id = await app.event(200, price=PRICE)
    bookings = [await app.pay(each, "", ORGANIZER) for each in await app.crowd(event_id, 101)]
    for booking in bookings:
        await app.cancel(booking)
    listed = ListDuePayments(app.storage.payment_queries, app.clock)
    due = [each async for each in listed()]
    assert {each.payment.booking_id for each in due} == {each.id for each in bookings}
    assert {(each.need, each.since) for each in due} == {(Need.CASH, app.clock.time)}
    of_event = ListEventPayments(app.storage.event_queries, app.storage.payment_queries, app.duties)
    page = await of_event(event_id, ORGANIZER, limit=2)
    assert page.next == page.items[-1].id
    assert (await of_event(event_id, ORGANIZER, status=ChargeStatus.FAILED)).items == []
    with pytest.raises(NotAllowed):
        await of_event(event_id, ANA)
