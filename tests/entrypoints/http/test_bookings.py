"""Bookings over HTTP. Each rule is tested in `tests/domain`, and all of them over HTTP in `tests/properties`."""

from typing import Any

import pytest

from tests.entrypoints.http.service_under_test import EUR_25, Client, Service, ok, pointers, problem

DAY = "2030-01-02T12:00:00Z"


async def test_tickets_are_booked(organizer: Client, customer: Client) -> None:
    event = await organizer.event(price=EUR_25)
    answer = await customer.post("/book", {"eventId": event["id"], "quantity": 2})
    booking = ok(answer, 201)
    assert answer.headers["location"] == f"/bookings/{booking['id']}"
    assert booking == {
        "id": booking["id"],
        "eventId": event["id"],
        "ticketTypeId": event["ticketTypes"][0]["id"],
        "customerId": customer.id,
        "quantity": 2,
        "status": "confirmed",
        "amount": {"amount": 5000, "currency": "EUR"},
        "paymentStatus": "due",
        "position": None,
        "ticketsAhead": None,
        "expiresAt": None,
        "createdAt": booking["createdAt"],
        "updatedAt": booking["createdAt"],
    }
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking


async def test_late_customers_wait_in_line(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=3, price=EUR_25)
    first = await customer.book(event, 2)
    second = await (await service.user()).book(event, 2)
    late = await service.user()
    third = await late.book(event, 1)
    assert [each["status"] for each in (first, second, third)] == ["confirmed", "waitlisted", "waitlisted"]
    assert [(each["position"], each["ticketsAhead"]) for each in (second, third)] == [(1, 0), (2, 2)]
    assert third["paymentStatus"] == "none"
    cancellation = ok(await customer.post("/cancel", {"bookingId": first["id"]}))
    assert set(cancellation) == {"booking", "promotedCount", "refund"}
    assert (cancellation["promotedCount"], cancellation["refund"]) == (2, None)
    assert (cancellation["booking"]["id"], cancellation["booking"]["status"]) == (first["id"], "cancelled")
    assert ok(await late.get(f"/bookings/{third['id']}"))["status"] == "confirmed"


async def test_already_booked_names_the_booking(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    refusal = problem(await customer.post("/book", {"eventId": event["id"]}), 409, "already-booked")
    assert refusal["bookingId"] == booking["id"]


async def test_a_type_has_to_be_named_where_there_are_several(organizer: Client, customer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": name, "totalTickets": 5} for name in "AB"])
    assert pointers(await customer.post("/book", {"eventId": event["id"]})) == ["/ticketTypeId"]
    first, second = (each["id"] for each in event["ticketTypes"])
    await customer.book(event, ticketTypeId=first)
    await customer.book(event, ticketTypeId=second)
    assert pointers(await customer.post("/cancel", {"eventId": event["id"]})) == ["/eventId"]
    problem(await customer.post("/book", {"eventId": event["id"], "ticketTypeId": event["id"]}), 404, "not-found")


@pytest.mark.parametrize(
    ("event", "quantity", "code"),
    [
        ({"totalTickets": 3}, 4, "exceeds-capacity"),
        ({"maxTicketsPerCustomer": 2}, 3, "limit-exceeded"),
        ({"salesOpenAt": DAY}, 1, "not-on-sale"),
    ],
)
async def test_the_state_of_an_event_refuses_a_booking(
    organizer: Client, customer: Client, event: dict[str, Any], quantity: int, code: str
) -> None:
    made = await organizer.event(**event)
    problem(await customer.post("/book", {"eventId": made["id"], "quantity": quantity}), 409, code)


async def test_where_nobody_waits_an_event_is_sold_out(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=2)
    holder = await service.user()
    first, body = await holder.book(event, 2), {"eventId": event["id"], "onlyIfAvailable": True}
    key = {"Idempotency-Key": "one"}
    problem(await customer.post("/book", body, headers=key), 409, "sold-out")
    ok(await organizer.patch(f"/events/{event['id']}", {"waitingList": "off"}))
    problem(await customer.post("/book", {"eventId": event["id"]}), 409, "sold-out")
    ok(await holder.post("/cancel", {"bookingId": first["id"]}))
    booking = ok(await customer.post("/book", body, headers=key), 201)
    assert booking["status"] == "confirmed"
    assert ok(await customer.post("/book", body, headers=key), 201) == booking


async def test_after_the_start_only_the_organizer_cancels(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(startsAt=DAY)
    booking = await customer.book(event)
    service.clock.travel(days=1)
    await customer.sign_in_again()
    await organizer.sign_in_again()
    late = await service.user()
    problem(await late.post("/book", {"eventId": event["id"]}), 409, "event-started")
    problem(await customer.post("/cancel", {"bookingId": booking["id"]}), 409, "cancellation-closed")
    ok(await organizer.post("/cancel", {"bookingId": booking["id"]}))
    problem(await organizer.post("/cancel", {"bookingId": booking["id"]}), 409, "already-cancelled")


async def test_what_does_not_exist_is_neither_booked_nor_cancelled(organizer: Client, customer: Client) -> None:
    problem(await customer.post("/book", {"eventId": customer.id}), 404, "not-found")
    problem(await customer.post("/cancel", {"eventId": customer.id}), 404, "not-found")
    problem(await customer.post("/cancel", {"bookingId": customer.id}), 404, "not-found")
    event = await organizer.event()
    problem(await customer.post("/cancel", {"eventId": event["id"]}), 404, "not-found")


async def test_bookings_are_their_customers_the_organizers_and_the_admins(
    service: Service, organizer: Client, customer: Client, admin: Client, anyone: Client
) -> None:
    booking = await customer.book(await organizer.event())
    path = f"/bookings/{booking['id']}"
    shown = {"id": customer.id, "name": "Ada", "email": customer.email}
    assert ok(await customer.get(path)) == booking
    for client in (organizer, admin):
        assert ok(await client.get(path)) == {**booking, "customer": shown}
    stranger = await service.user()
    problem(await stranger.get(path), 404, "not-found")
    problem(await stranger.post("/cancel", {"bookingId": booking["id"]}), 404, "not-found")
    problem(await anyone.get(path), 401, "not-signed-in")
    assert ok(await admin.post("/cancel", {"bookingId": booking["id"]}))["promotedCount"] == 0
