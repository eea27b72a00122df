"""Receipts: who gets them, when, and that strangers' checkers accept them."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.log.read_receipt import ReadReceipt
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.log.formats import Opening
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.event import LogMode
from boxoffice.domain.policy import KeyRole, KeyScope
from boxoffice.domain.refusals import NotAllowed, NotFound
from boxoffice.domain.user import Actor, Role
from boxoffice.entrypoints.checkers.receipt import CheckedReceipt, check_receipt, read_key
from tests.application.fake_app import ORGANIZER

from .log_process import LogProcess

CUSTOMER = Actor(UUID(int=70))


def read_receipt(process: LogProcess) -> ReadReceipt:
    """The use case."""
    storage = process.storage
    return ReadReceipt(storage.booking_queries, storage.log_queries, process.app.duties, process.formats)


async def checked(process: LogProcess, booking: Booking) -> CheckedReceipt:
    """The customer's receipt, as the key's owner's strangers see it."""
    text = await read_receipt(process)(booking.id, CUSTOMER)
    return check_receipt(text, read_key((await process.log_key()).key_text))


async def test_a_receipt_proves_the_latest_fact_and_opens_it() -> None:
    process = LogProcess()
    event_id = await process.app.event(400)
    booking = await process.app.book(event_id, CUSTOMER)
    await process.seal_logs()
    receipt = await checked(process, booking)
    assert (receipt.event_id, receipt.entry.seq, receipt.entry.kind) == (str(event_id), 2, "TicketsBooked")
    assert receipt.private is not None
    assert receipt.private["bookingId"] == str(booking.id)
    assert receipt.private["customerId"] == str(CUSTOMER.user_id)
    for _ in range(300):
        await process.app.book(event_id, Actor(process.app.ids.new()))
    await process.app.cancel_booking(Cancel(event_id=event_id, actor=CUSTOMER, booking_id=booking.id))
    await process.seal_logs()
    receipt = await checked(process, booking)
    assert (receipt.entry.seq, receipt.entry.kind, receipt.checkpoint.size) == (303, "BookingCancelled", 303)


async def test_there_is_none_until_the_latest_fact_is_sealed() -> None:
    process = LogProcess()
    event_id = await process.app.event(5)
    booking = await process.app.book(event_id, CUSTOMER)
    with pytest.raises(Unavailable) as failure:
        await checked(process, booking)
    assert failure.value.retry_after == 1
    await process.seal_logs()
    await process.app.cancel_booking(Cancel(event_id=event_id, actor=CUSTOMER, booking_id=booking.id))
    with pytest.raises(Unavailable):
        await checked(process, booking)


async def test_it_is_the_customers_alone() -> None:
    process = LogProcess()
    event_id = await process.app.event(5)
    booking = await process.app.book(event_id, CUSTOMER)
    await process.seal_logs()
    read = read_receipt(process)
    for actor in (ORGANIZER, Actor(UUID(int=78), Role.ADMIN), replace(CUSTOMER, scope=KeyScope(KeyRole.DESK))):
        with pytest.raises(NotAllowed):
            await read(booking.id, actor)
    with pytest.raises(NotFound):
        await read(booking.id, Actor(UUID(int=71)))
    with pytest.raises(NotFound):
        await read(UUID(int=71), CUSTOMER)


async def test_without_a_log_there_is_none() -> None:
    process = LogProcess()
    event_id = await process.app.event(5, log=LogMode.OFF)
    booking = await process.app.book(event_id, CUSTOMER)
    for actor in (CUSTOMER, ORGANIZER):
        with pytest.raises(NotFound):
            await read_receipt(process)(booking.id, actor)


@pytest.mark.parametrize("opening", [None, Opening(bytes(16), b"{}")])
async def test_what_no_key_opens_is_proved_and_stays_closed(
    opening: Opening | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account was erased, or is not the one that it was when the fact was sealed."""
    process = LogProcess()
    event_id = await process.app.event(5)
    booking = await process.app.book(event_id, CUSTOMER)
    await process.seal_logs()
    monkeypatch.setattr(process.formats, "opening", lambda *_: opening)
    assert (await checked(process, booking)).private is None
