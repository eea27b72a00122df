"""Parts of bookings that are given back over HTTP."""

from typing import Any

import pytest

from tests.entrypoints.http.service_under_test import EUR_25, Client, ok, pointers, problem


async def part(client: Client, booking: dict[str, Any], quantity: int, **body: Any) -> Any:
    """Give a part of a booking back."""
    return await client.post("/cancel", {"bookingId": booking["id"], "quantity": quantity, **body})


async def tickets(client: Client, booking: dict[str, Any]) -> list[dict[str, Any]]:
    """The tickets of a booking."""
    items: list[dict[str, Any]] = ok(await client.get(f"/bookings/{booking['id']}/tickets"))["items"]
    return items


async def test_chosen_tickets_become_void_and_the_line_is_served(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=3)
    booking, waiting = await customer.book(event, 3), await organizer.book(event, 1)
    listed = await tickets(customer, booking)
    answer = ok(await part(customer, booking, 1, ticketIds=[listed[1]["id"]]))
    assert (answer["promotedCount"], answer["refund"]) == (1, None)
    assert answer["booking"] == {**booking, "quantity": 2, "updatedAt": answer["booking"]["updatedAt"]}
    assert [each["status"] for each in await tickets(customer, booking)] == ["valid", "void", "valid"]
    assert ok(await organizer.get(f"/bookings/{waiting['id']}"))["status"] == "confirmed"
    problem(await part(customer, booking, 1, ticketIds=[listed[1]["id"]]), 404, "not-found")
    ok(await part(customer, booking, 1))
    assert [each["status"] for each in await tickets(customer, booking)] == ["valid", "void", "void"]
    problem(await part(customer, booking, 1), 409, "exceeds-booking")
    items = ok(await organizer.get(f"/events/{event['id']}/changes"))["items"]
    assert [each["data"]["numbers"] for each in items if each["kind"] == "TicketsReturned"] == [[2], [3]]
    attendees = ok(await organizer.get(f"/events/{event['id']}/attendees"))["items"]
    assert [(each["number"], each["status"]) for each in attendees] == [
        *((1, "valid"), (2, "void"), (3, "void"), (4, "valid")),
    ]


async def test_a_paid_part_is_refunded_less_the_fee(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=3, price=EUR_25, refundFeePercent=10)
    booking = ok(await customer.pay(await customer.book(event, 3)))
    answer = ok(await part(customer, booking, 2))
    assert answer["refund"] == {"amount": 4_500, "currency": "EUR"}
    assert (answer["booking"]["amount"]["amount"], answer["booking"]["paymentStatus"]) == (2_500, "taken")
    refund = ok(await customer.post("/cancel", {"bookingId": booking["id"]}))["refund"]
    assert refund == {"amount": 2_250, "currency": "EUR"}
    payments = ok(await customer.get(f"/bookings/{booking['id']}/payments"))["items"]
    assert sorted(each["amount"]["amount"] for each in payments) == [2_250, 4_500, 7_500]


async def test_a_waiting_booking_names_no_tickets(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=2)
    held, waiting = await organizer.book(event, 2), await customer.book(event, 2)
    (some, _) = await tickets(organizer, held)
    assert pointers(await part(customer, waiting, 1, ticketIds=[some["id"]])) == ["/ticketIds"]
    answer = ok(await part(customer, waiting, 1))
    assert (answer["booking"]["status"], answer["booking"]["quantity"]) == ("waitlisted", 1)
    assert (answer["booking"]["position"], answer["booking"]["ticketsAhead"]) == (1, 0)
    assert ok(await customer.get(f"/bookings/{waiting['id']}")).items() >= answer["booking"].items()


ONE = "01900000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"eventId": ONE, "quantity": 1}, "/quantity"),
        ({"bookingId": ONE, "ticketIds": [ONE]}, "/quantity"),
        ({"bookingId": ONE, "quantity": 2, "ticketIds": [ONE]}, "/ticketIds"),
        ({"bookingId": ONE, "quantity": 2, "ticketIds": [ONE, ONE]}, "/ticketIds"),
        ({"bookingId": ONE, "quantity": 0}, "/quantity"),
        ({"bookingId": ONE, "quantity": 1, "ticketIds": []}, "/ticketIds"),
        ({"bookingId": ONE, "quantity": 1, "ticketIds": ["x"]}, "/ticketIds/0"),
    ],
)
async def test_what_contradicts_itself_is_named(customer: Client, body: dict[str, Any], where: str) -> None:
    assert pointers(await customer.post("/cancel", body)) == [where]
