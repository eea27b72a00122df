"""Holds, payments and refunds over HTTP, with the sandbox."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from dependency_injector.providers import Singleton

from boxoffice.application.bookings.pay_booking import PayBooking
from tests.http.service import Client, Sandbox, Service, ok, pointers, problem

EUR_25 = {"amount": 2500, "currency": "EUR"}
PRICED: dict[str, Any] = {"price": EUR_25}
HELD: dict[str, Any] = {**PRICED, "paymentWindowMinutes": 10}


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
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking
    assert ok(await customer.get(f"/status/{event['id']}"))["availableTickets"] == 8

    paid = ok(await customer.pay(booking))
    assert paid == {
        **booking,
        "status": "confirmed",
        "paymentStatus": "taken",
        "expiresAt": None,
        "updatedAt": paid["updatedAt"],
    }
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == paid
    assert await gateway.balance() == {"EUR": 5000}
    service.clock.travel(minutes=14)
    await sweep(service)
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == paid


async def test_what_was_charged_can_be_seen(
    service: Service, organizer: Client, customer: Client, admin: Client
) -> None:
    booking = await customer.book(await organizer.event(**HELD), 2)
    path = f"/bookings/{booking['id']}/payments"
    assert ok(await customer.get(path)) == {"items": [], "nextCursor": None}
    ok(await customer.pay(booking))
    found = ok(await customer.get(path))
    (payment,) = found["items"]
    assert payment == {
        "id": payment["id"],
        "kind": "charge",
        "status": "succeeded",
        "method": "card",
        "amount": {"amount": 5000, "currency": "EUR"},
        "createdAt": payment["createdAt"],
        "settledAt": payment["settledAt"],
    }
    assert payment["createdAt"] < payment["settledAt"]
    for client in (organizer, admin):
        assert ok(await client.get(path)) == found
    problem(await (await service.user()).get(path), 404, "not-found")
    problem(await service.anyone.get(path), 401, "not-signed-in")
    for unknown in (customer.id, "x"):
        problem(await customer.get(f"/bookings/{unknown}/payments"), 404, "not-found")


async def test_payments_are_listed_in_pages(service: Service, organizer: Client, customer: Client) -> None:
    booking = await customer.book(await organizer.event(**PRICED))
    for _ in range(4):
        problem(await customer.pay(booking, "tok_decline"), 402, "payment-declined")
    ok(await customer.pay(booking))
    every = await customer.payments(booking)
    assert [each["status"] for each in every] == ["failed"] * 4 + ["succeeded"]
    path = f"/bookings/{booking['id']}/payments"
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = ok(await customer.get(path, params={"limit": 2, **cursor}))
        found += page["items"]
        if page["nextCursor"] is None:
            break
        assert len(page["items"]) == 2
        cursor = {"cursor": page["nextCursor"]}
    assert found == every
    assert ok(await customer.get(path, params={"limit": 5}))["nextCursor"] is None
    other = await customer.book(await organizer.event(**PRICED))
    assert pointers(await customer.get(f"/bookings/{other['id']}/payments", params=cursor)) == ["/cursor"]
    assert pointers(await customer.get(f"{path}?limit=1&cursor=x&cursor=y")) == ["/cursor"]


async def test_paid_is_paid_once(service: Service, gateway: Sandbox, organizer: Client, customer: Client) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    ok(await customer.pay(booking))
    problem(await customer.pay(booking), 409, "payment-not-due")
    problem(await organizer.pay(booking, None), 409, "payment-not-due")
    assert await gateway.balance() == {"EUR": 2500}


async def test_many_payments_at_once_charge_once(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    answers = await asyncio.gather(*(customer.pay(booking) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "payment-not-due")
    assert len(await gateway.entries()) == 1


async def test_without_a_window_it_may_be_paid_at_any_time(
    service: Service, organizer: Client, customer: Client
) -> None:
    booking = await customer.book(await organizer.event(**PRICED))
    assert (booking["status"], booking["paymentStatus"], booking["expiresAt"]) == ("confirmed", "due", None)
    service.clock.travel(days=30)
    await customer.sign_in_again()
    paid = ok(await customer.pay(booking))
    assert (paid["status"], paid["paymentStatus"]) == ("confirmed", "taken")


async def test_what_is_not_due_is_not_charged(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    free = await customer.book(await organizer.event(paymentWindowMinutes=10))
    assert (free["status"], free["expiresAt"]) == ("confirmed", None)
    problem(await customer.pay(free), 409, "payment-not-due")
    event = await organizer.event(totalTickets=1, **HELD)
    held = await customer.book(event)
    late = await service.user()
    waiting = await late.book(event)
    problem(await late.pay(waiting), 409, "payment-not-due")
    ok(await customer.post("/cancel", {"bookingId": held["id"]}))
    problem(await customer.pay(held), 409, "payment-not-due")
    assert len(await gateway.entries()) == 0


async def test_a_declined_card_changes_nothing(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    for token in ("tok_decline", "tok_unheard_of", "🎷"):
        problem(await customer.pay(booking, token), 402, "payment-declined")
        assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking
    assert await gateway.balance() == {}
    assert ok(await customer.pay(booking))["paymentStatus"] == "taken"
    assert [each["status"] for each in await customer.payments(booking)] == ["failed"] * 3 + ["succeeded"]


@pytest.mark.parametrize("token", ["tok_ok", "tok_timeout", "tok_decline"])
async def test_a_silent_provider_is_asked_again_and_charges_once(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, token: str
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    answer = await customer.pay(booking, "tok_timeout")
    problem(answer, 503, "payment-unknown")
    assert answer.headers["retry-after"] == "1"
    assert ok(await customer.get(f"/bookings/{booking['id']}"))["status"] == "held"
    (pending,) = await customer.payments(booking)
    assert (pending["status"], pending["settledAt"]) == ("pending", None)

    assert ok(await customer.pay(booking, token))["status"] == "confirmed"
    problem(await customer.pay(booking, token), 409, "payment-not-due")
    (settled,) = await customer.payments(booking)
    assert settled == {**pending, "status": "succeeded", "settledAt": settled["settledAt"]}
    assert (len(await gateway.entries()), await gateway.balance()) == (1, {"EUR": 2500})


async def test_a_silent_provider_is_asked_by_the_sweeper_too(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    problem(await customer.pay(booking, "tok_timeout"), 503, "payment-unknown")
    await sweep(service)
    paid = ok(await customer.get(f"/bookings/{booking['id']}"))
    assert (paid["status"], paid["paymentStatus"]) == ("confirmed", "taken")
    assert len(await gateway.entries()) == 1


async def test_cash_goes_into_the_organizers_hand(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, admin: Client
) -> None:
    event = await organizer.event(**HELD)
    first = await customer.book(event)
    second = await (await service.user()).book(event)
    for client, booking in ((organizer, first), (admin, second)):
        paid = ok(await client.pay(booking, None))
        assert (paid["status"], paid["paymentStatus"]) == ("confirmed", "taken")
    (payment,) = await customer.payments(first)
    assert (payment["method"], payment["status"], payment["amount"]) == ("cash", "succeeded", EUR_25)
    assert len(await gateway.entries()) == 0


async def test_each_pays_in_their_own_way(service: Service, organizer: Client, customer: Client, admin: Client) -> None:
    booking = await customer.book(await organizer.event(**HELD))
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
    own = await organizer.book(await organizer.event(**HELD))
    assert ok(await organizer.pay(own))["paymentStatus"] == "taken"


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        ({}, ["/method"]),
        ({"method": "barter"}, ["/method"]),
        ({"method": None, "token": "tok_ok"}, ["/method"]),
        ({"method": ["card"], "token": "tok_ok"}, ["/method"]),
        ({"method": "Card", "token": "tok_ok"}, ["/method"]),
        ({"method": "card"}, ["/token"]),
        ({"method": "cash", "token": "tok_ok"}, ["/token"]),
        ({"method": "card", "token": None}, ["/token"]),
        ({"method": "card", "token": ""}, ["/token"]),
        ({"method": "card", "token": 1}, ["/token"]),
        ({"method": "card", "token": "tok ok"}, ["/token"]),
        ({"method": "card", "token": " tok_ok"}, ["/token"]),
        ({"method": "card", "token": "tok_ok\n"}, ["/token"]),
        ({"method": "card", "token": "tok_\u202eok"}, ["/token"]),
        ({"method": "card", "token": "x" * 256}, ["/token"]),
        ({"method": "barter", "token": "", "amount": 1}, ["/method", "/token", "/amount"]),
        ([], [""]),
    ],
)
async def test_payments_that_can_never_be_right(
    organizer: Client, customer: Client, body: Any, broken: list[str]
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    assert pointers(await customer.post(f"/bookings/{booking['id']}/payment", body)) == broken
    problem(await customer.pay(booking, "x" * 255), 402, "payment-declined")


async def test_methods(organizer: Client, customer: Client) -> None:
    path = f"/bookings/{(await customer.book(await organizer.event(**HELD)))['id']}"
    answer = await customer.get(f"{path}/payment")
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"POST", "OPTIONS"}
    answer = await customer.post(f"{path}/payments", {})
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert (await customer.send("HEAD", f"{path}/payments")).status_code == 200


async def test_a_hold_counts_as_expired_from_its_moment(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(**HELD)
    booking = await customer.book(event)
    path = f"/bookings/{booking['id']}"
    tag = (await organizer.get(f"/events/{event['id']}/bookings")).headers["etag"]
    service.clock.travel(minutes=9)
    assert ok(await customer.get(path)) == booking
    service.clock.travel(minutes=1)

    lapsed = {**booking, "status": "expired", "paymentStatus": "none"}
    assert ok(await customer.get(path)) == lapsed
    assert ok(await customer.get("/bookings"))["items"] == [lapsed]
    listed = await organizer.get(f"/events/{event['id']}/bookings", headers={"If-None-Match": tag})
    assert ok(listed)["items"] == [lapsed]

    problem(await customer.post("/cancel", {"bookingId": booking["id"]}), 409, "already-cancelled")
    problem(await customer.post("/cancel", {"eventId": event["id"]}), 404, "not-found")
    await sweep(service)
    assert ok(await customer.get(path))["status"] == "expired"
    assert ok(await customer.get("/bookings?status=expired"))["items"][0]["id"] == booking["id"]
    assert ok(await customer.get("/bookings?status=held"))["items"] == []
    assert ok(await customer.get(f"/status/{event['id']}"))["availableTickets"] == 10
    assert (await customer.book(event))["status"] == "held"


async def test_newcomers_find_the_tickets_of_lapsed_holds(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    await customer.book(event)
    service.clock.travel(minutes=10)
    assert (await (await service.user()).book(event))["status"] == "held"


@pytest.mark.parametrize("is_swept", [False, True])
@pytest.mark.parametrize("token", ["tok_ok", None])
async def test_late_and_the_tickets_are_free(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, is_swept: bool, token: str | None
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    booking = await customer.book(event)
    service.clock.travel(minutes=10)
    if is_swept:
        await sweep(service)
    paid = ok(await (organizer if token is None else customer).pay(booking, token))
    assert (paid["status"], paid["paymentStatus"], paid["expiresAt"]) == ("confirmed", "taken", None)
    assert ok(await customer.get(f"/status/{event['id']}"))["availableTickets"] == 0
    assert await gateway.balance() == ({} if token is None else {"EUR": 2500})


async def test_late_and_the_tickets_are_gone(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    booking = await customer.book(event)
    service.clock.travel(minutes=10)
    await (await service.user()).book(event)
    problem(await customer.pay(booking), 409, "hold-expired")
    problem(await organizer.pay(booking, None), 409, "hold-expired")
    assert ok(await customer.get(f"/bookings/{booking['id']}"))["status"] == "expired"
    assert len(await gateway.entries()) == 0


@pytest.mark.parametrize("is_swept", [False, True])
async def test_late_and_somebody_waits(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, is_swept: bool
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    booking = await customer.book(event)
    late = await service.user()
    waiting = await late.book(event)
    service.clock.travel(minutes=10)
    if is_swept:
        await sweep(service)
    problem(await customer.pay(booking), 409, "hold-expired")
    offered = ok(await late.get(f"/bookings/{waiting['id']}"))
    assert (offered["status"], offered["paymentStatus"], offered["position"]) == ("held", "due", None)
    assert ok(await late.pay(waiting))["status"] == "confirmed"
    assert await gateway.balance() == {"EUR": 2500}


async def test_an_offer_is_a_hold_of_its_own_and_passes_on(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    first = await customer.book(event)
    second, third = await service.user(), await service.user()
    offered, next_offered = await second.book(event), await third.book(event)
    assert (offered["paymentStatus"], offered["expiresAt"]) == ("none", None)
    service.clock.travel(minutes=7)
    ok(await customer.post("/cancel", {"bookingId": first["id"]}))

    offered = ok(await second.get(f"/bookings/{offered['id']}"))
    assert (offered["status"], offered["paymentStatus"]) == ("held", "due")
    lapses = datetime.fromisoformat(offered["updatedAt"]) + timedelta(minutes=10)
    assert datetime.fromisoformat(offered["expiresAt"]) == lapses
    service.clock.travel(minutes=7)
    assert ok(await second.get(f"/bookings/{offered['id']}"))["status"] == "held"

    await second.sign_in_again()
    await third.sign_in_again()
    service.clock.travel(minutes=3)
    await sweep(service)
    assert ok(await second.get(f"/bookings/{offered['id']}"))["status"] == "expired"
    assert ok(await third.get(f"/bookings/{next_offered['id']}"))["status"] == "held"
    problem(await second.pay(offered), 409, "hold-expired")
    assert ok(await third.pay(next_offered))["status"] == "confirmed"


@pytest.mark.parametrize("token", ["tok_ok", None])
async def test_a_paid_booking_that_is_cancelled_is_refunded(
    service: Service, gateway: Sandbox, organizer: Client, customer: Client, token: str | None
) -> None:
    booking = await customer.book(await organizer.event(**HELD), 2)
    ok(await (organizer if token is None else customer).pay(booking, token))
    cancelled = ok(await customer.post("/cancel", {"bookingId": booking["id"]}))["booking"]
    assert (cancelled["status"], cancelled["paymentStatus"]) == ("cancelled", "refund_pending")
    charge, refund = await customer.payments(booking)
    assert (charge["kind"], charge["status"]) == ("charge", "succeeded")
    assert (refund["kind"], refund["status"], refund["settledAt"]) == ("refund", "pending", None)
    assert (refund["amount"], refund["method"]) == (charge["amount"], charge["method"])

    await sweep(service)
    assert ok(await customer.get(f"/bookings/{booking['id']}"))["paymentStatus"] == "refunded"
    given = (await customer.payments(booking))[1]
    assert given == {**refund, "status": "succeeded", "settledAt": given["settledAt"]}
    await sweep(service)
    assert len(await customer.payments(booking)) == 2
    assert await gateway.balance() == ({} if token is None else {"EUR": 0})
    problem(await customer.pay(booking), 409, "payment-not-due")


async def test_who_has_not_paid_gets_nothing_back(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(**HELD)
    booking = await customer.book(event)
    cancelled = ok(await customer.post("/cancel", {"eventId": event["id"]}))["booking"]
    assert (cancelled["status"], cancelled["paymentStatus"], cancelled["expiresAt"]) == ("cancelled", "none", None)
    await sweep(service)
    assert await customer.payments(booking) == []


async def test_a_cancelled_event_gives_all_money_back(service: Service, gateway: Sandbox, organizer: Client) -> None:
    event = await organizer.event(**HELD)
    customers = [await service.user() for _ in range(5)]
    bookings = [await each.book(event) for each in customers]
    for client, booking in zip(customers[:3], bookings, strict=False):
        ok(await client.pay(booking))
    ok(await organizer.pay(bookings[3], None))
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "cancelled"}))
    await sweep(service)
    found = [
        ok(await each.get(f"/bookings/{booking['id']}")) for each, booking in zip(customers, bookings, strict=True)
    ]
    assert {each["status"] for each in found} == {"cancelled"}
    assert [each["paymentStatus"] for each in found] == ["refunded"] * 4 + ["none"]
    assert await gateway.balance() == {"EUR": 0}
    problem(await customers[4].pay(bookings[4]), 409, "payment-not-due")


async def test_a_charge_that_comes_late_takes_free_tickets(
    service: Service, organizer: Client, customer: Client, waiting_gateway: Sandbox
) -> None:
    booking = await customer.book(await organizer.event(totalTickets=1, **HELD))
    paying = asyncio.create_task(customer.pay(booking))
    await waiting_gateway.asked.wait()
    service.clock.travel(minutes=10)
    await sweep(service)
    waiting_gateway.may_go_on.set()
    assert ok(await paying)["status"] == "confirmed"
    assert await waiting_gateway.balance() == {"EUR": 2500}


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


async def test_a_booking_that_is_cancelled_while_it_is_paid(
    service: Service, organizer: Client, customer: Client, waiting_gateway: Sandbox
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    paying = asyncio.create_task(customer.pay(booking))
    await waiting_gateway.asked.wait()
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    waiting_gateway.may_go_on.set()
    problem(await paying, 409, "payment-not-due")
    await sweep(service)
    given = ok(await customer.get(f"/bookings/{booking['id']}"))
    assert (given["status"], given["paymentStatus"]) == ("cancelled", "refunded")
    assert await waiting_gateway.balance() == {"EUR": 0}


async def test_one_charge_at_a_time(
    service: Service, organizer: Client, customer: Client, waiting_gateway: Sandbox
) -> None:
    # Payments that wait for each other shall not wait long.
    container = service.container
    quick = Singleton(
        PayBooking,
        container.turnstile,
        container.reads,
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


async def test_what_happened_to_the_money_is_told(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(**HELD)
    booking = await customer.book(event)
    problem(await customer.pay(booking, "tok_decline"), 402, "payment-declined")
    ok(await customer.pay(booking))
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    await sweep(service)
    items = ok(await organizer.get(f"/events/{event['id']}/changes"))["items"]
    assert [item["seq"] for item in items] == list(range(1, len(items) + 1))
    assert [item["kind"] for item in items] == [
        "EventInitialized",
        "TicketsBooked",
        "PaymentStarted",
        "PaymentFailed",
        "PaymentStarted",
        "PaymentTaken",
        "BookingCancelled",
        "PaymentRefunded",
    ]
