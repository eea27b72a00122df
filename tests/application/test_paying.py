"""Paying, with everything that can go wrong between us and the provider."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.bookings.pay_booking import Bill, PaymentUnknown
from boxoffice.application.bookings.queries import ListPayments
from boxoffice.application.ports.errors import OutcomeUnknown, Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Response
from boxoffice.domain.booking import Booking
from boxoffice.domain.event import EventStatus
from boxoffice.domain.payment import GIVE_UP, UNDER_WAY, ChargeStatus, PaymentMethod
from boxoffice.domain.refusals import (
    NotFound,
    PaymentDeclined,
    PaymentNotDue,
    PaymentUnderWay,
    PaymentWindowClosed,
    RequestInProgress,
)
from boxoffice.domain.values.money import Money

from .world import ANA, BEN, CLEO, ORGANIZER, STRANGER, World

PRICE = Money(2_500, "EUR")


async def held(world: World, total_tickets: int = 1) -> tuple[UUID, Booking]:
    """An event whose tickets are to be paid within half an hour, and Ana's hold."""
    event_id = await world.event(total_tickets, price=PRICE, payment_window_minutes=30)
    return event_id, await world.book(event_id, ANA)


async def stands(world: World, booking: Booking) -> tuple[str, str]:
    """Where a booking and its payment stand."""
    kept = await world.booking(booking.id)
    return kept.status.value, kept.payment_status.value


async def check_all(world: World) -> None:
    """No promise is broken, and the provider keeps what we say it does."""
    assert (await VerifyPromises(world.storage, world.clock)()).breaches == []
    ours = [each for payments in world.storage._tables.payments.values() for each in payments.values()]
    done = {each.id for each in ours if each.status is ChargeStatus.SUCCEEDED}
    assert done & world.gateway.charges.keys() == {each for each, taken in world.gateway.charges.items() if taken}
    assert world.gateway.refunds.keys() == done & world.gateway.refunds.keys()


def request(key: str = "k") -> IdempotentRequest[Booking]:
    """A request with a key."""

    def render(result: Booking | Exception) -> Response:
        return Answer(status=409 if isinstance(result, Exception) else 200, body=repr(result).encode())

    return IdempotentRequest(key=Key(ANA.user_id, key), fingerprint=b"pay", render=render)


async def test_a_paid_hold_is_confirmed() -> None:
    world = World()
    _, booking = await held(world)
    assert (await world.pay(booking)).status == "confirmed"
    assert await stands(world, booking) == ("confirmed", "taken")
    assert world.gateway.asked == ["charge"]
    await check_all(world)


async def test_cash_never_reaches_the_provider() -> None:
    world = World()
    _, booking = await held(world)
    await world.pay(booking, "", ORGANIZER)
    assert await stands(world, booking) == ("confirmed", "taken")
    await world.cancel(booking)
    await world.sweep()
    assert await stands(world, booking) == ("cancelled", "refunded")
    assert world.gateway.asked == []


async def test_what_nobody_may_see_nobody_may_pay() -> None:
    world = World()
    _, booking = await held(world)
    with pytest.raises(NotFound):
        await world.pay(booking, actor=STRANGER)
    with pytest.raises(NotFound):
        await world.pay_booking(Bill(booking_id=world.ids.new(), actor=ANA, method=PaymentMethod.CARD))


async def test_a_declined_card_changes_nothing() -> None:
    world = World()
    _, booking = await held(world)
    with pytest.raises(PaymentDeclined):
        await world.pay(booking, "tok_decline")
    assert await stands(world, booking) == ("held", "due")
    await world.pay(booking)
    await check_all(world)


@pytest.mark.parametrize("hears", [True, False])
async def test_after_no_answer_the_next_attempt_asks_before_it_charges(hears: bool) -> None:
    world = World()
    _, booking = await held(world)
    world.gateway.is_silent, world.gateway.hears = True, hears
    with pytest.raises(PaymentUnknown):
        await world.pay(booking)
    world.gateway.is_silent, world.gateway.hears = False, True
    await world.pay(booking)
    assert world.gateway.asked == ["charge", "find"] if hears else ["charge", "find", "charge"]
    assert len(world.gateway.charges) == 1
    await check_all(world)


async def test_who_asks_again_and_does_not_hear_of_its_commit_does_not_wait_for_itself() -> None:
    world = World()
    _, booking = await held(world)
    world.gateway.is_silent = True
    with pytest.raises(PaymentUnknown):
        await world.pay(booking)
    world.gateway.is_silent = False
    world.faults.plan(Step.COMMITTED, OutcomeUnknown())
    assert (await world.pay(booking)).status == "confirmed"
    assert world.pauses == []
    assert world.gateway.asked == ["charge", "find"]
    await check_all(world)


async def test_after_no_answer_the_sweeper_finds_out() -> None:
    world = World()
    _, booking = await held(world)
    world.gateway.is_silent = True
    with pytest.raises(PaymentUnknown):
        await world.pay(booking)
    await world.sweep()
    assert await stands(world, booking) == ("held", "due")
    world.gateway.is_silent = False
    world.clock.time += timedelta(seconds=5)
    await world.sweep()
    assert await stands(world, booking) == ("confirmed", "taken")
    await check_all(world)


@pytest.mark.parametrize("was_charged", [True, False])
async def test_a_crash_before_the_answer_was_recorded_charges_once(was_charged: bool) -> None:
    world = World()
    _, booking = await held(world)
    reached, opened = world.gateway.gate()
    world.gateway.hears = was_charged
    paying = asyncio.ensure_future(world.pay(booking))
    await reached.wait()
    if was_charged:
        (payment,) = await world.storage.payment_queries.payments(booking.id)
        world.gateway.charges[payment.id] = True
    paying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await paying
    opened.set()
    after = World(world.storage, world.ids)
    after.gateway.charges = world.gateway.charges
    after.clock.time = world.clock.time + UNDER_WAY
    await after.sweep()
    assert await stands(after, booking) == (("confirmed", "taken") if was_charged else ("held", "due"))
    if not was_charged:
        after.clock.time += timedelta(seconds=5)
        await after.pay(booking)
    await check_all(after)


async def test_a_charge_that_never_left_is_given_up_by_the_sweeper() -> None:
    world = World()
    event_id = await world.event(1, price=PRICE)
    booking = await world.book(event_id, ANA)
    world.gateway.is_silent, world.gateway.hears = True, False
    with pytest.raises(PaymentUnknown):
        await world.pay(booking)
    world.gateway.is_silent = False
    world.clock.time += GIVE_UP
    await world.sweep()
    (payment,) = await world.storage.payment_queries.payments(booking.id)
    assert payment.status is ChargeStatus.FAILED


async def test_of_two_payments_at_once_one_waits_and_finds_it_paid() -> None:
    world = World()
    _, booking = await held(world)
    reached, opened = world.gateway.gate()
    first = asyncio.ensure_future(world.pay(booking))
    await reached.wait()
    second = asyncio.ensure_future(world.pay(booking))
    await world.has_paused.wait()
    opened.set()
    assert (await first).payment_status == "taken"
    with pytest.raises(PaymentNotDue):
        await second
    assert world.gateway.asked == ["charge"]


async def test_who_waits_for_another_payment_waits_for_five_seconds_at_most() -> None:
    world = World()
    _, booking = await held(world)
    reached, opened = world.gateway.gate()
    first = asyncio.ensure_future(world.pay(booking, once=request()))
    await reached.wait()
    with pytest.raises(PaymentUnderWay):
        await world.pay(booking)
    with pytest.raises(PaymentUnderWay):
        await world.pay(booking, once=request("another"))
    with pytest.raises(RequestInProgress):
        await world.pay(booking, once=request())
    assert sum(world.pauses) == pytest.approx(3 * 5)
    opened.set()
    await first


async def test_time_that_asking_takes_is_waiting_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    _, booking = await held(world)
    reached, opened = world.gateway.gate()
    first = asyncio.ensure_future(world.pay(booking))
    await reached.wait()
    loop = asyncio.get_running_loop()
    time = loop.time
    # Each time that it asks, two seconds have gone by.
    monkeypatch.setattr(loop, "time", lambda: time() + 2 * len(world.pauses))
    with pytest.raises(PaymentUnderWay):
        await world.pay(booking)
    assert len(world.pauses) == 3
    monkeypatch.undo()
    opened.set()
    await first


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_payment_that_comes_too_late_gets_tickets_or_its_money(is_taken: bool) -> None:
    world = World()
    event_id, booking = await held(world)
    reached, opened = world.gateway.gate()
    paying = asyncio.ensure_future(world.pay(booking))
    await reached.wait()
    world.clock.time += timedelta(hours=1)
    if is_taken:
        await world.book(event_id, BEN)
    opened.set()
    if is_taken:
        with pytest.raises(PaymentWindowClosed):
            await paying
    else:
        await paying
    await world.sweep()
    assert await stands(world, booking) == (("expired", "refunded") if is_taken else ("confirmed", "taken"))
    await check_all(world)


async def test_a_payment_for_a_booking_that_ended_meanwhile_goes_back() -> None:
    world = World()
    _, booking = await held(world)
    reached, opened = world.gateway.gate()
    paying = asyncio.ensure_future(world.pay(booking))
    await reached.wait()
    await world.cancel(booking)
    opened.set()
    with pytest.raises(PaymentNotDue):
        await paying
    await world.sweep()
    assert await stands(world, booking) == ("cancelled", "refunded")
    await check_all(world)


# The sweeper.


async def test_lapsed_holds_go_to_the_line_without_anybody_asking() -> None:
    world = World()
    event_id, first = await held(world)
    second = await world.book(event_id, BEN)
    world.clock.time += timedelta(minutes=30)
    swept = await world.sweep()
    assert (swept.is_ours, swept.events) == (True, 1)
    assert await world.statuses([first, second]) == ["expired", "held"]
    assert (await world.sweep()).events == 0


async def test_any_command_on_an_event_settles_what_is_due_first() -> None:
    world = World()
    event_id, first = await held(world)
    second = await world.book(event_id, BEN)
    world.clock.time += timedelta(minutes=30)
    third = await world.book(event_id, CLEO)
    assert await world.statuses([first, second, third]) == ["expired", "held", "waitlisted"]
    await check_all(world)


async def test_more_lapsed_holds_than_one_step_settles_are_settled_behind_the_answer() -> None:
    world = World()
    event_id = await world.event(1_200, price=PRICE, payment_window_minutes=30)
    holds = await world.crowd(event_id, 1_200)
    waiting = await world.crowd(event_id, 700, first=5_000)
    world.clock.time += timedelta(minutes=30)
    late = await world.book(event_id, ANA)
    assert late.status == "waitlisted"
    assert late.place is not None
    assert late.place.position > 200
    await world.settled(event_id)
    assert set(await world.statuses(holds)) == {"expired"}
    assert set(await world.statuses([*waiting, late])) == {"held"}
    await check_all(world)


async def test_one_process_at_a_time_sweeps() -> None:
    world = World()
    await held(world)
    other = World(world.storage, world.ids)
    assert (await world.sweep()).is_ours
    assert not (await other.sweep()).is_ours
    assert (await world.sweep()).is_ours
    other.clock.time += timedelta(seconds=4)
    assert (await other.sweep()).is_ours


async def test_refunds_are_tried_until_they_succeed() -> None:
    world = World()
    _, booking = await held(world)
    await world.pay(booking)
    await world.cancel(booking)
    world.gateway.is_silent = True
    await world.sweep()
    world.gateway.is_silent, world.gateway.hears = False, False
    world.clock.time += timedelta(seconds=2)
    await world.sweep()
    assert await stands(world, booking) == ("cancelled", "refund_pending")
    world.gateway.hears = True
    world.clock.time += timedelta(seconds=4)
    await world.sweep()
    assert await stands(world, booking) == ("cancelled", "refunded")
    assert (await world.sweep()).payments == 0
    await check_all(world)


async def test_a_cancelled_event_gives_everything_back() -> None:
    world = World()
    event_id = await world.event(600, price=PRICE)
    bookings = await world.crowd(event_id, 600)
    await asyncio.gather(*(world.pay(booking) for booking in bookings))
    await world.edit(event_id, status=EventStatus.CANCELLED)
    await world.idle()
    while (await world.sweep()).payments:
        pass
    assert {await stands(world, booking) for booking in bookings} == {("cancelled", "refunded")}
    await check_all(world)


async def test_a_payment_of_no_booking_is_not_settled() -> None:
    world = World()
    _, booking = await held(world)
    await world.pay(booking)
    await world.cancel(booking)
    world.storage._tables.bookings.clear()
    with pytest.raises(NotFound):
        await world.settle_payments()


async def test_while_the_storage_is_away_nothing_is_charged() -> None:
    world = World()
    _, booking = await held(world)
    world.faults.plan(Step.BEGIN, Unavailable())
    with pytest.raises(Unavailable):
        await world.pay(booking)
    assert world.gateway.asked == []


async def test_the_payments_of_a_booking_are_told_to_whom_it_concerns() -> None:
    world = World()
    _, booking = await held(world)
    with pytest.raises(PaymentDeclined):
        await world.pay(booking, "tok_decline")
    await world.pay(booking)
    await world.cancel(booking)
    list_payments = ListPayments(world.storage.booking_queries, world.storage.payment_queries)
    for actor in (ANA, ORGANIZER):
        found = await list_payments(booking.id, actor)
        assert [(each.kind.value, each.status.value) for each in found] == [
            ("charge", "failed"),
            ("charge", "succeeded"),
            ("refund", "pending"),
        ]
    with pytest.raises(NotFound):
        await list_payments(booking.id, STRANGER)


async def test_events_whose_lapsed_holds_did_not_fit_into_a_transaction_wait_for_the_next() -> None:
    world = World()
    event_ids = [await world.event(400, price=PRICE, payment_window_minutes=30) for _ in range(4)]
    for number, event_id in enumerate(event_ids):
        await world.crowd(event_id, 400, first=number * 1_000)
    world.clock.time += timedelta(minutes=30)
    late = await asyncio.gather(*(world.book(event_id, ANA) for event_id in event_ids))
    assert {booking.status.value for booking in late} == {"held"}
    await check_all(world)


async def test_one_payment_that_cannot_be_settled_holds_up_no_other() -> None:
    world = World()
    event_id = await world.event(2, price=PRICE)
    bookings = [await world.book(event_id, ANA), await world.book(event_id, BEN)]
    for booking in bookings:
        await world.pay(booking)
        await world.cancel(booking)
    kept = world.storage._tables.bookings.pop(bookings[0].id)
    with pytest.raises(NotFound):
        await world.settle_payments()
    world.storage._tables.bookings[kept.id] = kept
    assert [await stands(world, booking) for booking in bookings] == [
        ("cancelled", "refund_pending"),
        ("cancelled", "refunded"),
    ]


async def test_a_provider_that_hangs_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxoffice.application.background.sweep.PATIENCE", 0.0)
    world = World()
    _, booking = await held(world)
    await world.pay(booking)
    await world.cancel(booking)
    monkeypatch.setattr(world.gateway, "refund", lambda *_: asyncio.Event().wait())
    await world.sweep()
    assert await stands(world, booking) == ("cancelled", "refund_pending")
