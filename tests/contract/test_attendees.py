"""Who comes, as the queries see it: tickets in order, customers, and searches of an event's bookings by customer."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.queries import AttendingBooking, Customer
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.tickets.ticket_type import EventState

from .storage_driver import NOW, StorageDriver, new_user

SIZES = ("boxoffice.adapters.sql.queries.bookings.FIRST_READ", "boxoffice.adapters.sql.queries.bookings.SECOND_READ")


async def add(driver: StorageDriver, name: str, email: str | None, *, is_erased: bool = False) -> UUID:
    """Store an account."""
    user = replace(new_user(), name=name, email=email, erased_at=NOW if is_erased else None)
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        await unit_of_work.commit()
    return user.id


def attending(booking: Booking, state: EventState, customer: Customer | None) -> AttendingBooking:
    """The booking as the list of attendees has it."""
    name = next(each.name for each in state.ticket_types if each.id == booking.ticket_type_id)
    return AttendingBooking(
        id=booking.id,
        first_ticket_number=booking.ticket_numbers.start,
        tickets=len(booking.ticket_numbers),
        status=booking.status,
        ticket_type_id=booking.ticket_type_id,
        ticket_type_name=name,
        customer=customer,
    )


async def test_attending_bookings_come_in_the_order_of_their_tickets_from_any_of_these(driver: StorageDriver) -> None:
    state, other = await driver.initialize(4, 3), await driver.initialize(9)
    ana, erased = await add(driver, "Ana", "ana@example.org"), await add(driver, "", None, is_erased=True)
    first = await driver.book(state, customer_id=ana, quantity=4)
    waiting = await driver.book(state, customer_id=erased, quantity=3)
    second = await driver.book(state, quantity=2, kind=1)
    await driver.book(other, quantity=7)
    await driver.cancel(first)
    in_order = [
        attending(await driver.stored(first), state, Customer(ana, "Ana", "ana@example.org")),
        attending(await driver.stored(second), state, None),
        attending(await driver.stored(waiting), state, None),
    ]
    assert [each.first_ticket_number for each in in_order] == [1, 5, 7]
    assert [each.status for each in in_order] == ["cancelled", "confirmed", "confirmed"]
    for after in range(11):
        left = [each for each in in_order if each.first_ticket_number + each.tickets > after + 1]
        for limit in (1, 2, 9):
            found = await driver.storage.booking_queries.attending_bookings(state.event.id, after, limit)
            assert found == left[:limit], (after, limit)


async def test_customers_are_those_accounts_that_are_not_erased(driver: StorageDriver) -> None:
    ana, ben = await add(driver, "Ana", "ana@example.org"), await add(driver, "Ben", None)
    erased = await add(driver, "", None, is_erased=True)
    queries = driver.storage.account_queries
    assert await queries.customers({ana, ben, erased, UUID(int=7)}) == {
        ana: Customer(ana, "Ana", "ana@example.org"),
        ben: Customer(ben, "Ben", None),
    }
    assert await queries.customers([]) == {}


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("STRASSE", ["Straße"]),
        ("straße", ["Straße"]),
        ("Café".replace("é", "e\u0301").upper(), ["café"]),
        ("cafe", []),
        ("100%", ["100% a_b"]),
        ("a_b", ["100% a_b"]),
        ("%", ["100% a_b"]),
        ("\\", ["back\\slash"]),
        ("'", ["O'Neill"]),
        ("ONE@EX", ["Straße"]),
        ("example", ["100% a_b", "O'Neill", "Straße", "back\\slash", "café"]),
        ("ssone", []),
    ],
)
async def test_a_search_of_customers_is_literal_and_ignores_case(
    driver: StorageDriver, q: str, found: list[str]
) -> None:
    """In any spelling that readers take for the same, in the name or the address, and not from one into the other."""
    state = await driver.initialize(5)
    names = {}
    for name, box in (("Straße", "one"), ("café", "2"), ("100% a_b", "3"), ("O'Neill", "4"), ("back\\slash", "5")):
        user_id = await add(driver, name, f"{box}@example.org")
        names[(await driver.book(state, customer_id=user_id)).id] = name
    page = await driver.storage.booking_queries.search_bookings(state.event.id, q, None, None, 9)
    assert (sorted(names[each.id] for each in page.bookings), page.next) == (sorted(found), None)


async def test_a_search_reads_so_many_bookings_and_says_where_it_goes_on(
    driver: StorageDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SIZES[0], 1)
    monkeypatch.setattr(SIZES[1], 2)
    state, other = await driver.initialize(8), await driver.initialize(1)
    user_ids = [await add(driver, f"{name} {number}", None) for number, name in enumerate(["Ann", "Ben", "Ben"] * 4)]
    bookings = [await driver.book(state, customer_id=each) for each in user_ids]
    await driver.book(other, customer_id=user_ids[0])
    await driver.cancel(bookings[3])
    expected = [await driver.stored(bookings[each]) for each in (9, 6, 3, 0)]
    assert [each.status for each in expected] == ["waitlisted", "confirmed", "cancelled", "confirmed"]
    for status in (None, BookingStatus.CONFIRMED, BookingStatus.WAITLISTED):
        wanted = [each for each in expected if status in (None, each.status)]
        for limit in (1, 2, 9):
            found: list[Booking] = []
            before: UUID | None = None
            pages = 0
            while pages == 0 or before is not None:
                page = await driver.storage.booking_queries.search_bookings(
                    state.event.id, "ann", status, before, limit
                )
                assert len(page.bookings) <= limit
                found += page.bookings
                before = page.next
                pages += 1
            assert found == wanted, (status, limit)
