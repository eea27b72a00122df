"""End to end: `boxoffice serve` in a process of its own, over loopback, on a database that outlives it."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.service import JSON, SECRET, Client, new_user, ok, pointers, problem

_BOXOFFICE = Path(sys.executable).with_name("boxoffice")


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "mysql":
        return str(request.getfixturevalue("mysql_url"))
    return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"


class Installation:
    """A database with the settings that serve it."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self._directory = directory
        ours = {"BOXOFFICE_DATABASE_URL": database_url, "BOXOFFICE_JWT_SECRET": SECRET, "BOXOFFICE_LOG_FILE": "log"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}
        self._environment = {**kept, **ours}

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()

    async def run(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            _BOXOFFICE, *arguments, cwd=self._directory, env=self._environment, stderr=asyncio.subprocess.PIPE
        )

    @asynccontextmanager
    async def serving(self, workers: int = 1) -> AsyncIterator[httpx.AsyncClient]:
        process = await self.run("serve", "--port", "0", "--workers", str(workers))
        stderr = process.stderr
        assert stderr is not None
        try:
            found = None
            while not found:
                line = (await stderr.readline()).decode()
                assert line, "it never served"
                found = re.search(r"Boxoffice serves on (http://[\w.:]+)", line)
            reading = asyncio.create_task(stderr.read())
            async with httpx.AsyncClient(base_url=found[1], timeout=60) as http:
                yield http
            process.terminate()
            await reading
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> Installation:
    made = Installation(database_url, tmp_path)
    migrating = await made.run("migrate")
    _, said = await migrating.communicate()
    assert migrating.returncode == 0, said.decode()
    return made


async def test_a_story_that_survives_a_restart(installation: Installation) -> None:
    async with installation.serving() as http:
        anyone = Client(http)
        assert ok(await anyone.get("/health/ready")) == {"status": "ready"}
        organizer, ada, bob = [await new_user(http, f"{name}@example.org") for name in ("olga", "ada", "bob")]
        problem(
            await anyone.post("/create-user", {"name": "x", "email": ada.email, "password": "a fine long one"}),
            409,
            "email-taken",
        )
        event = await organizer.event(
            name="Jazz 🎷 night",
            totalTickets=2,
            price={"amount": 2500, "currency": "EUR"},
            startsAt="2100-05-01T19:00:00.5Z",
        )
        first = await ada.book(event, 2)
        second = await bob.book(event)
        assert (first["status"], second["status"], second["position"]) == ("confirmed", "waitlisted", 1)
        problem(await ada.post("/book", {"eventId": event["id"]}), 409, "already-booked")
        status = await anyone.get(f"/status/{event['id']}")
        assert ok(status)["isSoldOut"] is True
        again = await anyone.get(f"/status/{event['id']}", headers={"If-None-Match": status.headers["etag"]})
        assert again.status_code == 304

    async with installation.serving(workers=2) as http:
        for client in (organizer, ada, bob):
            client._http = http
        anyone = Client(http)
        again = await anyone.get(f"/status/{event['id']}", headers={"If-None-Match": status.headers["etag"]})
        assert again.status_code == 304
        assert ok(await ada.get(f"/bookings/{first['id']}")) == first
        assert ok(await bob.get(f"/bookings/{second['id']}")) == second
        assert ok(await organizer.get("/events?q=JAZZ"))["items"][0]["name"] == "Jazz 🎷 night"
        cancellation = ok(await ada.post("/cancel", {"bookingId": first["id"]}))
        assert cancellation["promotedCount"] == 1
        assert ok(await bob.get(f"/bookings/{second['id']}"))["paymentStatus"] == "due"
        stale = {"If-Match": '"9.0"'}
        problem(await organizer.patch(f"/events/{event['id']}", {"name": "x"}, headers=stale), 412, "stale-version")
        tag = (await anyone.get(f"/events/{event['id']}")).headers["etag"]
        edited = ok(await organizer.patch(f"/events/{event['id']}", {"totalTickets": 5}, headers={"If-Match": tag}))
        assert (edited["version"], edited["availableTickets"]) == (2, 4)
        changes = ok(await organizer.get(f"/events/{event['id']}/changes?limit=100"))
        assert [item["seq"] for item in changes["items"]] == list(range(1, changes["lastSeq"] + 1))
        problem(await bob.patch(f"/events/{event['id']}", {"name": "mine"}), 403, "not-allowed")

    assert "example.org" not in installation.log
    assert "eyJ" not in installation.log
    assert '"route":"/status/{event_id}"' in installation.log


async def test_10_for_3_and_the_lists(installation: Installation) -> None:
    async with installation.serving(workers=2) as http:
        organizer = await new_user(http, "olga@example.org")
        event = await organizer.event(totalTickets=3)
        customers = await asyncio.gather(*(new_user(http, f"user{number}@example.org") for number in range(10)))
        bookings = await asyncio.gather(*(customer.book(event) for customer in customers))
        assert sorted(booking["status"] for booking in bookings) == ["confirmed"] * 3 + ["waitlisted"] * 7
        for below, count in (("bookings", 10), ("waiting-list", 7)):
            found: list[str] = []
            cursor = None
            while True:
                params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
                page = ok(await organizer.get(f"/events/{event['id']}/{below}", params=params))
                found += [item["id"] for item in page["items"]]
                cursor = page["nextCursor"]
                if cursor is None:
                    break
            assert len(found) == len(set(found)) == count
        mine = next(each for each in bookings if each["status"] == "confirmed")
        owner = next(each for each in customers if each.id == mine["customerId"])
        answers = await asyncio.gather(*(owner.post("/cancel", {"bookingId": mine["id"]}) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        status = ok(await organizer.get(f"/status/{event['id']}"))
        assert (status["availableTickets"], status["waitingListCount"]) == (0, 6)


async def test_keys_and_payments_across_workers_and_a_restart(installation: Installation) -> None:
    body = {"name": "Jazz night", "totalTickets": 3, "price": {"amount": 2500, "currency": "EUR"}}
    card = {"method": "card", "token": "tok_ok"}
    first: dict[str, httpx.Response] = {}

    async def send(client: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        key = {"Idempotency-Key": f"key-of-{path}"}
        answers = await asyncio.gather(*(client.post(path, body, headers=key) for _ in range(20)))
        first.setdefault(path, answers[0])
        assert {answer.content for answer in answers} == {first[path].content}
        assert {answer.status_code for answer in answers} == {first[path].status_code}
        told: dict[str, Any] = first[path].json()
        return told

    async with installation.serving(workers=2) as http:
        organizer, ada = [await new_user(http, f"{name}@example.org") for name in ("olga", "ada")]
        event = await send(organizer, "/initialize", {**body, "paymentWindowMinutes": 10})
        added = {"name": "Balcony", "totalTickets": 1}
        grown = await send(organizer, f"/events/{event['id']}/ticket-types", added)
        wanted = {"eventId": event["id"], "ticketTypeId": event["ticketTypes"][0]["id"]}
        booking = await send(ada, "/book", wanted)
        assert booking["status"] == "held"
        payment = f"/bookings/{booking['id']}/payment"
        assert (await send(ada, payment, card))["paymentStatus"] == "taken"
        other = await ada.book(event, ticketTypeId=grown["ticketTypes"][1]["id"])
        refused = await send(ada, f"/bookings/{other['id']}/payment", card)
        assert refused["code"] == "payment-not-due"

    async with installation.serving(workers=2) as http:
        for client in (organizer, ada):
            client._http = http
        assert await send(organizer, "/initialize", {**body, "paymentWindowMinutes": 10}) == event
        assert await send(ada, "/book", wanted) == booking
        await send(ada, payment, card)
        assert await send(ada, f"/bookings/{other['id']}/payment", card) == refused
        problem(await ada.post("/book", wanted, headers={"Idempotency-Key": "another"}), 409, "already-booked")
        assert [each["status"] for each in await ada.payments(booking)] == ["succeeded"]
        cancelled = (await send(ada, "/cancel", {"bookingId": booking["id"]}))["booking"]
        assert cancelled["paymentStatus"] == "refund_pending"
        # The sweeper gives it back by itself; how soon is not looked at here.
        while ok(await ada.get(f"/bookings/{booking['id']}"))["paymentStatus"] != "refunded":
            pass
        assert [each["kind"] for each in await ada.payments(booking)] == ["charge", "refund"]
        changes = ok(await organizer.get(f"/events/{event['id']}/changes?limit=100"))["items"]
        assert [item["seq"] for item in changes] == list(range(1, len(changes) + 1))
        assert sorted(item["kind"] for item in changes) == [
            "BookingCancelled",
            "EventInitialized",
            "PaymentRefunded",
            "PaymentStarted",
            "PaymentTaken",
            "TicketTypeAdded",
            "TicketsBooked",
            "TicketsBooked",
        ]


async def test_what_a_database_might_choke_on(installation: Installation) -> None:
    async with installation.serving() as http:
        organizer = await new_user(http, "olga@example.org")
        for path in (
            "/events?q=%25&limit=100",
            "/events?q='%3B--",
            "/events?q=%F0%9F%8E%B7",
            "/events?status=draft",
            "/bookings?status=expired",
        ):
            ok(await organizer.get(path))
        event = await organizer.event(name="🎷" * 200, description="é" * 1000, startsAt="9999-12-31T23:59:59.999999Z")
        path = f"/events/{event['id']}"
        assert ok(await organizer.get(path)) == event
        for after in (0, 2**31, 2**63 - 1):
            ok(await organizer.get(f"{path}/changes", params={"after": after}))
        assert pointers(await organizer.get(f"{path}/changes", params={"after": 2**63})) == ["/after"]
        page = ok(await organizer.get("/events?limit=1"))
        assert page["nextCursor"] is None
        edited = ok(await organizer.patch(path, {"startsAt": "2100-01-01T00:00:00Z", "totalTickets": 1_000_000}))
        assert edited["totalTickets"] == 1_000_000
        content = b'{"name": "\\ud800", "totalTickets": 1}'
        assert pointers(await organizer.send("POST", "/initialize", content=content, headers=JSON)) == [""]
