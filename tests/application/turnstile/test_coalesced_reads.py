"""Callers that ask at the same moment share a query, which begins after they asked."""

import asyncio
from collections.abc import Sequence

import pytest

from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.turnstile.coalesced_reads import CoalescedReads


class Source:
    """Values to load, slowly: a test lets each query go on."""

    def __init__(self) -> None:
        self.values = {"a": 1, "b": 2}
        self.queries: list[list[str]] = []
        self.failures: list[BaseException] = []
        self.gate = asyncio.Semaphore(0)
        self.read = CoalescedReads(self.load)

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        self.queries.append(sorted(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        await self.gate.acquire()
        if self.failures:
            raise self.failures.pop(0)
        return found

    async def asked(self, *keys: str) -> "list[asyncio.Future[int | None]]":
        """Ask for each key, and let the other tasks run."""
        asked = [asyncio.ensure_future(self.read(key)) for key in keys]
        for _ in range(5):
            await asyncio.sleep(0)
        return asked


async def test_callers_that_ask_during_a_query_share_the_next_one() -> None:
    source = Source()
    first = await source.asked("a")
    source.values["a"] = 7
    later = await source.asked("a", "b", "a", "c")
    assert source.queries == [["a"]]
    source.gate.release()
    assert await first[0] == 1
    source.gate.release()
    assert await asyncio.gather(*later) == [7, 2, 7, None], "read after they had asked"
    assert source.queries == [["a"], ["a", "b", "c"]]


@pytest.mark.parametrize("failure", [None, Unavailable("away")])
async def test_a_cancelled_caller_changes_nothing_for_the_others(failure: Exception | None) -> None:
    source = Source()
    leaving, staying = await source.asked("a", "a")
    leaving.cancel()
    if failure is not None:
        source.failures.append(failure)
    source.gate.release()
    results = await asyncio.gather(leaving, staying, return_exceptions=True)
    assert [type(each) for each in results] == [asyncio.CancelledError, int if failure is None else Unavailable]


@pytest.mark.parametrize(
    ("failure", "second"), [(Unavailable("away"), Unavailable), (ZeroDivisionError(), int)], ids=["away", "error"]
)
async def test_a_failure_is_for_its_own_query_and_an_absent_database_for_all(
    failure: Exception, second: type[object]
) -> None:
    source = Source()
    first, behind = [*await source.asked("a"), *await source.asked("b")]
    source.failures.append(failure)
    source.gate.release()
    source.gate.release()
    results = await asyncio.gather(first, behind, return_exceptions=True)
    assert [type(each) for each in results] == [type(failure), second]
    source.gate.release()
    assert await source.read("b") == 2


async def test_a_cancelled_query_fails_its_callers() -> None:
    source = Source()
    source.failures.append(asyncio.CancelledError())
    source.gate.release()
    with pytest.raises(Unavailable):
        await source.read("a")
    source.gate.release()
    assert await source.read("a") == 1
