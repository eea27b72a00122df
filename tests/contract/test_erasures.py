"""What is deleted with an account, and the erasures that are not finished."""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.accounts.prove_password import ProvePassword
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.bookings.book_ticket import BookTicket
from boxoffice.application.bookings.cancel_booking import CancelBooking
from boxoffice.application.duties import Duties
from boxoffice.application.events.change_event import ChangeEvent
from boxoffice.application.personal_data.erase_account import EraseAccount
from boxoffice.application.personal_data.finish_erasure import FinishErasure
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.queries import Account
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.application.webhooks.delete_webhook import DeleteWebhook
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.decisions.erase import LAST_LOOK_AFTER, Erasure
from boxoffice.domain.decisions.staff import StaffMember
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.policy import KeyRole, StaffRole
from boxoffice.domain.refusals import InvalidToken
from boxoffice.domain.tickets.ticket import Ticket
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor, ApiKey, Role, User
from boxoffice.domain.verification import Link, LinkPurpose
from boxoffice.domain.webhooks import Webhook
from tests.application.fake_app import PlainHasher
from tests.settable_clock import SettableClock

from .storage_driver import NOW, NewIds, StorageDriver, new_digests, new_id, new_session, new_user

ADDRESS, OTHER = "ada@example.org", "other@example.org"


def new_link(user: User, email: str) -> Link:
    """A link that is not stored yet."""
    return Link(id=new_id(), purpose=LinkPurpose.VERIFY, user_id=user.id, email=email, created_at=NOW, due_at=NOW)


async def test_sessions_links_and_duties_of_an_account_are_erased_and_those_of_others_stay(
    driver: StorageDriver,
) -> None:
    ada, ben = replace(new_user(ADDRESS), verified_at=NOW), new_user(OTHER)
    claim, other_claim = new_user(ADDRESS), new_user(OTHER)
    sessions = {user.id: new_session(user) for user in (ada, ben)}
    links = [new_link(*each) for each in ((ada, OTHER), (claim, ADDRESS), (ben, OTHER), (other_claim, OTHER))]

    event_id = new_id()
    staff = {
        user.id: StaffMember(id=new_id(), event_id=event_id, user_id=user.id, role=StaffRole.DOOR, appointed_at=NOW)
        for user in (ada, ben)
    }

    async def add(unit: UnitOfWork) -> None:
        for member in staff.values():
            await unit.staff.add(member)
        for user in (ada, ben):
            await unit.users.add(user)
            await unit.users.add_session(sessions[user.id], new_digests(), NOW)
        for each in (claim, other_claim):
            await unit.links.add_claim(each)
        for link in links:
            await unit.links.add(link)

    async def read(unit: UnitOfWork) -> list[bool]:
        found = [await unit.links.link(each.id) for each in links]
        claims = [await unit.links.claim(each.id) for each in (claim, other_claim)]
        return [each is not None for each in (*found, *claims)]

    await driver.do(add)
    assert await driver.storage.account_queries.sessions_of(ada.id) == [sessions[ada.id]]
    assert await driver.storage.notification_queries.links_of(ben.id) == [links[2]]
    await driver.do(lambda unit: unit.erasures.erase(replace(ada, verified_at=None)))
    assert await driver.do(read) == [False, True, True, True, True, True], "the address was never verified"
    await driver.do(lambda unit: unit.erasures.erase(ada))
    assert await driver.do(read) == [False, False, True, True, False, True]
    colleagues = await driver.storage.staff_queries.staff(event_id, None, 5)
    assert [each.member for each in colleagues] == [staff[ben.id]]
    assert await driver.account(ada.id, sessions[ada.id].id) == Account(ada, None)
    assert await driver.account(ben.id, sessions[ben.id].id) == Account(ben, sessions[ben.id])


async def test_erasures_are_due_longest_first_until_they_are_removed(driver: StorageDriver) -> None:
    first, second = (
        Erasure(user_id=new_id(), erased_at=NOW, due_at=NOW + timedelta(seconds=seconds)) for seconds in (1, 2)
    )
    due = driver.storage.account_queries.due_erasures
    await driver.do(lambda unit: unit.erasures.save(second))
    await driver.do(lambda unit: unit.erasures.save(first))
    assert [await due(NOW + timedelta(seconds=seconds), 5) for seconds in range(3)] == [[], [first], [first, second]]
    later = replace(first, due_at=NOW + timedelta(minutes=1))
    await driver.do(lambda unit: unit.erasures.save(later))
    assert await due(NOW + timedelta(minutes=1), 1) == [second]
    await driver.do(lambda unit: unit.erasures.remove(second.user_id))
    await driver.do(lambda unit: unit.erasures.remove(new_id()))
    assert await due(NOW + timedelta(hours=1), 5) == [later]


async def test_stored_responses_of_an_account_are_deleted_so_many_at_a_time(driver: StorageDriver) -> None:
    ada, ben = new_id(), new_id()
    keys = [*(Key(ada, f"key {number}") for number in range(3)), Key(ben, "key 0")]
    stored = [StoredResponse(key=key, fingerprint=b"f", response=Response(b"", None)) for key in keys]

    async def store(unit: UnitOfWork) -> None:
        await unit.events.store_responses(stored, NOW)

    await driver.do(store)
    deleted = [await driver.do(lambda unit: unit.erasures.delete_stored_responses(ada, 2)) for _ in range(3)]
    assert deleted == [2, 1, 0]
    assert (await driver.do(lambda unit: unit.events.stored_responses(keys))).keys() == {keys[3]}


async def test_a_customers_bookings_of_a_status_are_read_with_their_events(driver: StorageDriver) -> None:
    states = [await driver.initialize(1), await driver.initialize(2), await driver.initialize(2)]
    customer = new_id()
    await driver.book(states[0])
    waiting, *confirmed = [await driver.book(state, customer_id=customer) for state in states]
    read = driver.storage.booking_queries.bookings_with_events
    assert waiting.status is BookingStatus.WAITLISTED

    async def found(status: BookingStatus, after: UUID | None, limit: int) -> list[tuple[Booking, UUID]]:
        return [(each.booking, each.event.id) for each in await read(customer, status, after, limit)]

    pairs = [(replace(each, place=None), each.event_id) for each in (waiting, *confirmed)]
    assert await found(BookingStatus.WAITLISTED, None, 5) == pairs[:1]
    assert await found(BookingStatus.CONFIRMED, None, 5) == pairs[1:]
    assert await found(BookingStatus.CONFIRMED, None, 1) == pairs[1:2]
    assert await found(BookingStatus.CONFIRMED, confirmed[0].id, 5) == pairs[2:]
    assert await found(BookingStatus.HELD, None, 5) == []


async def test_keys_of_completed_payments_are_forgotten(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(3)
    paid, other, open_ = [await driver.book(state) for _ in range(3)]
    for booking in (paid, other):
        await driver.complete_payment((await driver.start_payment(booking, key="key")).payment)
    await driver.start_payment(open_, key="key")
    await driver.do(lambda unit: unit.erasures.forget_payment_keys([paid.id, open_.id]))
    found = [await driver.storage.payment_queries.payments(each.id) for each in (paid, other, open_)]
    assert [each.key for (each,) in found] == [None, "key", "key"]
    of_bookings = driver.storage.payment_queries.payments_of_bookings
    assert await of_bookings([open_.id, paid.id]) == sorted([*found[0], *found[2]], key=lambda each: each.id)


async def test_an_erasure_beside_bookings_and_promotions_keeps_every_promise(driver: StorageDriver) -> None:
    """The account books while it is erased, twice at once; others book, cancel, and wait for its tickets."""
    storage, clock, ids = driver.storage, SettableClock(NOW), NewIds()
    turnstile, duties = Turnstile(storage, clock, ids), Duties(storage.staff_queries)
    finish = FinishErasure(storage, turnstile, ChangeEvent(turnstile, duties), DeleteWebhook(storage), clock)
    prove = ProvePassword(storage.account_queries, PlainHasher(), None)
    erase = EraseAccount(storage, prove, LinkMails(ids, are_sent=True), finish, clock)
    ada = replace(new_user(), password_hash="hash of it", role=Role.CUSTOMER)
    await driver.do(lambda unit: unit.users.add(ada))
    states = [await driver.initialize(2) for _ in range(3)]
    first = [await driver.book(state, customer_id=ada.id) for state in states[:2]]
    others = [await driver.book(state) for state in states[:2] for _ in range(3)]

    def booked(state: EventState, customer_id: UUID) -> Awaitable[Booking]:
        command = Book(booking_id=new_id(), event_id=state.event.id, actor=Actor(customer_id))
        return BookTicket(turnstile, duties)(command)

    results = await asyncio.gather(
        erase(Actor(ada.id), "it"),
        erase(Actor(ada.id), "it"),
        booked(states[2], ada.id),
        *(booked(state, new_id()) for state in states),
        CancelBooking(turnstile, storage.booking_queries, duties).by_id(others[0].id, Actor(others[0].customer_id)),
        return_exceptions=True,
    )
    unexpected = [each for each in results if isinstance(each, Exception) and not isinstance(each, InvalidToken)]
    assert unexpected == []
    clock.time += LAST_LOOK_AFTER
    for erasure in await storage.account_queries.due_erasures(clock.time, 5):
        await finish(erasure)
    await turnstile.close()
    own = await storage.booking_queries.bookings_of_customer(ada.id, None, None, 9)
    assert [each.status for each in own] == [BookingStatus.CANCELLED] * 3
    assert {each.id for each in first} < {each.id for each in own}
    assert await storage.account_queries.due_erasures(clock.time, 5) == []
    assert (await VerifyPromises(storage, clock)()).breaches == []


async def test_what_is_left_of_an_erased_account_is_counted_once_its_erasure_is_finished(driver: StorageDriver) -> None:
    """Names, sessions, links and duties go at once; a minute later everything else is gone too."""
    ada = replace(new_user(ADDRESS), erased_at=NOW)
    state, other = await driver.initialize(1, actor=Actor(ada.id)), await driver.initialize(1)
    await driver.book(other)
    waiting = await driver.book(other, customer_id=ada.id)
    named = Ticket(booking_id=waiting.id, event_id=other.event.id, number=1, holder_name="Grace")
    key = ApiKey(id=new_id(), user_id=ada.id, name="Scanner", role=KeyRole.DOOR, created_at=NOW)
    webhook = Webhook(id=new_id(), organizer_id=ada.id, url="https://ada.example/", secret="whsec_AAAA", created_at=NOW)
    duty = StaffMember(id=new_id(), event_id=state.event.id, user_id=ada.id, role=StaffRole.DOOR, appointed_at=NOW)
    response = StoredResponse(key=Key(ada.id, "key"), fingerprint=b"f", response=Response(b"", None))

    async def add(unit: UnitOfWork) -> None:
        await unit.users.add(ada)
        await unit.users.add_session(new_session(ada), new_digests(), NOW)
        await unit.links.add(new_link(ada, ADDRESS))
        await unit.staff.add(duty)
        await unit.api_keys.add(key, b"digest")
        await unit.webhooks.add(webhook, NOW)
        await unit.events.store_responses([response], NOW)
        await unit.erasures.save(Erasure.begun(ada.id, NOW))

    async def strays() -> Mapping[str, int]:
        async with driver.storage.snapshot() as snapshot:
            return await snapshot.strays()

    def name(inventory: Inventory) -> Decision[None]:
        builder = DecisionBuilder(inventory, NOW)
        builder.put_ticket(named)
        return builder.decision(None)

    await driver.decide(LoadSpec(event_id=other.event.id, booking_id=waiting.id, tickets=True), name)
    # Before the account is there, because an erased one gets none.
    await driver.do(lambda unit: unit.logs.add_keys({ada.id: b"k" * 32}))
    await driver.do(add)
    at_once = {
        "erased accounts with a name, an address or a password": 1,
        "sessions of erased accounts": 1,
        "links to erased accounts": 1,
        "duties of erased accounts": 1,
        "keys of erased accounts in logs": 1,
    }
    assert await strays() == at_once
    await driver.do(lambda unit: unit.erasures.remove(ada.id))
    assert await strays() == {
        **at_once,
        "API keys of erased accounts": 1,
        "webhooks of erased accounts": 1,
        "stored responses to erased accounts": 1,
        "waiting or held bookings of erased accounts": 1,
        "named tickets of ended bookings of erased accounts": 1,
        "unfinished events of erased accounts": 1,
    }
