"""Webhooks over HTTP: registering them, what arrives, and the deliveries that failed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from boxoffice.domain.webhooks import RETRY_AFTER
from boxoffice.entrypoints.settings import Settings
from tests.adapters.notifications.receiver import Receiver, receiving, says
from tests.entrypoints.http.service_under_test import SECRET, Client, Service, ok, pointers, problem

URL = "https://hooks.example.org/boxoffice"
UNKNOWN = "019a0000-0000-7000-8000-00000000ffff"
BAD = b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def register(client: Client, url: str = URL, **fields: Any) -> dict[str, Any]:
    return ok(await client.post("/webhooks", {"url": url, **fields}), 201)


async def look(service: Service) -> None:
    """What the background does once a second."""
    await service.container.deliver_webhooks()()
    await service.container.deliver_webhooks().finish()


async def deliveries(client: Client, webhook: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = ok(await client.get(f"/webhooks/{webhook['id']}/deliveries{query}"))["items"]
    return items


class TestRegistering:
    async def test_the_secret_is_shown_once(self, organizer: Client) -> None:
        answer = await organizer.post("/webhooks", {"url": URL, "kinds": ["TicketsBooked"]})
        webhook = ok(answer, 201)
        assert answer.headers["location"] == f"/webhooks/{webhook['id']}"
        assert answer.headers["cache-control"] == "no-store"
        secret = webhook.pop("secret")
        assert secret.startswith("whsec_")
        assert (webhook["url"], webhook["kinds"], webhook["eventId"]) == (URL, ["TicketsBooked"], None)
        assert ok(await organizer.get(f"/webhooks/{webhook['id']}")) == webhook
        assert ok(await organizer.get("/webhooks")) == {"items": [webhook], "nextCursor": None}
        assert secret not in (await organizer.get("/webhooks")).text

    async def test_only_ones_own_is_there(self, organizer: Client, customer: Client, admin: Client) -> None:
        webhook = await register(organizer)
        for other in (customer, admin):
            assert ok(await other.get("/webhooks"))["items"] == []
            for path in ("", "/deliveries"):
                problem(await other.get(f"/webhooks/{webhook['id']}{path}"), 404, "not-found")
            problem(await other.send("DELETE", f"/webhooks/{webhook['id']}"), 404, "not-found")
            retry = f"/webhooks/{webhook['id']}/deliveries/{UNKNOWN}/retry"
            problem(await other.send("POST", retry), 404, "not-found")
        assert len(ok(await organizer.get("/webhooks"))["items"]) == 1

    async def test_a_deleted_webhook_is_gone(self, organizer: Client) -> None:
        webhook = await register(organizer)
        gone = await organizer.send("DELETE", f"/webhooks/{webhook['id']}")
        assert (gone.status_code, gone.content) == (204, b"")
        problem(await organizer.get(f"/webhooks/{webhook['id']}"), 404, "not-found")
        for unknown in (webhook["id"], "nonsense"):
            problem(await organizer.send("DELETE", f"/webhooks/{unknown}"), 404, "not-found")

    @pytest.mark.parametrize(
        ("body", "broken"),
        [
            ({}, ["/url"]),
            ({"url": "http://hooks.example.org"}, ["/url"]),
            ({"url": "https://10.0.0.1/x"}, ["/url"]),
            ({"url": "https://user:password@a.example/"}, ["/url"]),
            ({"url": 5, "kinds": "TicketsBooked", "eventId": "x"}, ["/eventId", "/kinds", "/url"]),
            ({"url": URL, "kinds": []}, ["/kinds"]),
            ({"url": URL, "kinds": ["TicketsBooked", 5]}, ["/kinds/1"]),
            ({"url": URL, "kinds": ["Nothing"], "secret": "whsec_mine"}, ["/kinds", "/secret"]),
            ({"url": URL, "kinds": None, "eventId": None}, ["/eventId", "/kinds"]),
        ],
    )
    async def test_every_broken_field_is_named(
        self, organizer: Client, body: dict[str, Any], broken: list[str]
    ) -> None:
        assert sorted(pointers(await organizer.post("/webhooks", body))) == broken
        assert ok(await organizer.get("/webhooks"))["items"] == []

    async def test_a_webhook_is_changed(self, organizer: Client, customer: Client, admin: Client) -> None:
        webhook = await register(organizer)
        path = f"/webhooks/{webhook['id']}"
        del webhook["secret"]
        assert webhook["active"] is True
        changes = {"url": f"{URL}/new", "kinds": ["HoldExpired"], "active": False}
        assert ok(await organizer.patch(path, changes)) == {**webhook, **changes}
        assert ok(await organizer.patch(path, {"active": True})) == {**webhook, **changes, "active": True}
        assert ok(await organizer.get(path)) == {**webhook, **changes, "active": True}
        for body, broken in (
            ({}, [""]),
            ({"active": None}, ["/active"]),
            ({"active": 1, "url": None, "kinds": None}, ["/active", "/kinds", "/url"]),
            ({"url": "http://hooks.example.org"}, ["/url"]),
            ({"url": "https://10.0.0.1/x", "active": True}, ["/url"]),
            ({"kinds": []}, ["/kinds"]),
            ({"active": True, "secret": "whsec_mine", "eventId": UNKNOWN}, ["/eventId", "/secret"]),
        ):
            assert sorted(pointers(await organizer.patch(path, body))) == broken
        for other in (customer, admin):
            problem(await other.patch(path, {"active": False}), 404, "not-found")
        problem(await organizer.patch(f"/webhooks/{UNKNOWN}", {"active": False}), 404, "not-found")
        assert ok(await organizer.get(path))["active"] is True

    async def test_only_its_organizer_watches_an_event(
        self, organizer: Client, customer: Client, admin: Client
    ) -> None:
        event = await organizer.event()
        draft = await organizer.event(status="draft")
        assert (await register(organizer, eventId=event["id"]))["eventId"] == event["id"]
        for other in (customer, admin):
            problem(await other.post("/webhooks", {"url": URL, "eventId": event["id"]}), 403, "not-allowed")
        problem(await customer.post("/webhooks", {"url": URL, "eventId": draft["id"]}), 404, "not-found")
        problem(await organizer.post("/webhooks", {"url": URL, "eventId": UNKNOWN}), 404, "not-found")

    async def test_a_key_makes_one_and_there_are_20_at_most(self, organizer: Client) -> None:
        key = {"Idempotency-Key": "one"}
        first, again = [await organizer.post("/webhooks", {"url": URL}, headers=key) for _ in range(2)]
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotency-replayed"] == "true"
        reused = await organizer.post("/webhooks", {"url": f"{URL}/other"}, headers=key)
        problem(reused, 422, "idempotency-key-reused")
        for _ in range(19):
            await register(organizer)
        problem(await organizer.post("/webhooks", {"url": URL}), 409, "too-many-webhooks")


class TestDelivering:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET, webhooks_private=True)

    async def test_facts_arrive_signed_and_as_the_changes_have_them(
        self, service: Service, organizer: Client, customer: Client, receiver: Receiver
    ) -> None:
        service.clock.travel(seconds=(datetime.now(UTC) - service.clock.now()).total_seconds())
        await organizer.sign_in_again()
        await customer.sign_in_again()
        webhook = await register(organizer, receiver.url)
        event = await organizer.event()
        await customer.book(event)
        await look(service)
        sent = [Verifier(webhook["secret"]).verify(each.body, each.headers) for each in receiver.received]
        changes = ok(await organizer.get(f"/events/{event['id']}/changes"))["items"]
        assert [each["data"] for each in sent] == [{"eventId": event["id"], **change} for change in changes]
        assert [each["type"] for each in sent] == ["EventInitialized", "TicketsBooked"]

    async def test_410_ends_a_webhook_until_it_is_wanted_again(
        self, service: Service, organizer: Client, customer: Client, receiver: Receiver
    ) -> None:
        webhook = await register(organizer, receiver.url)
        path = f"/webhooks/{webhook['id']}"
        event = await organizer.event()
        receiver.answer = says(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
        await look(service)
        assert ok(await organizer.get(path))["active"] is False
        (ended,) = await deliveries(organizer, webhook)
        assert (ended["status"], ended["error"], ended["dueAt"]) == ("dead", "answered 410", None)
        receiver.answer = says(b"HTTP/1.1 204 OK\r\n\r\n")
        booking = await customer.book(event)
        await look(service)
        assert len(receiver.received) == 1
        assert ok(await organizer.patch(path, {"active": True}))["active"] is True
        ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
        await look(service)
        assert [each.headers["webhook-id"] for each in receiver.received[1:]] == [f"{event['id']}.3"]

    async def test_a_pause_that_the_receiver_asks_for_is_heeded(
        self, service: Service, organizer: Client, receiver: Receiver
    ) -> None:
        webhook = await register(organizer, receiver.url)
        await organizer.event()
        receiver.answer = says(b"HTTP/1.1 429 Slowly\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n")
        await look(service)
        service.clock.travel(seconds=59)
        await look(service)
        assert len(receiver.received) == 1
        (delivery,) = await deliveries(organizer, webhook)
        tried_at, due_at = (datetime.fromisoformat(delivery[name]) for name in ("triedAt", "dueAt"))
        assert due_at - tried_at == timedelta(seconds=60)
        service.clock.travel(seconds=1)
        await look(service)
        assert len(receiver.received) == 2

    async def test_what_does_not_go_through_is_listed_and_sent_again(
        self, service: Service, organizer: Client, customer: Client, receiver: Receiver
    ) -> None:
        webhook = await register(organizer, receiver.url)
        event = await organizer.event()
        receiver.answer = says(BAD)
        await look(service)
        (delivery,) = await deliveries(organizer, webhook)
        assert {name: delivery[name] for name in ("eventId", "seq", "kind", "status", "attempts", "error")} == {
            "eventId": event["id"],
            "seq": 1,
            "kind": "EventInitialized",
            "status": "retrying",
            "attempts": 1,
            "error": "answered 503",
        }
        for _ in RETRY_AFTER:
            service.clock.travel(days=2)
            await look(service)
        await organizer.sign_in_again()
        (dead,) = await deliveries(organizer, webhook, "?status=dead")
        assert (dead["id"], dead["attempts"], dead["dueAt"]) == (delivery["id"], len(RETRY_AFTER) + 1, None)
        assert await deliveries(organizer, webhook, "?status=retrying") == []
        receiver.answer = says(b"HTTP/1.1 204 OK\r\n\r\n")
        retry = f"/webhooks/{webhook['id']}/deliveries/{dead['id']}/retry"
        assert ok(await organizer.send("POST", retry))["status"] == "resending"
        await look(service)
        assert await deliveries(organizer, webhook) == []
        assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
        problem(await organizer.send("POST", retry), 404, "not-found")
