"""Erasing an account over HTTP, and what is left of one in the database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.schema.tables import metadata
from tests import servers
from tests.adapters.sql.recorded import by_hand
from tests.settable_clock import SettableClock

from .mailing import Postman, mailing_service
from .service_under_test import PASSWORD, Client, Service, ok, pointers, problem

ADDRESS, PENDING, NAME = "needle@example.org", "needle.two@example.org", "Needle Nadel"
KEY = "needle-key"
DELETE = {"json": {"currentPassword": PASSWORD}}


async def test_an_account_is_erased_and_its_address_is_free(service: Service, anyone: Client) -> None:
    user, other = await service.user(ADDRESS), await service.user()
    event = await other.event(totalTickets=1)
    booking, waiting = await user.book(event), await other.book(event)
    answer = await user.send("DELETE", "/me", **DELETE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert ok(await other.get(f"/bookings/{booking['id']}"))["status"] == "cancelled"
    assert ok(await other.get(f"/bookings/{waiting['id']}"))["status"] == "confirmed"
    problem(await anyone.post("/login", {"email": ADDRESS, "password": PASSWORD}), 401, "wrong-credentials")
    service.clock.travel(seconds=4)
    problem(await user.get("/me"), 401, "invalid-token")
    assert (await service.user(ADDRESS)).id != user.id


async def test_what_refuses_to_erase_an_account(service: Service, anyone: Client) -> None:
    user, other = await service.user(), await service.user()
    problem(await anyone.send("DELETE", "/me", **DELETE), 401, "not-signed-in")
    for body in ({}, {"currentPassword": None}, {"currentPassword": ""}):
        assert pointers(await user.send("DELETE", "/me", json=body)) == ["/currentPassword"]
    problem(await user.send("DELETE", "/me", json={"currentPassword": "wrong"}), 403, "not-allowed")
    event = await user.event()
    begins_soon = {"startsAt": "2100-01-01T00:00:00Z", "cancellationDeadlineHours": 8_760}
    service.clock.time = service.clock.time.replace(year=2099, month=12)
    for each in (user, other):
        await each.sign_in_again()
    booking = await user.book(await other.event(**begins_soon))
    problem(await user.send("DELETE", "/me", **DELETE), 409, "still-organizing")
    ok(await user.patch(f"/events/{event['id']}", {"status": "completed"}))
    found = problem(await user.send("DELETE", "/me", **DELETE), 409, "bookings-bind")
    assert found["bookingId"] == booking["id"]
    ok(await user.get("/me"))


@pytest.fixture(params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
async def stored(request: pytest.FixtureRequest, clock: SettableClock) -> AsyncIterator[tuple[Service, str]]:
    """A service with its database."""
    kind = "sqlite" if request.param == "sqlite" else "mysql"
    url: str = request.getfixturevalue(f"migrated_{kind}_url")
    async with mailing_service(url, clock) as service:
        yield service, url


async def test_an_erased_account_leaves_its_id_alone(stored: tuple[Service, str]) -> None:
    """Every column of every table is searched, and each byte of SQLite's files."""
    service, url = stored
    user, other = await lived_in(service), await service.user()
    event = await other.event(totalTickets=2, price={"amount": 500, "currency": "EUR"})
    for number, payer in enumerate((user, other)):
        body, headers = {"eventId": event["id"]}, {"Idempotency-Key": f"{KEY}-{number}"}
        booking = ok(await payer.post("/book", body, headers=headers), 201)
        ok(await payer.pay(booking, headers={"Idempotency-Key": f"{KEY}-payment-{number}"}))
        path = f"/bookings/{booking['id']}/tickets"
        (ticket,) = ok(await payer.get(path))["items"]
        ok(await other.patch(f"{path}/{ticket['id']}", {"holderName": ("Needle Junior", "Grace")[number]}))
    columns = {"users.email", "users.name", "account_links.email", "webhooks.url", "tickets.holder_name"}
    assert await found_in(url, "needle") > columns
    answer = await user.send("DELETE", "/me", **DELETE)
    assert answer.status_code == 204, answer.text
    assert await found_in(url, "needle") == {"stored_responses.key", "payments.key"}
    service.clock.travel(minutes=1)
    await service.container.sweep()()
    assert await found_in(url, f"{KEY}-0") | await found_in(url, f"{KEY}-payment-0") == set()
    assert await found_in(url, "needle") == {"stored_responses.key", "payments.key"}, "those of the other account"
    assert await found_in(url, user.id.replace("-", "")) == {
        *("users.id", "bookings.customer_id", "events.organizer_id", "facts.data"),
    }
    file = make_url(url).database
    if url.startswith("sqlite"):
        kept = b"".join(each.read_bytes() for each in Path(str(file)).parent.glob("*.db*")).lower()
        assert ADDRESS.encode() not in kept
        assert PENDING.encode() not in kept
        assert NAME.lower().encode() not in kept
        assert b"needle junior" not in kept
    assert await found_in(url, "grace") == {"tickets.holder_name"}, "the holder of another account's ticket"
    assert (await service.container.verify_promises()()).breaches == []


async def lived_in(service: Service) -> Client:
    """An account that has left something wherever it could."""
    postman = Postman(service)
    body = {"name": NAME, "email": ADDRESS, "password": PASSWORD}
    user = Client(service.http, ok(await service.anyone.post("/create-user", body), 201))
    await service.anyone.post("/create-user", body)
    (first, _) = await postman.tokens()
    ok(await service.anyone.post("/verify-email", {"token": first}))
    await user.sign_in_again()
    await service.anyone.post("/login", body | {"password": "wrong", "name": None})
    await service.anyone.post("/forgot-password", {"email": ADDRESS})
    ok(await user.patch("/me", {"email": PENDING, "currentPassword": PASSWORD}))
    ok(await user.post("/webhooks", {"url": "https://needle.example/hook"}), 201)
    ok(await user.post("/api-keys", {"name": "needle's till", "role": "read"}), 201)
    draft = await user.event(status="draft")
    closed = await user.event()
    ok(await user.patch(f"/events/{closed['id']}", {"status": "completed"}))
    assert draft["status"] == "draft"
    return user


async def found_in(url: str, needle: str) -> set[str]:
    """The columns that contain it, as text, as bytes, or as an id."""
    wanted = needle.lower().encode()
    found = set()
    for name, table in metadata.tables.items():
        for row in await by_hand(url, f"SELECT * FROM {name}"):
            found |= {f"{name}.{column}" for column in (each.name for each in table.c) if contains(row[column], wanted)}
    return found - {"bookings.live_customer_id"}


def contains(value: Any, wanted: bytes) -> bool:
    written = value if isinstance(value, bytes) else str(value).encode()
    return wanted in written.lower() or wanted in written.hex().encode()


async def test_everything_that_is_kept_is_exported_as_one_object(clock: SettableClock) -> None:
    async with mailing_service("memory://", clock) as service:
        user, other = await lived_in(service), await service.user()
        event = await other.event(totalTickets=9, price={"amount": 500, "currency": "EUR"})
        booking = await user.book(event, 2)
        ok(await user.pay(booking))
        staff = {"email": ADDRESS, "role": "door"}
        ok(await other.post(f"/events/{event['id']}/staff", staff), 201)
        answer = await user.get("/me/export")
        found = ok(answer)
        assert answer.headers["cache-control"] == "no-store"
        assert list(found) == [
            *("user", "sessions", "bookings", "tickets", "payments", "events", "staff", "apiKeys", "webhooks", "links"),
        ]
        me = ok(await user.get("/me"))
        assert found["user"] == me | {"verifiedAt": found["user"]["verifiedAt"]}
        assert found["user"]["pendingEmail"] == PENDING
        assert len(found["sessions"]) == 1
        assert found["bookings"] == ok(await user.get("/bookings"))["items"]
        assert [(each["number"], each["status"]) for each in found["tickets"]] == [(1, "valid"), (2, "valid")]
        assert [(each["bookingId"], each["status"]) for each in found["payments"]] == [(booking["id"], "succeeded")]
        assert sorted(each["status"] for each in found["events"]) == ["completed", "draft"]
        assert found["staff"] == [{"eventId": event["id"], "role": "door"}]
        assert found["apiKeys"] == ok(await user.get("/api-keys"))["items"]
        assert found["webhooks"] == ok(await user.get("/webhooks"))["items"]
        assert {each["purpose"] for each in found["links"]} == {"verify", "reset"}
        head = await user.send("HEAD", "/me/export")
        assert (head.status_code, head.content) == (200, b"")
        assert all(each not in answer.text for each in ("argon2", "bxo_", "whsec_"))
