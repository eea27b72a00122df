"""Who comes, over HTTP: customers in the lists of an event, its attendees as JSON, and as a CSV file of any size."""

import asyncio
import csv
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from typing import Any
from uuid import UUID

import pytest

from boxoffice.application.bookings.attendees import Attendee, AttendeeExport
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.tickets.ticket import TicketStatus
from boxoffice.entrypoints.http.schemas.attendees import attendees_csv
from tests.entrypoints.http.service_under_test import Client, Service, ok, pointers, problem

HEADER = ["number", "holderName", "email", "ticketType", "status", "bookingId", "checkedInAt"]


async def helper(service: Service, organizer: Client, event: dict[str, Any], role: str) -> Client:
    """A new member of the event's staff."""
    person = await service.user()
    ok(await organizer.post(f"/events/{event['id']}/staff", {"email": person.email, "role": role}), 201)
    return person


def parsed(content: bytes) -> list[list[str]]:
    """The rows of a file, which begins with a byte order mark and whose lines end with CRLF."""
    text = content.decode("utf-8")
    assert text.startswith("\ufeff")
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    return list(csv.reader(StringIO(text[1:], newline=""), strict=True))


async def test_customers_are_in_an_events_lists_and_found_by_name_and_address(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=1)
    booking, waiting = await customer.book(event), await organizer.book(event)
    desk = await helper(service, organizer, event, "desk")
    shown = {"id": customer.id, "name": "Ada", "email": customer.email}
    bookings = f"/events/{event['id']}/bookings"
    for client in (organizer, desk):
        newest, oldest = ok(await client.get(bookings))["items"]
        assert (newest["customer"]["id"], oldest["customer"]) == (organizer.id, shown)
        assert oldest == {**booking, "customer": shown}
        (placed,) = ok(await client.get(f"/events/{event['id']}/waiting-list"))["items"]
        assert (placed["id"], placed["customer"]) == (waiting["id"], newest["customer"])
        assert ok(await client.get(f"/bookings/{booking['id']}"))["customer"] == shown
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking
    assert "customer" not in booking
    assert ok(await customer.get("/bookings"))["items"] == [booking]
    local = customer.email.partition("@")[0].upper()
    for query, found in ((f"q={local}", [booking["id"]]), ("q=ADA&status=waitlisted", []), ("q=%25", [])):
        page = ok(await desk.get(f"{bookings}?{query}"))
        assert [each["id"] for each in page["items"] if each["customer"]["id"] == customer.id] == found
    first = ok(await desk.get(f"{bookings}?q=example&limit=1"))
    assert pointers(await desk.get(f"{bookings}?q=exampl&limit=1&cursor={first['nextCursor']}")) == ["/cursor"]
    rest = ok(await desk.get(f"{bookings}?q=example&limit=1&cursor={first['nextCursor']}"))
    assert [each["id"] for each in first["items"] + rest["items"]] == [waiting["id"], booking["id"]]
    for q in ("", "%20", "x" * 255, "a%00"):
        assert pointers(await desk.get(f"{bookings}?q={q}")) == ["/q"]


async def test_attendees_are_listed_ticket_by_ticket(
    service: Service, organizer: Client, customer: Client, anyone: Client
) -> None:
    event = await organizer.event(totalTickets=4)
    cancelled, booking = await organizer.book(event, 1), await customer.book(event, 3)
    ok(await organizer.post("/cancel", {"bookingId": cancelled["id"]}))
    path = f"/events/{event['id']}/attendees"
    answer = await organizer.get(path)
    items = ok(answer)["items"]
    kind = event["ticketTypes"][0]
    assert [each["number"] for each in items] == [1, 2, 3, 4]
    assert [each["status"] for each in items] == ["void", "valid", "valid", "valid"]
    assert items[1] == {
        "ticketId": items[1]["ticketId"],
        "number": 2,
        "holderName": "Ada",
        "email": customer.email,
        "ticketTypeId": kind["id"],
        "ticketTypeName": "General admission",
        "status": "valid",
        "bookingId": booking["id"],
        "checkedInAt": None,
    }
    assert (await organizer.get(path, headers={"If-None-Match": answer.headers["etag"]})).status_code == 304
    first = ok(await organizer.get(f"{path}?limit=3"))
    rest = ok(await organizer.get(f"{path}?limit=3&cursor={first['nextCursor']}"))
    assert (first["items"] + rest["items"], rest["nextCursor"]) == (items, None)
    other = await organizer.event()
    assert pointers(await organizer.get(f"/events/{other['id']}/attendees?cursor={first['nextCursor']}")) == ["/cursor"]
    door = await helper(service, organizer, event, "door")
    without = [{name: value for name, value in each.items() if name != "email"} for each in items]
    assert ok(await door.get(path))["items"] == without
    for name in ("attendees", "attendees.csv"):
        problem(await customer.get(f"/events/{event['id']}/{name}"), 403, "not-allowed")
        problem(await anyone.get(f"/events/{event['id']}/{name}"), 401, "not-signed-in")
        problem(await organizer.get(f"/events/{UUID(int=7)}/{name}"), 404, "not-found")


async def test_attendees_as_csv(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": '=1+1, "or";\u2028é', "totalTickets": 3}])
    await organizer.book(event, 1)
    booking = await customer.book(event, 2)
    path = f"/events/{event['id']}/attendees.csv"
    answer = await organizer.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="attendees.csv"'
    assert answer.headers["cache-control"] == "no-store"
    header, *rows = parsed(answer.content)
    assert header == HEADER
    name = '\'=1+1, "or";\u2028é'
    assert rows[1:] == [[str(n), "Ada", customer.email, name, "valid", booking["id"], ""] for n in (2, 3)]
    door = await helper(service, organizer, event, "door")
    header, *rows = parsed((await door.get(path)).content)
    assert header == [each for each in HEADER if each != "email"]
    assert rows[1] == ["2", "Ada", name, "valid", booking["id"], ""]
    head = await organizer.send("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]
    empty = await organizer.event()
    assert parsed((await organizer.get(f"/events/{empty['id']}/attendees.csv")).content) == [HEADER]


def attendee(number: int, name: str | None, email: str | None = None) -> Attendee:
    return Attendee(
        ticket_id=UUID(int=number),
        number=number,
        holder_name=name,
        email=email,
        ticket_type_id=UUID(int=1),
        ticket_type_name="Stalls",
        status=TicketStatus.VALID,
        booking_id=UUID(int=2),
    )


async def parts_of(*parts: Iterator[Attendee]) -> AsyncIterator[Iterator[Attendee]]:
    for each in parts:
        yield each


async def written(*attendees: Attendee) -> bytes:
    export = AttendeeExport(parts_of(iter(attendees)), shows_addresses=True)
    return b"".join([chunk async for chunk in attendees_csv(export)])


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
async def test_a_cell_that_a_spreadsheet_would_calculate_is_defused(begin: str) -> None:
    texts = (f"{begin}1+1", f"{begin}x@example.org")
    _, row = parsed(await written(attendee(1, *texts)))
    assert row[1:3] == [f"'{each}" for each in texts]


async def test_other_cells_are_as_they_are() -> None:
    name = 'O\'Neill "a";, \t=1 \U0001f39f'
    _, *rows = parsed(await written(attendee(1, name), attendee(2, None), attendee(3, "", "a=b@example.org")))
    assert [row[:3] for row in rows] == [["1", name, ""], ["2", "", ""], ["3", "", "a=b@example.org"]]


async def test_a_file_of_any_size_takes_the_same_memory_and_begins_at_once() -> None:
    """Thirty thousand tickets of thirty bookings: the header is there before anything is read, the rest in parts."""
    read: list[int] = []

    async def parts() -> AsyncIterator[Iterator[Attendee]]:
        for first in range(0, 30_000, 10_000):
            read.append(first)
            yield (attendee(number, "Ada Lovelace", "ada@example.org") for number in range(first, first + 10_000))

    chunks = attendees_csv(AttendeeExport(parts(), shows_addresses=True))
    assert parsed(await anext(chunks)) == [HEADER]
    assert read == []
    size = rows = largest = 0
    tracemalloc.start()
    try:
        async for chunk in chunks:
            size += len(chunk)
            rows += chunk.count(b"\r\n")
            largest = max(largest, len(chunk))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (rows, read) == (30_000, [0, 10_000, 20_000])
    assert size > 2_500_000
    assert peak < 1_500_000
    assert largest < 150_000


async def test_a_failure_in_the_middle_of_a_file_cuts_it_off(
    service: Service, organizer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody takes it for complete; what came before is sent, and no connection is held meanwhile."""
    monkeypatch.setattr("boxoffice.application.bookings.attendees.AT_ONCE", 1)
    event = await organizer.event()
    await organizer.book(event)
    customer = await service.user()
    await customer.book(event)
    queries = service.container.storage().booking_queries
    read = queries.attending_bookings
    asked: list[int] = []

    async def fail_later(event_id: UUID, after: int, limit: int) -> Any:
        asked.append(after)
        if after:
            raise Unavailable
        return await read(event_id, after, limit)

    monkeypatch.setattr(queries, "attending_bookings", fail_later)
    sent, error = await raw_get(service, f"/events/{event['id']}/attendees.csv", organizer)
    assert error is not None
    assert [each["type"] for each in sent].count("http.response.start") == 1
    assert sent[-1].get("more_body"), "the last part is missing"
    assert len(parsed(b"".join(each.get("body", b"") for each in sent))) == 2
    assert asked == [0, 1]


async def raw_get(service: Service, path: str, client: Client) -> tuple[list[Any], BaseException | None]:
    """What the application sends, message by message, and the error with which it ends."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"boxoffice"), (b"authorization", f"Bearer {client.token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    try:
        await service.app(scope, receive, send)
    except BaseException as error:  # noqa: BLE001 - returned
        return sent, error
    return sent, None
