"""The door over HTTP: what a scanner reads, check-ins in batches, conflicts, undoing, and what cheats are answered."""

import csv
from base64 import b32decode, b32encode, urlsafe_b64decode
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from boxoffice.application.ports.ticket_codes import TicketRef
from boxoffice.domain.tickets.ticket import ticket_id
from tests.entrypoints.http.service_under_test import Client, Service, ok, pointers, problem

NO_ONE = {"ticketId": None, "holderName": None, "admittedAt": None}


async def code(service: Service, booking: dict[str, Any], number: int, serial: int = 1) -> str:
    """The code of a ticket."""
    event_id = UUID(booking["eventId"])
    ref = TicketRef(event_id, ticket_id(UUID(booking["id"]), number), serial)
    return await service.container.ticket_codes().code(ref)


def scan(code: str, minute: int = 0, **values: Any) -> dict[str, Any]:
    """A new scan, so many minutes after the doors opened."""
    return {"id": str(uuid4()), "code": code, "at": f"2030-01-01T19:{minute:02}:00Z", "device": "Gate 1", **values}


async def check_in(client: Client, event: dict[str, Any], *scans: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to scans."""
    items: list[dict[str, Any]] = ok(await client.post(f"{path(event)}/check-ins", {"items": scans}))["items"]
    assert [each["id"] for each in items] == [each["id"] for each in scans]
    return items


async def results(client: Client, event: dict[str, Any], *codes: str) -> list[str]:
    """What scans of these codes are answered."""
    return [each["result"] for each in await check_in(client, event, *map(scan, codes))]


def path(event: dict[str, Any]) -> str:
    return f"/events/{event['id']}"


def at(minute: int) -> str:
    return f"2030-01-01T19:{minute:02}:00Z"


async def staff(service: Service, organizer: Client, event: dict[str, Any], role: str = "door") -> Client:
    person = await service.user()
    ok(await organizer.post(f"{path(event)}/staff", {"email": person.email, "role": role}), 201)
    return person


async def test_tickets_are_checked_in_and_shown_as_used(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event, 2)
    door = await staff(service, organizer, event)
    first, second = [await code(service, booking, number) for number in (1, 2)]
    answers = await check_in(door, event, scan(first), scan(first, 1), scan(second, 2), scan("BX1NONSENSE"))
    ids = [str(ticket_id(UUID(booking["id"]), number)) for number in (1, 2)]
    seen = [(each["result"], each["ticketId"], each["holderName"], each["admittedAt"]) for each in answers]
    assert seen == [
        ("admitted", ids[0], "Ada", at(0)),
        ("already-used", ids[0], "Ada", at(0)),
        ("admitted", ids[1], "Ada", at(2)),
        ("unknown", None, None, None),
    ]
    attendees = ok(await door.get(f"{path(event)}/attendees"))["items"]
    assert [(each["status"], each["checkedInAt"]) for each in attendees] == [("used", at(0)), ("used", at(2))]
    rows = list(csv.reader(StringIO((await door.get(f"{path(event)}/attendees.csv")).text)))
    assert [(row[3], row[5]) for row in rows[1:]] == [("used", at(0)), ("used", at(2))]
    facts = ok(await organizer.get(f"{path(event)}/changes?after=2"))["items"]
    assert [(each["kind"], each["bookingId"], each["data"]) for each in facts] == [
        ("TicketCheckedIn", booking["id"], {"ticketId": ids[0], "at": at(0), "device": "Gate 1"}),
        ("TicketCheckedIn", booking["id"], {"ticketId": ids[1], "at": at(2), "device": "Gate 1"}),
    ]


async def test_a_scanner_reads_what_it_needs_and_what_has_not_changed_only_once(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(startsAt="2030-01-01T20:00:00Z", timeZone="Europe/Paris")
    cancelled, booking = await organizer.book(event, 2), await customer.book(event, 2)
    door = await staff(service, organizer, event)
    first = await door.get(f"{path(event)}/door")
    seen = ok(first)
    assert {name: seen[name] for name in ("eventId", "name", "startsAt", "timeZone", "codeFormat")} == {
        "eventId": event["id"],
        "name": "Jazz night",
        "startsAt": "2030-01-01T20:00:00Z",
        "timeZone": "Europe/Paris",
        "codeFormat": "BX1",
    }
    assert (seen["void"], seen["used"], seen["reissued"]) == ([], [], [])
    raw = b32decode((await code(service, booking, 3))[3:])
    public_key = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(seen["publicKey"] + "="))
    public_key.verify(raw[36:], b"boxoffice-ticket-v1\0" + raw[:36])
    service.clock.travel(minutes=1)
    same = await door.get(f"{path(event)}/door", headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    ok(await organizer.post("/cancel", {"bookingId": cancelled["id"]}))
    await check_in(door, event, scan(await code(service, booking, 3)))
    changed = ok(await door.get(f"{path(event)}/door", headers={"If-None-Match": first.headers["etag"]}))
    assert changed["void"] == [str(ticket_id(UUID(cancelled["id"]), number)) for number in (1, 2)]
    assert changed["used"] == [{"ticketId": str(ticket_id(UUID(booking["id"]), 3)), "at": at(0)}]
    assert changed["asOf"] > seen["asOf"]


async def test_two_scanners_without_a_network_lose_no_entry_and_the_earlier_counts(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    booking = await customer.book(event, 2)
    text = await code(service, booking, 1)
    late, early = scan(text, 5, device="Gate 2", offline=True), scan(text, 3, offline=True)
    (before,) = await check_in(organizer, event, late)
    (answer,) = await check_in(organizer, event, early)
    assert (answer["result"], answer["admittedAt"]) == ("admitted", at(3))
    assert (await check_in(organizer, event, late, early)) == [before, answer]
    assert before["admittedAt"] == at(5)
    await check_in(organizer, event, scan(await code(service, booking, 2)), scan(text, 9))
    conflicts = f"{path(event)}/check-ins?conflicts=true"
    (conflict,) = ok(await organizer.get(conflicts))["items"]
    assert conflict == {
        "ticketId": answer["ticketId"],
        "number": 1,
        "holderName": "Ada",
        "entries": [
            {"id": early["id"], "at": at(3), "device": "Gate 1"},
            {"id": late["id"], "at": at(5), "device": "Gate 2"},
        ],
    }
    undo = f"{path(event)}/check-ins/{early['id']}/undo"
    for _ in range(2):
        undone = ok(await organizer.post(undo, None))
        assert undone == {"id": early["id"], "ticketId": answer["ticketId"], "checkedInAt": at(5)}
    assert ok(await organizer.get(conflicts)) == {"items": [], "nextCursor": None}
    assert await check_in(organizer, event, early) == [answer], "also after it was undone"
    assert ok(await organizer.post(f"{path(event)}/check-ins/{late['id']}/undo", {}))["checkedInAt"] is None
    for unknown in (uuid4(), "nonsense"):
        problem(await organizer.post(f"{path(event)}/check-ins/{unknown}/undo", None), 404, "not-found")
    ticket = ok(await organizer.get(f"{path(event)}/attendees"))["items"][0]
    assert (ticket["status"], ticket["checkedInAt"]) == ("valid", None)


async def test_conflicts_come_in_pages(service: Service, organizer: Client, customer: Client) -> None:
    event, other = await organizer.event(), await organizer.event()
    booking = await customer.book(event, 3)
    for number in (1, 2, 3):
        text = await code(service, booking, number)
        await check_in(organizer, event, *(scan(text, minute, offline=True) for minute in range(number)))
    conflicts = f"{path(event)}/check-ins?conflicts=true&limit=1"
    first = ok(await organizer.get(conflicts))
    last = ok(await organizer.get(f"{conflicts}&cursor={first['nextCursor']}"))
    assert [each["number"] for each in first["items"] + last["items"]] == [2, 3]
    assert last["nextCursor"] is None
    elsewhere = f"{path(other)}/check-ins?conflicts=true&cursor={first['nextCursor']}"
    assert pointers(await organizer.get(elsewhere)) == ["/cursor"]
    for query in ("", "?conflicts=false", "?conflicts=", "?conflicts=true&conflicts=true"):
        assert pointers(await organizer.get(f"{path(event)}/check-ins{query}")) == ["/conflicts"]


def signed(key: Ed25519PrivateKey, head: bytes) -> str:
    """A code with this content, signed by anybody."""
    signature = key.sign(b"boxoffice-ticket-v1\0" + head)
    return "BX1" + b32encode(head + signature).decode().rstrip("=")


async def test_cheats_are_not_admitted(service: Service, organizer: Client, customer: Client) -> None:
    event, other = await organizer.event(), await organizer.event()
    booking, elsewhere = await customer.book(event, 2), await customer.book(other)
    text, foreign = await code(service, booking, 1), await code(service, elsewhere, 1)
    raw, stranger = b32decode(text[3:]), Ed25519PrivateKey.generate()
    last = text[-1]
    forged = [
        signed(stranger, raw[:36]),
        # The public key is not the private one; a later serial needs a signature of its own.
        "BX1" + b32encode(raw[:35] + b"\x02" + raw[36:]).decode(),
        "BX1" + b32encode(b32decode(foreign[3:])[:16] + raw[16:]).decode(),
        "BX1" + b32encode(raw[:16] + uuid4().bytes + raw[32:]).decode(),
        "BX1" + b32encode(raw[:36] + bytes(64)).decode(),
        signed(stranger, uuid4().bytes + raw[16:36]),
    ]
    misread = [
        *(
            text[:-1],
            text[:30],
            text.lower(),
            f" {text}",
            f"{text}\n",
            text + "A",
            text + "=",
            text.replace("BX1", "BX2"),
        ),
        *(
            text[:-1] + chr(ord(last) - 1 if last > "B" else ord(last) + 1),
            "BX1",
            "\N{CYRILLIC CAPITAL LETTER VE}" + text[1:],
            "0" * 1_000,
        ),
        f"https://tickets.example/{text}",
    ]
    for cheat in (*forged, *misread):
        (answer,) = await check_in(organizer, event, scan(cheat))
        assert answer == {"id": answer["id"], "result": "unknown", **NO_ONE}, cheat
    (answer,) = await check_in(organizer, event, scan(foreign))
    assert answer == {"id": answer["id"], "result": "other-event", **NO_ONE}
    assert await results(organizer, other, text, foreign) == ["other-event", "admitted"]
    # Cancelled and booked again: the old code is of the old ticket.
    assert await results(organizer, event, text) == ["admitted"]
    ok(await organizer.post("/cancel", {"bookingId": booking["id"]}))
    again = await customer.book(event)
    assert await results(organizer, event, text, await code(service, booking, 2)) == ["void", "void"]
    assert await results(organizer, event, await code(service, again, 3)) == ["admitted"]
    never_issued = [await code(service, again, 1), await code(service, booking, 3), await code(service, again, 4)]
    assert await results(organizer, event, *never_issued) == ["unknown"] * 3


@pytest.mark.parametrize(
    ("role", "may_see", "may_check_in"),
    [("read", True, False), ("door", True, True), ("desk", True, True), ("organizer", True, True)],
)
async def test_keys_check_in_as_far_as_their_roles_go(
    service: Service, organizer: Client, customer: Client, role: str, may_see: bool, may_check_in: bool
) -> None:
    event, other = await organizer.event(), await organizer.event()
    booking = await customer.book(event)
    body = {"name": "Scanner", "role": role, "eventId": event["id"]}
    key = Client(service.http, token=ok(await organizer.post("/api-keys", body), 201)["key"])
    entry = scan(await code(service, booking, 1))
    calls = [
        (await key.get(f"{path(event)}/door"), may_see),
        (await key.get(f"{path(event)}/check-ins?conflicts=true"), may_see),
        (await key.post(f"{path(event)}/check-ins", {"items": [entry]}), may_check_in),
        (await key.post(f"{path(event)}/check-ins/{entry['id']}/undo", None), may_check_in),
    ]
    assert [answer.status_code for answer, _ in calls] == [200 if may else 403 for _, may in calls]
    problem(await key.get(f"{path(other)}/door"), 403, "not-allowed")


async def test_a_batch_with_a_broken_item_is_refused_and_nothing_of_it_recorded(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    right = scan(await code(service, await customer.book(event), 1))
    check_ins = f"{path(event)}/check-ins"
    broken = [
        {"id": "x", "code": "", "at": "2030-01-01T19:00:00", "device": "", "offline": 1},
        {"id": str(uuid4()), "code": "A" * 1_001, "at": "never", "device": "x" * 101, "online": True},
        {"id": None, "code": 7, "at": "1969-12-31T23:59:59Z", "device": "a\u0000"},
        {},
    ]
    found = pointers(await organizer.post(check_ins, {"items": [right, *broken]}))
    assert sorted(found) == sorted(
        [f"/items/1/{name}" for name in ("id", "code", "at", "device", "offline")]
        + [f"/items/2/{name}" for name in ("code", "at", "device", "online")]
        + [f"/items/3/{name}" for name in ("id", "code", "at", "device")]
        + [f"/items/4/{name}" for name in ("id", "code", "at", "device")]
    )
    wrong: list[Any] = [[], [right] * 501, None, {}]
    for items in wrong:
        assert pointers(await organizer.post(check_ins, {"items": items})) == ["/items"]
    assert ok(await organizer.get(f"{path(event)}/door"))["used"] == []


async def test_500_codes_fit_into_a_body_and_one_of_more_than_256_kib_does_not(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=500, maxTicketsPerCustomer=500)
    booking = await customer.book(event, 500)
    scans = [scan(await code(service, booking, number), device="G" * 100) for number in range(1, 501)]
    answers = await check_in(organizer, event, *scans)
    assert {each["result"] for each in answers} == {"admitted"}
    check_ins = f"{path(event)}/check-ins"
    large = b'{"items": []}'.ljust(256 * 1024)
    headers = {"Content-Type": "application/json"}
    assert pointers(await organizer.send("POST", check_ins, content=large, headers=headers)) == ["/items"]
    refused = problem(
        await organizer.send("POST", check_ins, content=large + b" ", headers=headers), 413, "body-too-large"
    )
    assert "256 KiB" in refused["detail"]


async def test_an_idempotency_key_gets_the_same_answer_again(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    entry = scan(await code(service, await customer.book(event), 1))
    for call, body in (
        (f"{path(event)}/check-ins", {"items": [entry]}),
        (f"{path(event)}/check-ins/{entry['id']}/undo", None),
    ):
        first = await organizer.post(call, body, headers={"Idempotency-Key": call})
        again = await organizer.post(call, body, headers={"Idempotency-Key": call})
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotency-replayed"] == "true"
