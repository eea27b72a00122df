"""Commands that would wait for more than about a second are refused at once, on a fast and on a slow machine."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.observability import Overload
from boxoffice.application.turnstile.command_queue import LEAST_WAITING, MOST_WAITING, Bounds
from boxoffice.application.turnstile.throughput import ASSUMED_PER_SECOND, Throughput
from boxoffice.domain.booking import Booking
from boxoffice.entrypoints.harness.simulation.loop import make_loop
from tests.application.fake_app import FakeApp, customer

TOGETHER = 100


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    make_loop(Random(1)).run(work(), seconds=3_600, turns=10_000_000)


class Shop:
    """A box office whose transactions take a set time, with an event to book."""

    def __init__(self, *, fixed: float = 0.0, of_each: float = 0.0, least_waiting: int = LEAST_WAITING) -> None:
        self.fixed = fixed
        self.of_each = of_each
        self.app = FakeApp(bounds=Bounds(least_waiting=least_waiting, most_together=TOGETHER))
        self.watcher = self.app.watcher
        self.event_id = UUID(int=0)
        self.waits: list[float] = []
        self.committing = asyncio.Event()
        self._asked = 0
        self.app.storage.fault = self._take_time

    async def open(self) -> None:
        self.event_id = await self.app.event(1_000_000)

    async def ask(self, times: int) -> "list[asyncio.Task[Booking]]":
        """Book for so many customers while a transaction commits, so that all of them wait."""
        self.committing.clear()
        first = asyncio.ensure_future(self._book())
        await self.committing.wait()
        answered = len(self.waits) + len(self.watcher.overloads)
        tasks = [asyncio.ensure_future(self._book()) for _ in range(times - 1)]
        # No time passes until all of them have come: it stands still while anything is ready to run.
        await asyncio.sleep(1e-9)
        assert self.app.turnstile.waiting + len(self.waits) + len(self.watcher.overloads) == answered + times - 1
        return [first, *tasks]

    async def serve(self, times: int) -> int:
        """Book for so many customers at once; return how many were refused."""
        results = await asyncio.gather(*await self.ask(times), return_exceptions=True)
        refused = [each for each in results if isinstance(each, BaseException)]
        assert all(isinstance(each, Unavailable) and each.retry_after == 1 for each in refused)
        return len(refused)

    async def _book(self) -> Booking:
        self._asked += 1
        begun = asyncio.get_running_loop().time()
        try:
            booking: Booking = await self.app.book(self.event_id, customer(self._asked))
        except Unavailable:
            assert asyncio.get_running_loop().time() == begun
            raise
        self.waits.append(asyncio.get_running_loop().time() - begun)
        return booking

    async def _take_time(self, step: Step) -> None:
        if step is Step.COMMIT:
            self.committing.set()
            await asyncio.sleep(self.fixed + self.of_each * len(self.watcher.batches[-1]))


def test_on_a_slow_service_as_many_wait_as_it_serves_in_a_second() -> None:
    async def work() -> None:
        shop = Shop(fixed=0.05, of_each=0.002)  # 400 a second in full transactions.
        await shop.open()
        for _ in range(5):
            await shop.serve(TOGETHER)
        shop.waits.clear()
        refused = await shop.serve(2_000)
        assert shop.watcher.overloads == [Overload.COMMANDS] * refused
        assert 2_000 - 600 <= refused <= 2_000 - 350
        # A second in the queue, and the transaction that runs when they come.
        assert max(shop.waits) < 1.6

    in_virtual_time(work)


def test_small_transactions_do_not_make_the_queue_look_slow() -> None:
    async def work() -> None:
        shop = Shop(fixed=0.01, of_each=0.0002)
        await shop.open()
        for _ in range(200):
            await shop.serve(1)
        assert await shop.serve(1_000) == 0

    in_virtual_time(work)


@pytest.mark.parametrize("times", [1, LEAST_WAITING + 1])
def test_a_few_commands_are_never_refused(times: int) -> None:
    async def work() -> None:
        shop = Shop(fixed=3.0)
        await shop.open()
        for _ in range(5):
            await shop.serve(1)
        assert await shop.serve(times) == 0
        assert await shop.serve(2 * LEAST_WAITING + 1) == LEAST_WAITING

    in_virtual_time(work)


def test_behind_a_transaction_that_hangs_commands_are_refused_after_a_second() -> None:
    async def work() -> None:
        shop = Shop(least_waiting=10)
        await shop.open()
        shop.fixed = 3.0
        waiting = await shop.ask(51)
        assert shop.app.turnstile.waiting == 50
        await asyncio.sleep(1.0)
        assert shop.watcher.overloads == []
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="Too many"):
            await shop.app.book(shop.event_id, customer(999))
        shop.fixed = 0.001
        await asyncio.gather(*waiting)
        assert await shop.serve(1) == 0

    in_virtual_time(work)


def test_nothing_is_refused_on_a_cold_start_and_later_no_more_wait_than_the_bound() -> None:
    async def work() -> None:
        shop = Shop(fixed=0.001)
        await shop.open()
        assert await shop.serve(ASSUMED_PER_SECOND // 2) == 0
        for _ in range(20):
            await shop.serve(TOGETHER)
        assert await shop.serve(1 + MOST_WAITING + 50) == 50

    in_virtual_time(work)


class TestThroughput:
    def test_a_line_is_found_from_small_transactions(self) -> None:
        throughput = Throughput(100)
        for _ in range(20):
            for commands in (5, 30, 60):
                throughput.add(commands, 0.01 + 0.001 * commands)
        assert throughput.per_second == pytest.approx(100 / 0.11, rel=0.15)

    def test_small_ones_that_were_slower_do_not_make_it_endless(self) -> None:
        throughput = Throughput(100)
        for _ in range(20):
            throughput.add(1, 1.0)
            throughput.add(50, 0.01)
        assert 0 < throughput.per_second < 100 / 0.2
