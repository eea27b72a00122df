"""Events over HTTP."""

from datetime import datetime
from typing import Any

import pytest

from boxoffice.domain.user import Organizers, Role
from boxoffice.entrypoints.settings import Settings
from tests.http.service import SECRET, Client, Service, ok, pointers, problem

EVENT_FIELDS = {
    *("id", "organizerId", "name", "description", "venue", "startsAt", "endsAt", "salesOpenAt", "salesCloseAt"),
    *("maxTicketsPerCustomer", "paymentWindowMinutes", "cancellationDeadlineHours", "waitingListPolicy", "status"),
    *("price", "totalTickets", "availableTickets", "waitingListCount", "isSoldOut", "ticketTypes", "version"),
    "createdAt",
}
TYPE_FIELDS = {"id", "name", "price", "totalTickets", "availableTickets", "waitingListCount"}
EUR_25 = {"amount": 2500, "currency": "EUR"}


async def test_an_event_needs_only_a_name_and_a_number(organizer: Client) -> None:
    answer = await organizer.post("/initialize", {"name": "Jazz night", "totalTickets": 100})
    event = ok(answer, 201)
    assert answer.headers["location"] == f"/events/{event['id']}"
    assert set(event) == EVENT_FIELDS
    expected = {
        "organizerId": organizer.id,
        "description": "",
        "venue": "",
        "startsAt": None,
        "endsAt": None,
        "salesOpenAt": None,
        "salesCloseAt": None,
        "maxTicketsPerCustomer": 10,
        "paymentWindowMinutes": None,
        "cancellationDeadlineHours": 0,
        "waitingListPolicy": "strict",
        "status": "on_sale",
        "price": None,
        "totalTickets": 100,
        "availableTickets": 100,
        "waitingListCount": 0,
        "isSoldOut": False,
        "version": 1,
    }
    assert {name: event[name] for name in expected} == expected
    (ticket_type,) = event["ticketTypes"]
    assert set(ticket_type) == TYPE_FIELDS
    assert ticket_type["name"] == "General admission"


async def test_an_event_with_everything(organizer: Client, anyone: Client) -> None:
    said: dict[str, Any] = {
        "name": "Jazz night",
        "totalTickets": 100,
        "price": EUR_25,
        "description": "Two sets.\nBring a friend.",
        "venue": "The Cellar",
        "startsAt": "2030-05-01T21:00:00+02:00",
        "endsAt": "2030-05-01T23:00:00.5Z",
        "salesOpenAt": "2030-01-02T00:00:00z",
        "salesCloseAt": "2030-04-30t00:00:00-00:00",
        "maxTicketsPerCustomer": 1000,
        "cancellationDeadlineHours": 8760,
        "waitingListPolicy": "fill",
        "status": "draft",
    }
    event = await organizer.event(**said)
    same = set(said) - {"startsAt", "endsAt", "salesOpenAt", "salesCloseAt"}
    assert {name: event[name] for name in same} == {name: said[name] for name in same}
    assert event["startsAt"] == "2030-05-01T19:00:00Z"
    assert event["endsAt"] == "2030-05-01T23:00:00.500000Z"
    for name in ("startsAt", "endsAt", "salesOpenAt", "salesCloseAt"):
        assert datetime.fromisoformat(event[name]) == datetime.fromisoformat(said[name].upper())
    assert ok(await organizer.get(f"/events/{event['id']}")) == event
    problem(await anyone.get(f"/events/{event['id']}"), 404, "not-found")


async def test_nulls_are_as_good_as_nothing_where_they_may_be(organizer: Client) -> None:
    names = ("startsAt", "endsAt", "salesOpenAt", "salesCloseAt", "price", "paymentWindowMinutes")
    event = await organizer.event(**dict.fromkeys(names))
    assert all(event[name] is None for name in names)


async def test_several_kinds_of_tickets(organizer: Client, anyone: Client) -> None:
    event = await organizer.event(
        ticketTypes=[
            {"name": "Stalls", "totalTickets": 60, "price": EUR_25},
            {"name": "Balcony", "totalTickets": 40, "price": None},
        ]
    )
    assert [(each["name"], each["totalTickets"], each["price"]) for each in event["ticketTypes"]] == [
        ("Stalls", 60, EUR_25),
        ("Balcony", 40, None),
    ]
    assert (event["price"], event["totalTickets"], event["availableTickets"]) == (None, 100, 100)
    status = ok(await anyone.get(f"/status/{event['id']}"))
    assert status == {
        "eventId": event["id"],
        **{
            name: event[name]
            for name in (
                *("name", "status", "totalTickets", "availableTickets", "waitingListCount", "isSoldOut"),
                "ticketTypes",
            )
        },
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ticketTypes": []}, ["/ticketTypes"]),
        ({"ticketTypes": [{"name": f"T{n}", "totalTickets": 1} for n in range(51)]}, ["/ticketTypes"]),
        (
            {"ticketTypes": [{"name": "A", "totalTickets": 1}, {"name": "a ", "totalTickets": 1}]},
            ["/ticketTypes/1/name"],
        ),
        (
            {
                "ticketTypes": [
                    {"name": "A", "totalTickets": 1, "price": EUR_25},
                    {"name": "B", "totalTickets": 1, "price": {"amount": 1, "currency": "USD"}},
                ]
            },
            ["/ticketTypes/1/price/currency"],
        ),
        ({"startsAt": "2029-12-31T00:00:00Z"}, ["/startsAt"]),
        ({"endsAt": "2030-12-31T00:00:00Z"}, ["/endsAt"]),
        ({"startsAt": "2030-12-31T00:00:00Z", "endsAt": "2030-12-31T00:00:00Z"}, ["/endsAt"]),
        ({"salesOpenAt": "2030-03-01T00:00:00Z", "salesCloseAt": "2030-02-01T00:00:00Z"}, ["/salesCloseAt"]),
        (
            {
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
    body = {"name": "Jazz night", **({} if "ticketTypes" in fields else {"totalTickets": 1}), **fields}
    assert pointers(await organizer.post("/initialize", body)) == expected


@pytest.fixture
def only_granted() -> Settings:
    return Settings(database_url="memory://", jwt_secret=SECRET, organizers=Organizers.GRANTED, currency="CHF")


class TestWhereOnlyTheGrantedOrganize:
    @pytest.fixture
    def settings(self, only_granted: Settings) -> Settings:
        return only_granted

    async def test_customers_may_not(self, service: Service, customer: Client) -> None:
        body = {"name": "Jazz night", "totalTickets": 1}
        problem(await customer.post("/initialize", body), 403, "not-allowed")
        assert pointers(await customer.post("/initialize", body | {"name": ""})) == ["/name"]
        await service.container.grant_role()(customer.email, Role.ORGANIZER)
        await customer.sign_in_again()
        event = await customer.event()
        booking = await customer.book(event)
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
    assert pointers(await organizer.patch(path, {"price": {"amount": 1, "currency": "USD"}})) == ["/price/currency"]
    assert pointers(await organizer.patch(path, {"endsAt": "2030-12-31T00:00:00Z"})) == ["/endsAt"]


async def test_number_and_price_belong_to_the_ticket_types_where_there_are_several(organizer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": n, "totalTickets": 1} for n in "AB"])
    answer = await organizer.patch(f"/events/{event['id']}", {"totalTickets": 2, "price": EUR_25})
    assert pointers(answer) == ["/totalTickets", "/price"]


async def test_the_life_of_an_event(organizer: Client, customer: Client) -> None:
    event = await organizer.event(status="draft")
    path = f"/events/{event['id']}"
    problem(await organizer.patch(path, {"status": "paused"}), 409, "illegal-status-change")
    problem(await organizer.patch(path, {"status": "completed"}), 409, "illegal-status-change")
    problem(await customer.patch(path, {"status": "on_sale"}), 404, "not-found")
    for status in ("on_sale", "on_sale", "paused", "on_sale", "completed"):
        assert ok(await organizer.patch(path, {"status": status}))["status"] == status
    problem(await organizer.patch(path, {"status": "cancelled"}), 409, "event-closed")
    problem(await organizer.patch(path, {"name": "Again"}), 409, "event-closed")
    problem(await organizer.patch(path, {}), 409, "event-closed")
    assert pointers(await organizer.patch(path, {"status": "gone"})) == ["/status"]


async def test_ticket_types_are_added_and_edited(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}/ticket-types"
    answer = await organizer.post(path, {"name": "Balcony", "totalTickets": 4, "price": EUR_25})
    added = ok(answer, 201)
    assert answer.headers["location"] == f"/events/{event['id']}"
    balcony = added["ticketTypes"][1]
    assert (balcony["name"], balcony["totalTickets"], balcony["price"]) == ("Balcony", 4, EUR_25)
    one = f"{path}/{balcony['id']}"
    edited = ok(await organizer.patch(one, {"name": "Gallery", "totalTickets": 5, "price": None}))
    assert edited["ticketTypes"][1] | {"name": "Gallery", "totalTickets": 5, "price": None} == edited["ticketTypes"][1]
    assert edited["version"] == 3

    problem(await organizer.post(path, {"name": "GALLERY", "totalTickets": 4}), 409, "name-taken")
    problem(await organizer.patch(one, {"name": "general Admission"}), 409, "name-taken")
    await customer.book(event, 3, ticketTypeId=balcony["id"])
    problem(await organizer.patch(one, {"totalTickets": 2}), 409, "capacity-below-taken")
    problem(await customer.patch(one, {"totalTickets": 9}), 403, "not-allowed")
    problem(await customer.post(path, {"name": "Mine", "totalTickets": 4}), 403, "not-allowed")
    problem(await organizer.patch(f"{path}/{event['id']}", {"totalTickets": 9}), 404, "not-found")
    problem(await organizer.patch(f"{path}/what", {"totalTickets": 9}), 404, "not-found")
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "cancelled"}))
    problem(await organizer.patch(one, {"totalTickets": 9}), 409, "event-closed")
    problem(await organizer.post(path, {"name": "More", "totalTickets": 4}), 409, "event-closed")


async def test_an_event_has_50_ticket_types_at_most(organizer: Client) -> None:
    event = await organizer.event(ticketTypes=[{"name": f"T{n}", "totalTickets": 1} for n in range(50)])
    answer = await organizer.post(f"/events/{event['id']}/ticket-types", {"name": "One more", "totalTickets": 1})
    problem(answer, 409, "too-many-ticket-types")


async def test_capacity_below_what_somebody_waits_for(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=4)
    await customer.book(event, 1)
    await (await service.user()).book(event, 4)
    answer = await organizer.patch(f"/events/{event['id']}", {"totalTickets": 3})
    problem(answer, 409, "capacity-below-taken")


async def test_more_tickets_serve_the_line_at_once(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1)
    await customer.book(event)
    waiting = await (await service.user()).book(event)
    assert waiting["status"] == "waitlisted"
    before = ok(await service.anyone.get(f"/status/{event['id']}"))
    assert (before["availableTickets"], before["waitingListCount"], before["isSoldOut"]) == (0, 1, True)
    edited = ok(await organizer.patch(f"/events/{event['id']}", {"totalTickets": 3}))
    assert (edited["availableTickets"], edited["waitingListCount"], edited["isSoldOut"]) == (1, 0, False)
    assert ok(await organizer.get(f"/bookings/{waiting['id']}"))["status"] == "confirmed"


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


async def test_the_changes_are_gapless_and_in_order(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1, price=EUR_25)
    booking = await customer.book(event)
    waiting = await (await service.user()).book(event)
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    ok(await organizer.patch(f"/events/{event['id']}", {"name": "Blues night"}))
    path = f"/events/{event['id']}/changes"
    changes = ok(await organizer.get(path))
    assert [item["seq"] for item in changes["items"]] == [1, 2, 3, 4, 5, 6]
    assert changes["lastSeq"] == 6
    assert [(item["kind"], item["bookingId"]) for item in changes["items"]] == [
        ("EventInitialized", None),
        ("TicketsBooked", booking["id"]),
        ("CustomerWaitlisted", waiting["id"]),
        ("BookingCancelled", booking["id"]),
        ("BookingPromoted", waiting["id"]),
        ("EventChanged", None),
    ]
    assert all(set(item) == {"seq", "kind", "bookingId", "occurredAt", "data"} for item in changes["items"])
    assert changes["items"][1]["data"] == {
        "ticketTypeId": event["ticketTypes"][0]["id"],
        "customerId": customer.id,
        "quantity": 1,
        "amount": EUR_25,
        "status": "confirmed",
        "paymentStatus": "due",
        "cancellationDeadlineHours": 0,
        "reschedules": 0,
        "expiresAt": None,
    }
    assert changes["items"][5]["data"] == {"version": 2, "changes": {"name": "Blues night"}}

    seen: list[dict[str, Any]] = []
    after = 0
    while items := (page := ok(await organizer.get(path, params={"after": after, "limit": 2})))["items"]:
        seen += items
        after = page["lastSeq"]
    assert seen == changes["items"]
    assert page == {"items": [], "lastSeq": 6}
    assert ok(await organizer.get(path, params={"after": 99})) == {"items": [], "lastSeq": 99}


async def test_what_is_wrong_is_said_in_the_words_of_the_wire(organizer: Client) -> None:
    answer = await organizer.post("/initialize", {"name": "x", "totalTickets": 1, "endsAt": "2030-12-31T00:00:00Z"})
    (error,) = problem(answer, 400, "invalid-request")["errors"]
    assert error == {"pointer": "/endsAt", "detail": "needs a start"}
