"""API keys over HTTP: how they are made, shown and revoked, and that they are callers."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.security import RandomApiKeyTexts
from boxoffice.application.api_keys.known_keys import READ_EVERY
from boxoffice.application.ports.idempotency import Key
from tests.entrypoints.http.conftest import Kept
from tests.entrypoints.http.service_under_test import EUR_25, Client, Service, ok, pointers, problem

UNKNOWN = "019a0000-0000-7000-8000-00000000ffff"


async def make(owner: Client, role: str = "read", **fields: Any) -> dict[str, Any]:
    return ok(await owner.post("/api-keys", {"name": "A program", "role": role, **fields}), 201)


def program(owner: Client, key: dict[str, Any]) -> Client:
    """Whoever calls with this key."""
    return Client(owner.http, owner.user, key["key"])


class TestMaking:
    async def test_the_key_is_shown_once(self, organizer: Client) -> None:
        event = await organizer.event()
        fields = {"name": " Su\u0308d door ", "eventId": event["id"], "expiresAt": "2030-02-01T12:00:00+01:00"}
        answer = await organizer.post("/api-keys", {**fields, "role": "door"})
        made = ok(answer, 201)
        assert answer.headers["location"] == f"/api-keys/{made['id']}"
        assert answer.headers["cache-control"] == "no-store"
        key = made.pop("key")
        assert re.fullmatch(r"bxo_[A-Za-z0-9_-]{43}", key)
        assert made == {
            "id": made["id"],
            "name": "S\u00fcd door",
            "role": "door",
            "eventId": event["id"],
            "expiresAt": "2030-02-01T11:00:00Z",
            "createdAt": made["createdAt"],
        }
        listed = await organizer.get("/api-keys")
        assert ok(listed) == {"items": [{**made, "lastUsedAt": None}], "nextCursor": None}
        assert key not in listed.text

    @pytest.mark.parametrize(
        ("body", "broken"),
        [
            ({}, ["/name", "/role"]),
            ({"name": " ", "role": "admin"}, ["/name", "/role"]),
            (
                {"name": "x" * 201, "role": 1, "eventId": "x", "expiresAt": 5},
                ["/eventId", "/expiresAt", "/name", "/role"],
            ),
            ({"name": "x", "role": "read", "eventId": None, "expiresAt": None}, ["/eventId", "/expiresAt"]),
            ({"name": "x", "role": "read", "expiresAt": "2030-01-01T12:00:00"}, ["/expiresAt"]),
            ({"name": "x", "role": "read", "expiresAt": "2030-01-01T12:00:00Z"}, ["/expiresAt"]),
            ({"name": "x", "role": "read", "key": "bxo_mine"}, ["/key"]),
        ],
    )
    async def test_every_broken_field_is_named(
        self, organizer: Client, body: dict[str, Any], broken: list[str]
    ) -> None:
        assert sorted(pointers(await organizer.post("/api-keys", body))) == broken
        assert ok(await organizer.get("/api-keys"))["items"] == []

    async def test_an_event_that_one_cannot_see_is_not_found(self, organizer: Client, customer: Client) -> None:
        draft, event = await organizer.event(status="draft"), await organizer.event()
        for hidden in (draft["id"], UNKNOWN):
            answer = await customer.post("/api-keys", {"name": "x", "role": "read", "eventId": hidden})
            problem(answer, 404, "not-found")
        await make(customer, "manager", eventId=event["id"])

    async def test_a_repeated_request_gets_the_same_key_which_is_not_stored(
        self, service: Service, organizer: Client
    ) -> None:
        headers, body = {"Idempotency-Key": "one"}, {"name": "x", "role": "read"}
        first, again = [await organizer.post("/api-keys", body, headers=headers) for _ in range(2)]
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert (again.headers.get("idempotency-replayed"), first.headers.get("idempotency-replayed")) == ("true", None)
        problem(
            await organizer.post("/api-keys", {**body, "name": "y"}, headers=headers), 422, "idempotency-key-reused"
        )
        assert len(ok(await organizer.get("/api-keys"))["items"]) == 1
        async with service.container.storage().begin() as unit_of_work:
            key = Key(UUID(organizer.id), "one")
            payload = (await unit_of_work.events.stored_responses([key]))[key].response.payload
        assert first.json()["id"].encode() in payload
        assert first.json()["key"].encode() not in payload

    async def test_an_answer_sealed_with_a_secret_that_is_gone_is_not_repeated(
        self, service: Service, organizer: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        headers, body = {"Idempotency-Key": "one"}, {"name": "x", "role": "read"}
        key = ok(await organizer.post("/api-keys", body, headers=headers), 201)
        others = RandomApiKeyTexts("another secret of the tests " * 2)
        monkeypatch.setattr(service.container.api_key_texts(), "opened", others.opened)
        problem(await organizer.post("/api-keys", body, headers=headers), 422, "idempotency-key-reused")
        ok(await program(organizer, key).get("/me"))

    async def test_there_are_50_at_most(self, organizer: Client) -> None:
        keys = [await make(organizer) for _ in range(50)]
        problem(await organizer.post("/api-keys", {"name": "x", "role": "read"}), 409, "too-many-api-keys")
        assert (await organizer.send("DELETE", f"/api-keys/{keys[7]['id']}")).status_code == 204
        await make(organizer)


class TestRevoking:
    async def test_a_revoked_key_is_gone(self, service: Service, organizer: Client) -> None:
        key, other = await make(organizer), await make(organizer)
        assert ok(await program(organizer, key).get("/me")) == organizer.user
        answer = await organizer.send("DELETE", f"/api-keys/{key['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        for unknown in (key["id"], UNKNOWN, "nonsense"):
            problem(await organizer.send("DELETE", f"/api-keys/{unknown}"), 404, "not-found")
        assert [each["id"] for each in ok(await organizer.get("/api-keys"))["items"]] == [other["id"]]
        service.clock.time += timedelta(seconds=READ_EVERY)
        refused = await program(organizer, key).get("/me")
        problem(refused, 401, "invalid-token")
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        # On a path that needs nobody signed in, too.
        problem(await program(organizer, key).get("/events"), 401, "invalid-token")
        ok(await program(organizer, other).get("/me"))

    async def test_only_ones_own_are_there(self, organizer: Client, customer: Client, admin: Client) -> None:
        key = await make(organizer)
        for other in (customer, admin):
            assert ok(await other.get("/api-keys"))["items"] == []
            problem(await other.send("DELETE", f"/api-keys/{key['id']}"), 404, "not-found")
        ok(await program(organizer, key).get("/me"))

    async def test_nobody_makes_reads_or_revokes_any_without_signing_in(self, anyone: Client) -> None:
        problem(await anyone.get("/api-keys"), 401, "not-signed-in")
        problem(await anyone.post("/api-keys", {}), 401, "not-signed-in")
        problem(await anyone.send("DELETE", f"/api-keys/{UNKNOWN}"), 401, "not-signed-in")


class TestCalling:
    async def test_an_expired_key_is_refused_and_listed_until_another_is_made(
        self, service: Service, organizer: Client
    ) -> None:
        key = await make(organizer, expiresAt="2030-01-01T12:05:00Z")
        ok(await program(organizer, key).get("/me"))
        service.clock.time += timedelta(minutes=5)
        problem(await program(organizer, key).get("/me"), 401, "invalid-token")
        assert [each["id"] for each in ok(await organizer.get("/api-keys"))["items"]] == [key["id"]]
        other = await make(organizer)
        assert [each["id"] for each in ok(await organizer.get("/api-keys"))["items"]] == [other["id"]]

    @pytest.mark.parametrize("text", ["bxo_", f"bxo_{'A' * 43}", f"bxo_{'é' * 43}"])
    async def test_text_that_is_no_key_is_refused(self, organizer: Client, text: str) -> None:
        answer = await organizer.http.get("/me", headers=[(b"Authorization", f"Bearer {text}".encode())])
        problem(answer, 401, "invalid-token")

    async def test_the_log_names_the_key_by_its_id(self, organizer: Client, logged: Kept) -> None:
        key = await make(organizer)
        logged.take()
        await organizer.get("/me")
        await program(organizer, key).get("/me")
        own, by_key = logged.take()
        assert "key_id" not in own
        assert (by_key["key_id"], by_key["user_id"]) == (key["id"], organizer.id)
        assert key["key"] not in str(by_key)

    async def test_its_last_use_is_shown(self, service: Service, organizer: Client) -> None:
        key = await make(organizer)
        used_at = service.clock.time
        ok(await program(organizer, key).get("/me"))
        await service.container.key_uses().store()
        (shown,) = ok(await organizer.get("/api-keys"))["items"]
        assert shown["lastUsedAt"].startswith(used_at.strftime("%Y-%m-%dT%H:%M:%S"))

    async def test_idempotency_keys_are_the_users(self, organizer: Client) -> None:
        key = program(organizer, await make(organizer, "organizer"))
        body, headers = {"name": "Jazz night", "totalTickets": 5}, {"Idempotency-Key": "one"}
        first = await organizer.post("/initialize", body, headers=headers)
        again = await key.post("/initialize", body, headers=headers)
        assert (again.status_code, again.content) == (201, first.content)

    async def test_a_bounded_key_gets_no_stored_answer_of_its_owners(self, organizer: Client) -> None:
        event = await organizer.event()
        body, headers = {"eventId": event["id"]}, {"Idempotency-Key": "one"}
        ok(await organizer.post("/book", body, headers=headers), 201)
        for bounds in ({"role": "read"}, {"role": "organizer", "eventId": event["id"]}):
            key = program(organizer, await make(organizer, **bounds))
            problem(await key.post("/book", body, headers=headers), 422, "idempotency-key-reused")


ON_ITS_OWNERS_OWN = {
    # By role; then an organizer's key of the booking's event, and of another one.
    "GET /bookings": "200 403 403 403 200 403 403",
    "GET /bookings/{}": "200 403 403 403 200 200 403",
    "GET /bookings/{}/payments": "200 403 403 403 200 200 403",
    "POST /book": "403 403 403 403 409 409 403",
    "POST /bookings/{}/payment": "403 403 403 403 200 409 403",
    "POST /cancel": "403 403 403 403 200 409 403",
}
"""Who may do it is refused by the state of the booking the second time."""


async def test_a_key_does_for_its_owner_as_a_customer_what_its_role_and_event_allow(
    organizer: Client, customer: Client
) -> None:
    event, other = await organizer.event(price=EUR_25), await organizer.event()
    booking = await customer.book(event)
    bounds = [{"role": role} for role in ("read", "door", "desk", "manager", "organizer")]
    bounds += [{"role": "organizer", "eventId": each["id"]} for each in (event, other)]
    keys = [program(customer, await make(customer, **each)) for each in bounds]
    bodies = {
        "POST /book": {"eventId": event["id"]},
        "POST /bookings/{}/payment": {"method": "card", "token": "tok_ok"},
        "POST /cancel": {"bookingId": booking["id"]},
    }
    for call, expected in ON_ITS_OWNERS_OWN.items():
        method, path = call.format(booking["id"]).split()
        answers = [await key.send(method, path, json=bodies.get(call)) for key in keys]
        assert " ".join(str(each.status_code) for each in answers) == expected, call
        assert {each.json()["code"] for each in answers if each.status_code == 403} == {"not-allowed"}
