"""Lists over HTTP: walked with cursors, filtered, and no answer to a parameter that makes no sense.

The order of each list is tested in `tests/contract/test_reads.py`; the state machine of `tests/properties` walks the
lists of bookings, payments and changes over HTTP.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from boxoffice.entrypoints.http.paging import waiting_cursors
from tests.entrypoints.http.service_under_test import Client, Service, ok, pointers, problem
from tests.settable_clock import SettableClock


async def walk(client: Client, path: str, limit: int | None = 7, **params: Any) -> list[str]:
    """The ids of all items."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        asked = {**params, **({"limit": limit} if limit else {}), **({"cursor": cursor} if cursor else {})}
        page = ok(await client.get(path, params=asked))
        assert set(page) == {"items", "nextCursor"}
        found += ids(page["items"])
        cursor = page["nextCursor"]
        if cursor is None:
            assert len(page["items"]) <= (limit or 50)
            return found
        assert len(page["items"]) == (limit or 50)


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


async def test_events_soonest_first_those_without_a_start_last(organizer: Client, anyone: Client) -> None:
    undated = ids([await organizer.event(name=f"U{n}") for n in range(20)])
    dated = {}
    for n in range(40):
        starts_at = f"2030-02-{n % 28 + 1:02}T12:00:00Z"
        dated[(await organizer.event(name=f"D{n}", startsAt=starts_at))["id"]] = starts_at
    expected = sorted(dated, key=lambda event_id: (dated[event_id], event_id)) + sorted(undated)
    for limit in (7, 100, None):
        assert await walk(anyone, "/events", limit) == expected
    numbers = dict(zip(dated, range(40), strict=True))
    assert await walk(anyone, "/events", q="d1") == [i for i in expected if numbers.get(i) in {1, *range(10, 20)}]


async def test_events_by_status(organizer: Client, customer: Client, admin: Client, anyone: Client) -> None:
    events = {}
    for status in ("draft", "on_sale", "paused", "completed", "cancelled"):
        event = await organizer.event(status="draft" if status == "draft" else "on_sale")
        ok(await organizer.patch(f"/events/{event['id']}", {"status": status}))
        events[status] = event["id"]
    assert await walk(anyone, "/events") == [events["on_sale"], events["paused"]]
    for status in ("on_sale", "paused", "completed", "cancelled"):
        assert await walk(anyone, "/events", status=status) == [events[status]]
    for client, expected in ((organizer, [events["draft"]]), (admin, [events["draft"]]), (customer, []), (anyone, [])):
        assert await walk(client, "/events", status="draft") == expected


async def test_ones_own_events_are_those_one_organizes_or_works_for(
    service: Service, organizer: Client, customer: Client, anyone: Client, clock: SettableClock
) -> None:
    kept = await organizer.event(name="Jazz", startsAt="2030-02-02T12:00:00Z")
    draft = await organizer.event(name="Rock", status="draft", startsAt="2030-02-01T12:00:00Z")
    cancelled = await organizer.event(name="Folk")
    ok(await organizer.patch(f"/events/{cancelled['id']}", {"status": "cancelled"}))
    own = await customer.event(name="Own jazz", startsAt="2030-02-03T12:00:00Z")
    for event in (draft, kept):
        ok(await organizer.post(f"/events/{event['id']}/staff", {"email": customer.email, "role": "door"}), 201)
    for limit in (1, 50):
        assert await walk(organizer, "/events", limit, mine="true") == ids([draft, kept, cancelled])
        assert await walk(customer, "/events", limit, mine="true") == ids([draft, kept, own])
    assert await walk(customer, "/events", mine="true", status="draft") == [draft["id"]]
    assert await walk(customer, "/events", 1, mine="true", q="JAZZ") == ids([kept, own])
    assert await walk(customer, "/events", mine="true", when="past") == []
    assert await walk(await service.user(), "/events", mine="true") == []
    answer = await anyone.get("/events?mine=true")
    problem(answer, 401, "not-signed-in")
    assert answer.headers["www-authenticate"] == "Bearer"
    clock.time = datetime(2030, 2, 2, 12, tzinfo=UTC)
    await customer.sign_in_again()
    assert await walk(customer, "/events", 1, mine="true", when="past") == ids([draft, kept])
    assert await walk(customer, "/events", mine="true") == [own["id"]]
    gone = await customer.send("DELETE", f"/events/{kept['id']}/staff/{customer.id}")
    problem(gone, 403, "not-allowed")


async def test_events_that_are_over_are_listed_on_demand(
    organizer: Client, customer: Client, anyone: Client, clock: SettableClock
) -> None:
    """Fifty-five that have begun do not hide the one to come."""
    begun = ids([await organizer.event(name=f"Jazz {n}", startsAt="2030-02-01T12:00:00Z") for n in range(55)])
    running = await organizer.event(startsAt="2030-02-01T11:00:00Z", endsAt="2030-02-01T13:00:00Z")
    paused = await organizer.event(name="Rock", startsAt="2030-02-01T12:01:00Z")
    undated = await organizer.event(name="Folk")
    draft = await organizer.event(startsAt="2030-02-01T12:00:00Z", status="draft")
    ok(await organizer.patch(f"/events/{paused['id']}", {"status": "paused"}))
    clock.time = datetime(2030, 2, 1, 12, tzinfo=UTC)
    await organizer.sign_in_again()
    upcoming = ids([running, paused, undated])
    for path in ("/events", "/events?when=upcoming"):
        page = ok(await anyone.get(path))
        assert (ids(page["items"]), page["nextCursor"]) == (upcoming, None)
    assert await walk(anyone, "/events", 7, when="past") == begun
    assert await walk(anyone, "/events", 7, when="all") == [running["id"], *begun, paused["id"], undated["id"]]
    assert await walk(anyone, "/events", status="paused") == [paused["id"]]
    assert await walk(anyone, "/events", status="paused", when="past") == []
    assert await walk(anyone, "/events", q="jazz") == [running["id"]]
    assert await walk(anyone, "/events", q="jazz 1", when="past") == [begun[1], *begun[10:20]]
    assert await walk(organizer, "/events", status="draft") == []
    assert await walk(organizer, "/events", status="draft", when="past") == [draft["id"]]
    assert await walk(anyone, "/events", status="draft", when="all") == []
    clock.time = datetime(2030, 2, 1, 13, tzinfo=UTC)
    assert await walk(anyone, "/events", 100, when="past") == [running["id"], *begun, paused["id"]]


async def test_bookings_and_waiting_lists_are_filtered(organizer: Client, customer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": name, "totalTickets": 1} for name in "AB"])
    kinds = [each["id"] for each in event["ticketTypes"]]
    confirmed = [await organizer.book(event, ticketTypeId=kind) for kind in kinds]
    waiting = [await customer.book(event, ticketTypeId=kind) for kind in kinds]
    for client, path in ((customer, "/bookings"), (organizer, f"/events/{event['id']}/bookings")):
        assert await walk(client, path, 1, status="waitlisted") == ids(waiting)[::-1]
        assert await walk(client, path, status="held") == []
    assert await walk(organizer, "/bookings", status="confirmed") == ids(confirmed)[::-1]
    path = f"/events/{event['id']}/waiting-list"
    assert await walk(organizer, path, 1) == ids(waiting)
    assert await walk(organizer, path, ticketTypeId=kinds[1]) == ids(waiting[1:])
    problem(await organizer.get(path, params={"ticketTypeId": event["id"]}), 404, "not-found")


NO_LIMIT = ["", "0", "101", "-1", "+1", "1.0", "1e1", " 1", "01", "x", "٣", "9" * 30, "%FF", "null"]
QUERIES: dict[str, dict[str, list[str]]] = {
    "/events": {
        "limit": NO_LIMIT,
        "status": ["", "On_sale", "held", "%FF"],
        "q": ["", "%20", "%00", "%FF", "x" * 201],
        "when": ["", "Past", "now", "null", "%FF"],
        "mine": ["", "false", "True", "1", "null", "%FF"],
    },
    "/bookings": {"limit": NO_LIMIT, "status": ["", "draft", "HELD"]},
    "/events/{id}/bookings": {
        "limit": NO_LIMIT,
        "status": ["", "draft", "HELD"],
        "q": ["", "%20", "%00", "%FF", "x" * 255],
    },
    "/events/{id}/attendees": {"limit": NO_LIMIT},
    "/events/{id}/waiting-list": {"limit": NO_LIMIT, "ticketTypeId": ["", "x", "%FF", "1"]},
    "/events/{id}/changes": {"limit": NO_LIMIT, "after": ["", "-1", "x", "1.0", "00", str(2**63), "9" * 40]},
}
CURSORS = ["", "x", "AAAA", "*", "%00", "%FF", "ü", "=", "a" * 5_000, "bnVsbA", "eyJhIjoxfQ=="]


@pytest.mark.parametrize("path", QUERIES)
async def test_values_that_make_no_sense_are_refused_and_unknown_parameters_ignored(
    organizer: Client, path: str
) -> None:
    known = QUERIES[path]
    if not path.endswith("changes"):
        known = {**known, "cursor": CURSORS}
    path = path.replace("{id}", (await organizer.event())["id"])
    for name, values in known.items():
        for value in values:
            assert pointers(await organizer.get(f"{path}?{name}={value}")) == [f"/{name}"], (name, value)
        assert pointers(await organizer.get(f"{path}?{name}")) == [f"/{name}"]
        good = "5" if name in {"limit", "after"} else values[-1]
        assert f"/{name}" in pointers(await organizer.get(f"{path}?{name}={good}&x=1&{name}={good}"))
    every = "&".join(f"{name}=" for name in known)
    assert sorted(pointers(await organizer.get(f"{path}?{every}"))) == sorted(f"/{name}" for name in known)
    ok(await organizer.get(f"{path}?x=1&x=2&Limit=0&STATUS=&%FF=1&=&&;limit=0"))


async def test_a_cursor_belongs_to_its_list_and_filters(
    service: Service, organizer: Client, customer: Client, admin: Client
) -> None:
    events = [await organizer.event(totalTickets=2) for _ in range(2)]
    for each in events:
        for client in (customer, organizer, admin):
            await client.book(each)
        await (await service.user()).book(each)
        await organizer.event(status="draft")
    event, other = (f"/events/{each['id']}" for each in events)
    lists = [
        (organizer, "/events?limit=1"),
        (organizer, "/events?limit=1&status=on_sale"),
        (organizer, "/events?limit=1&q=jazz"),
        (organizer, "/events?limit=1&when=all"),
        (organizer, "/events?limit=1&status=draft"),
        (organizer, "/events?limit=1&mine=true"),
        (organizer, "/events?limit=1&mine=true&status=draft"),
        (admin, "/events?limit=1&status=draft"),
        (customer, "/bookings?limit=1"),
        (organizer, "/bookings?limit=1"),
        *[
            (organizer, f"{path}/{below}limit=1")
            for path in (event, other)
            for below in ("bookings?", "bookings?status=waitlisted&", "waiting-list?", "bookings?q=a&", "attendees?")
        ],
        (organizer, f"{event}/waiting-list?limit=1&ticketTypeId={events[0]['ticketTypes'][0]['id']}"),
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


async def test_a_cursor_that_was_tampered_with_is_refused(organizer: Client) -> None:
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
    ],
)
async def test_a_cursor_whose_digest_fits_but_whose_key_does_not_is_refused(organizer: Client, key: Any) -> None:
    event = await organizer.event()
    made_up = waiting_cursors("waiting list", UUID(event["id"]), None).write(key)
    path = f"/events/{event['id']}/waiting-list"
    assert pointers(await organizer.get(path, params={"cursor": made_up})) == ["/cursor"]
