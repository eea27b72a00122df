"""Frequent occurrences are logged as one line a second, with every occurrence counted."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from boxoffice.adapters.observability.bursts import Bursts
from boxoffice.entrypoints.harness.simulation.loop import make_loop

_log = logging.getLogger(__name__)


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    make_loop(Random(1)).run(work(), seconds=3_600, turns=100_000)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == __name__]


def test_the_first_is_logged_at_once_and_the_others_a_second_later(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        bursts = Bursts(_log, "%d of them")
        for _ in range(30):
            bursts.count()
            await asyncio.sleep(0.125)
        assert lines(caplog)[0] == "1 of them"
        assert len(lines(caplog)) == 4
        await asyncio.sleep(1.5)
        assert sum(int(line.split()[0]) for line in lines(caplog)) == 30
        number = len(lines(caplog))
        await asyncio.sleep(60)
        assert len(lines(caplog)) == number, "no lines without occurrences"
        bursts.count()
        assert lines(caplog)[-1] == "1 of them"

    in_virtual_time(work)


def test_the_end_of_the_process_loses_none(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        bursts = Bursts(_log, "%d of them")
        bursts.close()
        for _ in range(5):
            bursts.count()
        bursts.close()
        await asyncio.sleep(60)
        assert lines(caplog) == ["1 of them", "4 of them"]

    in_virtual_time(work)
