"""Bookings over HTTP."""

import asyncio
from typing import Any

import pytest

from tests.http.service import Client, Service, ok, pointers, problem

EUR_25 = {"amount": 2500, "currency": "EUR"}
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


async def test_free_tickets_cost_nothing(organizer: Client, customer: Client) -> None:
    booking = await customer.book(await organizer.event())
    assert (booking["quantity"], booking["amount"], booking["paymentStatus"]) == (
        1,
        {"amount": 0, "currency": "EUR"},
        "none",
    )


async def test_whoever_comes_too_late_waits_in_line(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=3, price=EUR_25)
    first = await customer.book(event, 2)
    second = await (await service.user()).book(event, 2)
    late = await service.user()
    third = await late.book(event, 1)
    assert [each["status"] for each in (first, second, third)] == ["confirmed", "waitlisted", "waitlisted"]
    assert [(each["position"], each["ticketsAhead"]) for each in (second, third)] == [(1, 0), (2, 2)]
    assert third["paymentStatus"] == "none"
    cancellation = ok(await customer.post("/cancel", {"bookingId": first["id"]}))
    assert set(cancellation) == {"booking", "promotedCount"}
    assert cancellation["promotedCount"] == 2
    assert cancellation["booking"]["id"] == first["id"]
    assert cancellation["booking"]["status"] == "cancelled"
    assert ok(await late.get(f"/bookings/{third['id']}"))["status"] == "confirmed"


async def test_a_place_moves_up(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1)
    await customer.book(event)
    second, third = await service.user(), await service.user()
    await second.book(event)
    booking = await third.book(event)
    ok(await second.post("/cancel", {"eventId": event["id"]}))
    now = ok(await third.get(f"/bookings/{booking['id']}"))
    assert (now["position"], now["ticketsAhead"]) == (1, 0)


async def test_already_booked_names_the_booking(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    told = problem(await customer.post("/book", {"eventId": event["id"]}), 409, "already-booked")
    assert told["bookingId"] == booking["id"]
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    assert (await customer.book(event))["id"] != booking["id"]


async def test_twice_at_once_gives_one_booking(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    answers = await asyncio.gather(*(customer.post("/book", {"eventId": event["id"]}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_50_for_25(service: Service, organizer: Client) -> None:
    event = await organizer.event(totalTickets=25)
    users = [await service.user() for _ in range(50)]
    bookings = await asyncio.gather(*(user.book(event) for user in users))
    assert sorted(booking["status"] for booking in bookings) == ["confirmed"] * 25 + ["waitlisted"] * 25
    assert sorted(booking["position"] or 0 for booking in bookings)[25:] == list(range(1, 26))
    status = ok(await service.anyone.get(f"/status/{event['id']}"))
    assert (status["availableTickets"], status["waitingListCount"]) == (0, 25)


async def test_a_type_has_to_be_named_where_there_are_several(organizer: Client, customer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": name, "totalTickets": 5} for name in "AB"])
    assert pointers(await customer.post("/book", {"eventId": event["id"]})) == ["/ticketTypeId"]
    first, second = (each["id"] for each in event["ticketTypes"])
    await customer.book(event, ticketTypeId=first)
    await customer.book(event, ticketTypeId=second)
    assert pointers(await customer.post("/cancel", {"eventId": event["id"]})) == ["/eventId"]
    problem(await customer.post("/book", {"eventId": event["id"], "ticketTypeId": event["id"]}), 404, "not-found")


async def test_more_than_there_are(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=3)
    problem(await customer.post("/book", {"eventId": event["id"], "quantity": 4}), 409, "exceeds-capacity")


async def test_more_than_a_customer_may_have(organizer: Client, customer: Client) -> None:
    event = await organizer.event(maxTicketsPerCustomer=2)
    problem(await customer.post("/book", {"eventId": event["id"], "quantity": 3}), 409, "limit-exceeded")


async def test_an_event_that_nobody_knows(customer: Client) -> None:
    problem(await customer.post("/book", {"eventId": customer.id}), 404, "not-found")
    problem(await customer.post("/cancel", {"eventId": customer.id}), 404, "not-found")
    problem(await customer.post("/cancel", {"bookingId": customer.id}), 404, "not-found")


@pytest.mark.parametrize("status", ["paused", "completed", "cancelled"])
async def test_what_is_not_on_sale_is_not_booked(organizer: Client, customer: Client, status: str) -> None:
    event = await organizer.event()
    ok(await organizer.patch(f"/events/{event['id']}", {"status": status}))
    problem(await customer.post("/book", {"eventId": event["id"]}), 409, "not-on-sale")


@pytest.mark.parametrize(
    "window", [{"salesOpenAt": DAY}, {"salesCloseAt": "2030-01-01T12:01:00Z", "salesOpenAt": "2029-01-01T12:00:00Z"}]
)
async def test_outside_the_sales_window(
    service: Service, organizer: Client, customer: Client, window: dict[str, Any]
) -> None:
    event = await organizer.event(**window)
    service.clock.travel(minutes=2)
    problem(await customer.post("/book", {"eventId": event["id"]}), 409, "not-on-sale")


async def test_after_the_start(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(startsAt=DAY)
    booking = await customer.book(event)
    service.clock.travel(days=1)
    await customer.sign_in_again()
    await organizer.sign_in_again()
    late = await service.user()
    problem(await late.post("/book", {"eventId": event["id"]}), 409, "event-started")
    problem(await customer.post("/cancel", {"bookingId": booking["id"]}), 409, "cancellation-closed")
    ok(await organizer.post("/cancel", {"bookingId": booking["id"]}))


async def test_after_the_deadline(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(startsAt=DAY, cancellationDeadlineHours=23, totalTickets=1)
    await customer.book(event)
    waiting = await service.user()
    await waiting.book(event)
    service.clock.travel(hours=2)
    await customer.sign_in_again()
    await waiting.sign_in_again()
    problem(await customer.post("/cancel", {"eventId": event["id"]}), 409, "cancellation-closed")
    ok(await waiting.post("/cancel", {"eventId": event["id"]}))


async def test_cancelled_once_and_for_all(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1)
    booking = await customer.book(event)
    answers = await asyncio.gather(*(customer.post("/cancel", {"bookingId": booking["id"]}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    problem(await customer.post("/cancel", {"bookingId": booking["id"]}), 409, "already-cancelled")
    problem(await customer.post("/cancel", {"eventId": event["id"]}), 404, "not-found")


async def test_a_cancelled_event_has_cancelled_its_bookings(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "cancelled"}))
    problem(await customer.post("/cancel", {"bookingId": booking["id"]}), 409, "already-cancelled")
    problem(await organizer.post("/cancel", {"bookingId": booking["id"]}), 409, "cancellation-closed")


async def test_a_completed_event_keeps_its_bookings(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "completed"}))
    for client in (customer, organizer):
        problem(await client.post("/cancel", {"bookingId": booking["id"]}), 409, "cancellation-closed")


async def test_bookings_are_their_customers_the_organizers_and_the_admins(
    service: Service, organizer: Client, customer: Client, admin: Client, anyone: Client
) -> None:
    booking = await customer.book(await organizer.event())
    path = f"/bookings/{booking['id']}"
    for client in (customer, organizer, admin):
        assert ok(await client.get(path)) == booking
    stranger = await service.user()
    problem(await stranger.get(path), 404, "not-found")
    problem(await stranger.post("/cancel", {"bookingId": booking["id"]}), 404, "not-found")
    problem(await anyone.get(path), 401, "not-signed-in")
    assert ok(await admin.post("/cancel", {"bookingId": booking["id"]}))["promotedCount"] == 0
