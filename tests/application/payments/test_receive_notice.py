"""What the provider sends by itself: whose it is, and which payment it means."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.application.payments.receive_notice import ReceiveNotice
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.payments import BadNotice, ProviderNotice
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.payments.notices import NoticeKind
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, NOW, FakeApp


class FakeReader:
    """Reads the notices that a test has planned, by the body."""

    def __init__(self) -> None:
        self.notices: dict[bytes, ProviderNotice | None] = {}

    def read(self, body: bytes, signature: str) -> ProviderNotice | None:
        if signature != "signed":
            raise BadNotice("must be signed")
        return self.notices[body]


async def paid(app: FakeApp) -> Booking:
    """Ana's paid booking."""
    return await app.pay(await app.book(await app.event(price=Money(2_500, "EUR")), ANA))


async def hears(app: FakeApp, notice: ProviderNotice | None, signature: str = "signed") -> None:
    """The provider sends a notice."""
    reader = FakeReader()
    reader.notices[b"notice"] = notice
    receive = ReceiveNotice(reader, app.storage.payment_queries, app.gateway, app.record_notice)
    await receive(b"notice", signature)


async def status(app: FakeApp, booking: Booking) -> str:
    """The status of a booking's payment."""
    return (await app.booking(booking.id)).payment_status.value


async def test_a_payment_is_known_by_our_reference_or_the_providers_id(app: FakeApp) -> None:
    """Which is stored, or else looked up at the provider."""
    bookings = [await paid(app) for _ in range(3)]
    charges = [booking.paid_by for booking in bookings]
    kept = app.tables.payments[bookings[2].id]
    (payment,) = kept.values()
    kept[payment.id] = replace(payment, provider_id=None)
    for booking, payment_id, provider_id in (
        (bookings[0], charges[0], None),
        (bookings[1], None, f"at the provider: {charges[1]}"),
        (bookings[2], None, f"at the provider: {charges[2]}"),
    ):
        for kind, expected in ((NoticeKind.DISPUTE_OPENED, "disputed"), (NoticeKind.DISPUTE_WON, "taken")):
            later = timedelta(seconds=kind is NoticeKind.DISPUTE_WON)
            notice = ProviderNotice(kind=kind, occurred_at=NOW + later, payment_id=payment_id, provider_id=provider_id)
            await hears(app, notice)
            assert await status(app, booking) == expected
    assert app.gateway.asked.count("reference") == 2
    await app.check_promises()


async def test_what_is_not_ours_changes_nothing(app: FakeApp) -> None:
    booking = await paid(app)
    opened = ProviderNotice(kind=NoticeKind.DISPUTE_OPENED, occurred_at=NOW, payment_id=booking.paid_by)
    for notice in (None, replace(opened, payment_id=None), replace(opened, payment_id=None, provider_id="theirs")):
        await hears(app, notice)
    with pytest.raises(BadNotice):
        await hears(app, opened, "forged")
    assert await status(app, booking) == "taken"


async def test_a_provider_that_does_not_say_whose_charge_it_is_sends_again(app: FakeApp) -> None:
    booking = await paid(app)
    app.gateway.is_silent = True
    with pytest.raises(Unavailable):
        await hears(app, ProviderNotice(kind=NoticeKind.DISPUTE_OPENED, occurred_at=NOW, provider_id="unknown"))
    assert await status(app, booking) == "taken"
