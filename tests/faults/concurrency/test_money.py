"""Money in several processes, and when they die: tickets or a refund, never both or neither, and everything once."""

from collections import Counter
from collections.abc import Sequence

import pytest

from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.payment import ChargeStatus
from tests.faults.concurrency.app_driver import AppDriver, codes, new_id, shares
from tests.faults.concurrency.worker import AnyCommand, BookIt, CancelIt, Freeze, Moment, PayIt, SweepIt
from tests.faults.concurrency.worker_pool import Answered, Process, WorkerPool

PRICE = 1_999


def pay(booking: Booking, token: str = "tok_ok", key: str | None = None) -> PayIt:
    """Its customer pays."""
    return PayIt(booking=booking.id, actor=booking.customer_id, token=token, key=key)


def rush(workers: WorkerPool, *work: Sequence[AnyCommand], seconds_ahead: float = 0) -> list[Answered]:
    """Perform all shares at once; then the processes are free for what comes next."""
    answered = workers.rush(*work, seconds_ahead=seconds_ahead)
    workers.dismiss()
    return answered


def die(process: Process, *commands: AnyCommand) -> None:
    """Have it begin, and `kill -9` it where it freezes."""
    process.start(*commands)
    assert process.until_frozen() == []
    process.kill()


STARTED, RECORDED = Freeze(Moment.AFTER_COMMIT, 1), Freeze(Moment.AFTER_COMMIT, 2)


@pytest.mark.parametrize("is_swept", [True, False], ids=["swept", "asked-again"])
async def test_a_process_dies_between_charge_and_record(app: AppDriver, workers: WorkerPool, is_swept: bool) -> None:
    """Whether the sweeper or the customer comes next, the booking is paid once."""
    state = await app.initialize(5, price=PRICE)
    (booking,) = await app.book(state, 1)
    die(workers.hire(freezes_at_charge=True), pay(booking))
    assert [payment.status for payment in await app.payments(booking)] == [ChargeStatus.PENDING]
    # While it may be under way the provider is not asked.
    rush(workers, [SweepIt()])
    assert [payment.status for payment in await app.payments(booking)] == [ChargeStatus.PENDING]
    answered = rush(workers, [SweepIt() if is_swept else pay(booking)], seconds_ahead=16)
    assert codes(answered) == {"swept" if is_swept else "confirmed": 1}
    assert await app.balance(state) == PRICE
    assert codes(rush(workers, [pay(booking)])) == {"payment-not-due": 1}
    assert await app.balance(state) == PRICE


@pytest.mark.parametrize("does_another_wait", [True, False], ids=["gone", "free"])
async def test_a_process_dies_between_charge_and_record_and_the_hold_lapses(
    app: AppDriver, workers: WorkerPool, does_another_wait: bool
) -> None:
    """Its tickets are taken again where no one waits for them, else the money goes back."""
    state = await app.initialize(1, price=PRICE, payment_window_minutes=1)
    booking, *others = await app.book(state, 2 if does_another_wait else 1)
    die(workers.hire(freezes_at_charge=True), pay(booking))
    assert codes(rush(workers, *[[SweepIt()]] * 3, seconds_ahead=61)) == {"swept": 3}
    ended = await app.booking(booking)
    if does_another_wait:
        assert (ended.status, ended.payment_status) == (BookingStatus.EXPIRED, PaymentStatus.REFUNDED)
        assert [(await app.booking(each)).status for each in others] == [BookingStatus.HELD]
    else:
        assert (ended.status, ended.payment_status) == (BookingStatus.CONFIRMED, PaymentStatus.TAKEN)
    assert await app.balance(state) == (0 if does_another_wait else PRICE)


FIFTY = 50


def check_once(answered: list[Answered], *, firsts: int) -> str:
    """Fifty equal answers, of which so many were the first; what they say."""
    assert len(answered) == FIFTY
    assert codes(answered)["replayed"] == FIFTY - firsts, codes(answered)
    (answer,) = {each.outcome.answer for each in answered}
    assert answer
    return answer


async def test_fifty_times_at_once_is_once(app: AppDriver, workers: WorkerPool) -> None:
    state = await app.initialize(FIFTY, price=PRICE)
    customer = new_id()

    def book() -> list[BookIt]:
        return [BookIt(booking=new_id(), event=state.event.id, customer=customer, key="book") for _ in range(FIFTY)]

    answers = {"book": check_once(rush(workers, *shares(book())), firsts=1)}
    (booking,) = await app.bookings(state)
    cancel = CancelIt(booking=booking.id, actor=customer, key="cancel")
    answers["pay"] = check_once(rush(workers, *shares([pay(booking, key="pay")] * FIFTY)), firsts=1)
    assert await app.balance(state) == PRICE
    answers["cancel"] = check_once(rush(workers, *shares([cancel] * FIFTY)), firsts=1)
    workers.restart()
    again = {
        "book": check_once(rush(workers, *shares(book())), firsts=0),
        "pay": check_once(rush(workers, *shares([pay(booking, key="pay")] * FIFTY)), firsts=0),
        "cancel": check_once(rush(workers, *shares([cancel] * FIFTY)), firsts=0),
    }
    assert again == answers
    rush(workers, [SweepIt()])
    assert await app.balance(state) == 0
    assert [each.id for each in await app.bookings(state)] == [booking.id]
    kinds = Counter(fact.kind for fact in await app.facts(state.event.id))
    once = [
        "EventInitialized",
        "TicketsBooked",
        "PaymentStarted",
        "PaymentTaken",
        "BookingCancelled",
        "PaymentRefunded",
    ]
    assert kinds == dict.fromkeys(once, 1)


async def test_an_answer_that_was_lost_is_given_again(app: AppDriver, workers: WorkerPool) -> None:
    """The process dies between commit and answer."""
    state = await app.initialize(FIFTY, price=PRICE)
    customer = new_id()

    def book() -> BookIt:
        return BookIt(booking=new_id(), event=state.event.id, customer=customer, key="book")

    die(workers.hire(freeze=STARTED), book())
    check_once(rush(workers, *shares([book() for _ in range(FIFTY)])), firsts=0)
    (booking,) = await app.bookings(state)
    die(workers.hire(freeze=RECORDED), pay(booking, key="pay"))
    check_once(rush(workers, *shares([pay(booking, key="pay")] * FIFTY)), firsts=0)
    assert await app.balance(state) == PRICE
