"""Fair queue: work waits for one piece of work of each other caller at most."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from boxoffice.application.limits.fair_queue import FairQueue, TooManyWait


class Pool:
    """A queue whose work ends when a test lets it. It records in which order work began."""

    def __init__(self, places: int = 1, **limits: Any) -> None:
        bounds = {"most": 99, "most_of_origin": 99, "most_of_subject": 99} | limits
        pool = ThreadPoolExecutor(places)
        self.queue = FairQueue(places, lambda work: asyncio.get_running_loop().run_in_executor(pool, work), **bounds)
        self.began: list[Hashable] = []
        self.may_end = threading.Semaphore(0)
        self._at_work = threading.Semaphore(0)

    async def ask(self, origin: Hashable, subject: Hashable = None) -> "asyncio.Task[Hashable]":
        def work() -> Hashable:
            self.began.append(origin if subject is None else (origin, subject))
            self._at_work.release()
            assert self.may_end.acquire(timeout=30)
            return origin

        task = asyncio.create_task(self.queue.run(work, origin=origin, subject=subject))
        await asyncio.sleep(0)
        return task

    async def have_begun(self, number: int) -> None:
        for _ in range(number):
            assert await asyncio.to_thread(self._at_work.acquire, timeout=30)

    async def end(self, *tasks: "asyncio.Task[Hashable]") -> list[Hashable]:
        for _ in tasks:
            self.may_end.release()
        return list(await asyncio.gather(*tasks))


def refused(task: "asyncio.Task[Hashable]") -> bool:
    """Whether the refusal is for a share; it came at once."""
    assert task.done()
    error = task.exception()
    assert isinstance(error, TooManyWait)
    return error.is_share


async def test_origins_have_their_turns_and_within_them_subjects() -> None:
    pool = Pool()
    asked = [("a", 1), ("a", 1), ("a", 1), ("a", 2), ("b", 1), ("b", 1), ("a", 2), ("c", 1)]
    tasks = [await pool.ask(*each) for each in asked]
    assert await pool.end(*tasks) == [origin for origin, _ in asked]
    assert pool.began == [("a", 1), ("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 1), ("a", 1), ("a", 2)]


async def test_each_bound_is_kept_and_what_ended_makes_room() -> None:
    pool = Pool(most=4, most_of_origin=3, most_of_subject=2)
    tasks = [await pool.ask("a", 1), await pool.ask("a", 1)]
    assert refused(await pool.ask("a", 1)), "of the subject"
    tasks.append(await pool.ask("a", 2))
    assert refused(await pool.ask("a", 3)), "of the origin"
    tasks.append(await pool.ask("b", 1))
    assert not refused(await pool.ask("c", 1)), "of all"
    await pool.end(*tasks)
    await pool.end(await pool.ask("a", 1), await pool.ask("a", 1), await pool.ask("b", 1))


async def test_a_caller_without_work_is_forgotten() -> None:
    class Origin:
        pass

    async def work(origin: Origin) -> "weakref.ref[Origin]":
        pool = Pool()
        await pool.end(await pool.ask(origin, origin))
        pools.append(pool)
        return weakref.ref(origin)

    pools: list[Pool] = []
    origin = await work(Origin())
    pools[0].began.clear()
    await asyncio.sleep(0)
    gc.collect()
    assert origin() is None


@pytest.mark.parametrize("is_first", [True, False])
async def test_the_turn_of_a_cancelled_caller_goes_to_the_next(is_first: bool) -> None:
    """The work before ends in the same iteration of the event loop, just before or just after the cancellation."""
    under_way: list[asyncio.Future[Any]] = []

    def start(_: Callable[[], Any]) -> "asyncio.Future[Any]":
        under_way.append(asyncio.get_running_loop().create_future())
        return under_way[-1]

    queue = FairQueue(1, start, most=9, most_of_origin=9, most_of_subject=9)
    first, cancelled, last = (asyncio.create_task(queue.run(int, origin=each, subject=None)) for each in "abc")
    await asyncio.sleep(0)
    under_way[0].set_result(1)
    if is_first:
        cancelled.cancel()
    else:
        asyncio.get_running_loop().call_soon(cancelled.cancel)
    assert await first == 1
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert len(under_way) == 2
    under_way[1].set_result(3)
    assert await last == 3


async def test_with_spares_no_origin_takes_more_places_than_it_leaves() -> None:
    pool = Pool(8, spares=True)
    greedy = [await pool.ask("greedy") for _ in range(20)]
    await pool.have_begun(4)
    second = [await pool.ask("second") for _ in range(20)]
    await pool.have_begun(2)
    third = await pool.ask("third")
    await pool.have_begun(1)
    assert pool.began == ["greedy"] * 4 + ["second"] * 2 + ["third"]
    assert set(await pool.end(third, *greedy, *second)) == {"greedy", "second", "third"}


async def test_a_caller_who_is_cancelled_while_waiting_makes_room() -> None:
    pool = Pool(most_of_origin=2)
    first, second = await pool.ask("a", 1), await pool.ask("a", 2)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    third = await pool.ask("a", 3)
    await pool.end(first, third)
    assert pool.began == [("a", 1), ("a", 3)]


async def test_a_place_is_taken_until_its_work_has_ended_even_if_the_caller_was_cancelled() -> None:
    pool = Pool(most_of_origin=1)
    gone = await pool.ask("a")
    await pool.have_begun(1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert refused(await pool.ask("a"))
    other = await pool.ask("b")
    assert pool.began == ["a"]
    pool.may_end.release()
    await pool.end(other)
    await pool.end(await pool.ask("a"))
