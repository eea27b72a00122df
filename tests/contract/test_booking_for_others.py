"""Booking for others at several desks at once, beside registrations: each address gets one account."""

import asyncio
from itertools import product
from uuid import UUID

from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.bookings.book_for_other import BookForOther, BookingForOther, Person
from boxoffice.application.duties import Duties
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.refusals import AlreadyBooked
from boxoffice.domain.user import User
from tests.application.fake_app import FewKnownPasswords, PlainHasher
from tests.settable_clock import SettableClock

from .storage_driver import NOW, ORGANIZER, StorageDriver, new_id


class RandomIds:
    """Ids as a service makes them."""

    def new(self) -> UUID:
        return new_id()


async def test_desks_and_registrations_at_once_make_one_account_for_each_address(driver: StorageDriver) -> None:
    clock, ids = SettableClock(NOW), RandomIds()
    mails = LinkMails(ids, are_sent=True)
    create_user = CreateUser(driver.storage, PlainHasher(), FewKnownPasswords(), clock, ids, mails)
    duties = Duties(driver.storage.staff_queries)
    desks = [
        BookForOther(Turnstile(driver.storage, clock, ids), driver.storage.account_queries, duties, mails, clock, ids)
        for _ in range(2)
    ]
    events = [(await driver.initialize(100)).event.id for _ in range(2)]
    addresses = [f"person{number}@example.org" for number in range(3)]

    async def book(number: int) -> Booking | AlreadyBooked:
        desk, event_id, address = places[number]
        person = Person(name="Ana", email=address)
        wanted = BookingForOther(booking_id=ids.new(), event_id=event_id, actor=ORGANIZER, person=person)
        try:
            return await desk(wanted)
        except AlreadyBooked as refusal:
            return refusal

    async def register(address: str) -> User:
        return await create_user(Registration(name="Ada", email=address, password="a long password"))

    places = list(product(desks, events, addresses))
    found, _ = await asyncio.gather(
        asyncio.gather(*(book(number) for number in range(len(places)))),
        asyncio.gather(*(register(address) for address in addresses)),
    )
    for address in addresses:
        user = await driver.storage.account_queries.user_by_email(address)
        assert user is not None
        booked = [each for each, place in zip(found, places, strict=True) if place[2] == address]
        bookings = [each for each in booked if isinstance(each, Booking)]
        assert sorted(each.event_id for each in bookings) == sorted(events), booked
        assert {each.customer_id for each in bookings} == {user.id}
