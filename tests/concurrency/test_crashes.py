"""Processes and servers that die in the middle: whatever was acknowledged is there, and the promises hold."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.system import SystemClock
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import Retryable, Unavailable
from boxoffice.application.ports.queries import Snapshot
from tests import mariadb
from tests.databases import migrated

from .conftest import office_on
from .crew import Answered, Crew, Process
from .office import Office, bookings, cancels, codes, edit, shares
from .worker import AnyCommand, Freeze, Moment


def started(crew: Crew, *work: Sequence[AnyCommand], together: int) -> list[Process]:
    """Processes in the middle of it."""
    return [crew.hire(together=together).start(*share) for share in work]


async def test_a_process_dies_in_the_middle_of_a_rush(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(100)
    booked = await office.book(state, 110)
    work = shares([*bookings(state, 100), *bookings(state, 50, 2), *cancels(booked)])
    doomed, *others = started(crew, *work, together=min(together, 20))
    answered = list(islice(doomed.answers(), 7))
    doomed.kill()
    answered += doomed.answers()
    survived = [each for process in others for each in process.answers()]
    assert len(survived) == len(work[1]) + len(work[2])
    assert set(codes([*answered, *survived])) <= {"confirmed", "waitlisted", "cancelled"}
    await office.check_acknowledged(state, answered=[*answered, *survived])


@pytest.mark.parametrize("moment", Moment)
async def test_a_process_dies_with_the_lock_in_its_hand(office: Office, crew: Crew, moment: Moment) -> None:
    """What was not committed is gone, what was is there although nobody was told, and nobody waits for the dead."""
    state = await office.initialize(5)
    booked = await office.book(state, 8)
    work = shares([*cancels(booked[1:3]), *bookings(state, 4)], 2)
    others = [crew.hire(together=1) for _ in work]
    for process, share in zip(others, work, strict=True):
        process.prepare(share)
    doomed = crew.hire(freeze=Freeze(moment, 1)).start(*cancels(booked[:1]))
    assert doomed.until_frozen() == []
    for process in others:
        process.go()
    doomed.kill()
    answered = [each for process in others for each in process.answers()]
    assert codes(answered) == {"cancelled": 2, "waitlisted": 4}
    told = await office.check_acknowledged(state, answered=answered)
    ended = {booking_id for booking_id, facts in told.items() if facts[-1].kind == "BookingCancelled"}
    lost = booked[:1] if moment is Moment.AFTER_COMMIT else []
    assert ended == {each.id for each in [*lost, *booked[1:3]]}
    # Whoever got no answer may ask again.
    again = crew.rush(cancels(booked[:1]))
    assert codes(again) == {"already-cancelled" if lost else "cancelled": 1}
    await office.verify()


async def test_data_outlive_every_process(url: str, crew: Crew) -> None:
    async with office_on(url) as office:
        state = await office.initialize(5)
        booked = await office.book(state, 4)
    answered = crew.rush(bookings(state, 3), cancels(booked[:1]), [edit(state, name="Blues night")])
    crew.dismiss()
    async with office_on(url) as office:
        assert (await office.read(state)).event.name == "Blues night"
        await office.check(state, answered=answered, booked=booked)


async def test_all_processes_die(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(30)
    wanted = bookings(state, 300)
    processes = started(crew, *shares(wanted), together=min(together, 10))
    answered = [next(process.answers()) for process in processes]
    for process in processes:
        process.kill()
    answered += [each for process in processes for each in process.answers()]
    told = await office.check_acknowledged(state, answered=answered)
    # They may have died before all was done, and what is not there can be asked for again.
    lost = [each for each in wanted if each.booking not in told]
    again = crew.rush(*shares(lost))
    assert set(codes(again)) <= {"confirmed", "waitlisted"}
    (ticket_type,) = (await office.read(state)).ticket_types
    assert (ticket_type.taken, ticket_type.waiting) == (30, 270)
    await office.check_acknowledged(state, answered=[*answered, *again])


@pytest.mark.slow
async def test_the_server_dies_in_the_middle_of_a_rush(
    own_mariadb: mariadb.MariaDB, own_mysql_url: str, process_pool: list[Process], together: int
) -> None:
    url = migrated(own_mysql_url)
    crew = Crew(url, process_pool)
    async with office_on(url) as office:
        state = await office.initialize(60)
        booked = await office.book(state, 80)
        work = shares([*bookings(state, 150), *cancels(booked)])
        processes = started(crew, *work, together=min(together, 10))
        answered: list[Answered] = [next(process.answers()) for process in processes]
        await asyncio.to_thread(own_mariadb.restart)
        answered += [each for process in processes for each in process.answers()]
        assert len(answered) == 230
        # "Try again" promises nothing either way; whatever else was said is so.
        told = [each for each in answered if each.outcome.code != "try-again"]
        assert set(codes(told)) <= {"confirmed", "waitlisted", "cancelled"}
        await office.check_acknowledged(state, answered=told)
        # And trying again is right: the first attempt happened, or this one does.
        again = crew.rush([each.command for each in answered if each.outcome.code == "try-again"])
        assert set(codes(again)) <= {"confirmed", "waitlisted", "cancelled", "already-booked", "already-cancelled"}
        (ticket_type,) = (await office.read(state)).ticket_types
        assert (ticket_type.taken, ticket_type.waiting) == (60, 90)
        await office.check_acknowledged(state, answered=told + again)
    crew.dismiss()


@pytest.mark.slow
async def test_data_outlive_the_server(
    own_mariadb: mariadb.MariaDB, own_mysql_url: str, process_pool: list[Process]
) -> None:
    url = migrated(own_mysql_url)
    crew = Crew(url, process_pool)
    async with office_on(url) as office:
        state = await office.initialize(5)
        booked = await office.book(state, 4)
        answered = crew.rush(bookings(state, 3), cancels(booked[:1]))
    crew.dismiss()
    own_mariadb.restart()
    async with office_on(url) as office:
        await office.check(state, answered=answered, booked=booked)


@pytest.mark.parametrize(("losses", "is_told"), [(1, True), (2, False)])
async def test_promises_are_looked_at_anew_when_the_connection_was_lost(losses: int, is_told: bool) -> None:
    """As after a restart of the server, when connections in the pool have died unnoticed."""
    verify = VerifyPromises(LosingStorage(losses), SystemClock())
    if is_told:
        assert (await verify()).breaches == []
    else:
        with pytest.raises(Unavailable):
            await verify()


class LosingStorage(MemoryStorage):
    """Loses its first connections when everything is looked at."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self._losses = losses

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        if self._losses:
            self._losses -= 1
            raise Retryable
        async with super().snapshot() as snapshot:
            yield snapshot
