"""The loop of the simulation: what is promised of an event loop, in virtual time and in an order of the seed's own."""

import asyncio
from contextvars import Context
from random import Random
from typing import Any

import pytest

from boxoffice.entrypoints.harness.simulation.loop import (
    OWNER,
    Overrun,
    Owner,
    SimulationLoop,
    Stuck,
    make_loop,
)


def run(work: Any, seed: int = 0, loop: SimulationLoop | None = None) -> Any:
    """Run it to its end, and leave nothing."""
    loop = loop or make_loop(Random(seed))
    try:
        return loop.run(work, seconds=1_000, turns=100_000)
    finally:
        loop.close()
        assert loop.unhandled == []


async def order_of_ten() -> list[int]:
    order: list[int] = []

    async def note(number: int) -> None:
        await asyncio.sleep(0)
        order.append(number)

    await asyncio.gather(*(note(number) for number in range(10)))
    return order


def test_a_seed_decides_the_order() -> None:
    orders = [run(order_of_ten(), seed) for seed in (1, 2, 1, 2)]
    assert orders[:2] == orders[2:]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == list(range(10))


def test_a_task_that_waits_for_nothing_is_found() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        run(wait())


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_task_that_goes_on_for_ever_is_found(seconds: int) -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(seconds)

    with pytest.raises(Overrun):
        run(spin())


def test_a_dead_owner_runs_no_more_and_clears_nothing_up() -> None:
    """As after a crash: neither what would come next nor what would be done at the end."""
    owner, context, said = Owner(), Context(), list[str]()
    context.run(OWNER.set, owner)

    async def work() -> None:
        try:
            said.append("begun")
            await asyncio.sleep(1)
            said.append("gone on")
        finally:
            said.append("cleared up")

    async def crash() -> list[str]:
        loop = asyncio.get_running_loop()
        task = loop.create_task(work(), context=context)
        await asyncio.sleep(0.5)
        owner.is_dead = True
        await asyncio.sleep(100)
        assert not task.done()
        return [*said]

    assert run(crash()) == ["begun"]


def test_a_stalled_owner_goes_on_later() -> None:
    owner, context = Owner(), Context()
    context.run(OWNER.set, owner)

    async def stall() -> float:
        loop = asyncio.get_running_loop()
        task = loop.create_task(asyncio.sleep(1), context=context)
        await asyncio.sleep(0.5)
        owner.wakes_at = 20.0
        await task
        return loop.time()

    assert run(stall()) == 20.0


def test_an_unhandled_error_is_reported() -> None:
    loop = make_loop(Random(0))

    async def fail() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    loop.run(fail(), seconds=10, turns=100)
    loop.close()
    assert len(loop.unhandled) == 1
    assert "ZeroDivisionError" in loop.unhandled[0]
