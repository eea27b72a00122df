"""`boxoffice serve` tells others: webhooks through kills and restarts, customers by mail, and ends in time."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests import servers
from tests.adapters.notifications.mail_server import serving_mail
from tests.adapters.notifications.receiver import OK, Received, receiving
from tests.e2e.wire.people import Person, sign_up
from tests.faults.service import Server

WITHIN = 90.0
"""Seconds within which a process that died has a successor that goes on: 12 for the turn, more on a busy machine."""


@pytest.fixture(params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database for a service of its own."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
    return str(request.getfixturevalue("migrated_mysql_url"))


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises: AssertionError when it takes too long."""
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.05)


def changes(person: Person, event: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        answer = httpx.get(
            f"{person.url}/events/{event['id']}/changes?after={after}&limit=100",
            headers={"Authorization": f"Bearer {person.token}"},
            timeout=60,
        )
        items = answer.json()["items"]
        if not items:
            return found
        found += items


def _book_until_it_dies(server: Server, customer: Person, event: dict[str, Any]) -> None:
    deadline = time.monotonic() + WITHIN
    while server.is_running:
        assert time.monotonic() < deadline, "the delivery in whose middle it dies"
        # What is under way when it dies may have happened or not; its facts tell.
        with suppress(httpx.HTTPError):
            customer.book(event)
        with suppress(httpx.HTTPError):
            customer.post("/cancel", {"eventId": event["id"]})


@pytest.mark.slow
async def test_nothing_is_lost_and_nothing_comes_too_early_through_kills(
    database_url: str, tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    """Killed with SIGKILL right when a delivery has arrived, before anybody could note it."""
    kills = times(1, 10)
    server = Server(database_url, tmp_path, settings={"WEBHOOKS_PRIVATE": "on"})
    async with receiving() as receiver:
        kill_at: set[int] = set()

        async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
            if len(receiver.received) in kill_at:
                await asyncio.to_thread(server.kill)
                return
            writer.write(OK)
            await writer.drain()

        receiver.answer = answer
        try:
            await asyncio.to_thread(server.start)
            people = await asyncio.to_thread(sign_up, server.url)
            webhook = await asyncio.to_thread(people.organizer.post, "/webhooks", {"url": receiver.url})
            event = await asyncio.to_thread(people.organizer.initialize)
            for _ in range(kills):
                # In the middle of the next deliveries.
                kill_at.add(len(receiver.received) + 3)
                await asyncio.to_thread(_book_until_it_dies, server, people.customer, event)
                await asyncio.to_thread(server.start)
            known = await asyncio.to_thread(changes, people.organizer, event)
            expected = len(known)
            await until(
                lambda: bool(receiver.received) and receiver.received[-1].seq == expected, "the last fact is delivered"
            )
        finally:
            await asyncio.to_thread(server.kill)
        first_time: list[int] = []
        for received in receiver.received:
            told = Verifier(webhook["secret"]).verify(received.body, received.headers)
            if received.seq not in first_time:
                first_time.append(received.seq)
            assert told["data"] == {"eventId": event["id"], **known[received.seq - 1]}
        assert first_time == list(range(1, expected + 1)), "every fact, none before what precedes it"
        repeated = len(receiver.received) - expected
        assert repeated >= kills, "what was sent and not noted came again"
        assert len({received.headers["webhook-id"] for received in receiver.received}) == expected


def verify(url: str, token: str) -> None:
    """Use the link, once."""
    answers = [httpx.post(f"{url}/verify-email", json={"token": token}, timeout=60) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 409]
    assert answers[0].json()["emailVerified"] is True


@pytest.mark.slow
async def test_customers_are_mailed(database_url: str, tmp_path: Path) -> None:
    async with serving_mail() as mail:
        server = Server(
            database_url,
            tmp_path,
            settings={
                "SMTP_URL": f"smtp://127.0.0.1:{mail.port}?starttls=off",
                "MAIL_FROM": "tickets@example.org",
                "PUBLIC_URL": "https://tickets.example.org",
            },
        )
        try:
            await asyncio.to_thread(server.start)
            people = await asyncio.to_thread(sign_up, server.url)
            organizer, customer = people.organizer, people.customer
            await until(lambda: len(mail.taken) == 2, "each is asked to verify the address")
            (link,) = [taken.text for taken in mail.taken if taken.recipients == ["customer@example.org"]]
            token = re.findall(r"https://tickets\.example\.org/verify-email\?token=([\w.~-]{22,})", link)[0]
            await asyncio.to_thread(verify, server.url, token)
            event = await asyncio.to_thread(lambda: organizer.initialize(totalTickets=1))
            first = await asyncio.to_thread(organizer.book, event)
            second = await asyncio.to_thread(customer.book, event)
            await asyncio.to_thread(organizer.post, "/cancel", {"bookingId": first["id"]})
            await until(lambda: len(mail.taken) == 3, "the customer hears of the tickets")
            await asyncio.to_thread(
                lambda: httpx.patch(
                    f"{server.url}/events/{event['id']}",
                    json={"status": "cancelled"},
                    headers={"Authorization": f"Bearer {organizer.token}"},
                    timeout=60,
                ).raise_for_status()
            )
            await until(lambda: len(mail.taken) == 4, "and of the end")
            assert await asyncio.to_thread(server.terminate) == 0
        finally:
            await asyncio.to_thread(server.kill)
    assert [taken.recipients for taken in mail.taken[2:]] == [["customer@example.org"]] * 2
    assert [taken.message["Subject"] for taken in mail.taken] == [
        *["Verify your e-mail address"] * 2,
        "You have a ticket: Jazz night",
        "Cancelled: Jazz night",
    ]
    assert f"https://tickets.example.org/bookings/{second['id']}" in mail.taken[2].text
    assert server.complaints() == []
    log = server.log.read_text()
    assert "customer@example.org" not in log
    assert token not in log
