"""The waiting list, served by several processes at once: in its order, and by its policy."""

import pytest

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.event import WaitingListPolicy

from .crew import Crew
from .office import Office, bookings, cancels, codes, edit, shares
from .worker import ServeLine


async def test_ten_cancels_confirm_the_first_ten_of_fifteen(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(10)
    booked = await office.book(state, 25)
    answered = crew.rush(*shares(cancels(booked[:10])), together=together)
    assert codes(answered) == {"cancelled": 10}
    assert [each.outcome.promoted for each in answered] == [1] * 10
    assert await office.promoted(state) == [each.id for each in booked[10:20]]
    left = [await office.booking(each) for each in booked[20:]]
    assert [each.place and each.place.position for each in left] == [1, 2, 3, 4, 5]
    await office.check(state, answered=answered, booked=booked)


async def test_under_strict_nobody_overtakes_a_group_that_does_not_fit(
    office: Office, crew: Crew, together: int
) -> None:
    state = await office.initialize(6)
    booked = await office.book(state, 6)
    (group,) = await office.book(state, 1, 4)
    alone = await office.book(state, 2)
    answered = crew.rush(
        cancels(booked[:1]), bookings(state, 3), [*cancels(booked[1:3]), *bookings(state, 2)], together=together
    )
    assert codes(answered) == {"cancelled": 3, "waitlisted": 5}
    assert await office.promoted(state) == []
    (ticket_type,) = (await office.read(state)).ticket_types
    assert (ticket_type.available, ticket_type.waiting) == (3, 8)
    answered += crew.rush(cancels(booked[3:4]), bookings(state, 1), cancels(booked[4:5]), together=together)
    assert await office.promoted(state) == [group.id, alone[0].id]
    await office.check(state, answered=answered, booked=[*booked, group, *alone])


async def test_under_fill_the_next_who_fits_is_served(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(6, waiting_list_policy=WaitingListPolicy.FILL)
    booked = await office.book(state, 6)
    (group,) = await office.book(state, 1, 4)
    alone = await office.book(state, 2)
    answered = crew.rush(cancels(booked[:1]), cancels(booked[1:2]), [edit(state, venue="Hall")], together=together)
    assert codes(answered) == {"cancelled": 2, "changed": 1}
    assert await office.promoted(state) == [each.id for each in alone]
    assert (await office.booking(group)).status is BookingStatus.WAITLISTED
    answered += crew.rush(*shares(cancels(booked[2:])), together=together)
    assert await office.promoted(state) == [alone[0].id, alone[1].id, group.id]
    await office.check(state, answered=answered, booked=[*booked, group, *alone])


@pytest.mark.parametrize("policy", WaitingListPolicy)
async def test_a_group_waits_for_all_its_tickets(
    office: Office, crew: Crew, together: int, policy: WaitingListPolicy
) -> None:
    state = await office.initialize(9, waiting_list_policy=policy)
    booked = await office.book(state, 9)
    groups = await office.book(state, 3, 3)
    answered = crew.rush(*shares(cancels(booked[:8])), together=together)
    assert codes(answered) == {"cancelled": 8}
    assert sorted(each.outcome.promoted or 0 for each in answered) == [0] * 6 + [1, 1]
    assert await office.promoted(state) == [each.id for each in groups[:2]]
    await office.check(state, answered=answered, booked=[*booked, *groups])


async def test_more_and_fewer_tickets_beside_cancels(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(5)
    booked = await office.book(state, 40)
    grows = [edit(state, total_tickets=total) for total in (8, 11, 14, 20)]
    answered = crew.rush(grows, *shares(cancels(booked[:5]), 2), together=together)
    assert codes(answered) == {"changed": 4, "cancelled": 5}
    assert await office.promoted(state) == [each.id for each in booked[5:25]]
    await office.check(state, answered=answered, booked=booked)


async def test_an_operator_in_every_process_serves_nobody_twice(office: Office, crew: Crew, together: int) -> None:
    state = await office.initialize(5)
    booked = await office.book(state, 12)
    serve = [ServeLine(event=state.event.id)] * 5
    answered = crew.rush([*serve, *cancels(booked[:2])], [*cancels(booked[2:5]), *serve], serve, together=together)
    assert codes(answered) == {"served": 15, "cancelled": 5}
    assert [each.outcome.promoted for each in answered if each.outcome.code == "served"] == [0] * 15
    assert await office.promoted(state) == [each.id for each in booked[5:10]]
    await office.check(state, answered=answered, booked=booked)
