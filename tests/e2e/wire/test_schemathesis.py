"""Schemathesis over the service's own reference, in all its phases: examples, coverage, fuzzing, stateful.

It runs as a program of its own against a service in another process, for an organizer, a customer and an anonymous
client. What it sends is always the same; with `--long` it takes a new seed and sends many times as much.
"""

import json
import logging
import os
import secrets
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from msgspec import Struct

from tests.e2e.wire import log
from tests.e2e.wire.people import PASSWORD, Person, next_year, sign_up
from tests.faults.service import Server

ROOT: Final = Path(__file__).parents[3]
SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")
_log = logging.getLogger(__name__)

CONFIGURATION: Final = """
{seed}
hooks = "tests.e2e.wire.hooks"
workers = 1
request-timeout = 60
continue-on-failure = true
max-failures = 50

[warnings]
enabled = false

[generation]
max-examples = {examples}
{seeded}

[checks.positive_data_acceptance]
# A state may refuse what is right in itself; which 400s are no failure says `filter_failure` of the hooks.
expected-statuses = ["2xx", "3xx", "401", "402", "403", "404", "409", "412", "422"]

[phases.stateful]
max-steps = {steps}

[auth]
# It would sign up by itself, and then no request would be anonymous.
auto-signup = false

[[operations]]
include-operation-id = "PayBooking"
# tok_timeout: the provider does not answer.
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "402", "403", "404", "409", "422", "503"]
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]

[[operations]]
include-operation-id = "ChangeProfile"
# A new address needs a mail, as below.
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "409", "429", "503"]
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]

[[operations]]
include-operation-id = ["RequestVerification", "RequestPasswordReset"]
# The service of this test sends no mails.
checks.positive_data_acceptance.expected-statuses = ["401", "503"]
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]
"""


WITHOUT_MEANS: Final = frozenset(
    {
        # The service of this test sends no mails.
        *("POST /forgot-password", "POST /me/verification", "POST /reset-password", "POST /verify-email"),
        # It has no secret of Stripe's.
        "POST /stripe/webhook",
        # The callers are needed.
        "DELETE /me",
        # No delivery is given up so soon.
        "POST /webhooks/{webhookId}/deliveries/{deliveryId}/retry",
    }
)
"""Calls that cannot succeed here."""


class Seen(Struct, frozen=True):
    """What one run sent and got."""

    by_call: Mapping[str, Counter[int]]
    code: int
    said: str


def environment(pool: Path) -> dict[str, str]:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "SCHEMATHESIS_"))}
    return kept | {"WIRE_POOL": str(pool), "PYTHONPATH": paths}


def pool_of(organizer: Person, customer: Person) -> dict[str, Any]:
    """What there is when a run begins: free and paid, sold out with a line, a draft, a cancelled one, several types."""
    price = {"amount": 2_500, "currency": "EUR"}
    free = organizer.initialize()
    held = organizer.initialize(price=price, paymentWindowMinutes=60, startsAt=next_year().isoformat())
    due = organizer.initialize(price=price)
    crowded = organizer.initialize(totalTickets=1, waitingListPolicy="fill")
    several = organizer.initialize(
        ticketTypes=[{"name": "Balcony", "totalTickets": 4}, {"name": "Floor", "totalTickets": 9}]
    )
    draft = organizer.initialize(status="draft")
    others = organizer.initialize(maxTicketsPerCustomer=1)
    bookings = [
        customer.book(held), customer.book(due), organizer.book(crowded), customer.book(crowded), organizer.book(held),
        organizer.book(due), customer.book(several, ticketTypeId=several["ticketTypes"][0]["id"]),
    ]  # fmt: skip
    card = {"method": "card", "token": "tok_ok"}
    for person, booking in ((customer, bookings[1]), (organizer, bookings[5])):
        person.post(f"/bookings/{booking['id']}/payment", card)
    owed = [organizer.book(organizer.initialize(price=price)) for _ in range(4)]
    paid = [organizer.book(organizer.initialize(price=price)) for _ in range(2)]
    for booking in paid:
        organizer.post(f"/bookings/{booking['id']}/payment", card)
    live = [organizer.book(organizer.initialize()) for _ in range(4)]
    over = customer.book(others)
    customer.post("/cancel", {"bookingId": over["id"]})
    events = (free, held, due, crowded, several, draft, others)
    return {
        "events": [{"id": event["id"], "types": [each["id"] for each in event["ticketTypes"]]} for event in events],
        "bookings": [booking["id"] for booking in (*bookings, over)],
        "draw": organizer.initialize(admission="draw", drawClosesAt=next_year().isoformat())["id"],
        "owed": [booking["id"] for booking in owed],
        "paid": [booking["id"] for booking in paid],
        "live": [booking["id"] for booking in live],
        "tickets": tickets_of(organizer),
        "checkIns": [check_in(organizer) for _ in range(2)],
        "refunds": [cash_refund(organizer, price) for _ in range(2)],
        "email": customer.email,
        "password": PASSWORD,
    }


def check_in(organizer: Person) -> dict[str, str]:
    """A ticket that was checked in."""
    event, entry = organizer.initialize(), str(uuid4())
    booking = organizer.book(event)["id"]
    (ticket,) = organizer.get(f"/bookings/{booking}/tickets")["items"]
    item = {"id": entry, "code": ticket["code"], "at": next_year().isoformat(), "device": "Gate"}
    organizer.post(f"/events/{event['id']}/check-ins", {"items": [item]})
    return {"eventId": event["id"], "checkInId": entry}


def tickets_of(organizer: Person) -> list[dict[str, str]]:
    """The tickets of a booking of an event with a start."""
    booking = organizer.book(organizer.initialize(startsAt=next_year().isoformat()), quantity=2)["id"]
    return [
        {"bookingId": booking, "ticketId": each["id"]}
        for each in organizer.get(f"/bookings/{booking}/tickets")["items"]
    ]


def cash_refund(organizer: Person, price: dict[str, Any]) -> dict[str, str]:
    """A booking that was paid in cash and cancelled, with the refund that is to be handed over."""
    booking = organizer.book(organizer.initialize(price=price))["id"]
    organizer.post(f"/bookings/{booking}/payment", {"method": "cash"})
    organizer.post("/cancel", {"bookingId": booking})
    payments = organizer.get(f"/bookings/{booking}/payments")["items"]
    return {"bookingId": booking, "paymentId": next(each["id"] for each in payments if each["kind"] == "refund")}


def run(
    server: Server, directory: Path, pool: Mapping[str, Any], token: str | None, phases: Sequence[str], **wanted: Any
) -> Seen:
    """One run of the program."""
    (directory / "pool.json").write_text(json.dumps(pool), encoding="utf-8")
    (directory / "schemathesis.toml").write_text(CONFIGURATION.format(**wanted), encoding="utf-8")
    report = directory / "report.ndjson"
    signed_in = () if token is None else ("--header", f"Authorization: Bearer {token}")
    ended = subprocess.run(
        [
            *(SCHEMATHESIS, "--config-file", directory / "schemathesis.toml", "--no-color", "run"),
            *(f"{server.url}/openapi.json", "--phases", ",".join(phases)),
            *("--report-ndjson-path", report, *signed_in),
        ],
        cwd=directory,
        env=environment(directory / "pool.json"),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    by_call = defaultdict[str, Counter[int]](Counter)
    for call, answer in recorded(report):
        assert answer is not None, f"{call} was not answered"
        by_call[call][answer["status_code"]] += 1
    for name, counts in sorted(by_call.items()):
        _log.info("%s: %s", name, dict(sorted(counts.items())))
    return Seen(by_call, ended.returncode, ended.stdout + ended.stderr)


def recorded(report: Path) -> Iterator[tuple[str, Any]]:
    """Call and answer of everything that was sent."""
    with report.open(encoding="utf-8") as lines:
        for line in lines:
            ended = json.loads(line).get("ScenarioFinished")
            for number, sent in ended["recorder"].get("interactions", {}).items() if ended else ():
                case = ended["recorder"]["cases"][number]["value"]
                yield f"{case['method']} {case['path']}", sent.get("response")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Server]:
    """In memory, where no slow disk makes a request that is refused; on SQLite with `--long`."""
    directory = tmp_path_factory.mktemp("schemathesis")
    on_disk = f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"
    running = Server(on_disk if pytestconfig.getoption("--long") else "memory://", directory).start()
    yield running
    assert running.terminate() == 0
    log.check(running.log)


@pytest.fixture(scope="module")
def callers(service: Server) -> dict[str, Person]:
    people = sign_up(service.url)
    return {"organizer": people.organizer, "customer": people.customer}


@pytest.fixture(scope="module")
def document(service: Server) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{service.url}/openapi.json", timeout=60).json()
    return document


@pytest.fixture
def wanted(pytestconfig: pytest.Config, times: Callable[[int, int], int]) -> dict[str, Any]:
    is_long = pytestconfig.getoption("--long")
    seeded = "deterministic = false" if is_long else "deterministic = true"
    seed = f"seed = {secrets.randbits(32)}" if is_long else ""
    return {"examples": times(4, 100), "steps": times(6, 15), "seeded": seeded, "seed": seed, "never done": times(1, 0)}


@pytest.mark.slow
@pytest.mark.timeout(1_000)
@pytest.mark.parametrize("who", ["organizer", "customer", "anonymous"])
def test_every_answer_is_as_the_reference_says(
    service: Server,
    callers: dict[str, Person],
    document: dict[str, Any],
    wanted: dict[str, Any],
    pytestconfig: pytest.Config,
    tmp_path: Path,
    who: str,
) -> None:
    """No 5xx but those that are announced, no status, type, header or body that the reference does not have."""
    people = {name: person.signed_in_again() for name, person in callers.items()}
    pool = pool_of(people["organizer"], people["customer"])
    token = people[who].token if who in people else None
    # What is covered does not depend on who asks, and is nine tenths of the requests; `--long` tries it for all.
    phases = ["examples", "coverage", "fuzzing", "stateful"]
    if who != "organizer" and not pytestconfig.getoption("--long"):
        phases.remove("coverage")
    seen = run(service, tmp_path, pool, token, phases, **wanted)
    assert seen.code == 0, seen.said[-20_000:]
    calls = {
        f"{method.upper()} {path}": call for path, item in document["paths"].items() for method, call in item.items()
    }
    del calls["GET /openapi.json"]  # It reads that one, and does not try it.
    assert calls.keys() <= seen.by_call.keys()
    done = {name for name in calls if any(200 <= status < 300 for status in seen.by_call[name])}
    is_open = {name for name, call in calls.items() if call["security"] != [{"bearer": []}]}
    never_done = calls.keys() - done - WITHOUT_MEANS
    _log.info("never done: %s", sorted(never_done))
    if who == "anonymous":
        assert done <= is_open
        assert all(401 in seen.by_call[name] for name in calls.keys() - is_open)
        calls = {name: call for name, call in calls.items() if name in is_open}
    # Which ids are drawn changes with the ids. The tests of `tests/entrypoints/http` do all of it for certain.
    assert len(never_done) <= wanted["never done"] or "coverage" not in phases
