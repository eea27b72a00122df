"""Parts of bookings that are given back, as storages keep them."""

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.booking import Booking, Place
from boxoffice.domain.decisions.return_tickets import ReturnTickets, return_tickets
from boxoffice.domain.decisions.settle import Cancelled
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.tickets.ticket import ticket_id
from boxoffice.domain.user import Actor
from tests.settable_clock import SettableClock

from .storage_driver import NOW, StorageDriver, new_id, take


async def give_back(
    driver: StorageDriver, booking: Booking, quantity: int, numbers: list[int] | None = None
) -> Booking:
    """Let the customer give a part of a booking back, and serve the waiting list."""
    return (
        await driver.decide(_needs(booking), lambda inventory: _decided(inventory, booking, quantity, numbers))
    ).booking


def _decided(
    inventory: Inventory, booking: Booking, quantity: int, numbers: list[int] | None = None
) -> Decision[Cancelled]:
    command = ReturnTickets(
        booking_id=booking.id,
        event_id=booking.event_id,
        actor=Actor(booking.customer_id),
        quantity=quantity,
        ticket_ids=None if numbers is None else tuple(ticket_id(booking.id, each) for each in numbers),
        refund_id=new_id(),
    )
    return return_tickets(inventory, command, NOW)


def _needs(booking: Booking) -> LoadSpec:
    return LoadSpec(event_id=booking.event_id, booking_id=booking.id, settles=True, payments=True, tickets=True)


async def test_parts_are_kept_and_what_is_left_is_read_again(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    booking, waiting = await driver.book(state, quantity=5), await driver.book(state, quantity=4)
    await give_back(driver, booking, 2, [4, 2])
    smaller = await give_back(driver, waiting, 2)
    assert (smaller.quantity, smaller.queue_number) == (2, waiting.queue_number)
    await give_back(driver, booking, 1)
    stored = await driver.stored(booking)
    assert (stored.quantity, stored.returned, stored.amount) == (2, 3, booking.amount)
    rows = await driver.storage.ticket_queries.of_bookings([booking.id])
    assert [(each.number, each.is_returned) for each in rows] == [(2, True), (4, True), (5, True)]
    assert (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches == []


async def test_a_paid_part_is_refunded_beside_the_rest(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(3)
    booking = await driver.pay(await driver.book(state, quantity=3))
    unit = booking.amount.amount // 3
    smaller = await give_back(driver, booking, 1)
    assert (smaller.amount.amount, smaller.kept, smaller.payment_status) == (2 * unit, 2 * unit, "taken")
    assert await driver.stored(booking) == smaller
    cancelled = await driver.cancel(smaller)
    assert cancelled.kept == 0
    payments = await driver.storage.payment_queries.payments(booking.id)
    assert sorted(each.amount.amount for each in payments) == [unit, 2 * unit, 3 * unit]
    assert (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches == []


async def test_the_place_is_that_of_what_is_saved_so_far(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    await driver.book(state, quantity=5)
    first, second = await driver.book(state, quantity=4), await driver.book(state, quantity=3)

    async def places(unit_of_work: UnitOfWork) -> list[Place | None]:
        await take(unit_of_work, _needs(first), lambda inventory: _decided(inventory, first, 1))
        return [await unit_of_work.events.place(each) for each in (first, second)]

    assert await driver.do(places) == [Place(1, 0), Place(2, 3)]
    await driver.cancel(second)

    async def place(unit_of_work: UnitOfWork) -> Place | None:
        await unit_of_work.events.lock([_needs(second)])
        return await unit_of_work.events.place(second)

    assert await driver.do(place) is None, "it no longer waits"
