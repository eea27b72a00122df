"""Tickets over HTTP: their codes, names, pictures, and entries for calendars."""

from base64 import b32decode
from datetime import datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from icalendar import Calendar

from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.domain.tickets.ticket import ticket_id
from boxoffice.entrypoints.http.schemas.tickets.qr_codes import qr_svg
from tests.entrypoints.http.service_under_test import EUR_25, Client, Service, ok, pointers, problem
from tests.entrypoints.http.test_attendees import helper

DAY = "2030-01-03T19:00:00Z"


async def tickets(client: Client, booking: dict[str, Any]) -> list[dict[str, Any]]:
    """The tickets of a booking."""
    listed = ok(await client.get(f"/bookings/{booking['id']}/tickets"))
    assert listed.keys() == {"items"}
    items: list[dict[str, Any]] = listed["items"]
    return items


async def test_a_confirmed_booking_has_a_signed_ticket_for_each_place(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=3)
    await organizer.book(event)
    booking = await customer.book(event, 2)
    listed = await tickets(customer, booking)
    key = await service.container.ticket_codes().public_key(UUID(event["id"]))
    signer = service.container.code_signer()
    for number, ticket in zip((2, 3), listed, strict=True):
        assert ticket == {
            "id": str(ticket_id(UUID(booking["id"]), number)),
            "number": number,
            "ticketTypeId": booking["ticketTypeId"],
            "holderName": "Ada",
            "status": "valid",
            "code": ticket["code"],
            "checkedInAt": None,
        }
        assert len(ticket["code"]) == 163
        raw = b32decode(ticket["code"].removeprefix("BX1"))
        assert raw[:36] == UUID(event["id"]).bytes + UUID(ticket["id"]).bytes + b"\0\0\0\1"
        read = signer.read(ticket["code"])
        assert read is not None
        assert signer.holds(read, key)
    for role in ("door", "desk", "manager"):
        assert await tickets(await helper(service, organizer, event, role), booking) == listed
    attendees = ok(await organizer.get(f"/events/{event['id']}/attendees"))["items"]
    assert [each["ticketId"] for each in attendees[1:]] == [each["id"] for each in listed]
    problem(await (await service.user()).get(f"/bookings/{booking['id']}/tickets"), 404, "not-found")


async def test_void_tickets_stay_listed_and_who_waits_has_none(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=1)
    booking, waiting = await customer.book(event), await organizer.book(event)
    (before,) = await tickets(customer, booking)
    assert await tickets(organizer, waiting) == []
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    assert await tickets(customer, booking) == [{**before, "status": "void"}]
    (promoted,) = await tickets(organizer, waiting)
    assert (promoted["number"], promoted["status"]) == (2, "valid")
    path = f"/bookings/{booking['id']}/tickets/{before['id']}"
    problem(await customer.patch(path, {"holderName": "Grace"}), 409, "ticket-void")
    problem(await organizer.patch(path, {"reissue": True}), 409, "ticket-void")


async def test_a_held_booking_has_no_tickets(organizer: Client, customer: Client) -> None:
    event = await organizer.event(price=EUR_25, paymentWindowMinutes=15)
    booking = await customer.book(event)
    assert await tickets(customer, booking) == []
    ok(await customer.pay(booking))
    assert [each["number"] for each in await tickets(customer, booking)] == [1]


async def test_a_name_keeps_the_code_and_a_new_code_keeps_the_name(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event, 2)
    first, second = await tickets(customer, booking)
    path = f"/bookings/{booking['id']}/tickets/{first['id']}"
    named = ok(await customer.patch(path, {"holderName": "  Grace \u00e9 "}))
    assert named == {**first, "holderName": "Grace \u00e9"}
    reissued = ok(await customer.patch(path, {"reissue": True}))
    assert reissued == {**named, "code": reissued["code"]}
    assert b32decode(reissued["code"][3:])[32:36] == b"\0\0\0\2"
    both = ok(await organizer.patch(path, {"reissue": True, "holderName": "Hopper"}))
    assert b32decode(both["code"][3:])[32:36] == b"\0\0\0\3"
    assert await tickets(customer, booking) == [{**first, "holderName": "Hopper", "code": both["code"]}, second]
    facts = ok(await organizer.get(f"/events/{event['id']}/changes"))["items"]
    data = [each["data"] for each in facts if each["kind"] == "TicketReissued"]
    assert data == [{"ticketId": first["id"], "serial": serial} for serial in (2, 3)]
    assert "Hopper" not in str(facts)
    assert "Grace" not in str(facts)


async def test_its_customer_names_a_ticket_until_the_start_and_the_desk_after_it(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event(startsAt="2030-01-01T12:10:00Z")
    booking = await customer.book(event)
    desk, door = [await helper(service, organizer, event, role) for role in ("desk", "door")]
    (ticket,) = await tickets(customer, booking)
    path = f"/bookings/{booking['id']}/tickets/{ticket['id']}"
    service.clock.time = datetime.fromisoformat(event["startsAt"])
    problem(await customer.patch(path, {"holderName": "Grace"}), 409, "event-started")
    problem(await door.patch(path, {"holderName": "Grace"}), 403, "not-allowed")
    assert ok(await desk.patch(path, {"holderName": "Grace"}))["holderName"] == "Grace"
    assert (await tickets(customer, booking))[0]["holderName"] == "Grace"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, [""]),
        ({"reissue": False}, ["/reissue"]),
        ({"reissue": False, "holderName": "Grace"}, ["/reissue"]),
        ({"reissue": 1}, ["/reissue"]),
        ({"holderName": None}, ["/holderName"]),
        ({"holderName": ""}, ["/holderName"]),
        ({"holderName": "\u200b"}, ["/holderName"]),
        ({"holderName": "a\nb"}, ["/holderName"]),
        ({"holderName": "x" * 201}, ["/holderName"]),
        ({"name": "Grace"}, ["/name"]),
    ],
)
async def test_bad_changes_name_their_field(
    organizer: Client, customer: Client, body: dict[str, Any], pointer: list[str]
) -> None:
    booking = await customer.book(await organizer.event())
    (ticket,) = await tickets(customer, booking)
    answer = await customer.patch(f"/bookings/{booking['id']}/tickets/{ticket['id']}", body)
    assert pointers(answer)[:1] == pointer


async def test_a_ticket_of_another_booking_is_not_found(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking, other = await customer.book(event), await organizer.book(event)
    (others,) = await tickets(organizer, other)
    (own,) = await tickets(customer, booking)
    # The number is right in each, and the rest of the id is not.
    for id_ in (others["id"], str(UUID(int=UUID(own["id"]).int ^ 1 << 40)), other["id"], "x"):
        path = f"/bookings/{booking['id']}/tickets/{id_}"
        problem(await customer.patch(path, {"reissue": True}), 404, "not-found")
        problem(await customer.get(f"{path}/qr.svg"), 404, "not-found")


async def test_a_code_is_drawn_without_anything_active(organizer: Client, customer: Client) -> None:
    booking = await customer.book(await organizer.event(), 2)
    for ticket in await tickets(customer, booking):
        answer = await customer.get(f"/bookings/{booking['id']}/tickets/{ticket['id']}/qr.svg")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content == qr_svg(ticket["code"])
        picture = ET.fromstring(answer.text)
        names = {each.tag.partition("}")[2] for each in picture.iter()}
        assert names == {"svg", "title", "path"}
        attributes = {name for each in picture.iter() for name in each.attrib}
        assert attributes == {"viewBox", "d", "fill", "stroke"}
        assert "url(" not in answer.text
        assert picture.attrib["viewBox"] == "0 0 53 53", "45 modules, and 4 light ones at each side"


NASTY = 'Jazz; "night", with\\n 🎷' + "é🎟" * 60 + "\u2028END:VEVENT"


async def test_a_booking_is_an_entry_for_calendars(organizer: Client, customer: Client) -> None:
    description = "Bring\ta coat.\r\nEND:VCALENDAR\nBEGIN:VALARM\rATTACH:https://evil.example/"
    event = await organizer.event(
        name=NASTY[:200], venue="Rue 1, Paris; 2e", description=description, startsAt=DAY, timeZone="Europe/Paris"
    )
    booking = await customer.book(event)
    answer = await customer.get(f"/bookings/{booking['id']}/calendar.ics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="booking.ics"'
    assert answer.headers["cache-control"] == "no-store"
    raw = answer.content
    lines = raw.split(b"\r\n")
    assert lines[-1] == b""
    for line in lines:
        assert len(line) <= 75
        line.decode("utf-8")  # No character is split.
        assert b"\n" not in line
        assert b"\r" not in line
    text = raw.decode().replace("\r\n ", "")
    begun = [line for line in text.split("\r\n") if line.startswith(("BEGIN:", "END:", "ATTACH"))]
    assert begun == ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT", "END:VCALENDAR"]
    assert f"UID:{booking['id']}@boxoffice\r\n" in text
    assert "DTSTART:20300103T190000Z\r\n" in text
    assert "DTEND" not in text
    (entry,) = Calendar.from_ical(raw).walk("VEVENT")
    assert str(entry["summary"]) == event["name"]
    assert str(entry["location"]) == event["venue"]
    assert str(entry["description"]) == event["description"].replace("\r\n", "\n").replace("\r", "\n")
    assert str(entry["status"]) == "CONFIRMED"
    assert "Ada" not in text
    ok(await organizer.patch(f"/events/{event['id']}", {"endsAt": "2030-01-03T23:30:00+01:00", "venue": ""}))
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    (later,) = Calendar.from_ical((await customer.get(f"/bookings/{booking['id']}/calendar.ics")).content).walk(
        "VEVENT"
    )
    assert later["uid"] == entry["uid"]
    assert int(str(later["sequence"])) > int(str(entry["sequence"]))
    assert b"DTEND:20300103T223000Z" in later.to_ical()
    assert (str(later["status"]), later.get("location")) == ("CANCELLED", None)


async def test_without_a_start_there_is_no_entry(organizer: Client, customer: Client) -> None:
    booking = await customer.book(await organizer.event())
    problem(await customer.get(f"/bookings/{booking['id']}/calendar.ics"), 404, "not-found")


async def test_without_the_secret_of_its_key_an_event_has_no_codes_until_it_is_back(
    service: Service, organizer: Client, customer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    listed = await tickets(customer, booking)
    container = service.container
    codes, signer = container.ticket_codes(), container.code_signer()
    key = await codes.public_key(UUID(event["id"]))
    codes._signer = Ed25519CodeSigner("another secret of the tests " * 2)  # noqa: SLF001
    answer = await customer.get(f"/bookings/{booking['id']}/tickets")
    problem(answer, 503, "try-again")
    assert answer.headers["retry-after"] == "60"
    assert "an operator must add the secret" in caplog.text
    assert await codes.public_key(UUID(event["id"])) == key
    codes._signer = signer  # noqa: SLF001
    assert await tickets(customer, booking) == listed
