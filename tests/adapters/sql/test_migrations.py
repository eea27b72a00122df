"""The schema: migrated once however many ask for it, and the same as the tables that the code uses."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, String, Table, column, insert, inspect, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.memory.tables import Tables
from boxoffice.adapters.memory.unit_of_work import MemoryUnitOfWork
from boxoffice.adapters.sql import migrate
from boxoffice.adapters.sql.dialects.dialect import dialect_of
from boxoffice.adapters.sql.indexes.search_grams import gram_rows
from boxoffice.adapters.sql.migrate import head, upgrade
from boxoffice.adapters.sql.migrations.addresses import MOST_NAMED, AddressChanges
from boxoffice.adapters.sql.schema import mappers as rows
from boxoffice.adapters.sql.schema import tables
from boxoffice.adapters.sql.schema.tables import metadata
from boxoffice.adapters.sql.schema.types import Id
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.background.number_tickets import NumberTickets
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.idempotency import Key
from boxoffice.application.ports.queries import EventFilter
from boxoffice.application.ports.repositories import AccountReview
from boxoffice.domain.booking import Booking, BookingStatus, Place
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import Edit, EventChanges, Initialize, edit, general_admission, initialize
from boxoffice.domain.event import EventDetails, EventStatus, When
from boxoffice.domain.inventory import Decision, Inventory, WaitingList
from boxoffice.domain.mails import MailKind
from boxoffice.domain.payment import ChargeStatus, Need, PaymentMethod
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor, Organizers
from boxoffice.entrypoints.http.idempotency import stored_response
from tests.adapters.sql.recorded import by_hand
from tests.contract.storage_driver import (
    NOW,
    ORGANIZER,
    STARTS_AT,
    StorageDriver,
    booking_command,
    new_id,
    new_session,
    new_user,
)

FACTS = tables.facts

_UPGRADE = "import asyncio, sys; from boxoffice.adapters.sql.migrate import upgrade; asyncio.run(upgrade(sys.argv[1]))"


async def on(url: str, work: object) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)  # type: ignore[arg-type]
    finally:
        await engine.dispose()


async def upgrade_to(url: str, version: str) -> None:
    database = dialect_of(url)
    engine = database.writing(make_url(url))

    def run(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.set_main_option("recursive_version_locations", "true")
        config.attributes |= {"connection": connection, "metadata": metadata, "address_changes": AddressChanges()}
        command.upgrade(config, version)

    async with engine.connect() as connection, database.migration_lock(connection):
        await connection.run_sync(run)
    await engine.dispose()


class AtNow:
    """A clock that stands still."""

    def now(self) -> datetime:
        """The tests' time."""
        return NOW


class AnyIds:
    """New ids."""

    new = staticmethod(new_id)


def test_processes_upgrade_at_once_and_again(empty_url: str) -> None:
    for at_once in (3, 1):
        processes = [
            subprocess.Popen([sys.executable, "-W", "error", "-c", _UPGRADE, empty_url], stderr=subprocess.PIPE)
            for _ in range(at_once)
        ]
        errors = [process.communicate(timeout=120)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * at_once, errors


async def test_tasks_upgrade_at_once(empty_url: str) -> None:
    await asyncio.gather(*(upgrade(empty_url) for _ in range(4)))
    storage = SqlStorage.from_url(empty_url)
    await storage.check_ready()
    await storage.close()


async def test_the_migrations_lead_to_the_tables(empty_url: str) -> None:
    await upgrade(empty_url)
    found: set[str] = set()

    def differences(connection: Connection) -> object:
        inspector = inspect(connection)
        for name in metadata.tables:
            found.update(str(each["name"]) for each in inspector.get_check_constraints(name))
        computed = {each["name"]: each["computed"] for each in inspector.get_columns("bookings") if "computed" in each}
        assert computed.keys() == {"live_customer_id"}
        assert computed["live_customer_id"].get("persisted")
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await on(empty_url, differences) == []
    checks = [each for found_table in metadata.tables.values() for each in found_table.constraints]
    assert {str(each.name) for each in checks if each.__visit_name__ == "check_constraint"} <= found


async def test_without_its_own_version_of_the_schema_it_is_not_ready(empty_url: str) -> None:
    storage = SqlStorage.from_url(empty_url)
    with pytest.raises(Unavailable):
        await storage.check_ready()
    await upgrade(empty_url)
    await by_hand(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match=f"9999.*{head()}.*a newer Boxoffice migrated it"):
        await storage.check_ready()
    with pytest.raises(Unavailable, match="9999"):
        await upgrade(empty_url)
    await by_hand(empty_url, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(Unavailable, match=f"0001.*{head()}.*boxoffice migrate"):
        await storage.check_ready()
    await storage.close()


@pytest.mark.parametrize("url", ["oracle+oracledb://localhost/x", "mysql+pymysql://localhost/x", "sqlite:///x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not supported"):
        SqlStorage.from_url(url)


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def known(connection: Connection, table: Table, written: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without the columns that the table does not have yet."""
    names = {each["name"] for each in inspect(connection).get_columns(table.name)}
    return [{name: value for name, value in each.items() if name in names} for each in written]


def by_column(table: Table, values: Sequence[Any]) -> dict[str, Any]:
    columns = [column.name for column in table.c if column.computed is None]
    return dict(zip(columns, values, strict=True))


def write_facts(connection: Connection, written: Sequence[dict[str, Any]]) -> None:
    """Insert facts into the table as it was before its column `mark` was called `batch_id`."""
    before = table("facts", *(column("mark" if each.name == "batch_id" else each.name, each.type) for each in FACTS.c))
    connection.execute(insert(before), [{**without(each, "batch_id"), "mark": each["batch_id"]} for each in written])


def fact_before_payments(values: dict[str, Any]) -> dict[str, Any]:
    written = json.loads(values["data"])
    return {**values, "data": json.dumps(without(written, "cancellationDeadlineHours", "expiresAt"))}


def initialized(status: EventStatus = EventStatus.ON_SALE, **details: Any) -> Decision[EventState]:
    command = Initialize(
        event_id=new_id(),
        actor=ORGANIZER,
        details=EventDetails(**details),
        ticket_types=((new_id(), general_admission(1)),),
        currency="EUR",
        status=status,
    )
    return initialize(command, Organizers.EVERYONE, NOW)


async def fill_before_payments(url: str) -> tuple[Inventory, list[Booking]]:
    """Write an event as version 0001 did: one customer had its ticket, the next got it and another waits for it."""
    created = initialized(name="Jazz night", venue="Caf\u00e9 \u0390")
    facts = list(created.facts)
    found: dict[UUID, Booking] = {}
    inventory = created.inventory
    for _ in range(3):
        decision = book(inventory, booking_command(created.outcome), NOW)
        inventory = decision.inventory
        facts += decision.facts
        found |= {each.id: each for each in decision.booked}
    first, second, _ = found.values()
    line = WaitingList((second,), None, False)
    inventory = replace(inventory, bookings=(first,), waiting_lists={first.ticket_type_id: line})
    leaving = cancel(
        inventory, Cancel(event_id=first.event_id, actor=Actor(first.customer_id), booking_id=first.id), NOW
    )
    facts += leaving.facts
    found |= {each.after.id: each.after for each in leaving.changed}
    bookings = list(found.values())
    event = leaving.inventory.event
    types = leaving.inventory.ticket_types

    def write(connection: Connection) -> None:
        of_event = {**rows.event_values(event), "searchable": f"{event.name}\n{event.venue}".casefold()}
        connection.execute(insert(tables.events), known(connection, tables.events, [of_event]))
        values = [rows.ticket_type_values(each) for each in types]
        connection.execute(insert(tables.ticket_types), known(connection, tables.ticket_types, values))
        written = [by_column(tables.bookings, rows.booking_values(each)) for each in bookings]
        connection.execute(insert(tables.bookings), known(connection, tables.bookings, written))
        waiting = [each for each in bookings if each.status is BookingStatus.WAITLISTED]
        connection.execute(insert(tables.waiting_list), [rows.waiting_values(each) for each in waiting])
        written = [fact_before_payments(by_column(tables.facts, rows.fact_values(fact, new_id()))) for fact in facts]
        write_facts(connection, written)

    await on(url, write)
    return leaving.inventory, bookings


async def test_a_database_from_before_payments_is_brought_along(empty_url: str) -> None:
    await upgrade_to(empty_url, "0001")
    inventory, bookings = await fill_before_payments(empty_url)
    assert [each.status for each in bookings] == ["cancelled", "confirmed", "waitlisted"]
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    await storage.check_ready()
    driver = StorageDriver(storage)
    assert (await driver.stored(bookings[1])).ticket_numbers == range(0)
    assert (await VerifyPromises(storage, AtNow())()).breaches == []
    assert await NumberTickets(storage, AtNow(), AnyIds())() == 1
    state = (await storage.event_queries.events_by_id([inventory.event.id]))[inventory.event.id]
    assert (state.event, state.ticket_types) == (inventory.event, inventory.ticket_types)
    for booking in bookings:
        assert replace(await driver.stored(booking), place=None) == replace(booking, place=None)
    assert [fact.seq for fact in await storage.event_queries.facts(state.event.id, 0, 99)] == [1, 2, 3, 4, 5, 6]
    assert (await VerifyPromises(storage, AtNow())()).breaches == []
    on_sale = EventFilter(now=NOW, statuses=frozenset({EventStatus.ON_SALE}))
    for wanted in (
        replace(on_sale, q="jazz ni"),
        replace(on_sale, q="\u0390"),
        replace(on_sale, q="\u0390", organizer_id=state.event.organizer_id),
    ):
        page = await storage.event_queries.events(wanted, None, 9)
        assert [each.event.id for each in page.events] == [state.event.id]
    assert (await driver.stored(bookings[2])).place == Place(1, 0)

    await driver.cancel(bookings[1])
    await driver.book(state)
    verdict = await VerifyPromises(storage, AtNow())()
    assert (verdict.bookings, verdict.breaches) == (4, [])
    await storage.close()


async def paid_bookings() -> Tables:
    """A paid booking, one whose refund was paid, one whose refund in cash was owed, and one paid too late."""
    memory = MemoryStorage()
    driver = StorageDriver(memory)
    state = await driver.initialize_priced(3)
    await driver.pay(await driver.book(state))
    by_card = await driver.pay(await driver.book(state))
    in_cash = (await driver.start_payment(await driver.book(state), method=PaymentMethod.CASH)).booking
    for booking in (by_card, in_cash):
        await driver.cancel(booking)
    (_, refund) = await memory.payment_queries.payments(by_card.id)
    await driver.complete_payment(refund)
    late = await driver.start_payment(await driver.book(state))
    await driver.cancel(late.booking)
    await driver.complete_payment(late.payment)
    assert (await VerifyPromises(memory, AtNow())()).breaches == []
    unit_of_work = memory.begin()
    assert isinstance(unit_of_work, MemoryUnitOfWork)
    return unit_of_work.draft.tables


async def test_refunds_know_their_charges_and_cash_waits_for_a_person(empty_url: str) -> None:
    await upgrade_to(empty_url, "0015")
    stored = await paid_bookings()
    payments = [each for of_booking in stored.payments.values() for each in of_booking.values()]

    def write(connection: Connection) -> None:
        def add(into: Table, written: Sequence[dict[str, Any]]) -> None:
            connection.execute(insert(into), known(connection, into, written))

        add(tables.events, [rows.event_values(each) for each in stored.events.values()])
        grams = [row for each in stored.events.values() for row in gram_rows(each)]
        add(tables.event_grams, [by_column(tables.event_grams, row) for row in grams])
        types = [each for of_event in stored.ticket_types.values() for each in of_event.values()]
        add(tables.ticket_types, [rows.ticket_type_values(each) for each in types])
        bookings = [by_column(tables.bookings, rows.booking_values(each)) for each in stored.bookings.values()]
        add(tables.bookings, bookings)
        facts = [fact for of_event in stored.facts.values() for fact in of_event]
        for fact in facts:
            values = by_column(FACTS, rows.fact_values(fact, new_id()))
            # As facts were: they did not name the refund, which was in full.
            add(FACTS, [{**values, "data": json.dumps(without(json.loads(values["data"]), "refund"))}])
        # The sweep used to settle cash.
        add(
            tables.payments,
            [
                rows.payment_values(replace(each, ask_at=NOW) if each.status is ChargeStatus.PENDING else each)
                for each in payments
            ],
        )

    await on(empty_url, write)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    await NumberTickets(storage, AtNow(), AnyIds())()
    for booking in stored.bookings.values():
        assert await StorageDriver(storage).stored(booking) == booking
    found = [each for booking in stored.bookings for each in await storage.payment_queries.payments(booking)]
    by_card = {each.id for each in payments if each.method is PaymentMethod.CARD}
    assert {each.id: replace(each, ask_at=None) for each in found} == {
        each.id: replace(each, ask_at=None) for each in payments
    }
    assert {each.id for each in found if each.ask_at is not None} <= by_card
    (cash,) = await storage.payment_queries.needing_payments(Need.CASH, NOW, None, 9)
    assert cash.charge_id == stored.bookings[cash.booking_id].paid_by
    assert (await VerifyPromises(storage, AtNow())()).breaches == []
    await storage.close()


async def test_what_is_cancelled_was_on_sale_if_its_facts_say_so(empty_url: str) -> None:
    await upgrade_to(empty_url, "0009")
    statuses = {
        "draft": ("draft", []),
        "on sale": ("on_sale", []),
        "paused": ("draft", ["on_sale", "paused"]),
        "completed": ("on_sale", ["completed"]),
        "cancelled draft": ("draft", ["cancelled"]),
        "cancelled": ("on_sale", ["cancelled"]),
        "cancelled later": ("draft", ["on_sale", "cancelled"]),
        'named "status":"on_sale"': ("draft", ["cancelled"]),
    }
    found: dict[str, UUID] = {}

    def write(connection: Connection) -> None:
        for name, (first, changes) in statuses.items():
            created = initialized(EventStatus(first), name=name)
            inventory, facts = created.inventory, list(created.facts)
            for status in changes:
                command = Edit(
                    event_id=inventory.event.id, actor=ORGANIZER, changes=EventChanges(status=EventStatus(status))
                )
                decision = edit(inventory, command, NOW)
                inventory = decision.inventory
                facts += decision.facts
            found[name] = inventory.event.id
            of_event = rows.event_values(inventory.event)
            connection.execute(insert(tables.events), known(connection, tables.events, [of_event]))
            connection.execute(
                insert(tables.ticket_types),
                known(
                    connection, tables.ticket_types, [rows.ticket_type_values(each) for each in inventory.ticket_types]
                ),
            )
            written = [by_column(tables.facts, rows.fact_values(fact, new_id())) for fact in facts]
            write_facts(connection, written)

    await on(empty_url, write)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    states = await storage.event_queries.events_by_id(list(found.values()))
    shown = {name for name, event_id in found.items() if states[event_id].event.was_published}
    assert shown == {"on sale", "paused", "completed", "cancelled", "cancelled later"}
    assert (await VerifyPromises(storage, AtNow())()).breaches == []
    await storage.close()


async def test_events_from_before_are_listed_by_whether_they_are_over(empty_url: str) -> None:
    await upgrade_to(empty_url, "0017")
    durations = [None, timedelta(hours=1), timedelta(hours=3), timedelta(days=1), timedelta(days=9_000)]
    made = [
        initialized(name="Jazz", starts_at=STARTS_AT, ends_at=each and STARTS_AT + each).inventory for each in durations
    ]

    def write(connection: Connection) -> None:
        events = [rows.event_values(each.event) for each in made]
        connection.execute(insert(tables.events), known(connection, tables.events, events))
        types = [rows.ticket_type_values(each) for inventory in made for each in inventory.ticket_types]
        connection.execute(insert(tables.ticket_types), known(connection, tables.ticket_types, types))

    await on(empty_url, write)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    for hours, over in ((2, 2), (3, 3), (24, 4), (24 * 9_000 - 1, 4), (24 * 9_000, 5)):
        at = STARTS_AT + timedelta(hours=hours)
        wanted = EventFilter(now=at, statuses=frozenset({EventStatus.ON_SALE}), when=When.PAST)
        assert len((await storage.event_queries.events(wanted, None, 9)).events) == over
        wanted = replace(wanted, when=When.UPCOMING)
        assert len((await storage.event_queries.events(wanted, None, 9)).events) == 5 - over
    assert {each["duration_class"] for each in await by_hand(empty_url, "SELECT duration_class FROM events")} == {
        *(0, 1, 2, 7)
    }
    await storage.close()


async def test_a_response_from_before_is_given_again(empty_url: str) -> None:
    await upgrade_to(empty_url, "0012")
    key, subject_id = Key(new_id(), "key"), new_id()
    bodies = {"plain": (b'{"name":"Caf\xc3\xa9"}', "/bookings/7", None), "bare": (b"", None, '"5"')}

    def write(connection: Connection) -> None:
        names = ("user_id", "key", "fingerprint", "status", "body", "location", "etag", "subject_id", "kept_at")
        types = {each.name: each.type for each in tables.stored_responses.c}
        answers = table("remembered_answers", *(column(name, types.get(name)) for name in names))
        for name, (body, location, etag) in bodies.items():
            values = (key.user_id, f"key {name}", b"f", 201, body, location, etag, subject_id, NOW)
            connection.execute(insert(answers), dict(zip(names, values, strict=True)))

    await on(empty_url, write)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    async with storage.begin() as unit_of_work:
        keys = [Key(key.user_id, f"key {name}") for name in bodies]
        found = await unit_of_work.events.stored_responses(keys)
    for each, (body, location, etag) in zip(keys, bodies.values(), strict=True):
        read = stored_response(found[each].response)
        assert (read.status, read.body, read.location, read.etag) == (201, body, location, etag)
        assert (found[each].fingerprint, read.subject_id) == (b"f", subject_id)
    await storage.close()


async def test_mails_from_before_are_still_sent(empty_url: str) -> None:
    await upgrade_to(empty_url, "0018")
    ids = [new_id() for _ in range(3)]

    def write(connection: Connection) -> None:
        types = {**{each.name: each.type for each in tables.mails.c}, "kind": String(), "customer_id": Id()}
        before = table("mails", *(column(name, type_) for name, type_ in types.items() if name != "seq"))
        written = [
            {
                **{name: new_id() for name in ("event_id", "booking_id", "customer_id")},
                "id": mail_id,
                "kind": kind,
                "created_at": NOW,
                "due_at": NOW,
                "attempts": 2,
                "expires_at": NOW,
            }
            for mail_id, kind in zip(ids, ("promoted", "lapsing", "cancelled"), strict=True)
        ]
        connection.execute(insert(before), written)

    await on(empty_url, write)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    found = await storage.notification_queries.due_mails(NOW, 10)
    assert [(each.id, each.kind, each.seq, each.attempts, each.expires_at) for each in found] == [
        (mail_id, kind, 0, 2, NOW)
        for mail_id, kind in zip(ids, (MailKind.PROMOTED, MailKind.LAPSING, MailKind.EVENT_CANCELLED), strict=True)
    ]
    await storage.close()


async def test_passwords_become_optional_and_disabled_accounts_are_reviewed(empty_url: str) -> None:
    """Accounts and what refers to them stay."""
    await upgrade_to(empty_url, "0021")
    user = replace(new_user(), verified_at=NOW)
    disabled = replace(new_user("disabled@example.org"), disabled_at=NOW)

    def write(connection: Connection) -> None:
        connection.execute(insert(tables.users), known(connection, tables.users, [asdict(user), asdict(disabled)]))
        connection.execute(insert(tables.sessions), known(connection, tables.sessions, [asdict(new_session(user))]))

    await on(empty_url, write)
    await upgrade(empty_url)
    storage = SqlStorage.from_url(empty_url)
    assert await storage.account_queries.users(None, 10) == [user, disabled]
    assert await storage.account_queries.due_reviews(NOW, 10) == [AccountReview(disabled.id, NOW, NOW)]
    async with storage.begin() as unit_of_work:
        await unit_of_work.users.save(replace(user, password_hash=None))
        await unit_of_work.users.end_sessions(user.id, NOW, but=None)
        await unit_of_work.commit()
    assert len((await storage.account_queries.revocations(NOW)).ended) == 1
    await storage.close()


# Addresses.


async def fill_before_one_spelling(url: str, *addresses: str) -> list[UUID]:
    """Write accounts with these addresses, and a session of each, as version 0018 did."""
    await upgrade_to(url, "0018")
    ids = [UUID(f"0190a5e0-0000-7000-8000-{number:012}") for number in range(len(addresses))]

    def write(connection: Connection) -> None:
        for user_id, email in zip(ids, addresses, strict=True):
            account = asdict(replace(new_user(email), id=user_id))
            connection.execute(insert(tables.users), known(connection, tables.users, [account]))
            session = asdict(new_session(replace(new_user(), id=user_id)))
            connection.execute(insert(tables.sessions), known(connection, tables.sessions, [session]))

    await on(url, write)
    return ids


async def stored_addresses(url: str) -> list[str | None]:
    def read(connection: Connection) -> list[str | None]:
        return list(connection.scalars(select(tables.users.c.email).order_by(tables.users.c.id)))

    found: Any = await on(url, read)
    return list(found)


OLD_ADDRESSES = ("jo@xn--fa-hia.example", "x@x..org", "ann@example.org.", "a\u200bnn@example.org", "ben@example.org")
NEW_ADDRESSES = ["jo@fa\u00df.example", "x@x..org", "ann@example.org", "a\u200bnn@example.org", "ben@example.org"]


async def test_each_stored_address_gets_todays_spelling(empty_url: str) -> None:
    """One that no mail can reach stays. Accounts, their sessions and what refers to them stay too."""
    ids = await fill_before_one_spelling(empty_url, *OLD_ADDRESSES)
    for _ in range(2):
        await upgrade(empty_url)
        assert await stored_addresses(empty_url) == NEW_ADDRESSES
    storage = SqlStorage.from_url(empty_url)
    users = await storage.account_queries.users(None, 10)
    assert users == [
        replace(new_user(), id=user_id, email=email) for user_id, email in zip(ids, NEW_ADDRESSES, strict=True)
    ]
    async with storage.begin() as unit_of_work:
        await unit_of_work.users.end_sessions(ids[0], NOW, but=None)
        await unit_of_work.commit()
    assert len((await storage.account_queries.revocations(NOW)).ended) == 1
    await storage.close()


async def test_spellings_of_one_address_stop_the_migration_before_it_changes_anything(empty_url: str) -> None:
    before = ("jo@fa\u00df.example", "jo@xn--fa-hia.example", "ann@example.org.", "jo@fa\u00df.example.")
    ids = await fill_before_one_spelling(empty_url, *before)
    with pytest.raises(Unavailable) as stopped:
        await upgrade(empty_url)
    assert f"address: {ids[0]} and {ids[1]} and {ids[3]}. No" in str(stopped.value)
    assert "boxoffice migrate --drop-address ID" in str(stopped.value)
    assert "@" not in str(stopped.value)
    unknown = new_id()
    with pytest.raises(Unavailable, match=f"no account {unknown}"):
        await upgrade(empty_url, dropped_addresses=[ids[1], ids[3], unknown])
    with pytest.raises(Unavailable, match=f"{ids[0]} and {ids[3]}"):
        await upgrade(empty_url, dropped_addresses=[ids[1]])
    assert await stored_addresses(empty_url) == list(before)
    await upgrade(empty_url, dropped_addresses=[ids[0], ids[3]])
    assert await stored_addresses(empty_url) == [None, "jo@fa\u00df.example", "ann@example.org", None]
    with pytest.raises(Unavailable, match="migrated before"):
        await upgrade(empty_url, dropped_addresses=[ids[1]])
    assert (await stored_addresses(empty_url))[1] == "jo@fa\u00df.example"


def test_only_so_many_collisions_are_named() -> None:
    accounts = [(new_id().bytes, f"{number // 2}@example.org") for number in range(2 * MOST_NAMED + 4)]
    with pytest.raises(Unavailable, match="; and 2 more\\. No address was changed"):
        AddressChanges()(accounts)
