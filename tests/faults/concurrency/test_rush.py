"""Many at once, in several processes, for few tickets: no promise breaks, and no acknowledged outcome is lost."""

from collections import Counter
from random import Random

import pytest

from boxoffice.domain.event import WaitingListPolicy
from tests.faults.concurrency.app_driver import AppDriver, bookings, cancels, codes, edit, new_id, shares
from tests.faults.concurrency.worker import AnyCommand, BookIt
from tests.faults.concurrency.worker_pool import WorkerPool


@pytest.mark.parametrize(("customers", "tickets"), [(10, 3), (50, 25), (100, 1)])
async def test_as_many_are_confirmed_as_there_are_tickets(
    app: AppDriver, workers: WorkerPool, together: int, customers: int, tickets: int
) -> None:
    state = await app.initialize(tickets)
    answered = workers.rush(*shares(bookings(state, customers)), together=together)
    assert codes(answered) == {"confirmed": tickets, "waitlisted": customers - tickets}
    queued = [each.outcome.queue_number for each in answered if each.outcome.code == "waitlisted"]
    assert sorted(queued, key=lambda number: number or 0) == list(range(1, customers - tickets + 1))
    await app.check(state, answered=answered)


async def test_cancelling_one_booking_in_three_processes_frees_it_once(
    app: AppDriver, workers: WorkerPool, together: int
) -> None:
    state = await app.initialize(2)
    booked = await app.book(state, 4)
    answered = workers.rush(*(cancels(booked[:1]) for _ in range(3)), together=together)
    assert codes(answered) == {"cancelled": 1, "already-cancelled": 2}
    assert [each.outcome.promoted for each in answered if each.outcome.code == "cancelled"] == [1]
    assert await app.promoted(state) == [booked[2].id]
    (ticket_type,) = (await app.read(state)).ticket_types
    assert (ticket_type.taken, ticket_type.waiting) == (2, 1)
    await app.check(state, answered=answered, booked=booked)


async def test_ten_cancels_confirm_the_first_ten_of_fifteen(app: AppDriver, workers: WorkerPool, together: int) -> None:
    state = await app.initialize(10)
    booked = await app.book(state, 25)
    answered = workers.rush(*shares(cancels(booked[:10])), together=together)
    assert codes(answered) == {"cancelled": 10}
    assert [each.outcome.promoted for each in answered] == [1] * 10
    assert await app.promoted(state) == [each.id for each in booked[10:20]]
    left = [await app.booking(each) for each in booked[20:]]
    assert [each.place and each.place.position for each in left] == [1, 2, 3, 4, 5]
    await app.check(state, answered=answered, booked=booked)


@pytest.mark.parametrize("policy", WaitingListPolicy)
async def test_cancels_beside_bookings_leave_no_ticket_idle(
    app: AppDriver, workers: WorkerPool, together: int, policy: WaitingListPolicy
) -> None:
    state = await app.initialize(14, waiting_list_policy=policy)
    booked = [each for quantity in (1, 2, 3) for each in await app.book(state, 2, quantity)]
    wanted: list[AnyCommand] = [each for quantity in (1, 2, 3, 4) for each in bookings(state, 6, quantity)]
    wanted += cancels(booked)
    Random(2).shuffle(wanted)
    answered = workers.rush(*shares(wanted), together=together)
    assert codes(answered)["cancelled"] == len(booked)
    assert set(codes(answered)) <= {"confirmed", "waitlisted", "cancelled"}
    await app.check(state, answered=answered, booked=booked)


async def test_the_same_customer_in_three_processes_books_once(
    app: AppDriver, workers: WorkerPool, together: int
) -> None:
    state = await app.initialize(5)
    customers = [new_id() for _ in range(10)]

    def in_one_process(seed: int) -> list[AnyCommand]:
        wanted: list[AnyCommand] = [
            BookIt(booking=new_id(), event=state.event.id, customer=customer) for customer in customers
        ]
        Random(seed).shuffle(wanted)
        return wanted

    answered = workers.rush(*map(in_one_process, range(3)), together=together)
    assert codes(answered) == {"confirmed": 5, "waitlisted": 5, "already-booked": 20}
    won = {
        each.command.customer: each.outcome.booking
        for each in answered
        if isinstance(each.command, BookIt) and each.outcome.code != "already-booked"
    }
    for each in answered:
        assert isinstance(each.command, BookIt)
        assert each.outcome.booking == won[each.command.customer]
    await app.check(state, answered=answered)


@pytest.mark.parametrize("together", [500, 4, 1])
async def test_many_events_in_different_orders(app: AppDriver, workers: WorkerPool, together: int) -> None:
    """Locks and rows of many events, taken in all orders: the database's deadlocks never reach a caller."""
    states = [await app.initialize(3, 2) for _ in range(6)]
    booked = [each for state in states for kind in (0, 1) for each in await app.book(state, 4, kind=kind)]
    work: list[list[AnyCommand]] = []
    for seed in range(3):
        share: list[AnyCommand] = [
            each for state in states for kind in (0, 1) for each in bookings(state, 3, kind=kind)
        ]
        share += [each for number, each in enumerate(cancels(booked)) if number % 3 == seed]
        share += [edit(state, name=f"Jazz night {seed}") for state in states]
        Random(seed).shuffle(share)
        work.append(share)
    answered = workers.rush(*work, together=together)
    assert codes(answered) == {
        "cancelled": len(booked),
        "changed": 18,
        **Counter(each.outcome.code for each in answered if isinstance(each.command, BookIt)),
    }
    assert set(codes(answered)) <= {"cancelled", "changed", "confirmed", "waitlisted"}
    for state in states:
        counters = [(each.taken, each.waiting) for each in (await app.read(state)).ticket_types]
        assert counters == [(3, 6), (2, 7)]
    await app.check(*states, answered=answered, booked=booked)
