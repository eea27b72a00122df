"""Money, in several processes and when they die: tickets or a refund, never both or neither, and everything once."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from boxoffice.adapters.payments.sandbox import EntryKind, SandboxGateway
from boxoffice.application.ports.queries import Reads
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails, EventState, TicketTypeSpec
from boxoffice.domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    Fact,
    HoldExpired,
    PaymentTaken,
)
from boxoffice.domain.payment import ChargeStatus, Payment, PaymentKind
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings

from .crew import Answered, Crew, Process
from .office import ORGANIZER, Office, bookings, codes, new_id, shares
from .worker import AnyCommand, Attend, BookIt, CancelIt, Freeze, Habit, Moment, Pace, PayIt, Provider, SweepIt

PRICE = 1_999


class Till:
    """An office that sells for money, beside the provider's own books."""

    def __init__(self, container: Container, url: str) -> None:
        self._container = container
        self.office = Office(container, url)

    async def initialize(self, total: int, *, minutes: int | None = None) -> EventState:
        """An event whose tickets cost something."""
        return await self._container.initialize_event()(
            Initialize(
                event_id=new_id(),
                actor=ORGANIZER,
                details=EventDetails(name="Jazz night", payment_window_minutes=minutes),
                ticket_types=((new_id(), TicketTypeSpec(name="Seat", total_tickets=total, price=Money(PRICE, "EUR"))),),
                currency="EUR",
            )
        )

    async def bookings(self, state: EventState) -> list[Booking]:
        """All bookings of an event."""
        reads: Reads = self._container.reads()
        return await reads.booking_queries.bookings_of_event(state.event.id, None, None, 10_000)

    async def payments(self, booking: Booking) -> list[Payment]:
        """All that was charged for a booking or given back."""
        reads: Reads = self._container.reads()
        return await reads.payment_queries.payments(booking.id)

    async def balance(self, state: EventState) -> int:
        """What the provider took and did not give back; every promise is kept, and our books are the provider's."""
        await self.office.verify()
        ours = set()
        kept = 0
        for booking in await self.bookings(state):
            payments = await self.payments(booking)
            assert all(payment.status is not ChargeStatus.PENDING for payment in payments)
            done = [payment for payment in payments if payment.status is ChargeStatus.SUCCEEDED]
            taken = sum(payment.amount.amount for payment in done if payment.kind is PaymentKind.CHARGE)
            given = sum(payment.amount.amount for payment in done if payment.kind is PaymentKind.REFUND)
            has_paid_tickets = (booking.status, booking.payment_status) == (
                BookingStatus.CONFIRMED,
                PaymentStatus.TAKEN,
            )
            # Tickets or the money, never both, never neither.
            assert taken - given == (booking.amount.amount if has_paid_tickets else 0)
            ours |= {(payment.id, EntryKind(payment.kind), payment.amount) for payment in done}
            kept += taken - given
        gateway = self._container.payment_gateway()
        assert isinstance(gateway, SandboxGateway)
        entries = [entry for entry in await gateway.entries() if entry.taken]
        assert {(entry.reference, entry.kind, entry.amount) for entry in entries} == ours
        assert (await gateway.balance()).get("EUR", 0) == kept
        return kept

    async def close(self) -> None:
        """Let go of everything."""
        await self._container.turnstile().close()
        await self._container.storage().close()
        await self._container.payment_gateway().close()


@pytest.fixture
async def till(url: str) -> AsyncIterator[Till]:
    """The application on the database, in the test's own process."""
    till = Till(make_container(Settings(database_url=url)), url)
    yield till
    await till.close()


def pay(booking: Booking, token: str = "tok_ok", key: str | None = None) -> PayIt:
    """Its customer pays."""
    return PayIt(booking=booking.id, actor=booking.customer_id, token=token, key=key)


def ahead(seconds: float) -> Pace:
    """So much later."""
    return Pace(since=datetime.now(UTC), ahead=seconds)


def rush(
    crew: Crew, *work: Sequence[AnyCommand], pace: Pace | None = None, provider: Provider | None = None
) -> list[Answered]:
    """Everybody at once, and then the processes are free for what comes next."""
    answered = crew.rush(*work, pace=pace, provider=provider)
    crew.dismiss()
    return answered


def die(process: Process, *commands: AnyCommand) -> None:
    """Have it begin, and `kill -9` it where it freezes."""
    process.start(*commands)
    assert process.until_frozen() == []
    process.kill()


STARTED, RECORDED = Freeze(Moment.AFTER_COMMIT, 1), Freeze(Moment.AFTER_COMMIT, 2)
CHARGED = Provider(freezes=True)


@pytest.mark.parametrize("is_swept", [True, False], ids=["swept", "asked-again"])
async def test_a_process_dies_between_charge_and_record(till: Till, crew: Crew, is_swept: bool) -> None:
    """Whether it was the sweeper or the customer who came next: paid is paid once."""
    state = await till.initialize(5)
    (booking,) = await till.office.book(state, 1)
    die(crew.hire(provider=CHARGED), pay(booking))
    assert [payment.status for payment in await till.payments(booking)] == [ChargeStatus.PENDING]
    # While it may be under way nobody else asks.
    rush(crew, [SweepIt()])
    assert [payment.status for payment in await till.payments(booking)] == [ChargeStatus.PENDING]
    answered = rush(crew, [SweepIt() if is_swept else pay(booking)], pace=ahead(16))
    assert codes(answered) == {"swept" if is_swept else "confirmed": 1}
    assert await till.balance(state) == PRICE
    assert codes(rush(crew, [pay(booking)])) == {"payment-not-due": 1}
    assert await till.balance(state) == PRICE


@pytest.mark.parametrize("does_another_wait", [True, False], ids=["gone", "free"])
async def test_a_process_dies_between_charge_and_record_and_the_hold_lapses(
    till: Till, crew: Crew, does_another_wait: bool
) -> None:
    """Its tickets are taken again where nobody wants them, else the money goes back."""
    state = await till.initialize(1, minutes=1)
    booking, *others = await till.office.book(state, 2 if does_another_wait else 1)
    die(crew.hire(provider=CHARGED), pay(booking))
    assert codes(rush(crew, *[[SweepIt()]] * 3, pace=ahead(61))) == {"swept": 3}
    ended = await till.office.booking(booking)
    if does_another_wait:
        assert (ended.status, ended.payment_status) == (BookingStatus.EXPIRED, PaymentStatus.REFUNDED)
        assert [(await till.office.booking(each)).status for each in others] == [BookingStatus.HELD]
    else:
        assert (ended.status, ended.payment_status) == (BookingStatus.CONFIRMED, PaymentStatus.TAKEN)
    assert await till.balance(state) == (0 if does_another_wait else PRICE)


async def test_a_process_dies_between_charge_and_record_and_the_customer_leaves(till: Till, crew: Crew) -> None:
    state = await till.initialize(1)
    (booking,) = await till.office.book(state, 1)
    die(crew.hire(provider=CHARGED), pay(booking))
    assert codes(rush(crew, [CancelIt(booking=booking.id, actor=booking.customer_id)])) == {"cancelled": 1}
    assert codes(rush(crew, *[[SweepIt()]] * 3, pace=ahead(16))) == {"swept": 3}
    assert await till.balance(state) == 0
    kinds = [payment.kind for payment in await till.payments(booking)]
    assert sorted(kinds) == [PaymentKind.CHARGE, PaymentKind.REFUND]


async def test_a_process_dies_before_it_charges(till: Till, crew: Crew) -> None:
    """The provider never heard of it. After a while that is certain, and the customer may pay."""
    state = await till.initialize(1)
    (booking,) = await till.office.book(state, 1)
    die(crew.hire(freeze=STARTED), pay(booking))
    rush(crew, [SweepIt()], pace=ahead(16))
    assert [payment.status for payment in await till.payments(booking)] == [ChargeStatus.PENDING]
    rush(crew, [SweepIt()], pace=ahead(660))
    assert await till.balance(state) == 0
    assert codes(rush(crew, [pay(booking)], pace=ahead(660))) == {"confirmed": 1}
    assert await till.balance(state) == PRICE


async def test_a_process_dies_between_record_and_answer(till: Till, crew: Crew) -> None:
    state = await till.initialize(1)
    (booking,) = await till.office.book(state, 1)
    die(crew.hire(freeze=RECORDED), pay(booking, key="pay"))
    rush(crew, [SweepIt()], pace=ahead(16))
    assert await till.balance(state) == PRICE
    assert codes(rush(crew, [pay(booking)])) == {"payment-not-due": 1}
    assert codes(rush(crew, [pay(booking, key="pay")])) == {"replayed": 1}
    assert await till.balance(state) == PRICE


def check_line(facts: list[Fact]) -> int:
    """Every offer went to the first in line at that moment; how many there were."""
    line: dict[object, int] = {}
    offers = 0
    for fact in facts:
        match fact.what:
            case CustomerWaitlisted(queue_number=number):
                assert all(number > other for other in line.values())
                line[fact.booking_id] = number
            case BookingPromoted():
                assert next(iter(line)) == fact.booking_id
                del line[fact.booking_id]
                offers += 1
            case BookingCancelled(was=BookingStatus.WAITLISTED):
                del line[fact.booking_id]
            case PaymentTaken(was=BookingStatus.EXPIRED, status=BookingStatus.CONFIRMED):
                # Tickets that were let go are taken again only where nobody waits.
                assert not line
    return offers


HABITS = [Habit.KEEP, *[Habit.SILENT] * 3, *[Habit.LAPSE] * 4, *[Habit.CANCEL] * 4, *[Habit.RETURN] * 4]
HABITS += [*[Habit.DECLINED] * 2, *[Habit.LEAVE] * 2]
HASTE = 120


async def test_two_hundred_pay_cancel_and_let_lapse(till: Till, crew: Crew) -> None:
    """A clock that hurries, the same in all processes: a hold of a minute lapses in half a second."""
    state = await till.initialize(20, minutes=1)
    pace = Pace(since=datetime.now(UTC), speed=HASTE)
    wanted = [each for quantity in (1, 2, 1, 1) for each in bookings(state, 50, quantity)]
    booked = rush(crew, *shares(wanted), pace=pace)
    assert codes(booked)["held"] > 0
    habits = {each.booking: HABITS[number % len(HABITS)] for number, each in enumerate(wanted)}
    customers = list(habits.items())
    work = [[Attend(event=state.event.id, habits=dict(customers[first::3]))] for first in range(3)]
    answered = rush(crew, *work, pace=pace, provider=Provider(seconds=0.3))
    assert codes(answered) == {"attended": 3}
    told: Counter[str] = Counter()
    for each in answered:
        told.update(each.outcome.counts or {})
    # Whatever nobody has settled by then is settled much later.
    rush(crew, [SweepIt()], pace=ahead(3_600))
    facts = await till.office.facts(state.event.id)
    assert check_line(facts) > 100
    kinds = Counter(fact.kind for fact in facts)
    for kind in (HoldExpired, BookingCancelled, PaymentTaken):
        assert kinds[kind.__name__] > 10
    assert kinds["PaymentRefunded"] > 10
    assert {"pay", "pay: payment-declined", "pay: unknown", "cancel"} <= set(told)
    statuses = Counter(each.status for each in await till.bookings(state))
    # How many had paid in time and stayed is a matter of how busy the machine was.
    assert set(statuses) <= {BookingStatus.CONFIRMED, BookingStatus.CANCELLED, BookingStatus.EXPIRED}
    assert (await till.balance(state) > 0) == (statuses[BookingStatus.CONFIRMED] > 0)


FIFTY = 50


def check_once(answered: list[Answered], *, firsts: int) -> str:
    """Fifty equal answers, of which so many were the first; what they say."""
    assert len(answered) == FIFTY
    assert codes(answered)["replayed"] == FIFTY - firsts, codes(answered)
    (answer,) = {each.outcome.answer for each in answered}
    assert answer
    return answer


async def test_fifty_times_at_once_is_once(till: Till, crew: Crew) -> None:
    state = await till.initialize(FIFTY)
    customer = new_id()

    def book() -> list[BookIt]:
        return [BookIt(booking=new_id(), event=state.event.id, customer=customer, key="book") for _ in range(FIFTY)]

    told = {"book": check_once(rush(crew, *shares(book())), firsts=1)}
    (booking,) = await till.bookings(state)
    cancel = CancelIt(booking=booking.id, actor=customer, key="cancel")
    told["pay"] = check_once(rush(crew, *shares([pay(booking, key="pay")] * FIFTY)), firsts=1)
    assert await till.balance(state) == PRICE
    told["cancel"] = check_once(rush(crew, *shares([cancel] * FIFTY)), firsts=1)
    crew.restart()
    again = {
        "book": check_once(rush(crew, *shares(book())), firsts=0),
        "pay": check_once(rush(crew, *shares([pay(booking, key="pay")] * FIFTY)), firsts=0),
        "cancel": check_once(rush(crew, *shares([cancel] * FIFTY)), firsts=0),
    }
    assert again == told
    rush(crew, [SweepIt()])
    assert await till.balance(state) == 0
    assert [each.id for each in await till.bookings(state)] == [booking.id]
    kinds = Counter(fact.kind for fact in await till.office.facts(state.event.id))
    once = [
        "EventInitialized",
        "TicketsBooked",
        "PaymentStarted",
        "PaymentTaken",
        "BookingCancelled",
        "PaymentRefunded",
    ]
    assert kinds == dict.fromkeys(once, 1)


async def test_an_answer_that_was_lost_is_given_again(till: Till, crew: Crew) -> None:
    """The process dies between commit and answer."""
    state = await till.initialize(FIFTY)
    customer = new_id()

    def book() -> BookIt:
        return BookIt(booking=new_id(), event=state.event.id, customer=customer, key="book")

    die(crew.hire(freeze=STARTED), book())
    check_once(rush(crew, *shares([book() for _ in range(FIFTY)])), firsts=0)
    (booking,) = await till.bookings(state)
    die(crew.hire(freeze=RECORDED), pay(booking, key="pay"))
    check_once(rush(crew, *shares([pay(booking, key="pay")] * FIFTY)), firsts=0)
    assert await till.balance(state) == PRICE


async def test_a_payment_that_was_not_recorded_is_taken_up_by_its_key(till: Till, crew: Crew) -> None:
    """The process dies between charge and record, and fifty come with its key."""
    state = await till.initialize(1)
    (booking,) = await till.office.book(state, 1)
    die(crew.hire(provider=CHARGED), pay(booking, key="pay"))
    check_once(rush(crew, *shares([pay(booking, key="pay")] * FIFTY), pace=ahead(16)), firsts=1)
    assert await till.balance(state) == PRICE
