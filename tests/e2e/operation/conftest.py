"""Databases for the service, and a customer who uses it."""

from tests.e2e.wire.people import sign_up


def buy_and_cancel(url: str) -> str:
    """Sign up, book, pay and cancel, and return the event's id."""
    people = sign_up(url)
    seats = {"name": "Seat", "totalTickets": 1, "price": {"amount": 500, "currency": "EUR"}}
    event = people.organizer.initialize(ticketTypes=[seats])
    booked = people.customer.book(event)
    people.customer.post(f"/bookings/{booked['id']}/payment", {"method": "card", "token": "tok_ok"})
    people.customer.post("/cancel", {"bookingId": booked["id"]})
    return str(event["id"])
