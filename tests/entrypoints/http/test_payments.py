"""Holds, payments and refunds over HTTP, with the sandbox.

The rules are tested in `tests/domain/test_paying.py` and `tests/application/bookings/test_pay_booking.py`, and all of
them over HTTP by the state machine in `tests/properties`.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from dependency_injector.providers import Singleton

from boxoffice.adapters.payments.sandbox import ACTION_URL
from boxoffice.application.bookings.pay_booking import PayBooking
from tests.entrypoints.http.service_under_test import HELD, Client, Sandbox, Service, ok, pointers, problem


@pytest.fixture
def waiting_gateway(gateway: Sandbox) -> Sandbox:
    """The sandbox, charging only when a test lets it."""
    gateway.may_go_on.clear()
    return gateway


async def sweep(service: Service) -> None:
    await service.container.sweep()()


async def test_tickets_are_held_until_they_are_paid(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(**HELD)
    booking = await customer.book(event, 2)
    assert (booking["status"], booking["paymentStatus"]) == ("held", "due")
    lapses = datetime.fromisoformat(booking["createdAt"]) + timedelta(minutes=10)
    assert datetime.fromisoformat(booking["expiresAt"]) == lapses
    assert ok(await customer.get(f"/status/{event['id']}"))["availableTickets"] == 8

    paid = ok(await customer.pay(booking))
    expected = {"status": "confirmed", "paymentStatus": "taken", "expiresAt": None, "updatedAt": paid["updatedAt"]}
    assert paid == booking | expected
    assert await gateway.balance() == {"EUR": 5000}
    service.clock.travel(minutes=14)
    await sweep(service)
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == paid
    for client, token in ((customer, "tok_ok"), (organizer, None)):
        problem(await client.pay(booking, token), 409, "payment-not-due")


async def test_what_was_charged_and_given_back_can_be_seen(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, admin: Client
) -> None:
    booking = await customer.book(await organizer.event(**HELD), 2)
    path = f"/bookings/{booking['id']}/payments"
    assert ok(await customer.get(path)) == {"items": [], "nextCursor": None}
    ok(await customer.pay(booking))
    found = ok(await customer.get(path))
    (charge,) = found["items"]
    assert charge == {
        "id": charge["id"],
        "kind": "charge",
        "status": "succeeded",
        "method": "card",
        "amount": {"amount": 5000, "currency": "EUR"},
        "createdAt": charge["createdAt"],
        "settledAt": charge["settledAt"],
    }
    assert charge["createdAt"] < charge["settledAt"]
    for client in (organizer, admin):
        assert ok(await client.get(path)) == found
    problem(await (await service.user()).get(path), 404, "not-found")
    problem(await service.anyone.get(path), 401, "not-signed-in")
    for unknown in (customer.id, "x"):
        problem(await customer.get(f"/bookings/{unknown}/payments"), 404, "not-found")
    assert pointers(await customer.get(f"{path}?limit=1&cursor=x")) == ["/cursor"]

    cancelled = ok(await customer.post("/cancel", {"bookingId": booking["id"]}))["booking"]
    assert (cancelled["status"], cancelled["paymentStatus"]) == ("cancelled", "refund_pending")
    _, refund = await customer.payments(booking)
    expected = {"id": refund["id"], "kind": "refund", "status": "pending", "createdAt": refund["createdAt"]}
    assert refund == charge | expected | {"settledAt": None}
    for _ in range(2):
        await sweep(service)
        assert ok(await customer.get(f"/bookings/{booking['id']}"))["paymentStatus"] == "refunded"
        _, given = await customer.payments(booking)
        assert given == refund | {"status": "succeeded", "settledAt": given["settledAt"]}
        assert await gateway.balance() == {"EUR": 0}


async def test_a_declined_card_changes_nothing(gateway: Sandbox, organizer: Client, customer: Client) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    for token in ("tok_decline", "tok_unheard_of", "🎷", "x" * 255):
        problem(await customer.pay(booking, token), 402, "payment-declined")
        assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking
    assert await gateway.balance() == {}
    assert [each["status"] for each in await customer.payments(booking)] == ["failed"] * 4


async def test_a_bank_may_ask_for_its_customer(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    """The answer is stored for no key, and the same payment goes on with the same charge."""
    booking = await customer.book(await organizer.event(**HELD))
    key = {"Idempotency-Key": "one"}
    asked = problem(await customer.pay(booking, "tok_action", headers=key), 402, "payment-action-required")
    (pending,) = await customer.payments(booking)
    assert asked["nextActionUrl"] == f"{ACTION_URL}{pending['id']}"
    assert (pending["status"], ok(await customer.get(f"/bookings/{booking['id']}"))) == ("pending", booking)
    paid = await customer.pay(booking, "tok_action", headers=key)
    assert ok(paid)["paymentStatus"] == "taken"
    again = await customer.pay(booking, "tok_action", headers=key)
    assert (again.content, again.headers["idempotency-replayed"]) == (paid.content, "true")
    assert [(each["id"], each["status"]) for each in await customer.payments(booking)] == [(pending["id"], "succeeded")]
    assert await gateway.balance() == {"EUR": 2500}


async def test_a_charge_that_waits_for_its_customer_ends_with_the_hold(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    for _ in range(2):
        problem(await customer.pay(booking, "tok_action_ignored"), 402, "payment-action-required")
    problem(await organizer.pay(booking, None), 409, "payment-under-way")
    service.clock.travel(minutes=10)
    await sweep(service)
    assert [each["status"] for each in await customer.payments(booking)] == ["failed"]
    assert (await gateway.entries())[0].kind == "charge"
    assert await gateway.balance() == {}


@pytest.mark.parametrize("token", ["tok_ok", "tok_timeout", "tok_decline", None])
async def test_a_silent_provider_is_asked_again_and_charges_once(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, token: str | None
) -> None:
    """By the next attempt, with any card, or by the sweeper."""
    booking = await customer.book(await organizer.event(**HELD))
    answer = await customer.pay(booking, "tok_timeout")
    problem(answer, 503, "payment-unknown")
    assert answer.headers["retry-after"] == "1"
    assert ok(await customer.get(f"/bookings/{booking['id']}"))["status"] == "held"
    (pending,) = await customer.payments(booking)
    assert (pending["status"], pending["settledAt"]) == ("pending", None)
    if token is None:
        await sweep(service)
    else:
        ok(await customer.pay(booking, token))
    assert ok(await customer.get(f"/bookings/{booking['id']}"))["status"] == "confirmed"
    (settled,) = await customer.payments(booking)
    assert settled == {**pending, "status": "succeeded", "settledAt": settled["settledAt"]}
    assert (len(await gateway.entries()), await gateway.balance()) == (1, {"EUR": 2500})


async def test_customers_pay_by_card_and_organizers_take_cash(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, admin: Client
) -> None:
    event = await organizer.event(**HELD)
    booking = await customer.book(event)
    problem(await customer.pay(booking, None), 403, "not-allowed")
    for client in (organizer, admin):
        problem(await client.pay(booking), 403, "not-allowed")
    stranger = await service.user()
    for token in ("tok_ok", None):
        problem(await stranger.pay(booking, token), 404, "not-found")
        problem(await service.anyone.pay(booking, token), 401, "not-signed-in")
    for unknown in (customer.id, "x"):
        problem(await customer.pay({"id": unknown}), 404, "not-found")
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking
    for client, each in ((organizer, booking), (admin, await stranger.book(event))):
        paid = ok(await client.pay(each, None))
        assert (paid["status"], paid["paymentStatus"]) == ("confirmed", "taken")
    (payment,) = await customer.payments(booking)
    assert (payment["method"], payment["status"], payment["amount"]) == ("cash", "succeeded", HELD["price"])
    assert await gateway.entries() == []
    own = await organizer.book(event)
    assert ok(await organizer.pay(own))["paymentStatus"] == "taken"


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        *[({"method": method, "token": "tok_ok"}, ["/method"]) for method in (None, ["card"], "Card", "barter")],
        ({}, ["/method"]),
        ({"method": "card"}, ["/token"]),
        ({"method": "cash", "token": "tok_ok"}, ["/token"]),
        *[
            ({"method": "card", "token": token}, ["/token"])
            for token in (None, "", 1, "tok ok", " tok_ok", "tok_ok\n", "tok_\u202eok", "x" * 256)
        ],
        ({"method": "barter", "token": "", "amount": 1}, ["/method", "/token", "/amount"]),
        ([], [""]),
    ],
)
async def test_a_broken_payment_is_named(organizer: Client, customer: Client, body: Any, broken: list[str]) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    assert pointers(await customer.post(f"/bookings/{booking['id']}/payment", body)) == broken


async def test_a_cancelled_event_gives_all_money_back(service: Service, gateway: Sandbox, organizer: Client) -> None:
    event = await organizer.event(**HELD)
    customers = [await service.user() for _ in range(4)]
    bookings = [await each.book(event) for each in customers]
    for client, booking in zip(customers[:2], bookings, strict=False):
        ok(await client.pay(booking))
    ok(await organizer.pay(bookings[2], None))
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "cancelled"}))
    await sweep(service)
    found = [ok(await organizer.get(f"/bookings/{booking['id']}")) for booking in bookings]
    assert {each["status"] for each in found} == {"cancelled"}
    # Cash waits for a person.
    assert [each["paymentStatus"] for each in found] == ["refunded", "refunded", "refund_pending", "none"]
    assert await gateway.balance() == {"EUR": 0}


async def test_a_charge_that_comes_too_late_is_given_back_once(
    service: Service, organizer: Client, customer: Client, waiting_gateway: Sandbox
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    booking = await customer.book(event)
    paying = asyncio.create_task(customer.pay(booking))
    await waiting_gateway.asked.wait()
    service.clock.travel(minutes=10)
    await (await service.user()).book(event)
    waiting_gateway.may_go_on.set()
    problem(await paying, 409, "hold-expired")
    owed = ok(await customer.get(f"/bookings/{booking['id']}"))
    assert (owed["status"], owed["paymentStatus"]) == ("expired", "refund_pending")
    for _ in range(2):
        await sweep(service)
        given = ok(await customer.get(f"/bookings/{booking['id']}"))
        assert (given["status"], given["paymentStatus"]) == ("expired", "refunded")
        assert await waiting_gateway.balance() == {"EUR": 0}
    assert [each["kind"] for each in await customer.payments(booking)] == ["charge", "refund"]


async def test_one_charge_at_a_time(
    service: Service, organizer: Client, customer: Client, waiting_gateway: Sandbox
) -> None:
    # Payments that wait for each other shall not wait long.
    container = service.container
    quick = Singleton(
        PayBooking,
        container.turnstile,
        container.booking_queries,
        container.payment_queries,
        container.payment_gateway,
        container.ids,
        pause=lambda _: asyncio.sleep(0),
    )
    container.pay_booking.override(quick)
    booking = await customer.book(await organizer.event(**HELD))
    key = {"Idempotency-Key": "one"}
    paying = asyncio.create_task(customer.pay(booking, headers=key))
    await waiting_gateway.asked.wait()
    problem(await customer.pay(booking), 409, "payment-under-way")
    problem(await customer.pay(booking, headers={"Idempotency-Key": "two"}), 409, "payment-under-way")
    problem(await organizer.pay(booking, None), 409, "payment-under-way")
    problem(await customer.pay(booking, headers=key), 409, "request-in-progress")
    assert [each["status"] for each in await customer.payments(booking)] == ["pending"]

    waiting_gateway.may_go_on.set()
    paid = await paying
    assert ok(paid)["status"] == "confirmed"
    again = await customer.pay(booking, headers=key)
    assert (again.content, again.headers["idempotency-replayed"]) == (paid.content, "true")
    problem(await customer.pay(booking, headers={"Idempotency-Key": "two"}), 409, "payment-not-due")
    assert len(await waiting_gateway.entries()) == 1
