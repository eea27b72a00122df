"""Idempotency keys over HTTP: one effect, and one answer however often it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from dependency_injector.providers import Object, Singleton

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.http.service import (
    JSON,
    PASSWORD,
    SECRET,
    Client,
    Sandbox,
    Service,
    new_user,
    ok,
    pointers,
    problem,
)
from tests.settable_clock import SettableClock

HELD: dict[str, Any] = {"price": {"amount": 2500, "currency": "EUR"}, "paymentWindowMinutes": 10}
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


async def _cancel_by_event(service: Service, organizer: Client) -> Call:
    event, customer = await organizer.event(), await service.user()
    await customer.book(event)
    return customer, "/cancel", {"eventId": event["id"]}


async def _add_ticket_type(service: Service, organizer: Client) -> Call:
    event = await organizer.event()
    return organizer, f"/events/{event['id']}/ticket-types", {"name": "Balcony", "totalTickets": 3}


async def _pay(service: Service, organizer: Client) -> Call:
    customer = await service.user()
    booking = await customer.book(await organizer.event(**HELD))
    return customer, f"/bookings/{booking['id']}/payment", CARD


async def _take_cash(service: Service, organizer: Client) -> Call:
    booking = await (await service.user()).book(await organizer.event(**HELD))
    return organizer, f"/bookings/{booking['id']}/payment", {"method": "cash"}


CALLS = [_initialize, _book, _cancel, _cancel_by_event, _add_ticket_type, _pay, _take_cash]
each_call = pytest.mark.parametrize("prepare", CALLS, ids=lambda prepare: prepare.__name__.strip("_"))
Prepare = Callable[[Service, Client], Awaitable[Call]]


async def facts(service: Service, organizer: Client) -> int:
    """How much has happened to all events of an organizer."""
    events = [event for status in ("on_sale", "draft") for event in await _events(organizer, status)]
    answers = [ok(await organizer.get(f"/events/{event['id']}/changes")) for event in events]
    return len(events) + sum(int(answer["lastSeq"]) for answer in answers)


async def _events(organizer: Client, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(await organizer.get(f"/events?status={status}"))["items"]
    return found


@each_call
async def test_sent_again_it_is_answered_again(service: Service, organizer: Client, prepare: Prepare) -> None:
    client, path, body = await prepare(service, organizer)
    first = await client.post(path, body, headers=key())
    assert first.status_code in {200, 201}, first.text
    happened = await facts(service, organizer)
    for _ in range(2):
        check_replay(await client.post(path, body, headers=key()), first)
    assert await facts(service, organizer) == happened


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
    before = await facts(service, organizer)
    answers = await asyncio.gather(*(client.post(path, body, headers=key()) for _ in range(50)))
    first = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
    assert len(first) == 1
    for answer in answers:
        if answer is not first[0]:
            check_replay(answer, first[0])
    after = await facts(service, organizer)
    ok(await client.post(path, body, headers=key()), first[0].status_code)
    assert await facts(service, organizer) == after > before
    assert len(await gateway.entries()) == (1 if body == CARD else 0)


async def test_another_request_with_the_same_key_is_refused(organizer: Client, customer: Client) -> None:
    event, other = await organizer.event(**HELD), await organizer.event()
    body = {"eventId": event["id"], "quantity": 1}
    booking = ok(await customer.post("/book", body, headers=key()), 201)
    for changed in ({**body, "quantity": 2}, {"eventId": other["id"]}, {"quantity": 1, "eventId": event["id"]}):
        problem(await customer.post("/book", changed, headers=key()), 422, "idempotency-key-reused")
    spaced = httpx.Request("POST", "http://x", json=body).content.replace(b":", b": ")
    answer = await customer.send("POST", "/book", content=spaced, headers=key(**JSON))
    problem(answer, 422, "idempotency-key-reused")
    problem(await customer.post("/cancel", {"eventId": event["id"]}, headers=key()), 422, "idempotency-key-reused")
    problem(await customer.pay(booking, headers=key()), 422, "idempotency-key-reused")
    problem(
        await customer.post("/initialize", {"name": "x", "totalTickets": 1}, headers=key()),
        422,
        "idempotency-key-reused",
    )
    assert ok(await customer.get("/bookings"))["items"] == [booking]
    ok(await customer.pay(booking, headers=key("another")))


async def test_the_path_belongs_to_the_request(organizer: Client, customer: Client) -> None:
    first, second = [await customer.book(await organizer.event(**HELD)) for _ in range(2)]
    ok(await customer.pay(first, headers=key()))
    problem(await customer.pay(second, headers=key()), 422, "idempotency-key-reused")
    assert ok(await customer.get(f"/bookings/{second['id']}"))["paymentStatus"] == "due"
    again = await customer.post(f"/bookings/{first['id']}/payment?utm=1", CARD, headers=key())
    assert ok(again)["id"] == first["id"]
    assert again.headers["idempotency-replayed"] == "true"


async def test_keys_belong_to_their_user(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    other = await service.user()
    mine = await customer.post("/book", {"eventId": event["id"]}, headers=key())
    theirs = await other.post("/book", {"eventId": event["id"]}, headers=key())
    assert ok(mine, 201)["customerId"] == customer.id
    assert ok(theirs, 201)["customerId"] == other.id
    assert "idempotency-replayed" not in theirs.headers
    check_replay(await other.post("/book", {"eventId": event["id"]}, headers=key()), theirs)


async def test_keys_are_told_apart_by_case(organizer: Client) -> None:
    body = {"name": "Blues night", "totalTickets": 3}
    answers = [ok(await organizer.post("/initialize", body, headers=key(text)), 201) for text in ("k", "K", "k.")]
    assert len({answer["id"] for answer in answers}) == 3


async def test_the_first_answer_stands_whatever_came_after(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1)
    first = await customer.post("/book", {"eventId": event["id"]}, headers=key())
    ok(await customer.post("/cancel", {"eventId": event["id"]}))
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "cancelled"}))
    check_replay(await customer.post("/book", {"eventId": event["id"]}, headers=key()), first)
    assert first.json()["status"] == "confirmed"
    assert ok(await customer.get(f"/bookings/{first.json()['id']}"))["status"] == "cancelled"


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


@pytest.mark.parametrize(
    ("path", "code"),
    [("/cancel", "already-cancelled"), ("/bookings/{}/payment", "payment-not-due")],
)
async def test_refusals_of_the_other_calls_are_kept(organizer: Client, customer: Client, path: str, code: str) -> None:
    booking = await customer.book(await organizer.event())
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    body = CARD if "payment" in path else {"bookingId": booking["id"]}
    first = await customer.post(path.format(booking["id"]), body, headers=key())
    problem(first, 409, code)
    check_replay(await customer.post(path.format(booking["id"]), body, headers=key()), first)


async def test_a_refusal_to_add_a_ticket_type_is_kept(organizer: Client) -> None:
    event = await organizer.event()
    path, body = f"/events/{event['id']}/ticket-types", {"name": "General admission", "totalTickets": 1}
    first = await organizer.post(path, body, headers=key())
    problem(first, 409, "name-taken")
    ok(await organizer.patch(f"{path}/{event['ticketTypes'][0]['id']}", {"name": "Other"}))
    check_replay(await organizer.post(path, body, headers=key()), first)


async def test_a_declined_payment_is_kept(organizer: Client, customer: Client, gateway: Sandbox) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    first = await customer.pay(booking, "tok_decline", headers=key())
    problem(first, 402, "payment-declined")
    check_replay(await customer.pay(booking, "tok_decline", headers=key()), first)
    problem(await customer.pay(booking, "tok_ok", headers=key()), 422, "idempotency-key-reused")
    assert len(await gateway.entries()) == 1
    ok(await customer.pay(booking, headers=key("another")))
    check_replay(await customer.pay(booking, "tok_decline", headers=key()), first)


async def test_an_expired_hold_is_kept(service: Service, organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    booking = await customer.book(event)
    service.clock.travel(minutes=10)
    late = await service.user()
    await late.book(event)
    first = await customer.pay(booking, headers=key())
    problem(first, 409, "hold-expired")
    ok(await late.post("/cancel", {"eventId": event["id"]}))
    check_replay(await customer.pay(booking, headers=key()), first)
    ok(await customer.pay(booking, headers=key("another")))


async def test_money_that_goes_back_is_kept_too(
    service: Service, organizer: Client, customer: Client, gateway: Sandbox
) -> None:
    event = await organizer.event(totalTickets=1, **HELD)
    booking = await customer.book(event)
    gateway.may_go_on.clear()
    paying = asyncio.create_task(customer.pay(booking, headers=key()))
    await gateway.asked.wait()
    service.clock.travel(minutes=10)
    await (await service.user()).book(event)
    gateway.may_go_on.set()
    first = await paying
    problem(first, 409, "hold-expired")
    check_replay(await customer.pay(booking, headers=key()), first)
    assert len(await gateway.entries()) == 1


async def test_an_unknown_outcome_is_not_kept(organizer: Client, customer: Client, gateway: Sandbox) -> None:
    booking = await customer.book(await organizer.event(**HELD))
    problem(await customer.pay(booking, "tok_timeout", headers=key()), 503, "payment-unknown")
    paid = await customer.pay(booking, "tok_timeout", headers=key())
    assert ok(paid)["paymentStatus"] == "taken"
    check_replay(await customer.pay(booking, "tok_timeout", headers=key()), paid)
    assert len(await gateway.entries()) == 1


async def test_other_refusals_leave_the_key_free(organizer: Client, customer: Client, anyone: Client) -> None:
    event = await organizer.event(status="draft", **HELD)
    body = {"eventId": event["id"]}
    assert pointers(await customer.post("/book", {**body, "quantity": 0}, headers=key())) == ["/quantity"]
    problem(await anyone.post("/book", body, headers=key()), 401, "not-signed-in")
    problem(await customer.post("/book", body, headers=key()), 404, "not-found")
    ok(await organizer.patch(f"/events/{event['id']}", {"status": "on_sale"}))
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


async def test_invalid_for_the_rules_is_not_kept(organizer: Client, customer: Client) -> None:
    """A 400 that is seen only where the event is known."""
    event = await organizer.event(ticketTypes=[{"name": name, "totalTickets": 5} for name in "AB"])
    assert pointers(await customer.post("/book", {"eventId": event["id"]}, headers=key())) == ["/ticketTypeId"]
    named = {"eventId": event["id"], "ticketTypeId": event["ticketTypes"][0]["id"]}
    ok(await customer.post("/book", named, headers=key()), 201)


@pytest.mark.parametrize("text", ["x" * 255, "!", "~", '"quoted"', "a,b;c=d", "8e03978e-40d5-43e8-bc93-6894a57f9324"])
async def test_good_keys(organizer: Client, text: str) -> None:
    body = {"name": "Blues night", "totalTickets": 3}
    first = await organizer.post("/initialize", body, headers=key(text))
    check_replay(await organizer.post("/initialize", body, headers=key(text)), first)


@pytest.mark.parametrize("raw", [b"", b"x" * 256, b"a b", b"a\tb", "é".encode(), b"\xff", b"a\x7f"])
async def test_bad_keys(organizer: Client, raw: bytes) -> None:
    await _check_bad(organizer, [(b"Idempotency-Key", raw)])


@pytest.mark.parametrize("second", [b"a", b"b", b""])
async def test_two_keys(organizer: Client, second: bytes) -> None:
    await _check_bad(organizer, [(b"Idempotency-Key", b"a"), (b"idempotency-key", second)])


async def _check_bad(organizer: Client, headers: list[tuple[bytes, bytes]]) -> None:
    signed_in = [(b"Authorization", f"Bearer {organizer.token}".encode()), (b"Content-Type", b"application/json")]
    http = organizer._http
    answer = await http.post("/initialize", content=b'{"name": "x", "totalTickets": 1}', headers=signed_in + headers)
    (error,) = problem(answer, 400, "invalid-request")["errors"]
    assert error["pointer"] == ""
    assert "Idempotency-Key" in error["detail"]
    answer = await http.post("/initialize", content=b'{"name": ""}', headers=signed_in + headers)
    assert pointers(answer) == ["/name", "/totalTickets"]
    answer = await http.post("/initialize", content=b"{", headers=signed_in + headers)
    assert pointers(answer) == [""]
    answer = await http.post("/initialize", content=b"{}", headers=[signed_in[0], *headers])
    problem(answer, 415, "unsupported-media-type")
    answer = await http.post("/initialize", content=b"{}", headers=[signed_in[1], *headers])
    problem(answer, 401, "not-signed-in")
    answer = await http.post("/initialize", content=b" " * 70_000, headers=signed_in + headers)
    problem(answer, 413, "body-too-large")
    assert await _events(organizer, "on_sale") == []


async def test_elsewhere_keys_are_ignored(service: Service, organizer: Client) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}"
    for number, text in enumerate(("a", "a", "no good")):
        answer = await organizer.patch(path, {"name": f"Night {number}"}, headers=key(text))
        assert ok(answer)["name"] == f"Night {number}"
        assert "idempotency-replayed" not in answer.headers
    type_path = f"{path}/ticket-types/{event['ticketTypes'][0]['id']}"
    for total in (5, 6):
        assert ok(await organizer.patch(type_path, {"totalTickets": total}, headers=key()))["totalTickets"] == total
    assert ok(await organizer.get(path, headers=key("no good")))["totalTickets"] == 6
    assert ok(await organizer.get("/bookings", headers=key("no good")))["items"] == []
    for name in ("Ada", "Bob"):
        assert ok(await organizer.patch("/me", {"name": name}, headers=key("no good")))["name"] == name
    credentials = {"email": organizer.email, "password": PASSWORD}
    ok(await service.anyone.post("/login", credentials, headers=key("no good")))
    account = {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}
    ok(await service.anyone.post("/create-user", account, headers=key("no good")), 201)
    problem(await service.anyone.post("/create-user", account, headers=key()), 409, "email-taken")


async def test_a_key_is_free_again_after_a_day(service: Service, organizer: Client) -> None:
    body = {"name": "Blues night", "totalTickets": 3}
    first = await organizer.post("/initialize", body, headers=key())
    service.clock.travel(hours=23, minutes=59)
    await service.container.sweep()()
    await organizer.sign_in_again()
    check_replay(await organizer.post("/initialize", body, headers=key()), first)
    service.clock.travel(minutes=2)
    await service.container.sweep()()
    again = await organizer.post("/initialize", body, headers=key())
    assert ok(again, 201)["id"] != first.json()["id"]
    assert "idempotency-replayed" not in again.headers


@pytest.fixture
async def two_services(tmp_path: Path, clock: SettableClock) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    """Two that share nothing but their SQLite file."""
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}", jwt_secret=SECRET)
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            container = make_container(settings)
            container.clock.override(Object(clock))
            container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
            await stack.enter_async_context(running(container, sweep_every=3_600))
            transport = httpx.ASGITransport(cast("Any", create_app(container)), raise_app_exceptions=False)
            http = httpx.AsyncClient(transport=transport, base_url="http://boxoffice", timeout=60)
            found.append(await stack.enter_async_context(http))
        yield tuple(found)


def elsewhere(client: Client, http: httpx.AsyncClient) -> Client:
    return Client(http, client._user, client.token)


async def test_another_installation_answers_the_same(two_services: tuple[httpx.AsyncClient, ...]) -> None:
    here, there = two_services
    organizer, customer = [await new_user(here, f"{name}@example.org") for name in ("olga", "carl")]
    body = {"name": "Jazz 🎷 night", "totalTickets": 2, **HELD}
    first = await organizer.post("/initialize", body, headers=key())
    check_replay(await elsewhere(organizer, there).post("/initialize", body, headers=key()), first)
    event = ok(first, 201)
    assert len(await _events(organizer, "on_sale")) == 1

    booked = await customer.post("/book", {"eventId": event["id"]}, headers=key())
    there_customer = elsewhere(customer, there)
    check_replay(await there_customer.post("/book", {"eventId": event["id"]}, headers=key()), booked)
    booking = ok(booked, 201)
    declined = await there_customer.pay(booking, "tok_decline", headers=key("decline"))
    problem(declined, 402, "payment-declined")
    check_replay(await customer.pay(booking, "tok_decline", headers=key("decline")), declined)
    refused = await customer.post("/book", {"eventId": event["id"]}, headers=key("again"))
    problem(refused, 409, "already-booked")
    check_replay(await there_customer.post("/book", {"eventId": event["id"]}, headers=key("again")), refused)
    problem(await there_customer.pay(booking, headers=key("again")), 422, "idempotency-key-reused")


async def test_at_once_on_two_installations_it_happens_once(two_services: tuple[httpx.AsyncClient, ...]) -> None:
    here, there = two_services
    organizer = await new_user(here, "olga@example.org")
    customer = await new_user(here, "carl@example.org")

    async def send(client: Client, path: str, body: dict[str, Any]) -> httpx.Response:
        both = (client, elsewhere(client, there))
        answers = await asyncio.gather(*(both[n % 2].post(path, body, headers=key(path)) for n in range(20)))
        (first,) = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
        for answer in answers:
            if answer is not first:
                check_replay(answer, first)
        return first

    event = ok(await send(organizer, "/initialize", {"name": "Jazz night", "totalTickets": 2, **HELD}), 201)
    assert [each["id"] for each in await _events(organizer, "on_sale")] == [event["id"]]
    booking = ok(await send(customer, "/book", {"eventId": event["id"]}), 201)
    assert ok(await send(customer, f"/bookings/{booking['id']}/payment", CARD))["status"] == "confirmed"
    assert len(await customer.payments(booking)) == 1
    ok(await send(customer, "/cancel", {"bookingId": booking["id"]}))
    assert [each["kind"] for each in await customer.payments(booking)] == ["charge", "refund"]
