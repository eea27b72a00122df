"""Who asks at the same moment shares a query, and never gets what was read before they asked."""

import asyncio
from collections.abc import Sequence

import pytest

from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.turnstile.coalesced_reads import CoalescedReads


class Source:
    """Something to load from, slowly: each query waits to be let through."""

    def __init__(self) -> None:
        self.values = {"a": 1, "b": 2}
        self.queries: list[list[str]] = []
        self.failures: list[BaseException] = []
        self.gate = asyncio.Semaphore(0)

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        self.queries.append(sorted(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        await self.gate.acquire()
        if self.failures:
            raise self.failures.pop(0)
        return found


async def a_turn() -> None:
    """Whoever is ready goes on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_while_a_query_runs_shares_the_next_one() -> None:
    source = Source()
    read = CoalescedReads(source.load)
    first = read("a")
    await a_turn()
    source.values["a"] = 7
    later = [read(key) for key in ("a", "b", "a", "c")]
    await a_turn()
    assert source.queries == [["a"]]
    source.gate.release()
    assert await first == 1
    source.gate.release()
    assert await asyncio.gather(*later) == [7, 2, 7, None], "read after they had asked"
    assert source.queries == [["a"], ["a", "b", "c"]]


async def test_who_leaves_takes_nobody_along() -> None:
    source = Source()
    read = CoalescedReads(source.load)
    leaving, staying = (read("a") for _ in range(2))
    await a_turn()
    leaving.cancel()
    source.gate.release()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_when_the_database_is_away_all_are_told_at_once() -> None:
    source = Source()
    read = CoalescedReads(source.load)
    first = read("a")
    await a_turn()
    behind = read("b")
    await a_turn()
    source.failures.append(Unavailable("away"))
    source.gate.release()
    told = await asyncio.gather(first, behind, return_exceptions=True)
    assert [str(each) for each in told] == ["away", "away"]
    assert source.queries == [["a"]]
    source.gate.release()
    assert await read("b") == 2, "and whoever asks then is served again"


async def test_a_mistake_of_ours_fails_those_it_is_about() -> None:
    source = Source()
    read = CoalescedReads(source.load)
    first = read("a")
    await a_turn()
    behind = read("b")
    await a_turn()
    source.failures.append(ZeroDivisionError())
    source.gate.release()
    source.gate.release()
    told = await asyncio.gather(first, behind, return_exceptions=True)
    assert [type(each) for each in told] == [ZeroDivisionError, int]


async def test_nobody_waits_for_a_query_that_was_cancelled() -> None:
    source = Source()
    read = CoalescedReads(source.load)
    source.failures.append(asyncio.CancelledError())
    source.gate.release()
    with pytest.raises(Unavailable):
        await read("a")
    source.gate.release()
    assert await read("a") == 1


async def test_who_has_left_is_told_of_no_failure() -> None:
    source = Source()
    read = CoalescedReads(source.load)
    leaving, staying = (read("a") for _ in range(2))
    await a_turn()
    leaving.cancel()
    source.failures.append(Unavailable("away"))
    source.gate.release()
    told = await asyncio.gather(leaving, staying, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError, Unavailable]
