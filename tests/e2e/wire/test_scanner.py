"""The scanner of docs/tickets.md, against the service: while it is cut off two of them decide by themselves."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.wire import log
from tests.e2e.wire.people import Person, sign_up
from tests.faults.service import Server

DOCUMENT = Path(__file__).parents[3] / "docs" / "tickets.md"


class Scanner:
    """A running scanner."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def scan(self, code: str) -> str:
        """What the scanner says to a code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{code}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def scanner(directory: Path, *arguments: str) -> Iterator[Scanner]:
    """Run the program of the document in a directory of its own."""
    directory.mkdir(exist_ok=True)
    program = re.search(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert program is not None
    (directory / "scanner.py").write_text(program[1], encoding="utf-8")
    command = [sys.executable, "-W", "error", "scanner.py", *arguments]
    with subprocess.Popen(
        command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield Scanner(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def codes(customer: Person, booking: dict[str, Any]) -> list[str]:
    """The codes of a booking's tickets."""
    return [each["code"] for each in customer.get(f"/bookings/{booking['id']}/tickets")["items"]]


def test_scanners_let_people_in_while_the_service_is_away_and_lose_no_entry(tmp_path: Path) -> None:
    server = Server(f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}", tmp_path).start()
    try:
        people = sign_up(server.url)
        event, other = people.organizer.initialize(), people.organizer.initialize()
        booking, left = people.customer.book(event, quantity=4), people.organizer.book(event)
        first, second, third, fourth = codes(people.customer, booking)
        (void,) = codes(people.organizer, left)
        (foreign,) = codes(people.customer, people.customer.book(other))
        people.organizer.post("/cancel", {"bookingId": left["id"]})
        key = people.organizer.post("/api-keys", {"name": "Gates", "role": "door", "eventId": event["id"]})["key"]
        given = (server.url, event["id"], key)
        with scanner(tmp_path / "a", *given, "Gate A") as a, scanner(tmp_path / "b", *given, "Gate B") as b:
            assert [a.scan(each) for each in (first, first, void, "nonsense", foreign)] == [
                *("admitted", "already-used", "void", "unknown", "other-event")
            ]
            assert b.scan(first) == "already-used"
            server.kill()
            forged = second[:-2] + ("AA" if second[-2:] != "AA" else "BB")
            assert [a.scan(each) for each in (second, second, first, void, forged, foreign, second.lower())] == [
                *("admitted", "already-used", "already-used", "void", "unknown", "unknown", "unknown")
            ]
            assert [b.scan(each) for each in (second, third)] == ["admitted", "admitted"]
        with scanner(tmp_path / "b", *given, "Gate B") as b:
            assert b.scan(third) == "already-used", "it has forgotten nothing"
            server.start()
            assert b.scan(fourth) == "admitted"
            assert b.scan(second) == "already-used"
        with scanner(tmp_path / "a", *given, "Gate A") as a:
            assert a.scan(fourth) == "already-used"
        used = people.organizer.get(f"/events/{event['id']}/door")["used"]
        assert len(used) == 4
        (conflict,) = people.organizer.get(f"/events/{event['id']}/check-ins?conflicts=true")["items"]
        assert [each["device"] for each in conflict["entries"]] == ["Gate A", "Gate B"]
        assert {"ticketId": conflict["ticketId"], "at": conflict["entries"][0]["at"]} in used
        facts = people.organizer.get(f"/events/{event['id']}/changes?after=3&limit=100")["items"]
        assert [each["kind"] for each in facts].count("TicketCheckedIn") == 4
    finally:
        server.kill()
    log.check(server.log)
