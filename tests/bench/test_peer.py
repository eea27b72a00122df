"""Both baselines, in Node and in Python, book correctly: a baseline that did less would not be comparable."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from bench import usual
from bench.stage import PEER, USUAL, has_peer
from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.faults.clients import Connection, Person, enrol
from tests.faults.service import Server, servers


async def book_all(server: Server, people: list[Person], body: object) -> list[tuple[int, str]]:
    """Book concurrently, and return the status of each response with the booking's status or the problem's code."""

    async def book(person: Person) -> tuple[int, str]:
        connection = Connection(server.port)
        answer = await connection.send("POST", "/book", person.token, body)
        connection.close()
        return answer.status, str(answer.body.get("status", answer.body.get("code")))

    return await asyncio.gather(*map(book, people))


@pytest.mark.slow
@pytest.mark.mysql
@pytest.mark.skipif(not has_peer(), reason="needs Node and its packages: `make peer`")
@pytest.mark.parametrize("command", [("node", str(PEER / "server.js")), USUAL], ids=["node", "python"])
def test_it_books_and_never_oversells(mysql_url: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    asyncio.run(migrate(Settings(database_url=mysql_url)))
    mariadb.execute(mysql_url, *usual.SCHEMA)
    event_id = uuid7()
    mariadb.execute(mysql_url, f"INSERT INTO usual_events VALUES (x'{event_id.hex}', 'An evening', 10, 0, 0)")

    async def run(server: Server) -> None:
        people = await enrol(mysql_url, 40)
        body = {"eventId": str(event_id)}
        results = await book_all(server, people[:30], body)
        assert Counter(results) == {(201, "confirmed"): 10, (201, "waitlisted"): 20}
        # Status codes only: the baseline in Python answers with Litestar's error bodies.
        assert [status for status, _ in await book_all(server, people[:2], body)] == [409, 409]
        assert [status for status, _ in await book_all(server, people[30:31], {"eventId": str(uuid7())})] == [404]
        assert [status for status, _ in await book_all(server, people[30:31], {"eventId": "no id"})] == [400]
        forged = Person(people[31].id, f"{people[31].token[:-4]}AAAA")
        assert [status for status, _ in await book_all(server, [forged], body)] == [401]
        connection = Connection(server.port)
        status = await connection.send("GET", f"/status/{event_id}", people[0].token)
        assert status.body == {
            "eventId": str(event_id),
            "name": "An evening",
            "totalTickets": 10,
            "availableTickets": 0,
            "waitingListCount": 20,
        }
        assert (await connection.send("GET", f"/status/{uuid7()}", people[0].token)).status == 404
        connection.close()

    with servers(mysql_url, tmp_path, 1, name="peer", command=command) as (server,):
        asyncio.run(run(server))
    ((taken, waiting),) = mariadb.execute(mysql_url, "SELECT taken, waiting FROM usual_events")
    rows = mariadb.execute(mysql_url, "SELECT status, quantity, COUNT(*) FROM usual_bookings GROUP BY 1, 2")
    assert (taken, waiting) == (10, 20)
    assert sorted(rows) == [("confirmed", 1, 10), ("waitlisted", 1, 20)]


def test_its_packages_are_pinned_and_no_registry_is_named() -> None:
    """npm fetches them from its configured registry and verifies their hashes."""
    lock = json.loads((PEER / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in packages.values())
    wanted = json.loads((PEER / "package.json").read_text())["dependencies"]
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}
