"""Beacons are fetched from relays, none of which is trusted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from boxoffice.adapters.randomness.relays import DrandBeacons
from boxoffice.application.ports.draws.beacons import BeaconMissing
from boxoffice.domain.draws.beacons import QUICKNET

from .recorded_beacons import ROUND_1000, ROUND_657413, as_file

PATH = f"/{QUICKNET.hash.hex()}/public/1000"


@asynccontextmanager
async def relay(body: bytes, status: int = 200) -> AsyncIterator[tuple[str, list[str]]]:
    """A server on the loopback that answers every request so; its address and the paths that were asked for."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1].decode())
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}", asked


async def test_a_relay_is_asked_for_the_round() -> None:
    async with relay(as_file(ROUND_1000)) as (address, asked):
        beacon = await DrandBeacons([address]).fetch(1000)
    assert (beacon.round, beacon.randomness.hex()) == (1000, ROUND_1000["randomness"])
    assert asked == [PATH]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (as_file(ROUND_657413), 200),
        (as_file(ROUND_1000 | {"signature": ROUND_657413["signature"]}), 200),
        (as_file(ROUND_1000 | {"randomness": "00" * 32}), 200),
        (b"{}", 200),
        (b"not found", 404),
        (b"{" + b" " * 5_000 + b"}", 200),
    ],
    ids=["another round", "another signature", "other randomness", "no beacon", "not there", "too long"],
)
async def test_another_relay_is_asked_where_one_lies_or_has_nothing(body: bytes, status: int) -> None:
    async with relay(body, status) as (bad, asked), relay(as_file(ROUND_1000)) as (good, _):
        assert (await DrandBeacons([bad, good]).fetch(1000)).round == 1000
        assert asked == [PATH]
        with pytest.raises(BeaconMissing, match="round 1000, due at 2023-08-23T15:59:24Z"):
            await DrandBeacons([bad]).fetch(1000)


async def test_a_relay_that_does_not_answer_is_passed_over() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as silent, relay(as_file(ROUND_1000)) as (good, _):
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(BeaconMissing):
            await DrandBeacons([f"http://127.0.0.1:{port}"], seconds=0.0).fetch(1000)
        assert (await DrandBeacons(["http://127.0.0.1:1", good]).fetch(1000)).round == 1000


def test_an_answer_without_randomness_has_that_of_its_signature() -> None:
    beacons = DrandBeacons([])
    newer = {name: ROUND_1000[name] for name in ("round", "signature")}
    assert beacons.read(as_file(newer)) == beacons.read(as_file(ROUND_1000))


def _changed(**changes: Any) -> Callable[[], bytes]:
    return lambda: as_file(ROUND_1000 | changes)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"\xff", b'{"round": 1}', _changed(signature="x")(), _changed(round="1")()]
)
def test_what_is_no_beacon_is_refused(text: bytes) -> None:
    with pytest.raises(BeaconMissing, match="no beacon"):
        DrandBeacons([]).read(text)
