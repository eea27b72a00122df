"""Parts of one booking that several processes give back at once: exactly what there is, and its money to the cent."""

from uuid import UUID

from boxoffice.domain.booking import Booking
from boxoffice.domain.payment import PaymentKind
from boxoffice.domain.tickets.ticket import ticket_id
from tests.faults.concurrency.app_driver import AppDriver, codes, shares
from tests.faults.concurrency.worker import Freeze, GiveBackIt, Moment, PayIt, SweepIt
from tests.faults.concurrency.worker_pool import WorkerPool

PRICE = 1_999
FEE = 199
"""Ten percent of the price, rounded down."""


def part(booking: Booking, *numbers: int, key: str | None = None) -> GiveBackIt:
    """Its customer gives a ticket back, or those with these numbers."""
    tickets: list[UUID] | None = [ticket_id(booking.id, number) for number in numbers] or None
    return GiveBackIt(
        booking=booking.id, actor=booking.customer_id, quantity=len(numbers) or 1, tickets=tickets, key=key
    )


async def test_many_at_once_give_back_exactly_what_there_is(app: AppDriver, workers: WorkerPool, together: int) -> None:
    """Of ten parts five fit, because the last ticket stays. Each has its fee and serves the next who waits."""
    state = await app.initialize(6, price=PRICE, refund_fee_percent=10)
    (booking,) = await app.book(state, 1, 6)
    waiting = await app.book(state, 7)
    assert codes(workers.rush([PayIt(booking=booking.id, actor=booking.customer_id)])) == {"confirmed": 1}
    workers.dismiss()
    answered = workers.rush(*shares([part(booking)] * 10), together=together)
    assert codes(answered) == {"confirmed": 5, "exceeds-booking": 5}
    given_back = [each.outcome for each in answered if each.outcome.code == "confirmed"]
    assert sorted(each.quantity or 0 for each in given_back) == [1, 2, 3, 4, 5]
    assert [each.promoted for each in given_back] == [1] * 5
    assert await app.promoted(state) == [each.id for each in waiting[:5]]
    await app.check(state, answered=answered, booked=[booking, *waiting])
    workers.dismiss()
    workers.rush(*[[SweepIt()]] * 2)
    refunds = [each.amount.amount for each in await app.payments(booking) if each.kind is PaymentKind.REFUND]
    assert refunds == [PRICE - FEE] * 5
    assert await app.balance(state, fees=5 * FEE) == PRICE + 5 * FEE


async def test_a_chosen_ticket_goes_once(app: AppDriver, workers: WorkerPool, together: int) -> None:
    state = await app.initialize(6)
    (booking,) = await app.book(state, 1, 6)
    wanted = [part(booking, 1), part(booking, 2, 5), part(booking, 3), part(booking, 4)]
    answered = workers.rush(*[wanted] * 3, together=together)
    assert codes(answered) == {"confirmed": 4, "not-found": 8}
    tickets = await app.tickets(booking)
    assert [each.number for each in tickets if each.is_returned] == [1, 2, 3, 4, 5]
    await app.check(state, answered=answered, booked=[booking])


async def test_a_part_whose_answer_was_lost_is_given_back_once(app: AppDriver, workers: WorkerPool) -> None:
    state = await app.initialize(4)
    (booking,) = await app.book(state, 1, 4)
    process = workers.hire(freeze=Freeze(Moment.AFTER_COMMIT, 1)).start(part(booking, key="part"))
    assert process.until_frozen() == []
    process.kill()
    answered = workers.rush(*shares([part(booking, key="part")] * 6))
    assert codes(answered) == {"replayed": 6}
    assert len({each.outcome.answer for each in answered}) == 1
    assert (await app.booking(booking)).quantity == 3
    await app.verify()
