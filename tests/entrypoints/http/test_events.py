"""Events over HTTP; the rules are tested in `tests/domain/test_organizing.py`."""

from datetime import datetime
from typing import Any

import pytest

from boxoffice.domain.user import Organizers, Role
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import EUR_25, SECRET, Client, Service, ok, pointers, problem


async def test_an_event_needs_only_a_name_and_a_number(organizer: Client) -> None:
    answer = await organizer.post("/initialize", {"name": "Jazz night", "totalTickets": 100})
    event = ok(answer, 201)
    assert answer.headers["location"] == f"/events/{event['id']}"
    counts = {"totalTickets": 100, "availableTickets": 100, "waitingListCount": 0}
    (ticket_type,) = event["ticketTypes"]
    assert ticket_type == {"id": ticket_type["id"], "name": "General admission", "price": None, **counts}
    assert event == {
        "id": event["id"],
        "organizerId": organizer.id,
        "name": "Jazz night",
        "description": "",
        "venue": "",
        "startsAt": None,
        "endsAt": None,
        "timeZone": "UTC",
        "salesOpenAt": None,
        "salesCloseAt": None,
        "maxTicketsPerCustomer": 10,
        "paymentWindowMinutes": None,
        "cancellationDeadlineHours": 0,
        "refundFeePercent": 0,
        "waitingListPolicy": "strict",
        "maxOvertakes": None,
        "waitingList": "on",
        "log": "receipts",
        "admission": "line",
        "drawClosesAt": None,
        "drawSource": None,
        "status": "on_sale",
        "price": None,
        **counts,
        "isSoldOut": False,
        "ticketTypes": [ticket_type],
        "version": 1,
        "createdAt": event["createdAt"],
    }


async def test_an_event_with_everything(organizer: Client, anyone: Client) -> None:
    times = {
        "startsAt": "2030-05-01T21:00:00+02:00",
        "endsAt": "2030-05-01T23:00:00.5Z",
        "salesOpenAt": "2030-01-02T00:00:00z",
        "salesCloseAt": "2030-04-30t00:00:00-00:00",
    }
    others: dict[str, Any] = {
        "name": "Jazz night",
        "totalTickets": 100,
        "price": EUR_25,
        "description": "Two sets.\nBring a friend.",
        "venue": "The Cellar",
        "timeZone": "America/Argentina/ComodRivadavia",
        "maxTicketsPerCustomer": 1000,
        "paymentWindowMinutes": None,
        "cancellationDeadlineHours": 8760,
        "refundFeePercent": 100,
        "waitingListPolicy": "fill",
        "maxOvertakes": 1000,
        "waitingList": "off",
        "log": "public",
        "status": "draft",
    }
    event = await organizer.event(**times, **others)
    assert event | others == event
    assert event["startsAt"] == "2030-05-01T19:00:00Z"
    assert event["endsAt"] == "2030-05-01T23:00:00.500000Z"
    for name, sent in times.items():
        assert datetime.fromisoformat(event[name]) == datetime.fromisoformat(sent.upper())
    assert ok(await organizer.get(f"/events/{event['id']}")) == event
    problem(await anyone.get(f"/events/{event['id']}"), 404, "not-found")


DRAW: dict[str, Any] = {"admission": "draw", "drawClosesAt": "2030-04-01T12:00:00Z", "startsAt": "2030-05-01T19:00:00Z"}


async def test_an_event_with_a_draw(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=2, **DRAW)
    assert event | DRAW | {"drawSource": "drand", "isSoldOut": True} == event
    assert (await organizer.event(totalTickets=2, **DRAW, drawSource="operator"))["drawSource"] == "operator"

    booking = ok(await customer.post("/book", {"eventId": event["id"]}), 201)
    assert (booking["status"], booking["position"], booking["ticketsAhead"]) == ("waitlisted", None, None)
    assert ok(await customer.get(f"/bookings/{booking['id']}")) == booking
    assert ok(await customer.get("/bookings"))["items"] == [booking]
    other = await organizer.event(totalTickets=2, **DRAW)
    wanted = {"eventId": other["id"], "onlyIfAvailable": True}
    problem(await customer.post("/book", wanted), 409, "sold-out")
    for field in ("admission", "drawClosesAt", "drawSource"):
        problem(
            await organizer.patch(f"/events/{event['id']}", {field: DRAW.get(field, "drand")}), 400, "invalid-request"
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"drawClosesAt": None}, "/drawClosesAt"),
        ({"admission": "line"}, "/drawClosesAt"),
        ({"admission": "line", "drawClosesAt": None, "drawSource": "drand"}, "/drawSource"),
        ({"drawClosesAt": "2020-01-01T00:00:00Z"}, "/drawClosesAt"),
        ({"startsAt": "2030-04-01T12:00:00Z"}, "/startsAt"),
        ({"log": "off"}, "/log"),
        ({"waitingList": "off"}, "/waitingList"),
    ],
    ids=str,
)
async def test_values_that_no_draw_has(organizer: Client, changes: dict[str, Any], field: str) -> None:
    body = {"name": "Jazz night", "totalTickets": 2, **DRAW, **changes}
    answer = problem(await organizer.post("/initialize", body), 400, "invalid-request")
    assert [each["pointer"] for each in answer["errors"]] == [field]


async def test_several_kinds_of_tickets(organizer: Client, anyone: Client) -> None:
    stalls = {"name": "Stalls", "totalTickets": 60, "price": EUR_25}
    balcony = {"name": "Balcony", "totalTickets": 40, "price": None}
    event = await organizer.event(ticketTypes=[stalls, balcony])
    assert [each | sent for each, sent in zip(event["ticketTypes"], (stalls, balcony), strict=True)] == event[
        "ticketTypes"
    ]
    assert (event["price"], event["totalTickets"], event["availableTickets"]) == (None, 100, 100)
    same = ("name", "status", "totalTickets", "availableTickets", "waitingListCount", "isSoldOut", "ticketTypes")
    status = ok(await anyone.get(f"/status/{event['id']}"))
    assert status == {"eventId": event["id"], **{name: event[name] for name in same}}


def types(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, "totalTickets": 1, **fields} for name in names]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ticketTypes": []}, ["/ticketTypes"]),
        ({"ticketTypes": types(*map(str, range(51)))}, ["/ticketTypes"]),
        ({"ticketTypes": types("A", "a ")}, ["/ticketTypes/1/name"]),
        (
            {"ticketTypes": types("A", price=EUR_25) + types("B", price={"amount": 1, "currency": "USD"})},
            ["/ticketTypes/1/price/currency"],
        ),
        (
            {
                "totalTickets": 1,
                "startsAt": "2029-12-31T00:00:00Z",
                "salesOpenAt": "2030-03-01T00:00:00Z",
                "salesCloseAt": "2030-02-01T00:00:00Z",
            },
            ["/startsAt", "/salesCloseAt", "/salesOpenAt"],
        ),
    ],
)
async def test_fields_that_contradict_each_other(
    organizer: Client, fields: dict[str, Any], expected: list[str]
) -> None:
    assert pointers(await organizer.post("/initialize", {"name": "Jazz night", **fields})) == expected


async def test_what_is_wrong_is_described_in_the_words_of_the_wire(organizer: Client) -> None:
    answer = await organizer.post("/initialize", {"name": "x", "totalTickets": 1, "endsAt": "2030-12-31T00:00:00Z"})
    (error,) = problem(answer, 400, "invalid-request")["errors"]
    assert error == {"pointer": "/endsAt", "detail": "needs a start"}


class TestWhereOrganizingIsGranted:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET, organizers=Organizers.GRANTED, currency="CHF")

    async def test_customers_may_not_initialize(self, service: Service, customer: Client) -> None:
        body = {"name": "Jazz night", "totalTickets": 1}
        problem(await customer.post("/initialize", body), 403, "not-allowed")
        assert pointers(await customer.post("/initialize", body | {"name": ""})) == ["/name"]
        await service.container.grant_role()(customer.email, Role.ORGANIZER)
        await customer.sign_in_again()
        booking = await customer.book(await customer.event())
        assert booking["amount"] == {"amount": 0, "currency": "CHF"}


async def test_an_event_is_edited(organizer: Client, admin: Client) -> None:
    event = await organizer.event(price=EUR_25)
    path = f"/events/{event['id']}"
    edited = ok(await organizer.patch(path, {"name": "Blues night", "totalTickets": 20, "price": None}))
    assert (edited["name"], edited["totalTickets"], edited["price"]) == ("Blues night", 20, None)
    assert edited["version"] == 2
    assert edited["ticketTypes"][0]["totalTickets"] == 20
    assert ok(await organizer.patch(path, {})) == edited
    assert ok(await admin.patch(path, {"venue": "Cellar"}))["version"] == 3
    assert pointers(await organizer.patch(path, {"ticketTypes": []})) == ["/ticketTypes"]
    dollar = {"amount": 1, "currency": "USD"}
    assert ok(await organizer.patch(path, {"price": dollar}))["price"] == dollar, "it was free"
    assert pointers(await organizer.patch(path, {"price": EUR_25})) == ["/price/currency"]
    assert pointers(await organizer.patch(path, {"endsAt": "2030-12-31T00:00:00Z"})) == ["/endsAt"]
    several = await organizer.event(ticketTypes=types("A", "B"))
    answer = await organizer.patch(f"/events/{several['id']}", {"totalTickets": 2, "price": EUR_25})
    assert pointers(answer) == ["/totalTickets", "/price"]


async def test_the_life_of_an_event(organizer: Client) -> None:
    event = await organizer.event(status="draft")
    path = f"/events/{event['id']}"
    problem(await organizer.patch(path, {"status": "paused"}), 409, "illegal-status-change")
    for status in ("on_sale", "on_sale", "paused", "on_sale", "completed"):
        assert ok(await organizer.patch(path, {"status": status}))["status"] == status
    for body in ({"status": "cancelled"}, {"name": "Again"}, {}):
        problem(await organizer.patch(path, body), 409, "event-closed")
    assert pointers(await organizer.patch(path, {"status": "gone"})) == ["/status"]


async def test_ticket_types_are_added_and_edited(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}/ticket-types"
    answer = await organizer.post(path, {"name": "Balcony", "totalTickets": 4, "price": EUR_25})
    balcony = ok(answer, 201)["ticketTypes"][1]
    assert answer.headers["location"] == f"/events/{event['id']}"
    assert (balcony["name"], balcony["totalTickets"], balcony["price"]) == ("Balcony", 4, EUR_25)
    one = f"{path}/{balcony['id']}"
    changes = {"name": "Gallery", "totalTickets": 5, "price": None}
    edited = ok(await organizer.patch(one, changes))
    assert edited["ticketTypes"][1] == balcony | changes | {"availableTickets": 5}
    assert edited["version"] == 3

    problem(await organizer.post(path, {"name": "GALLERY", "totalTickets": 4}), 409, "name-taken")
    await customer.book(event, 3, ticketTypeId=balcony["id"])
    problem(await organizer.patch(one, {"totalTickets": 2}), 409, "capacity-below-taken")
    problem(await customer.patch(one, {"totalTickets": 9}), 403, "not-allowed")
    problem(await customer.post(path, {"name": "Mine", "totalTickets": 4}), 403, "not-allowed")
    stalls = f"{path}/{event['ticketTypes'][0]['id']}"
    assert ok(await organizer.patch(stalls, {"totalTickets": 0}))["ticketTypes"][0]["availableTickets"] == 0
    body = {"eventId": event["id"], "quantity": 1, "ticketTypeId": event["ticketTypes"][0]["id"]}
    problem(await customer.post("/book", body), 409, "exceeds-capacity")
    for refused in (
        await organizer.post(path, {"name": "None", "totalTickets": 0}),
        await organizer.patch(f"/events/{(await organizer.event())['id']}", {"totalTickets": 0}),
    ):
        assert [each["pointer"] for each in problem(refused, 400, "invalid-request")["errors"]] == ["/totalTickets"]
    full = await organizer.event(ticketTypes=types(*map(str, range(50))))
    answer = await organizer.post(f"/events/{full['id']}/ticket-types", {"name": "One more", "totalTickets": 1})
    problem(answer, 409, "too-many-ticket-types")
    for unknown in (event["id"], "what"):
        problem(await organizer.patch(f"{path}/{unknown}", {"totalTickets": 9}), 404, "not-found")


async def test_drafts_are_their_organizers_and_the_admins(
    organizer: Client, customer: Client, admin: Client, anyone: Client
) -> None:
    event = await organizer.event(status="draft")
    for path in (f"/events/{event['id']}", f"/status/{event['id']}"):
        for client in (organizer, admin):
            ok(await client.get(path))
        for client in (customer, anyone):
            problem(await client.get(path), 404, "not-found")
    for below in ("bookings", "waiting-list", "changes"):
        path = f"/events/{event['id']}/{below}"
        ok(await organizer.get(path))
        ok(await admin.get(path))
        problem(await customer.get(path), 404, "not-found")
        problem(await anyone.get(path), 401, "not-signed-in")
    problem(await customer.post("/book", {"eventId": event["id"]}), 404, "not-found")
    problem(await organizer.post("/book", {"eventId": event["id"]}), 409, "not-on-sale")


async def test_what_lies_below_an_event_is_its_organizers(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    for below in ("bookings", "waiting-list", "changes"):
        ok(await organizer.get(f"/events/{event['id']}/{below}"))
        problem(await customer.get(f"/events/{event['id']}/{below}"), 403, "not-allowed")


async def test_the_changes_are_the_facts(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1, price=EUR_25)
    booking = await customer.book(event)
    waiting = await (await service.user()).book(event)
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    ok(await organizer.patch(f"/events/{event['id']}", {"name": "Blues night"}))
    path = f"/events/{event['id']}/changes"
    changes = ok(await organizer.get(path))
    assert changes["lastSeq"] == 6
    assert [(item["seq"], item["kind"], item["bookingId"]) for item in changes["items"]] == [
        (1, "EventInitialized", None),
        (2, "TicketsBooked", booking["id"]),
        (3, "CustomerWaitlisted", waiting["id"]),
        (4, "BookingCancelled", booking["id"]),
        (5, "BookingPromoted", waiting["id"]),
        (6, "EventChanged", None),
    ]
    assert all(set(item) == {"seq", "kind", "bookingId", "occurredAt", "data"} for item in changes["items"])
    assert changes["items"][5]["data"] == {"version": 2, "changes": {"name": "Blues night"}}
    page = ok(await organizer.get(path, params={"after": 2, "limit": 2}))
    assert page == {"items": changes["items"][2:4], "lastSeq": 4}
    assert ok(await organizer.get(path, params={"after": 99})) == {"items": [], "lastSeq": 99}
