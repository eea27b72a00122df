"""Lists: walked with cursors, filtered, never answering a parameter that makes no sense."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pytest

from boxoffice.domain.decisions.book import Book
from boxoffice.domain.user import Actor
from boxoffice.entrypoints.http.paging import waiting_cursors
from tests.http.service import Client, Service, ok, pointers, problem

MANY = 120


async def walk(client: Client, path: str, limit: int | None = 7, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        asked = {**params, **({"limit": limit} if limit else {}), **({"cursor": cursor} if cursor else {})}
        page = ok(await client.get(path, params=asked))
        assert set(page) == {"items", "nextCursor"}
        assert len(page["items"]) <= (limit or 50)
        found += page["items"]
        cursor = page["nextCursor"]
        if cursor is None:
            return found
        assert len(page["items"]) == (limit or 50)


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


async def book_for_many(service: Service, event: Mapping[str, Any], count: int = MANY, **fields: Any) -> list[str]:
    """Bookings of customers who need no account for it, one after the other."""
    booked = []
    for _ in range(count):
        command = Book(
            booking_id=service.container.ids().new(),
            event_id=UUID(event["id"]),
            actor=Actor(service.container.ids().new()),
            **fields,
        )
        booked.append(str((await service.container.book_ticket()(command)).id))
    return booked


async def test_events_soonest_first_those_without_a_start_last(organizer: Client, anyone: Client) -> None:
    undated = ids([await organizer.event(name=f"U{n}") for n in range(20)])
    dated = {}
    for n in range(100):
        starts_at = f"2030-02-{n % 28 + 1:02}T12:00:00Z"
        dated[(await organizer.event(name=f"D{n}", startsAt=starts_at))["id"]] = starts_at
    expected = sorted(dated, key=lambda event_id: (dated[event_id], event_id)) + sorted(undated)
    for limit in (7, 100, 1, None):
        assert ids(await walk(anyone, "/events", limit)) == expected
    assert ids(await walk(anyone, "/events", q="d1")) == [
        i for i in expected if i in dated and list(dated).index(i) in {1, *range(10, 20)}
    ]


async def test_an_event_that_comes_in_between_shifts_nothing(organizer: Client, anyone: Client) -> None:
    events = [await organizer.event(startsAt=f"2030-02-{n:02}T12:00:00Z") for n in range(2, 22)]
    first = ok(await anyone.get("/events?limit=10"))
    await organizer.event(startsAt="2030-02-01T12:00:00Z")
    ok(await organizer.patch(f"/events/{events[0]['id']}", {"status": "cancelled"}))
    rest = ok(await anyone.get("/events", params={"limit": 10, "cursor": first["nextCursor"]}))
    assert ids(first["items"]) + ids(rest["items"]) == ids(events)


async def test_events_by_status(organizer: Client, customer: Client, admin: Client, anyone: Client) -> None:
    events = {}
    for status in ("draft", "on_sale", "paused", "completed", "cancelled"):
        event = await organizer.event(status="draft")
        if status != "draft":
            ok(await organizer.patch(f"/events/{event['id']}", {"status": "on_sale"}))
        if status not in {"draft", "on_sale"}:
            ok(await organizer.patch(f"/events/{event['id']}", {"status": status}))
        events[status] = event["id"]
    assert ids(await walk(anyone, "/events")) == [events["on_sale"], events["paused"]]
    for status in ("on_sale", "paused", "completed", "cancelled"):
        assert ids(await walk(anyone, "/events", status=status)) == [events[status]]
    for client, expected in ((organizer, [events["draft"]]), (admin, [events["draft"]]), (customer, []), (anyone, [])):
        assert ids(await walk(client, "/events", status="draft")) == expected


async def test_events_by_text(organizer: Client, anyone: Client) -> None:
    jazz = await organizer.event(name="JAZZ 100% pure", venue="Straße_1")
    await organizer.event(name="Blues", venue="x")
    for q in ("jazz", "100%", "% P", "straße", "e_1", " jazz "):
        assert ids(await walk(anyone, "/events", q=q)) == [jazz["id"]], q
    for q in ("100_", "%%", "\\", "'", "nothing"):
        assert await walk(anyone, "/events", q=q) == [], q
    assert ids(ok(await anyone.get("/events?q=100%25+pure"))["items"]) == [jazz["id"]]


async def test_ones_own_bookings_newest_first(organizer: Client, customer: Client) -> None:
    events = [await organizer.event() for _ in range(MANY)]
    await organizer.book(events[0])
    booked = [await customer.book(event) for event in events]
    assert ids(await walk(customer, "/bookings")) == ids(booked)[::-1]
    ok(await customer.post("/cancel", {"bookingId": booked[5]["id"]}))
    assert ids(await walk(customer, "/bookings", status="cancelled")) == [booked[5]["id"]]
    assert len(await walk(customer, "/bookings", status="confirmed")) == MANY - 1
    first = ok(await customer.get("/bookings?limit=60"))
    await customer.book(await organizer.event())
    rest = ok(await customer.get("/bookings", params={"limit": 100, "cursor": first["nextCursor"]}))
    assert ids(first["items"]) + ids(rest["items"]) == ids(booked)[::-1]
    assert rest["nextCursor"] is None


async def test_an_events_bookings_newest_first(service: Service, organizer: Client) -> None:
    event = await organizer.event(totalTickets=100)
    booked = await book_for_many(service, event)
    path = f"/events/{event['id']}/bookings"
    assert ids(await walk(organizer, path)) == booked[::-1]
    assert ids(await walk(organizer, path, status="waitlisted")) == booked[100:][::-1]
    assert await walk(organizer, path, status="held") == []
    first = ok(await organizer.get(f"{path}?limit=7"))
    await book_for_many(service, event, 3)
    rest = await organizer.get(path, params={"limit": 7, "cursor": first["nextCursor"]})
    assert ids(ok(rest)["items"]) == booked[::-1][7:14]


async def test_a_waiting_list_by_type_then_position(service: Service, organizer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": name, "totalTickets": 1} for name in "AB"])
    first, second = (UUID(each["id"]) for each in event["ticketTypes"])
    for ticket_type_id in (first, second):
        await book_for_many(service, event, 1, ticket_type_id=ticket_type_id)
    late = await book_for_many(service, event, 60, ticket_type_id=second)
    early = await book_for_many(service, event, 60, ticket_type_id=first)
    path = f"/events/{event['id']}/waiting-list"
    found = await walk(organizer, path)
    assert ids(found) == early + late
    assert [item["position"] for item in found] == [*range(1, 61), *range(1, 61)]
    assert [item["ticketsAhead"] for item in found] == [*range(60), *range(60)]
    assert ids(await walk(organizer, path, ticketTypeId=str(second))) == late
    problem(await organizer.get(path, params={"ticketTypeId": event["id"]}), 404, "not-found")
    page = ok(await organizer.get(f"{path}?limit=7"))
    ok(await organizer.post("/cancel", {"bookingId": early[0]}))
    after = ok(await organizer.get(path, params={"limit": 7, "cursor": page["nextCursor"]}))
    assert ids(after["items"]) == early[7:14]


async def test_changes_are_walked(service: Service, organizer: Client) -> None:
    event = await organizer.event(totalTickets=100)
    await book_for_many(service, event)
    seen: list[int] = []
    after = 0
    while True:
        page = ok(await organizer.get(f"/events/{event['id']}/changes", params={"after": after, "limit": 7}))
        if not page["items"]:
            break
        seen += [item["seq"] for item in page["items"]]
        after = page["lastSeq"]
    assert seen == list(range(1, MANY + 2))


NO_LIMIT = ["", "0", "101", "-1", "+1", "1.0", "1e1", " 1", "1 ", "01", "x", "٣", "9" * 30, "%FF", "null"]
QUERIES: dict[str, dict[str, list[str]]] = {
    "/events": {"limit": NO_LIMIT, "status": ["", "On_sale", "held", "%FF"], "q": ["", "%20", "%00", "%FF", "x" * 201]},
    "/bookings": {"limit": NO_LIMIT, "status": ["", "draft", "HELD"]},
    "/events/{id}/bookings": {"limit": NO_LIMIT, "status": ["", "draft", "HELD"]},
    "/events/{id}/waiting-list": {"limit": NO_LIMIT, "ticketTypeId": ["", "x", "%FF", "1"]},
    "/events/{id}/changes": {"limit": NO_LIMIT, "after": ["", "-1", "x", "1.0", "00", str(2**63), "9" * 40]},
}
CURSORS = ["", "x", "AAAA", "*", "%00", "%FF", "ü", "=", "a" * 5_000, "bnVsbA", "eyJhIjoxfQ=="]


@pytest.mark.parametrize("path", QUERIES)
async def test_values_that_make_no_sense_are_refused(organizer: Client, path: str) -> None:
    event = await organizer.event()
    path = path.replace("{id}", event["id"])
    known = QUERIES[path.replace(event["id"], "{id}")]
    if not path.endswith("changes"):
        known = {**known, "cursor": CURSORS}
    for name, values in known.items():
        for value in values:
            assert pointers(await organizer.get(f"{path}?{name}={value}")) == [f"/{name}"], (name, value)
        assert pointers(await organizer.get(f"{path}?{name}")) == [f"/{name}"]
        good = "5" if name in {"limit", "after"} else values[-1]
        assert f"/{name}" in pointers(await organizer.get(f"{path}?{name}={good}&x=1&{name}={good}"))
    every = "&".join(f"{name}=" for name in known)
    assert sorted(pointers(await organizer.get(f"{path}?{every}"))) == sorted(f"/{name}" for name in known)


@pytest.mark.parametrize("path", QUERIES)
async def test_parameters_that_nobody_knows_are_ignored(organizer: Client, path: str) -> None:
    event = await organizer.event()
    path = path.replace("{id}", event["id"])
    ok(await organizer.get(f"{path}?x=1&x=2&Limit=0&STATUS=&%FF=1&=&&;limit=0"))


async def test_a_cursor_belongs_to_its_list_and_filters(
    service: Service, organizer: Client, customer: Client, admin: Client
) -> None:
    event = await organizer.event(totalTickets=2)
    other = await organizer.event(totalTickets=2)
    for each in (event, other):
        await asyncio.gather(
            customer.book(each), organizer.book(each), admin.book(each), book_for_many(service, each, 3)
        )
    await organizer.event(status="draft")
    await organizer.event(status="draft")
    kind = event["ticketTypes"][0]["id"]
    lists = [
        (organizer, "/events?limit=1"),
        (organizer, "/events?limit=1&status=on_sale"),
        (organizer, "/events?limit=1&q=jazz"),
        (organizer, "/events?limit=1&q=jazz&status=on_sale"),
        (organizer, "/events?limit=1&status=draft"),
        (admin, "/events?limit=1&status=draft"),
        (customer, "/bookings?limit=1"),
        (organizer, "/bookings?limit=1"),
        *[
            (organizer, f"/events/{each['id']}/{below}limit=1")
            for each in (event, other)
            for below in ("bookings?", "bookings?status=waitlisted&", "waiting-list?")
        ],
        (organizer, f"/events/{event['id']}/waiting-list?limit=1&ticketTypeId={kind}"),
    ]
    cursors = [ok(await client.get(path))["nextCursor"] for client, path in lists]
    assert all(cursors)
    assert len(set(cursors)) == len(lists)
    for mine, (client, path) in enumerate(lists):
        for whose, cursor in enumerate(cursors):
            answer = await client.get(f"{path.replace('limit=1', 'limit=2')}&cursor={cursor}")
            if mine == whose:
                ok(answer)
            else:
                assert pointers(answer) == ["/cursor"], (path, lists[whose])


async def test_a_cursor_that_was_tampered_with(organizer: Client) -> None:
    for _ in range(3):
        await organizer.event(startsAt="2030-02-01T12:00:00Z")
    cursor = ok(await organizer.get("/events?limit=1"))["nextCursor"]
    for at in range(len(cursor)):
        other = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        assert pointers(await organizer.get(f"/events?cursor={other}")) == ["/cursor"], at
    for other in (cursor[:-1], cursor + "A", cursor + "=", cursor + "==", cursor + "%0A", " " + cursor):
        assert pointers(await organizer.get(f"/events?cursor={other}")) == ["/cursor"], other


@pytest.mark.parametrize(
    "key",
    [
        {"ordinal": 2**63, "queue_number": 1},
        {"ordinal": -1, "queue_number": 1},
        {"ordinal": 0, "queue_number": 2**64 - 1},
        {"ordinal": 0},
        {"ordinal": 0, "queue_number": 1, "x": 1},
        {"starts_at": None, "event_id": "x"},
        [0, 1],
        None,
    ],
)
async def test_a_cursor_that_was_made_up_by_somebody_who_knows_how(organizer: Client, key: Any) -> None:
    event = await organizer.event()
    cursors: Any = waiting_cursors("waiting list", UUID(event["id"]), None)
    written = msgspec.msgpack.encode(key)
    made_up = base64.urlsafe_b64encode(cursors._digest(written) + written).rstrip(b"=").decode()
    path = f"/events/{event['id']}/waiting-list"
    assert pointers(await organizer.get(path, params={"cursor": made_up})) == ["/cursor"]
