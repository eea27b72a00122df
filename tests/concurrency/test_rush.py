"""Many at once, in several processes, for few tickets: what must never happen does not, and nothing told is lost."""

from collections import Counter
from random import Random

import pytest

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.event import WaitingListPolicy

from .crew import Crew
from .office import Office, bookings, cancels, codes, edit, new_id, shares
from .worker import AnyCommand, BookIt, CancelIt, SignUp


@pytest.mark.parametrize(("customers", "tickets"), [(10, 3), (50, 25), (100, 1)])
async def test_as_many_are_confirmed_as_there_are_tickets(
    office: Office, crew: Crew, together: int, customers: int, tickets: int
) -> None:
    state = await office.initialize(tickets)
    answered = crew.rush(*shares(bookings(state, customers)), together=together)
    assert codes(answered) == {"confirmed": tickets, "waitlisted": customers - tickets}
    queued = [each.outcome.queue_number for each in answered if each.outcome.code == "waitlisted"]
    assert sorted(queued, key=lambda number: number or 0) == list(range(1, customers - tickets + 1))
    await office.check(state, answered=answered)


async def test_groups_never_take_more_than_there_is(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(10)
    wanted = [each for quantity in (4, 3, 2, 1) for each in bookings(state, 6, quantity)]
    Random(1).shuffle(wanted)
    answered = crew.rush(*shares(wanted), together=together)
    assert sum(codes(answered).values()) == 24
    assert set(codes(answered)) == {"confirmed", "waitlisted"}
    await office.check(state, answered=answered)


async def test_cancelling_one_booking_in_three_processes_frees_it_once(
    office: Office, crew: Crew, together: int
) -> None:
    state = await office.initialize(2)
    booked = await office.book(state, 4)
    answered = crew.rush(*(cancels(booked[:1]) for _ in range(3)), together=together)
    assert codes(answered) == {"cancelled": 1, "already-cancelled": 2}
    assert [each.outcome.promoted for each in answered if each.outcome.code == "cancelled"] == [1]
    assert await office.promoted(state) == [booked[2].id]
    (ticket_type,) = (await office.read(state)).ticket_types
    assert (ticket_type.taken, ticket_type.waiting) == (2, 1)
    await office.check(state, answered=answered, booked=booked)


async def test_everybody_cancelled_by_everybody(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(7)
    booked = await office.book(state, 20)
    everybody = cancels(booked)
    answered = crew.rush(everybody, everybody[::-1], everybody, together=together)
    assert codes(answered) == {"cancelled": 20, "already-cancelled": 40}
    (ticket_type,) = (await office.read(state)).ticket_types
    assert (ticket_type.taken, ticket_type.waiting) == (0, 0)
    await office.check(state, answered=answered, booked=booked)


@pytest.mark.parametrize("policy", WaitingListPolicy)
async def test_cancels_beside_bookings_leave_no_ticket_idle(
    office: Office, crew: Crew, together: int, policy: WaitingListPolicy
) -> None:
    state = await office.initialize(14, waiting_list_policy=policy)
    booked = [each for quantity in (1, 2, 3) for each in await office.book(state, 2, quantity)]
    wanted: list[AnyCommand] = [each for quantity in (1, 2, 3, 4) for each in bookings(state, 6, quantity)]
    wanted += cancels(booked)
    Random(2).shuffle(wanted)
    answered = crew.rush(*shares(wanted), together=together)
    assert codes(answered)["cancelled"] == len(booked)
    assert set(codes(answered)) <= {"confirmed", "waitlisted", "cancelled"}
    await office.check(state, answered=answered, booked=booked)


async def test_the_same_customer_in_three_processes_books_once(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(5)
    customers = [new_id() for _ in range(10)]

    def in_one_process(seed: int) -> list[AnyCommand]:
        wanted: list[AnyCommand] = [
            BookIt(booking=new_id(), event=state.event.id, customer=customer) for customer in customers
        ]
        Random(seed).shuffle(wanted)
        return wanted

    answered = crew.rush(*map(in_one_process, range(3)), together=together)
    assert codes(answered) == {"confirmed": 5, "waitlisted": 5, "already-booked": 20}
    won = {
        each.command.customer: each.outcome.booking
        for each in answered
        if isinstance(each.command, BookIt) and each.outcome.code != "already-booked"
    }
    for each in answered:
        assert isinstance(each.command, BookIt)
        assert each.outcome.booking == won[each.command.customer]
    await office.check(state, answered=answered)


async def test_who_cancels_and_books_again_meanwhile_is_one_customer(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(3)
    booked = await office.book(state, 6)
    again = [BookIt(booking=new_id(), event=state.event.id, customer=each.customer_id) for each in booked]
    answered = crew.rush(again, cancels(booked), again[::-1], together=together)
    told = codes(answered)
    assert told["cancelled"] == 6
    assert set(told) <= {"cancelled", "confirmed", "waitlisted", "already-booked"}
    await office.check(state, answered=answered, booked=booked)
    (ticket_type,) = (await office.read(state)).ticket_types
    assert ticket_type.taken + ticket_type.waiting == told["confirmed"] + told["waitlisted"]


async def test_edits_beside_bookings_and_cancels(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(10)
    booked = await office.book(state, 14)
    steps = [
        edit(state, total_tickets=20),
        edit(state, status="paused"),
        edit(state, total_tickets=12),
        edit(state, status="on_sale"),
        edit(state, waiting_list_policy="fill"),
        edit(state, total_tickets=16, name="Jazz morning"),
        edit(state, status="on_sale"),
        edit(state, total_tickets=5),
    ]
    wanted: list[AnyCommand] = [*bookings(state, 20), *bookings(state, 8, 2), *cancels(booked)]
    Random(3).shuffle(wanted)
    answered = crew.rush(steps, *shares(wanted, 2), together=together)
    assert set(codes(answered)) <= {
        *("changed", "capacity-below-taken", "confirmed", "waitlisted", "cancelled", "not-on-sale", "exceeds-capacity")
    }
    assert codes(answered)["cancelled"] == len(booked)
    await office.check(state, answered=answered, booked=booked)
    last = crew.rush([edit(state, status="paused")]) + crew.rush([edit(state, status="on_sale", total_tickets=100)])
    assert codes(last) == {"changed": 2}
    (ticket_type,) = (await office.read(state)).ticket_types
    assert ticket_type.waiting == 0
    await office.check(state, answered=answered + last, booked=booked)


async def test_pausing_and_resuming_beside_cancels_serves_the_line(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(10)
    booked = await office.book(state, 30)
    switches = [edit(state, status=status) for _ in range(6) for status in ("paused", "on_sale")]
    answered = crew.rush(switches, *shares(cancels(booked[:10]), 2), together=together)
    assert codes(answered) == {"changed": 12, "cancelled": 10}
    assert (await office.read(state)).event.status == "on_sale"
    assert await office.promoted(state) == [each.id for each in booked[10:20]]
    await office.check_acknowledged(state, answered=answered)


async def test_one_e_mail_is_one_account(office: Office, crew: Crew) -> None:
    emails = [f"ada{number}@example.org" for number in range(8)]
    await office.initialize(1)  # `verify` looks at an event at least.
    answered = crew.rush(*([SignUp(email=email) for email in emails] for _ in range(3)))
    assert codes(answered) == {"created": 8, "email-taken": 16}
    created = {
        each.command.email: each.outcome.user
        for each in answered
        if isinstance(each.command, SignUp) and each.outcome.code == "created"
    }
    assert {email: await office.user_of(email) for email in emails} == created


@pytest.mark.parametrize("together", [500, 4, 1])
async def test_many_events_in_different_orders(office: Office, crew: Crew, together: int) -> None:
    """Locks and rows of many events, taken in all orders: the database's deadlocks never reach anybody."""
    states = [await office.initialize(3, 2) for _ in range(6)]
    booked = [each for state in states for kind in (0, 1) for each in await office.book(state, 4, kind=kind)]
    work: list[list[AnyCommand]] = []
    for seed in range(3):
        share: list[AnyCommand] = [
            each for state in states for kind in (0, 1) for each in bookings(state, 3, kind=kind)
        ]
        share += [each for number, each in enumerate(cancels(booked)) if number % 3 == seed]
        share += [edit(state, name=f"Jazz night {seed}") for state in states]
        Random(seed).shuffle(share)
        work.append(share)
    answered = crew.rush(*work, together=together)
    assert codes(answered) == {
        "cancelled": len(booked),
        "changed": 18,
        **Counter(each.outcome.code for each in answered if isinstance(each.command, BookIt)),
    }
    assert set(codes(answered)) <= {"cancelled", "changed", "confirmed", "waitlisted"}
    for state in states:
        counters = [(each.taken, each.waiting) for each in (await office.read(state)).ticket_types]
        assert counters == [(3, 6), (2, 7)]
    await office.check(*states, answered=answered, booked=booked)


async def test_statuses_are_those_that_were_told(office: Office, crew: Crew) -> None:
    state = await office.initialize(4)
    booked = await office.book(state, 6)
    answered = crew.rush(*([each] for each in cancels(booked[:3])))
    assert codes(answered) == {"cancelled": 3}
    statuses = [(await office.booking(each)).status for each in booked]
    ended, confirmed = BookingStatus.CANCELLED, BookingStatus.CONFIRMED
    assert statuses == [ended, ended, ended, confirmed, confirmed, confirmed]
    assert isinstance(answered[0].command, CancelIt)
