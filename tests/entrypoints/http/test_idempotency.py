"""Idempotency keys over HTTP: one effect, and one answer however often it is asked for.

Which refusals are kept, and for how long, is tested in `tests/application/turnstile/test_idempotency.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import (
    HELD,
    JSON,
    PASSWORD,
    SECRET,
    Client,
    Sandbox,
    Service,
    container_of,
    new_user,
    ok,
    pointers,
    problem,
    served,
)
from tests.settable_clock import SettableClock

CARD = {"method": "card", "token": "tok_ok"}


def key(text: str = "a-key", **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": text, **headers}


def check_replay(again: httpx.Response, first: httpx.Response) -> None:
    """The first answer byte for byte, but for what belongs to the request itself."""
    assert again.status_code == first.status_code, again.text
    assert again.content == first.content
    for name in ("location", "etag", "content-type", "content-length"):
        assert again.headers.get(name) == first.headers.get(name)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


Call = tuple[Client, str, dict[str, Any]]


async def _initialize(service: Service, organizer: Client) -> Call:
    return organizer, "/initialize", {"name": "Blues night", "totalTickets": 3}


async def _book(service: Service, organizer: Client) -> Call:
    return await service.user(), "/book", {"eventId": (await organizer.event(**HELD))["id"], "quantity": 2}


async def _cancel(service: Service, organizer: Client) -> Call:
    event, customer = await organizer.event(totalTickets=1), await service.user()
    booking = await customer.book(event)
    await (await service.user()).book(event)
    return customer, "/cancel", {"bookingId": booking["id"]}


async def _add_ticket_type(service: Service, organizer: Client) -> Call:
    event = await organizer.event()
    return organizer, f"/events/{event['id']}/ticket-types", {"name": "Balcony", "totalTickets": 3}


async def _pay(service: Service, organizer: Client) -> Call:
    customer = await service.user()
    booking = await customer.book(await organizer.event(**HELD))
    return customer, f"/bookings/{booking['id']}/payment", CARD


CALLS = [_initialize, _book, _cancel, _add_ticket_type, _pay]
each_call = pytest.mark.parametrize("prepare", CALLS, ids=lambda prepare: prepare.__name__.strip("_"))
Prepare = Callable[[Service, Client], Awaitable[Call]]


async def facts(organizer: Client) -> int:
    """How much has happened to all events of an organizer."""
    events = ok(await organizer.get("/events"))["items"]
    answers = [ok(await organizer.get(f"/events/{event['id']}/changes")) for event in events]
    return len(events) + sum(int(answer["lastSeq"]) for answer in answers)


@each_call
async def test_the_same_answer_with_a_key_and_without(service: Service, organizer: Client, prepare: Prepare) -> None:
    answers = []
    for headers in (key(), {}):
        client, path, body = await prepare(service, organizer)
        answers.append(await client.post(path, body, headers=headers))
    with_key, without = answers
    assert with_key.status_code == without.status_code
    assert set(with_key.headers) == set(without.headers)
    assert set(with_key.json()) == set(without.json())


@each_call
async def test_50_at_once_have_one_effect_and_one_answer(
    service: Service, organizer: Client, gateway: Sandbox, prepare: Prepare
) -> None:
    client, path, body = await prepare(service, organizer)
    before = await facts(organizer)
    answers = await asyncio.gather(*(client.post(path, body, headers=key()) for _ in range(50)))
    (first,) = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
    assert first.status_code in {200, 201}, first.text
    happened = await facts(organizer)
    for answer in (*answers, await client.post(path, body, headers=key())):
        if answer is not first:
            check_replay(answer, first)
    assert await facts(organizer) == happened > before
    assert len(await gateway.entries()) == (1 if body == CARD else 0)


async def test_another_request_with_the_same_key_is_refused(organizer: Client, customer: Client) -> None:
    event, other = await organizer.event(**HELD), await organizer.event()
    body = {"eventId": event["id"], "quantity": 1}
    booking = ok(await customer.post("/book", body, headers=key()), 201)
    spaced = httpx.Request("POST", "http://x", json=body).content.replace(b":", b": ")
    for answer in (
        await customer.post("/book", {**body, "quantity": 2}, headers=key()),
        await customer.post("/book", {"eventId": other["id"]}, headers=key()),
        await customer.post("/book", {"quantity": 1, "eventId": event["id"]}, headers=key()),
        await customer.send("POST", "/book", content=spaced, headers=key(**JSON)),
        await customer.post("/cancel", {"eventId": event["id"]}, headers=key()),
        await customer.pay(booking, headers=key()),
        await customer.post("/initialize", {"name": "x", "totalTickets": 1}, headers=key()),
    ):
        problem(answer, 422, "idempotency-key-reused")
    assert ok(await customer.get("/bookings"))["items"] == [booking]
    ok(await customer.pay(booking, headers=key("another")))
    assert ok(await organizer.post("/book", body, headers=key()), 201)["customerId"] == organizer.id, (
        "keys are a user's"
    )


async def test_the_path_belongs_to_the_request(organizer: Client, customer: Client) -> None:
    first, second = [await customer.book(await organizer.event(**HELD)) for _ in range(2)]
    paid = await customer.pay(first, headers=key())
    problem(await customer.pay(second, headers=key()), 422, "idempotency-key-reused")
    assert ok(await customer.get(f"/bookings/{second['id']}"))["paymentStatus"] == "due"
    check_replay(await customer.post(f"/bookings/{first['id']}/payment?utm=1", CARD, headers=key()), paid)


async def test_a_refusal_of_the_state_is_kept_with_its_request_id(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    body = {"eventId": event["id"]}
    first = await customer.post("/book", body, headers=key(**{"X-Request-Id": "first"}))
    assert problem(first, 409, "already-booked")["bookingId"] == booking["id"]
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    again = await customer.post("/book", body, headers=key(**{"X-Request-Id": "second"}))
    check_replay(again, first)
    assert again.json()["requestId"] == "first"
    assert again.headers["x-request-id"] == "second"
    assert again.headers["content-type"] == "application/problem+json"
    ok(await customer.post("/book", body, headers=key("another")), 201)


async def test_a_declined_payment_is_kept_and_an_unknown_outcome_is_not(
    organizer: Client, customer: Client, gateway: Sandbox
) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    declined = await customer.pay(booking, "tok_decline", headers=key())
    problem(declined, 402, "payment-declined")
    check_replay(await customer.pay(booking, "tok_decline", headers=key()), declined)
    problem(await customer.pay(booking, "tok_ok", headers=key()), 422, "idempotency-key-reused")
    problem(await customer.pay(booking, "tok_timeout", headers=key("another")), 503, "payment-unknown")
    paid = await customer.pay(booking, "tok_timeout", headers=key("another"))
    assert ok(paid)["paymentStatus"] == "taken"
    check_replay(await customer.pay(booking, "tok_timeout", headers=key("another")), paid)
    check_replay(await customer.pay(booking, "tok_decline", headers=key()), declined)
    assert len(await gateway.entries()) == 2


async def test_other_refusals_leave_the_key_free(organizer: Client, customer: Client, anyone: Client) -> None:
    kinds = [{"name": name, "totalTickets": 5, "price": HELD["price"]} for name in "AB"]
    event = await organizer.event(status="draft", ticketTypes=kinds, paymentWindowMinutes=10)
    body = {"eventId": event["id"], "ticketTypeId": event["ticketTypes"][0]["id"]}
    assert pointers(await customer.post("/book", {**body, "quantity": 0}, headers=key())) == ["/quantity"]
    problem(await anyone.post("/book", body, headers=key()), 401, "not-signed-in")
    problem(await customer.post("/book", body, headers=key()), 404, "not-found")
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "on_sale"}))
    assert pointers(await customer.post("/book", {"eventId": event["id"]}, headers=key())) == ["/ticketTypeId"]
    first = await customer.post("/book", body, headers=key())
    assert "idempotency-replayed" not in first.headers
    booking = ok(first, 201)

    problem(await customer.pay(booking, None, headers=key("pay")), 403, "not-allowed")
    ok(await customer.pay(booking, headers=key("pay")))

    path, added = f"/events/{event['id']}/ticket-types", {"name": "Balcony", "totalTickets": 1}
    stale = key("add", **{"If-Match": '"1.0"'})
    problem(await organizer.post(path, added, headers=stale), 412, "stale-version")
    ok(await organizer.post(path, added, headers=key("add")), 201)
    assert (await organizer.post(path, added, headers=stale)).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("text", ["x" * 255, "!", "~", '"quoted"', "a,b;c=d"])
async def test_good_keys(organizer: Client, text: str) -> None:
    body = {"name": "Blues night", "totalTickets": 3}
    first = await organizer.post("/initialize", body, headers=key(text))
    check_replay(await organizer.post("/initialize", body, headers=key(text)), first)


@pytest.mark.parametrize(
    "keys", [[b""], [b"x" * 256], [b"a b"], [b"a\tb"], ["é".encode()], [b"a\x7f"], [b"a", b"a"], [b"a", b"b"]]
)
async def test_bad_keys_are_a_400_behind_what_is_checked_first(organizer: Client, keys: list[bytes]) -> None:
    token, json_type = (b"Authorization", f"Bearer {organizer.token}".encode()), (b"Content-Type", b"application/json")
    bad = [(b"Idempotency-Key", each) for each in keys]
    good_body = b'{"name": "x", "totalTickets": 1}'

    async def send(content: bytes, *headers: tuple[bytes, bytes]) -> httpx.Response:
        return await organizer.http.post("/initialize", content=content, headers=[*headers, *bad])

    (error,) = problem(await send(good_body, token, json_type), 400, "invalid-request")["errors"]
    assert error["pointer"] == ""
    assert "Idempotency-Key" in error["detail"]
    assert pointers(await send(b'{"name": ""}', token, json_type)) == ["/name", "/totalTickets"]
    problem(await send(good_body, token), 415, "unsupported-media-type")
    problem(await send(good_body, json_type), 401, "not-signed-in")
    problem(await send(b" " * 70_000, token, json_type), 413, "body-too-large")
    assert ok(await organizer.get("/events"))["items"] == []


async def test_elsewhere_keys_are_ignored(service: Service, organizer: Client) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}"
    for name, text in (("a", "a"), ("b", "a"), ("c", "no good")):
        answer = await organizer.patch(path, {"name": name}, headers=key(text))
        assert ok(answer)["name"] == name
        assert "idempotency-replayed" not in answer.headers
        assert ok(await organizer.patch("/me", {"name": name}, headers=key(text)))["name"] == name
        type_path = f"{path}/ticket-types/{event['ticketTypes'][0]['id']}"
        assert ok(await organizer.patch(type_path, {"name": name}, headers=key(text)))["ticketTypes"][0]["name"] == name
    assert ok(await organizer.get("/bookings", headers=key("no good")))["items"] == []
    account = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}
    ok(await service.anyone.post("/create-user", account, headers=key("no good")), 201)
    problem(await service.anyone.post("/create-user", account, headers=key()), 409, "email-taken")
    del account["name"]
    ok(await service.anyone.post("/login", account, headers=key("no good")))


@pytest.fixture
async def two_services(tmp_path: Path, clock: SettableClock) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two that share nothing but their SQLite file."""
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}", jwt_secret=SECRET)
    async with AsyncExitStack() as stack:
        containers = [container_of(settings, clock) for _ in range(2)]
        yield [await stack.enter_async_context(served(create_app(each), each)) for each in containers]


async def test_at_once_on_two_installations_it_happens_once(two_services: list[httpx.AsyncClient]) -> None:
    here, there = two_services
    organizer, customer = [await new_user(here, f"{name}@example.org") for name in ("olga", "carl")]

    async def send(client: Client, path: str, body: dict[str, Any]) -> httpx.Response:
        both = (client, client.at(there))
        answers = await asyncio.gather(*(both[n % 2].post(path, body, headers=key(path)) for n in range(20)))
        (first,) = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
        for answer in answers:
            if answer is not first:
                check_replay(answer, first)
        return first

    event = ok(await send(organizer, "/initialize", {"name": "Jazz 🎷 night", "totalTickets": 2, **HELD}), 201)
    assert [each["id"] for each in ok(await organizer.get("/events"))["items"]] == [event["id"]]
    booking = ok(await send(customer, "/book", {"eventId": event["id"]}), 201)
    assert ok(await send(customer, f"/bookings/{booking['id']}/payment", CARD))["status"] == "confirmed"
    assert len(await customer.payments(booking)) == 1
    ok(await send(customer, "/cancel", {"bookingId": booking["id"]}))
    assert [each["kind"] for each in await customer.payments(booking)] == ["charge", "refund"]
