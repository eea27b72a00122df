"""Stripe behind the service: prices, charges that ask for the customer, refunds and disputes, and its webhook."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.application.ports.errors import Unavailable
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Payments, Settings
from tests.adapters.payments.fake_stripe import ASKS, KEY, PAYS, SECRET, FakeStripe, Fault, signed
from tests.entrypoints.http.service_under_test import (
    HELD,
    JSON,
    Client,
    Service,
    container_of,
    ok,
    pointers,
    problem,
    served,
)
from tests.settable_clock import SettableClock

# Stripe's library gives httpx its body in a way that httpx would rather not have any more.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

OLD_SECRET = "whsec_old"


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    async with FakeStripe.serving() as fake:
        yield fake


@pytest.fixture
def settings(fake: FakeStripe) -> Settings:
    return Settings(
        database_url="memory://",
        jwt_secret="x" * 32,
        payments=Payments.STRIPE,
        stripe_key=KEY,
        stripe_url=fake.address,
        stripe_webhook_secret=(SECRET, OLD_SECRET),
        public_url="https://tickets.example.org",
    )


@pytest.fixture
async def service(settings: Settings, clock: SettableClock) -> AsyncIterator[Service]:
    """The service with Stripe's own gateway."""
    container = container_of(settings, clock)
    app = create_app(container)
    async with served(app, container) as http:
        yield Service(http, container, app, clock)


async def hear(service: Service, event: dict[str, Any], *, secret: str = SECRET, age: int = 0) -> httpx.Response:
    """Stripe sends an event."""
    body, signature = signed(event, secret, time.time() - age)
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}
    return await service.http.post("/stripe/webhook", content=body, headers=headers)


async def stands(customer: Client, booking: dict[str, Any]) -> tuple[str, str]:
    """The status of a booking and of its payment."""
    found = ok(await customer.get(f"/bookings/{booking['id']}"))
    return found["status"], found["paymentStatus"]


async def sweep(service: Service) -> None:
    service.clock.travel(seconds=20)
    await service.container.sweep()()


async def paid(organizer: Client, customer: Client, token: str = PAYS, **fields: Any) -> dict[str, Any]:
    """A booking that was paid, or whose bank asks for its customer."""
    booking = await customer.book(await organizer.event(**{**HELD, **fields}))
    await customer.pay(booking, token)
    return booking


# Prices.


def price(amount: int, currency: str = "EUR") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


async def test_a_price_that_stripe_could_never_charge_is_refused_where_it_is_set(organizer: Client) -> None:
    for never, word in (
        (price(12_345, "KWD"), "multiple of 10"),
        (price(10), "at least 50"),
        (price(5_000, "IRR"), "another currency"),
    ):
        answer = await organizer.post("/initialize", {"name": "Jazz", "totalTickets": 1, "price": never})
        assert pointers(answer) == ["/price"]
        assert word in answer.json()["errors"][0]["detail"]
    fine, cheap = ({"name": name, "totalTickets": 1, "price": price(amount)} for name, amount in (("a", 50), ("b", 49)))
    answer = await organizer.post("/initialize", {"name": "Jazz", "ticketTypes": [fine, cheap]})
    assert pointers(answer) == ["/ticketTypes/1/price"]
    event = await organizer.event(price=price(0))
    path, (kind,) = f"/events/{event['id']}", event["ticketTypes"]
    assert pointers(await organizer.patch(path, {"price": price(10)})) == ["/price"]
    assert pointers(await organizer.patch(f"{path}/ticket-types/{kind['id']}", {"price": price(10)})) == ["/price"]
    assert pointers(await organizer.post(f"{path}/ticket-types", cheap)) == ["/price"]
    assert ok(await organizer.get(path)) == event
    ok(await organizer.patch(path, {"price": price(50)}))


@pytest.mark.parametrize(
    ("currency", "amount", "units"), [("ISK", 5_000, 500_000), ("MGA", 20_000, 200), ("KWD", 12_340, 12_340)]
)
async def test_the_price_is_charged_and_refunded_in_stripes_units(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client, currency: str, amount: int, units: int
) -> None:
    booking = await paid(organizer, customer, price=price(amount, currency))
    assert await stands(customer, booking) == ("confirmed", "taken")
    assert (fake.taken, fake.intents[0]["currency"]) == (units, currency.lower())
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    await sweep(service)
    assert (await stands(customer, booking), fake.taken) == (("cancelled", "refunded"), 0)


# 3-D Secure.


@pytest.mark.parametrize("who_tells", ["customer", "webhook", "sweep"])
async def test_a_customer_who_authenticated_has_paid_once(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client, who_tells: str
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    for _ in range(2):
        asked = problem(await customer.pay(booking, ASKS), 402, "payment-action-required")
        assert asked["nextActionUrl"] == fake.intents[0]["next_action"]["redirect_to_url"]["url"]
    assert fake.intents[0]["next_action"]["redirect_to_url"]["return_url"] == "https://tickets.example.org/"
    (pending,) = await customer.payments(booking)
    event = fake.authenticate(pending["id"])
    if who_tells == "customer":
        ok(await customer.pay(booking, ASKS))
    elif who_tells == "webhook":
        ok(await hear(service, event))
    else:
        await sweep(service)
    assert await stands(customer, booking) == ("confirmed", "taken")
    assert (len(fake.intents), fake.taken) == (1, 2500)


async def test_everybody_may_tell_at_once(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer, ASKS)
    (pending,) = await customer.payments(booking)
    event = fake.authenticate(pending["id"])
    service.clock.travel(seconds=20)
    webhooks = asyncio.gather(*(hear(service, event) for _ in range(3)))
    heard, _, _ = await asyncio.gather(webhooks, customer.pay(booking, ASKS), service.container.sweep()())
    assert [ok(each) for each in heard] == [{"received": True}] * 3
    assert await stands(customer, booking) == ("confirmed", "taken")
    assert [each["status"] for each in await customer.payments(booking)] == ["succeeded"]
    changes = ok(await organizer.get(f"/events/{booking['eventId']}/changes"))["items"]
    assert [each["kind"] for each in changes].count("PaymentTaken") == 1


async def test_a_failed_authentication_declines_the_charge(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer, ASKS)
    (pending,) = await customer.payments(booking)
    ok(await hear(service, fake.authenticate(pending["id"], succeeds=False)))
    assert [each["status"] for each in await customer.payments(booking)] == ["failed"]
    ok(await customer.pay(booking, PAYS))
    assert fake.taken == 2500


@pytest.mark.parametrize("acts", [False, True])
async def test_a_charge_ends_with_the_hold_or_is_refunded(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client, acts: bool
) -> None:
    """Its customer never comes back, or acted as the hold ended and somebody else had the ticket."""
    booking = await paid(organizer, customer, ASKS, totalTickets=1)
    (pending,) = await customer.payments(booking)
    service.clock.travel(minutes=10)
    await (await service.user()).book({"id": booking["eventId"]})
    if acts:
        ok(await hear(service, fake.authenticate(pending["id"])))
    for _ in range(2):
        await sweep(service)
    assert await stands(customer, booking) == ("expired", "refunded" if acts else "none")
    assert (fake.intents[0]["status"], fake.taken) == ("succeeded" if acts else "canceled", 0)
    # What Stripe tells of its end comes later and changes nothing.
    before = ok(await organizer.get(f"/events/{booking['eventId']}/changes"))
    for event in fake.events:
        ok(await hear(service, event))
    assert ok(await organizer.get(f"/events/{booking['eventId']}/changes")) == before


# Refunds and disputes.


async def test_a_refund_that_the_bank_returns_later_has_failed(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    await sweep(service)
    assert await stands(customer, booking) == ("cancelled", "refunded")
    arrived, returned = fake.refund_becomes(0, "succeeded"), fake.refund_becomes(0, "failed")
    for event in (returned, arrived, returned):
        ok(await hear(service, event))
        assert await stands(customer, booking) == ("cancelled", "refund_failed")
    await sweep(service)
    assert len(fake.refunds) == 1


@pytest.mark.parametrize("code", ["charge_disputed", "refund_disputed_payment", "charge_not_refundable"])
async def test_a_refund_that_can_never_succeed_has_failed(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client, code: str
) -> None:
    booking = await paid(organizer, customer)
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    fake.faults.extend([None, None, Fault.FAILS])
    await sweep(service)
    assert await stands(customer, booking) == ("cancelled", "refund_pending"), "a 500 is not final"
    fake.refund_error = code
    await sweep(service)
    assert await stands(customer, booking) == ("cancelled", "refund_failed")
    asked = len(fake.asked)
    await sweep(service)
    assert len(fake.asked) == asked


@pytest.mark.parametrize(("outcome", "payment_status"), [("won", "taken"), ("lost", "disputed")])
@pytest.mark.parametrize("is_in_order", [True, False])
async def test_a_dispute_opens_and_closes(
    service: Service,
    fake: FakeStripe,
    organizer: Client,
    customer: Client,
    outcome: str,
    payment_status: str,
    is_in_order: bool,
) -> None:
    booking = await paid(organizer, customer)
    opened = fake.dispute()
    closed = fake.close_dispute(outcome)
    if is_in_order:
        ok(await hear(service, opened))
        assert await stands(customer, booking) == ("confirmed", "disputed")
    for event in (closed, opened, closed):
        ok(await hear(service, event))
        assert await stands(customer, booking) == ("confirmed", payment_status)


async def test_an_inquiry_is_no_dispute(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    for event in (fake.dispute(status="warning_needs_response"), fake.close_dispute("warning_closed")):
        ok(await hear(service, event))
        assert await stands(customer, booking) == ("confirmed", "taken")


async def test_a_charge_whose_id_is_not_known_yet_is_looked_up(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    """Its answer was lost, and the webhook told of it first."""
    booking = await customer.book(await organizer.event(**HELD))
    fake.faults.append(Fault.LOST)
    problem(await customer.pay(booking, PAYS), 503, "payment-unknown")
    (pending,) = await customer.payments(booking)
    fake.intents[0]["status"] = "requires_action"
    ok(await hear(service, fake.authenticate(pending["id"])))
    opened = fake.dispute()
    fake.faults.append(Fault.FAILS)
    problem(await hear(service, opened), 503, "try-again")
    assert await stands(customer, booking) == ("confirmed", "taken")
    ok(await hear(service, opened))
    assert await stands(customer, booking) == ("confirmed", "disputed")


# The webhook itself.


def signature_of(body: bytes) -> str:
    """Stripe's signature of any bytes."""
    now = int(time.time())
    return f"t={now},v1={hmac.new(SECRET.encode(), f'{now}.'.encode() + body, 'sha256').hexdigest()}"


async def post(service: Service, body: bytes, signature: str | None) -> httpx.Response:
    """Somebody sends these bytes."""
    headers = JSON if signature is None else {**JSON, "Stripe-Signature": signature}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return await service.http.post("/stripe/webhook", content=body, headers=encoded)


async def test_what_is_not_signed_or_too_old_is_refused(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    event = fake.dispute()
    body, signature = signed(event)
    forged = [None, "", "t=1", f"v1={'0' * 64}", "é", "t=é,v1=é", "t=1,v1=é", signature.replace("v1=", "v1=0")]
    for each in (*forged, signature.replace("v1=", "v2="), signature.replace("t=", "t=1")):
        for content in (body, b"\xff"):
            assert pointers(await post(service, content, each)) == [""]
    assert pointers(await post(service, body + b" ", signature)) == [""]
    for secret, age in (("whsec_other", 0), (SECRET, 310)):
        assert pointers(await hear(service, event, secret=secret, age=age)) == [""]
    assert await stands(customer, booking) == ("confirmed", "taken")
    for secret, age in ((OLD_SECRET, 0), (SECRET, 290)):
        assert ok(await hear(service, event, secret=secret, age=age)) == {"received": True}
    assert await stands(customer, booking) == ("confirmed", "disputed")


async def test_what_is_not_ours_changes_nothing(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    opened = fake.dispute()
    thing = opened["data"]["object"]
    theirs = {"id": "pi_0", "metadata": {"reference": "theirs"}}
    unknown = {"status": "failed", "metadata": {"reference": organizer.id}}
    strange: list[Any] = [
        *({**opened, "type": kind} for kind in ("charge.dispute.explained", "customer.created")),
        *({**opened, "data": {"object": {**thing, "payment_intent": each}}} for each in ("pi_99", None, theirs)),
        *({**opened, "data": each} for each in ({}, {"object": "dp_0"}, {"object": {**thing, "status": 3}})),
        *({**opened, "created": each} for each in (-1, "2026-11-30T12:00:00Z")),
        {**opened, "type": "payment_intent.succeeded", "data": {"object": {"status": "succeeded", "metadata": []}}},
        {**opened, "type": "refund.updated", "data": {"object": unknown}},
        *([], "x", None),
    ]
    for event in strange:
        ok(await hear(service, event))
    assert await stands(customer, booking) == ("confirmed", "taken")
    assert pointers(await post(service, b"{", signature_of(b"{"))) == [""]
    expanded = {**thing, "payment_intent": {"id": "pi_0", "metadata": fake.intents[0]["metadata"]}}
    ok(await hear(service, {**opened, "data": {"object": expanded}}))
    assert await stands(customer, booking) == ("confirmed", "disputed")


async def test_a_body_is_bound_as_everywhere(service: Service) -> None:
    problem(await service.http.post("/stripe/webhook", content=b"x" * 65_537, headers=JSON), 413, "body-too-large")
    problem(await service.http.post("/stripe/webhook", content=b"{}"), 415, "unsupported-media-type")
    problem(await service.http.get("/stripe/webhook"), 405, "method-not-allowed")


async def test_stripe_is_asked_to_send_again_what_could_not_be_recorded(
    service: Service, fake: FakeStripe, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    opened = fake.dispute()
    storage = service.container.storage()
    assert isinstance(storage, MemoryStorage)

    async def away(_: Step) -> None:
        raise Unavailable

    storage.fault = away
    problem(await hear(service, opened), 503, "try-again")
    storage.fault = None
    assert await stands(customer, booking) == ("confirmed", "taken")
    ok(await hear(service, opened))
    assert await stands(customer, booking) == ("confirmed", "disputed")


async def test_without_a_secret_there_is_no_webhook(clock: SettableClock) -> None:
    container = container_of(Settings(database_url="memory://", jwt_secret="x" * 32), clock)
    app = create_app(container)
    async with served(app, container) as http:
        body, signature = signed({"type": "x"})
        for headers in ({**JSON, "Stripe-Signature": signature}, {}):
            problem(await http.post("/stripe/webhook", content=body, headers=headers), 404, "not-found")
