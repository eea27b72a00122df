"""What does not fit into one transaction: bounded steps, in order, taken up again after a crash by whoever is there.

`BOXOFFICE_TEST_LONG_LINE` says how many wait or have booked; 100,000 takes minutes, most of them to set the scene.
"""

import os
from collections import Counter
from typing import Final

import pytest

from boxoffice.domain.booking import BookingStatus
from tests import mariadb
from tests.databases import migrated

from .conftest import office_on
from .crew import Crew, Process
from .office import Office, bookings, cancels, codes, edit
from .worker import Freeze, Moment, Resume

STEP: Final = 500
"""What one transaction may promote or close."""

LONG: Final = int(os.environ.get("BOXOFFICE_TEST_LONG_LINE", "2500"))

pytestmark = [pytest.mark.slow, *([pytest.mark.timeout(3600)] if LONG > 10_000 else [])]

MOMENTS: Final = pytest.mark.parametrize("moment", Moment)
"""A crash just before a commit loses the step, just after it nothing: the next step is the right one either way."""


def resumed_by(*processes: Process) -> None:
    """Those who live go on with what was left, all at once."""
    for process in processes:
        process.prepare([Resume()])
    for process in processes:
        process.go()
    for process in processes:
        assert codes(list(process.answers())) == {"resumed": 1}


@MOMENTS
async def test_more_tickets_for_a_long_line(office: Office, crew: Crew, moment: Moment) -> None:
    state = await office.initialize(1)
    first, *line = await office.book(state, LONG + 1)
    assert first.status is BookingStatus.CONFIRMED

    # The first step is part of the answer; then others follow by themselves, until the process dies at the fourth.
    releasing = crew.hire(freeze=Freeze(moment, 4)).start(edit(state, total_tickets=LONG + 2))
    (released,) = releasing.until_frozen()
    assert (released.outcome.code, released.outcome.taken) == ("changed", 1 + STEP)
    assert released.outcome.waiting == LONG - STEP
    releasing.kill()
    steps = 3 if moment is Moment.BEFORE_COMMIT else 4
    assert await office.promoted(state) == [each.id for each in line[: steps * STEP]]
    await office.verify()

    # Whoever comes now waits behind the line, though there are tickets; that process dies at its first step.
    asking = crew.hire(freeze=Freeze(Moment.BEFORE_COMMIT, 2)).start(*bookings(state, 1))
    (newcomer,) = asking.until_frozen()
    assert newcomer.outcome.code == "waitlisted"
    asking.kill()
    now = await office.read(state)
    assert now.event.is_unsettled
    assert now.ticket_types[0].available > 0
    await office.check_acknowledged(state, answered=[released, newcomer])

    resumed_by(crew.hire(), crew.hire())
    now = await office.read(state)
    assert not now.event.is_unsettled
    assert (now.ticket_types[0].available, now.ticket_types[0].waiting) == (0, 0)
    assert await office.promoted(state) == [*(each.id for each in line), newcomer.outcome.booking]
    promoting = [each for each in await office.transactions(state) if each["BookingPromoted"]]
    assert promoting[0] == Counter(TicketTypeChanged=1, BookingPromoted=STEP)
    assert all(each == Counter(BookingPromoted=STEP) for each in promoting[1:-1])
    assert len(promoting) == LONG // STEP + 1
    await office.check(state, answered=[released, newcomer], booked=[first, *line])


@MOMENTS
async def test_cancelling_an_event_with_many_bookings(office: Office, crew: Crew, moment: Moment) -> None:
    state = await office.initialize(LONG - 10)
    booked = await office.book(state, LONG)

    cancelling = crew.hire(freeze=Freeze(moment, 3)).start(edit(state, status="cancelled"))
    (closed,) = cancelling.until_frozen()
    assert closed.outcome.code == "changed"
    assert (closed.outcome.taken or 0) + (closed.outcome.waiting or 0) == LONG - STEP
    cancelling.kill()
    steps = 2 if moment is Moment.BEFORE_COMMIT else 3
    now = await office.read(state)
    assert now.event.is_unsettled
    assert now.ticket_types[0].taken + now.ticket_types[0].waiting == LONG - steps * STEP
    await office.verify()

    # Nobody can tell who is let go already from who will be; and nobody comes in.
    asking = crew.hire().start(*bookings(state, 2), *cancels([booked[0], booked[-1]]))
    assert codes(list(asking.answers())) == {"not-on-sale": 2, "already-cancelled": 2}

    resumed_by(crew.hire(), crew.hire())
    now = await office.read(state)
    assert not now.event.is_unsettled
    assert (now.ticket_types[0].taken, now.ticket_types[0].waiting) == (0, 0)
    closing = [each for each in await office.transactions(state) if each["BookingCancelled"]]
    assert closing[0] == Counter(EventChanged=1, BookingCancelled=STEP)
    assert all(each == Counter(BookingCancelled=STEP) for each in closing[1:])
    assert len(closing) == LONG // STEP
    told = await office.check_acknowledged(state, answered=[closed])
    assert set(told) == {each.id for each in booked}
    assert all(facts[-1].kind == "BookingCancelled" for facts in told.values())


async def test_a_long_line_is_served_beside_newcomers_and_cancels(office: Office, crew: Crew) -> None:
    state = await office.initialize(20)
    booked = await office.book(state, LONG + 20)
    answered = crew.rush(
        [edit(state, total_tickets=LONG + 20)],
        [*bookings(state, 20), *cancels(booked[20:40])],
        [*cancels(booked[:20]), *bookings(state, 20)],
    )
    resumed_by(crew.hire())
    assert codes(answered) == {"changed": 1, "waitlisted": 40, "cancelled": 40}
    now = await office.read(state)
    assert (now.ticket_types[0].available, now.ticket_types[0].waiting) == (0, 0)
    transactions = await office.transactions(state)
    assert max(each["BookingPromoted"] for each in transactions) <= STEP
    await office.verify()


async def test_a_full_batch_reads_what_it_needs(own_mariadb: mariadb.MariaDB, own_mysql_url: str) -> None:
    """The cost of five hundred bookings does not grow with those that are there."""
    async with office_on(migrated(own_mysql_url)) as office:
        state = await office.initialize(1)
        for _ in range(12):
            await office.book(state, 400)
        before = rows_read(own_mariadb)
        await office.book(state, 500)
        assert rows_read(own_mariadb) - before < 20_000


def rows_read(server: mariadb.MariaDB) -> int:
    """What the server has read since its start."""
    counters = mariadb.execute(server.admin_url, "SHOW GLOBAL STATUS LIKE 'Handler_read%'")
    return sum(int(str(count)) for _, count in counters)
