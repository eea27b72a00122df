"""Noise at the socket: thousands of broken requests, each answered as the contract says or cut off, none failing.

What is valid HTTP is answered by the service. What is not is answered, or cut off, by the server in its own words.

Short, the seed is always the same; `--long` takes a new one, which stands in what a failure says.
"""

import asyncio
import json
import logging
import re
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final

import pytest

from boxoffice.entrypoints.http.request import MOST_BYTES
from tests.faults.service import Server
from tests.wire.noise import Call, broken, odd_body, odd_headers, odd_target
from tests.wire.people import People, next_year
from tests.wire.raw import WITHIN, Answer, Raw, request

AT_ONCE: Final = 12
QUIET: Final = 0.15
"""Seconds without an answer after which a client that sent half a request lets go. Nothing is asserted of it."""

_log = logging.getLogger(__name__)

Times = Callable[[int, int], int]


@pytest.fixture
def calls(people: People) -> Sequence[Call]:
    """One good request of each kind, about things that there are."""
    # Tokens are good for a quarter of an hour, and `--long` may take longer than that.
    organizer, customer = people.organizer.signed_in_again(), people.customer.signed_in_again()
    event = organizer.initialize(price={"amount": 2_500, "currency": "EUR"}, totalTickets=1_000_000)
    event_path, type_id = f"/events/{event['id']}", event["ticketTypes"][0]["id"]
    booking = customer.book(event)
    details: dict[str, Any] = {
        "name": "Jazz night", "totalTickets": 100, "price": {"amount": 2_500, "currency": "EUR"}, "venue": "Cellar",
        "startsAt": next_year().isoformat(), "endsAt": None, "maxTicketsPerCustomer": 10, "paymentWindowMinutes": 10,
        "waitingListPolicy": "fill", "status": "draft",
    }  # fmt: skip
    several = {
        "name": "Jazz night",
        "ticketTypes": [{"name": "Balcony", "totalTickets": 4, "price": None}, {"name": "Floor", "totalTickets": 9}],
    }
    return [
        *(Call("GET", path, None, None) for path in ("/health/live", "/events", f"/status/{event['id']}", event_path)),
        *(Call("GET", path, None, customer.token) for path in ("/me", "/bookings", f"/bookings/{booking['id']}")),
        *(Call("GET", event_path + path, None, organizer.token) for path in ("/bookings", "/waiting-list",
        "/changes")),
        Call("GET", f"/bookings/{booking['id']}/payments", None, customer.token),
        Call("GET", "/problems/not-found", None, None),
        Call("POST", "/book", {"eventId": event["id"], "quantity": 1, "ticketTypeId": type_id}, customer.token),
        Call("POST", "/cancel", {"bookingId": "019a0000-0000-7000-8000-000000000001"}, customer.token),
        Call("POST", f"/bookings/{booking['id']}/payment", {"method": "card", "token": "tok_decline"}, customer.token),
        Call("POST", "/initialize", details, organizer.token),
        Call("POST", "/initialize", several, organizer.token),
        Call("PATCH", event_path, details | {"status": "on_sale", "totalTickets": 1_000}, organizer.token),
        Call("POST", event_path + "/ticket-types", {"name": "General admission", "totalTickets": 5}, organizer.token),
        Call("PATCH", f"{event_path}/ticket-types/{type_id}", {"name": "Seat", "totalTickets": 500_000},
        organizer.token),
        Call("PATCH", "/me", {"name": "Ada"}, customer.token),
        Call("POST", "/login", {"email": "nobody@example.org", "password": "x"}, None),
        Call("POST", "/refresh", {"refreshToken": "x" * 96}, None),
        Call("POST", "/logout", {"refreshToken": "x" * 96}, None),
        Call("POST", "/create-user", {"name": "Ada", "email": customer.email, "password": "correct horse battery"},
        None),
    ]  # fmt: skip


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    return secrets.randbits(32) if pytestconfig.getoption("--long") else 20_261_122


async def repeat(count: int, seed: int, once: Callable[[Random], Awaitable[Counter[str]]]) -> Counter[str]:
    """What was seen. Each time has a seed of its own, made of the one given and its number."""
    seen: Counter[str] = Counter()
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            try:
                seen.update(await once(Random(f"{seed} {number}")))
            except BaseException as failure:
                failure.add_note(f"seed {seed}, number {number}")
                raise

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    _log.info("answers: %s", dict(sorted(seen.items())))
    # A machine with much else to do may say so, and the contract has 503 for it; but only now and then.
    assert seen["503"] <= 3 + count // 100, seen
    return seen


async def must_answer(raw: Raw, *, is_head: bool = False, may_be_of_the_server: bool = False) -> Answer:
    answer = await raw.answer(is_head=is_head)
    assert answer is not None, "the connection ended instead"
    answer.check(is_head=is_head, may_be_of_the_server=may_be_of_the_server)
    return answer


async def whatever_comes(raw: Raw) -> Counter[str]:
    """Until the connection ends; half closed by us once nothing comes any more, after which it must end."""
    seen: Counter[str] = Counter()
    while True:
        try:
            answer = await raw.answer(within=WITHIN if seen["waits for more"] else QUIET)
        except TimeoutError:
            assert not seen["waits for more"], "it neither answers nor ends"
            raw.send_no_more()
            seen["waits for more"] += 1
            continue
        except ConnectionError:
            answer = None
        if answer is None:
            return seen + Counter(ended=1)
        if answer.status != 100:
            answer.check(may_be_of_the_server=True)
        seen["of the server" if answer.is_of_the_server else str(answer.status)] += 1


@pytest.mark.slow
async def test_broken_requests(server: Server, calls: Sequence[Call], times: Times, seed: int) -> None:
    """Requests ahead of a broken one are answered in order; the broken one is refused or cut off, or is none."""

    async def once(random: Random) -> Counter[str]:
        ahead = [random.choice(calls) for _ in range(random.choice((0, 0, 1, 3)))]
        data = b"".join(call.to_bytes(str(number)) for number, call in enumerate(ahead))
        data += broken(random, random.choice(calls))
        seen: Counter[str] = Counter()
        async with await Raw.connect(server.port) as raw:
            at = random.randrange(len(data)) if random.random() < 0.3 else 0
            try:
                for piece in filter(None, (data[:at], data[at:])):
                    await raw.send(piece)
                for number in range(len(ahead)):
                    answer = await must_answer(raw)
                    assert answer.request_id == str(number), data
                    seen["ahead"] += 1
            except ConnectionError:
                # Cut off in the middle of what is far too large.
                assert len(data) > 65_536, data
            seen.update(await whatever_comes(raw))
        return seen

    count = times(1_000, 20_000)
    seen = await repeat(count, seed, once)
    assert seen["ended"] == count
    assert seen["ahead"] > count // 2
    assert seen["of the server"] > count // 5
    assert min(seen[status] for status in ("200", "201", "400", "401", "404", "409", "415")) > 0


@pytest.mark.slow
async def test_odd_bodies(server: Server, calls: Sequence[Call], times: Times, seed: int) -> None:
    """Every body that arrives whole is answered, on a connection that stays; what is no JSON is always refused."""
    with_body = [call for call in calls if call.body is not None]

    async def once(random: Random) -> Counter[str]:
        seen: Counter[str] = Counter()
        async with await Raw.connect(server.port) as raw:
            for number in range(10):
                call = random.choice(with_body)
                assert call.body is not None
                body = odd_body(random, call.body)
                first = f"{call.method} {call.path} HTTP/1.1"
                await raw.send(request(first, f"X-Request-Id: {number}", body=body, token=call.token))
                answer = await must_answer(raw)
                assert answer.request_id == str(number)
                seen[str(answer.status)] += 1
                if len(body) > MOST_BYTES:
                    assert answer.status == 413, len(body)
                    break  # Its body was not read, so the connection ends.
                if not is_json(body):
                    assert (answer.status, answer.code) == (400, "invalid-request"), body
        return seen

    seen = await repeat(times(120, 3_000), seed, once)
    assert min(seen[status] for status in ("200", "201", "400", "401", "404", "409", "413")) > 0


def is_json(raw: bytes) -> bool:
    """What Python's own reader takes, UTF-8 and objects only; it takes more than the service does."""
    try:
        return isinstance(json.loads(raw.decode()), dict)
    except (ValueError, RecursionError):
        return False


@pytest.mark.slow
async def test_odd_targets_and_headers(server: Server, calls: Sequence[Call], times: Times, seed: int) -> None:
    """A request whose framing is right is answered once, whatever it asks for and says."""

    async def once(random: Random) -> Counter[str]:
        seen: Counter[str] = Counter()
        for number in range(10):
            # A connection of its own: a request that is refused before its body is read may end it.
            async with await Raw.connect(server.port) as raw:
                call = random.choice(calls)
                method = random.choice(
                    (call.method, call.method, call.method, "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")
                )
                path = odd_target(random, call.path) if random.random() < 0.6 else call.path
                lines = odd_headers(random) if random.random() < 0.6 else []
                body = None if call.body is None else json.dumps(call.body).encode()
                # The first request id counts.
                sent = request(
                    f"{method} {path} HTTP/1.1", f"X-Request-Id: {number}", *lines, body=body, token=call.token
                )
                await raw.send(sent)
                answer = await must_answer(raw, is_head=method == "HEAD", may_be_of_the_server=not is_target(path))
                if answer.is_of_the_server:
                    seen["of the server"] += 1
                    continue
                assert answer.request_id == str(number), sent
                if answer.status == 405 or method == "OPTIONS":
                    # 400: a second Host.
                    assert answer.status in {204, 400, 404, 405}
                    assert answer.status in {400, 404} or (method in answer.headers["allow"].split(", ")) == (
                        method == "OPTIONS"
                    )
                seen[str(answer.status)] += 1
        return seen

    seen = await repeat(times(150, 3_000), seed, once)
    assert min(seen[status] for status in ("200", "201", "204", "400", "401", "404", "405", "415")) > 0


def is_target(target: str) -> bool:
    """Whether it has only characters that a target may have (RFC 3986)."""
    return re.fullmatch(r"[!$%&'()*+,./0-9:;=?@A-Z_a-z~-]*", target) is not None


@pytest.mark.slow
async def test_many_that_never_finish_keep_nobody_out(
    server: Server, calls: Sequence[Call], times: Times, seed: int
) -> None:
    """Connections that say half of something, hundreds at once, and the service answers others meanwhile."""
    random = Random(seed)
    halves = [await Raw.connect(server.port) for _ in range(times(200, 800))]
    try:
        for raw in halves:
            data = random.choice(calls).to_bytes("half")
            await raw.send(data[: random.randrange(len(data))])
        for call in calls:
            async with await Raw.connect(server.port) as raw:
                await raw.send(call.to_bytes("whole"))
                assert (await must_answer(raw)).request_id == "whole"
    finally:
        for raw in halves:
            raw.send_no_more()
    for raw in halves:
        async with raw:
            assert (await whatever_comes(raw))["ended"] == 1
