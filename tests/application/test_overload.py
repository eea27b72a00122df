"""Commands that would wait for longer than a second or so are refused at once, whatever machine they meet."""

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
from tests.application.test_observing import Watcher
from tests.application.world import World, customer

TOGETHER = 100


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    make_loop(Random(1)).run(work(), seconds=3_600, turns=10_000_000)


class Shop:
    """A box office whose transactions take as long as a test says, with an event to book."""

    def __init__(self, *, fixed: float = 0.0, of_each: float = 0.0, least_waiting: int = LEAST_WAITING) -> None:
        self.fixed = fixed
        self.of_each = of_each
        self.watcher = Watcher()
        self.world = World(observer=self.watcher, bounds=Bounds(least_waiting=least_waiting, most_together=TOGETHER))
        self.event_id = UUID(int=0)
        self.waits: list[float] = []
        self.committing = asyncio.Event()
        self._asked = 0
        self.world.storage.fault = self._take_time

    async def open(self) -> None:
        self.event_id = await self.world.event(1_000_000)

    async def ask(self, times: int) -> "list[asyncio.Task[Booking]]":
        """So many customers at once, while a transaction commits: nobody of them is let through meanwhile."""
        self.committing.clear()
        first = asyncio.ensure_future(self._book())
        await self.committing.wait()
        answered = len(self.waits) + len(self.watcher.overloads)
        tasks = [asyncio.ensure_future(self._book()) for _ in range(times - 1)]
        # No time passes until all of them have come: it stands still while anything is ready to run.
        await asyncio.sleep(1e-9)
        assert self.world.turnstile.waiting + len(self.waits) + len(self.watcher.overloads) == answered + times - 1
        return [first, *tasks]

    async def serve(self, times: int) -> int:
        """How many of so many customers at once were refused; all were answered."""
        results = await asyncio.gather(*await self.ask(times), return_exceptions=True)
        refused = [each for each in results if isinstance(each, BaseException)]
        assert all(isinstance(each, Unavailable) and each.retry_after == 1 for each in refused)
        return len(refused)

    async def _book(self) -> Booking:
        self._asked += 1
        begun = asyncio.get_running_loop().time()
        try:
            booking: Booking = await self.world.book(self.event_id, customer(self._asked))
        except Unavailable:
            assert asyncio.get_running_loop().time() == begun
            raise
        self.waits.append(asyncio.get_running_loop().time() - begun)
        return booking

    async def _take_time(self, step: Step) -> None:
        if step is Step.COMMIT:
            self.committing.set()
            await asyncio.sleep(self.fixed + self.of_each * len(self.watcher.batches[-1]))


def test_a_slow_service_lets_as_many_wait_as_it_serves_in_a_second() -> None:
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


def test_a_fast_service_lets_more_wait() -> None:
    async def work() -> None:
        shop = Shop(fixed=0.002, of_each=0.0002)  # 4,545 a second.
        await shop.open()
        for _ in range(5):
            await shop.serve(TOGETHER)
        assert await shop.serve(3_500) == 0
        assert await shop.serve(9_000) > 3_000
        assert max(shop.waits) < 1.5

    in_virtual_time(work)


def test_what_a_quiet_service_does_says_how_long_a_rush_will_take() -> None:
    """Its transactions hold one command each, which is not all that it can do."""

    async def work() -> None:
        shop = Shop(fixed=0.01, of_each=0.0002)
        await shop.open()
        for _ in range(200):
            await shop.serve(1)
        assert await shop.serve(1_000) == 0

    in_virtual_time(work)


@pytest.mark.parametrize("times", [1, LEAST_WAITING + 1])
def test_a_few_are_never_refused_however_slow_it_is(times: int) -> None:
    async def work() -> None:
        shop = Shop(fixed=3.0)
        await shop.open()
        for _ in range(5):
            await shop.serve(1)
        assert await shop.serve(times) == 0
        assert await shop.serve(2 * LEAST_WAITING + 1) == LEAST_WAITING

    in_virtual_time(work)


def test_nothing_is_refused_on_a_cold_start() -> None:
    async def work() -> None:
        shop = Shop(fixed=0.001)
        await shop.open()
        assert await shop.serve(ASSUMED_PER_SECOND // 2) == 0

    in_virtual_time(work)


def test_behind_a_transaction_that_does_not_end_nobody_waits_for_long() -> None:
    async def work() -> None:
        shop = Shop(least_waiting=10)
        await shop.open()
        shop.fixed = 3.0
        waiting = await shop.ask(51)
        assert shop.world.turnstile.waiting == 50
        await asyncio.sleep(1.0)
        assert shop.watcher.overloads == []
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="Too many"):
            await shop.world.book(shop.event_id, customer(999))
        shop.fixed = 0.001
        await asyncio.gather(*waiting)
        assert await shop.serve(1) == 0

    in_virtual_time(work)


def test_it_recovers_as_soon_as_the_database_does() -> None:
    async def work() -> None:
        shop = Shop(fixed=2.0)
        await shop.open()
        for _ in range(20):
            await shop.serve(TOGETHER)
        assert await shop.serve(1_000) > 500
        shop.fixed, shop.of_each = 0.002, 0.0002
        for _ in range(30):
            await shop.serve(TOGETHER)
        assert await shop.serve(1_000) == 0

    in_virtual_time(work)


def test_however_fast_it_is_no_more_wait_than_the_bound() -> None:
    async def work() -> None:
        shop = Shop(fixed=0.001)
        await shop.open()
        for _ in range(20):
            await shop.serve(TOGETHER)
        assert await shop.serve(1 + MOST_WAITING + 50) == 50

    in_virtual_time(work)


class TestThroughput:
    def test_a_line_is_found_from_small_transactions(self) -> None:
        throughput = Throughput(100)
        for _ in range(20):
            for commands in (5, 30, 60):
                throughput.note(commands, 0.01 + 0.001 * commands)
        assert throughput.per_second == pytest.approx(100 / 0.11, rel=0.15)

    def test_full_ones_say_it_themselves(self) -> None:
        throughput = Throughput(100)
        for _ in range(50):
            throughput.note(100, 0.5)
        assert throughput.per_second == pytest.approx(200, rel=0.05)

    def test_small_ones_that_were_slower_do_not_make_it_endless(self) -> None:
        throughput = Throughput(100)
        for _ in range(20):
            throughput.note(1, 1.0)
            throughput.note(50, 0.01)
        assert 0 < throughput.per_second < 100 / 0.2
