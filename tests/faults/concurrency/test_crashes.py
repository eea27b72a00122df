"""Processes and servers that die in the middle: what was acknowledged is stored, and the promises hold."""

import asyncio
from collections.abc import Sequence
from itertools import islice

import pytest

from tests import mariadb
from tests.databases import migrated
from tests.faults.concurrency.app_driver import AppDriver, bookings, cancels, codes, shares
from tests.faults.concurrency.conftest import app_on
from tests.faults.concurrency.worker import AnyCommand, Freeze, Moment
from tests.faults.concurrency.worker_pool import Answered, Process, WorkerPool


def started(workers: WorkerPool, *work: Sequence[AnyCommand], together: int) -> list[Process]:
    """Processes in the middle of it."""
    return [workers.hire(together=together).start(*share) for share in work]


async def test_a_process_dies_in_the_middle_of_a_rush(app: AppDriver, workers: WorkerPool, together: int) -> None:
    state = await app.initialize(100)
    booked = await app.book(state, 110)
    work = shares([*bookings(state, 100), *bookings(state, 50, 2), *cancels(booked)])
    doomed, *others = started(workers, *work, together=min(together, 20))
    answered = list(islice(doomed.answers(), 7))
    doomed.kill()
    answered += doomed.answers()
    survived = [each for process in others for each in process.answers()]
    assert len(survived) == len(work[1]) + len(work[2])
    assert set(codes([*answered, *survived])) <= {"confirmed", "waitlisted", "cancelled"}
    await app.check_acknowledged(state, answered=[*answered, *survived])


@pytest.mark.parametrize("moment", Moment)
async def test_a_process_dies_with_the_lock_in_its_hand(app: AppDriver, workers: WorkerPool, moment: Moment) -> None:
    """What was not committed is gone, what was is stored though unanswered, and no one waits for a dead process."""
    state = await app.initialize(5)
    booked = await app.book(state, 8)
    work = shares([*cancels(booked[1:3]), *bookings(state, 4)], 2)
    others = [workers.hire(together=1) for _ in work]
    for process, share in zip(others, work, strict=True):
        process.prepare(share)
    doomed = workers.hire(freeze=Freeze(moment, 1)).start(*cancels(booked[:1]))
    assert doomed.until_frozen() == []
    for process in others:
        process.go()
    doomed.kill()
    answered = [each for process in others for each in process.answers()]
    assert codes(answered) == {"cancelled": 2, "waitlisted": 4}
    certain = await app.check_acknowledged(state, answered=answered)
    ended = {booking_id for booking_id, facts in certain.items() if facts[-1].kind == "BookingCancelled"}
    lost = booked[:1] if moment is Moment.AFTER_COMMIT else []
    assert ended == {each.id for each in [*lost, *booked[1:3]]}
    # A caller without an answer may ask again.
    again = workers.rush(cancels(booked[:1]))
    assert codes(again) == {"already-cancelled" if lost else "cancelled": 1}
    await app.verify()


@pytest.mark.slow
async def test_the_server_dies_in_the_middle_of_a_rush(
    own_server: mariadb.MariaDB, own_mysql_url: str, process_pool: list[Process], together: int
) -> None:
    url = migrated(own_mysql_url)
    workers = WorkerPool(url, process_pool)
    async with app_on(url) as app:
        state = await app.initialize(60)
        booked = await app.book(state, 80)
        work = shares([*bookings(state, 150), *cancels(booked)])
        processes = started(workers, *work, together=min(together, 10))
        answered: list[Answered] = [next(process.answers()) for process in processes]
        await asyncio.to_thread(own_server.restart)
        answered += [each for process in processes for each in process.answers()]
        assert len(answered) == 230
        # "Try again" promises nothing either way; every other answer holds.
        certain = [each for each in answered if each.outcome.code != "try-again"]
        assert set(codes(certain)) <= {"confirmed", "waitlisted", "cancelled"}
        await app.check_acknowledged(state, answered=certain)
        # And trying again is right: the first attempt happened, or this one does.
        again = workers.rush([each.command for each in answered if each.outcome.code == "try-again"])
        assert set(codes(again)) <= {"confirmed", "waitlisted", "cancelled", "already-booked", "already-cancelled"}
        (ticket_type,) = (await app.read(state)).ticket_types
        assert (ticket_type.taken, ticket_type.waiting) == (60, 90)
        await app.check_acknowledged(state, answered=certain + again)
    workers.dismiss()
