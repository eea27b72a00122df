"""Booking for others over HTTP."""

from typing import Any

import pytest

from tests.entrypoints.http.service_under_test import EUR_25, PASSWORD, Client, Service, ok, pointers, problem

ANA = {"name": "Ana", "email": "ana@example.org"}
NO_OBJECTS: list[Any] = [None, True, "x", []]


async def test_the_organizer_books_for_a_person_and_takes_cash(
    organizer: Client, customer: Client, anyone: Client
) -> None:
    event = await organizer.event(price=EUR_25)
    body = {"eventId": event["id"], "quantity": 2, "onBehalfOf": ANA}
    answer = await organizer.post("/book", body, headers={"Idempotency-Key": "one"})
    booking = ok(answer, 201)
    assert booking["customerId"] not in (organizer.id, customer.id)
    assert answer.headers["location"] == f"/bookings/{booking['id']}"
    again = await organizer.post("/book", body, headers={"Idempotency-Key": "one"})
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    refusal = problem(await organizer.post("/book", body), 409, "already-booked")
    assert refusal["bookingId"] == booking["id"]
    assert ok(await organizer.pay(booking, None))["paymentStatus"] == "taken"
    assert ok(await organizer.get("/bookings"))["items"] == []
    # Without mails nobody else can say that the address is theirs.
    problem(await anyone.post("/create-user", {**ANA, "password": PASSWORD}), 409, "email-taken")
    problem(await anyone.post("/login", {"email": ANA["email"], "password": PASSWORD}), 401, "wrong-credentials")
    changes = ok(await organizer.get(f"/events/{event['id']}/changes?after=1"))["items"]
    assert changes[0]["data"]["bookedBy"] == organizer.id


async def test_a_booking_for_somebody_with_an_account_is_in_their_list(organizer: Client, customer: Client) -> None:
    person = {"name": "Somebody else", "email": customer.email.upper()}
    booking = await organizer.book(await organizer.event(), onBehalfOf=person)
    assert ok(await customer.get("/bookings"))["items"] == [booking]
    assert ok(await customer.get("/me"))["name"] == customer.user["name"]
    assert ok(await customer.post("/cancel", {"bookingId": booking["id"]}))["booking"]["status"] == "cancelled"


async def test_only_those_who_may_book_for_others(service: Service, organizer: Client, customer: Client) -> None:
    published, draft = await organizer.event(), await organizer.event(status="draft")
    problem(await customer.post("/book", {"eventId": published["id"], "onBehalfOf": ANA}), 403, "not-allowed")
    problem(await customer.post("/book", {"eventId": draft["id"], "onBehalfOf": ANA}), 404, "not-found")
    problem(await organizer.post("/book", {"eventId": draft["id"], "onBehalfOf": ANA}), 409, "not-on-sale")
    problem(await organizer.post("/book", {"eventId": organizer.id, "onBehalfOf": ANA}), 404, "not-found")
    assert await service.container.account_queries().user_by_email(ANA["email"]) is None


@pytest.mark.parametrize(
    ("role", "for_others", "for_itself"), [("read", 403, 403), ("door", 403, 403), ("desk", 201, 403)]
)
async def test_an_api_key_of_the_desk_books_for_others_alone(
    organizer: Client, role: str, for_others: int, for_itself: int
) -> None:
    event = await organizer.event()
    key = ok(await organizer.post("/api-keys", {"name": "A desk", "role": role}), 201)["key"]
    program = Client(organizer.http, organizer.user, key)
    body = {"eventId": event["id"]}
    assert (await program.post("/book", {**body, "onBehalfOf": ANA})).status_code == for_others
    assert (await program.post("/book", body)).status_code == for_itself


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        *[(value, [""]) for value in (None, 1, "Ana", [], [ANA])],
        ({}, ["/name", "/email"]),
        ({**ANA, "x": 1}, ["/x"]),
        ({"name": " ", "email": "ana"}, ["/name", "/email"]),
        ({**ANA, "email": "ana@b@example.org"}, ["/email"]),
        ({**ANA, "email": "ana@.org"}, ["/email"]),
    ],
)
async def test_what_is_broken_in_a_person_is_named(organizer: Client, person: Any, expected: list[str]) -> None:
    event = await organizer.event()
    found = pointers(await organizer.post("/book", {"eventId": event["id"], "onBehalfOf": person}))
    assert sorted(found) == sorted(f"/onBehalfOf{pointer}" for pointer in expected)


async def test_tickets_are_given_past_those_who_wait(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=2, price=EUR_25)
    await customer.book(event)
    await (await service.user()).book(event, quantity=2)
    body = {"eventId": event["id"], "onBehalfOf": ANA, "complimentary": {"reason": " For the band "}}
    answer = await organizer.post("/book", body, headers={"Idempotency-Key": "one"})
    booking = ok(answer, 201)
    assert (booking["status"], booking["paymentStatus"], booking["position"]) == ("confirmed", "none", None)
    assert booking["amount"] == {"amount": 0, "currency": "EUR"}
    again = await organizer.post("/book", body, headers={"Idempotency-Key": "one"})
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    other = {**body, "onBehalfOf": {"name": "Ben", "email": "ben@example.org"}}
    problem(await organizer.post("/book", other), 409, "sold-out")
    (fact,) = ok(await organizer.get(f"/events/{event['id']}/changes?after=3"))["items"]
    assert (fact["kind"], fact["bookingId"]) == ("TicketsGranted", booking["id"])
    told = {name: fact["data"][name] for name in ("quantity", "reason", "passedOver", "grantedBy")}
    assert told == {"quantity": 1, "reason": "For the band", "passedOver": 1, "grantedBy": organizer.id}


@pytest.mark.parametrize(
    ("gift", "expected"),
    [
        *[({"complimentary": value}, ["/complimentary"]) for value in NO_OBJECTS],
        ({"complimentary": {}}, ["/complimentary/reason"]),
        *[({"complimentary": {"reason": value}}, ["/complimentary/reason"]) for value in (" ", "x" * 201, 1, "a\nb")],
        ({"complimentary": {"reason": "x", "free": True}}, ["/complimentary/free"]),
        ({"complimentary": {"reason": "x"}, "onBehalfOf": ...}, ["/onBehalfOf"]),
    ],
)
async def test_what_is_broken_in_a_gift_is_named(organizer: Client, gift: Any, expected: list[str]) -> None:
    body = {"eventId": (await organizer.event())["id"], "onBehalfOf": ANA, **gift}
    sent = {name: value for name, value in body.items() if value is not ...}
    assert pointers(await organizer.post("/book", sent)) == expected
