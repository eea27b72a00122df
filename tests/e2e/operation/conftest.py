"""A customer who uses the service."""

from pathlib import Path

import httpx

from tests.e2e.wire.people import sign_up
from tests.faults.service import servers


def serve_a_customer(database_url: str, directory: Path) -> None:
    """Serve a database; a customer signs up, books, pays, cancels and reads the status; then the service ends."""
    with servers(database_url, directory, 1) as (server,):
        event_id = _buy_and_cancel(server.url)
        assert httpx.get(f"{server.url}/status/{event_id}", timeout=60).status_code == 200
        assert server.terminate() == 0
        assert not server.complaints()


def _buy_and_cancel(url: str) -> str:
    people = sign_up(url)
    seats = {"name": "Seat", "totalTickets": 1, "price": {"amount": 500, "currency": "EUR"}}
    event = people.organizer.initialize(ticketTypes=[seats])
    booked = people.customer.book(event)
    people.customer.post(f"/bookings/{booked['id']}/payment", {"method": "card", "token": "tok_ok"})
    people.customer.post("/cancel", {"bookingId": booked["id"]})
    return str(event["id"])
