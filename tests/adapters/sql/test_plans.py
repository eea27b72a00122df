"""What is asked under an event's lock finds its rows by an index, however many there are."""

import pytest

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.idempotency import Key
from boxoffice.application.ports.loading import LoadSpec
from tests.adapters.sql.recorded import Sent, by_hand, recording, walked
from tests.contract.storage_driver import NOW, new_id


async def asked_under_the_lock(storage: SqlStorage, length: int) -> list[Sent]:
    """Ask for so many events, customers, bookings, payments, keys and marks, none of which exists."""
    needs = [
        LoadSpec(event_id=new_id(), customer_id=new_id(), booking_id=new_id(), payments=True, whole=number % 2 == 0)
        for number in range(length)
    ]
    with recording(storage) as sent:
        async with storage.begin() as unit_of_work:
            await unit_of_work.events.lock(needs)
            await unit_of_work.events.stored_responses([Key(new_id(), "a key") for _ in range(length)])
            await unit_of_work.events.was_committed({new_id(): 1 for _ in range(length)}, new_id())
        await storage.account_queries.revocations(NOW)
        await storage.account_queries.due_reviews(NOW, length)
        await storage.booking_queries.waitlisted_of_customer(new_id(), length, suspended=False)
    return [each for each in sent if each.is_of_rows]


@pytest.mark.parametrize("length", [3, 500])
async def test_no_table_is_looked_through_even_if_it_seems_small(
    any_storage: SqlStorage, migrated_url: str, length: int
) -> None:
    """In a rush a server knows its tables as they were, which may be empty.

    SQLite looked at every booking for a list of pairs: behind a million of them each batch took seconds.
    """
    sent = await asked_under_the_lock(any_storage, length)
    named = " ".join(each.text for each in sent)
    tables = ("events", "ticket_types", "bookings", "payments", "stored_responses", "facts", "sessions", "users")
    for table in (*tables, "account_reviews"):
        assert table in named
    assert [plan for each in sent if (plan := await walked(migrated_url, each))] == []


@pytest.mark.mysql
@pytest.mark.parametrize("length", [3, 500])
async def test_what_customers_hold_is_read_from_an_index_alone(
    mysql_storage: SqlStorage, migrated_mysql_url: str, length: int
) -> None:
    """Looking at each booking for its quantity takes three times as long."""
    sent = await asked_under_the_lock(mysql_storage, length)
    plans = [
        await by_hand(migrated_mysql_url, f"EXPLAIN FORMAT=TRADITIONAL {each.text}", parameters=each.parameters)
        for each in sent
    ]
    steps = [step for plan in plans for step in plan]
    (step,) = [step for step in steps if step["key"] == "ix_bookings_live_of_customer"]
    assert "Using index" in step["Extra"].split("; "), step
