"""What an erased account leaves in events' logs: entries that nobody can open, in no file what would."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.engine import make_url

from boxoffice.adapters.log import entries_in
from boxoffice.adapters.log.entries import private_part, salt_of
from boxoffice.adapters.log.formats import C2spLogFormats
from boxoffice.application.ports.log.formats import LoggedFact, Opening
from boxoffice.entrypoints.checkers.receipt import check_receipt, read_key
from tests import servers
from tests.adapters.sql.recorded import by_hand
from tests.settable_clock import SettableClock

from .mailing import mailing_service
from .service_under_test import PASSWORD, Client, Service, ok

FORMATS = C2spLogFormats()
NAME, ADDRESS = "Needle Nadel", "needle@example.org"


@pytest.fixture(params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
async def stored(request: pytest.FixtureRequest, clock: SettableClock) -> AsyncIterator[tuple[Service, str]]:
    """A service with its database."""
    kind = "sqlite" if request.param == "sqlite" else "mysql"
    url: str = request.getfixturevalue(f"migrated_{kind}_url")
    async with mailing_service(url, clock) as service:
        yield service, url


async def sealed(service: Service, event_id: UUID) -> list[bytes]:
    """Seal what is not sealed yet, and return the entries."""
    while not (await service.container.seal_log()(event_id)).is_done:
        pass
    return entries_in(await service.container.log_queries().bundle(event_id, 0))


async def opening_of(service: Service, user: Client, booking: str) -> Opening:
    """What the customer's receipt opens."""
    text = (await user.get(f"/bookings/{booking}/receipt")).text
    checked = check_receipt(text, read_key((await service.anyone.get("/log/key")).text))
    assert checked.private is not None
    event_id = UUID(checked.event_id)
    facts = await service.container.log_queries().facts(event_id, checked.entry.seq - 1, 1)
    opening = FORMATS.opening(event_id, facts[0])
    assert opening is not None
    return opening


def spellings(secret: bytes) -> list[bytes]:
    """How a file may hold it."""
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), b64encode(secret)[:-4]]


async def files_with(url: str, *secrets: bytes) -> set[bytes]:
    """Which of them are in a file beside SQLite's, or in a column of another database."""
    if url.startswith("sqlite"):
        kept = b"".join(
            each.read_bytes() for each in Path(str(make_url(url).database)).parent.rglob("*") if each.is_file()
        )
        return {secret for secret in secrets if secret in kept}
    rows = await by_hand(url, "SELECT * FROM customer_log_keys")
    kept = b"".join(bytes(value) for row in rows for value in row.values() if isinstance(value, bytes))
    return {secret for secret in secrets if secret in kept}


async def test_an_erased_account_leaves_entries_that_nobody_can_open(stored: tuple[Service, str]) -> None:
    service, url = stored
    user = await service.user(ADDRESS)
    ok(await user.patch("/me", {"name": NAME}))
    other = await service.user()
    event = await other.event(totalTickets=2, log="public")
    event_id, bookings = UUID(event["id"]), [(await each.book(event))["id"] for each in (user, other)]
    before = await sealed(service, event_id)
    keys = await service.container.log_queries().keys([UUID(user.id), UUID(other.id)])
    key, others = keys[UUID(user.id)], keys[UUID(other.id)]
    secrets = [*spellings(key), *spellings((await opening_of(service, user, bookings[0])).salt)]
    secrets += [NAME.encode(), ADDRESS.encode()]
    assert key in await files_with(url, *secrets)
    answer = await user.send("DELETE", "/me", json={"currentPassword": PASSWORD})
    assert answer.status_code == 204, answer.text
    assert await files_with(url, *secrets) == set()
    after = await sealed(service, event_id)
    assert after[: len(before)] == before
    assert await files_with(url, *secrets) == set()
    assert await service.container.log_queries().keys([UUID(user.id)]) == {}

    # Whoever has the whole database, the keys of all others included, tries them on every entry.
    facts = await service.container.log_queries().facts(event_id, 0, 100)
    opened = {fact.seq for fact in facts for guess in (others, bytes(32)) if opens(event_id, fact, after, guess)}
    mine = {fact.seq for fact in facts if fact.booking_id == UUID(bookings[0])}
    assert len(mine) == 2, "the booking and its end"
    assert opened == {fact.seq for fact in facts} - mine
    # Only who has kept the salt opens what was sealed before.
    assert [seq for seq in mine if opens(event_id, facts[seq - 1], after, key)] == [min(mine)]


def opens(event_id: UUID, fact: LoggedFact, entries: list[bytes], key: bytes) -> bool:
    """Whether a key opens a fact's entry."""
    known = Opening(salt_of(event_id, fact.seq, key), private_part(fact))
    return FORMATS.opens(entries[fact.seq - 1], known)
