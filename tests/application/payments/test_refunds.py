"""Refunds beside the provider: what it tells by itself, parts, and money that is given back by hand."""

import asyncio

from boxoffice.application.bookings.queries import ListPayments
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.payment_notices import NoticeKind, PaymentNotice
from boxoffice.domain.payment import Payment
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ADMIN, ANA, NOW, FakeApp

PRICE = Money(2_500, "EUR")


async def paid(app: FakeApp) -> Booking:
    """Ana's paid booking."""
    return await app.pay(await app.book(await app.event(price=PRICE), ANA))


async def payments(app: FakeApp, booking: Booking) -> list[Payment]:
    """The charges and refunds of a booking."""
    return await ListPayments(app.storage.booking_queries, app.storage.payment_queries)(booking.id, ADMIN)


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
