"""The codes of tickets, and the keys that sign them."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory.steps import Step
from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.background.seal_code_keys import SealCodeKeys
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.ticket_codes import SecretMissing, TicketRef
from boxoffice.application.tickets.ticket_codes import AT_ONCE, TicketCodes
from tests.application.fake_app import OLDER_SECRET, SECRET, FakeApp

EVENT, OTHER, TICKET = (UUID(int=number) for number in (1, 2, 3))


def ref(serial: int = 1) -> TicketRef:
    """A code of the ticket."""
    return TicketRef(EVENT, TICKET, serial)


async def test_a_key_is_made_once_and_its_codes_hold() -> None:
    app = FakeApp()
    codes = app.ticket_codes
    assert await codes.public_keys([EVENT, OTHER]) == {}
    text = await codes.code(ref())
    key = await codes.public_key(EVENT)
    assert await codes.code(ref()) == text
    assert await TicketCodes(app.storage, Ed25519CodeSigner(SECRET)).code(ref()) == text
    assert await codes.public_keys([EVENT, OTHER]) == {EVENT: key}, "asking made no other key"
    read = codes.read(text)
    assert read is not None
    assert (read.event_id, read.ticket_id, read.serial) == (EVENT, TICKET, 1)
    assert codes.holds(read, key)
    assert not codes.holds(read, await codes.public_key(OTHER))
    assert len(app.tables.code_keys) == 2


async def test_many_codes_come_in_the_order_of_their_tickets() -> None:
    codes = FakeApp().ticket_codes
    tickets = [ref(serial) for serial in range(1, 2 * AT_ONCE + 2)]
    read = [codes.read(text) for text in await codes.codes(EVENT, tickets)]
    assert [each.serial for each in read if each] == [each.serial for each in tickets]


async def test_without_tickets_no_key_is_made() -> None:
    app = FakeApp()
    assert await app.ticket_codes.codes(EVENT, []) == []
    assert app.tables.code_keys == {}


async def test_what_a_process_remembers_is_bounded_and_spares_reads() -> None:
    app = FakeApp()
    codes = TicketCodes(app.storage, app.code_signer, most_known=2)
    keys = [await codes.public_key(UUID(int=number)) for number in range(3)]
    app.faults.plan(Step.READ, Unavailable())
    assert await codes.public_key(UUID(int=2)) == keys[2]
    assert await codes.public_key(UUID(int=1)) == keys[1]
    with pytest.raises(Unavailable):
        await codes.public_key(UUID(int=0))
    assert await codes.public_key(UUID(int=0)) == keys[0]
    app.faults.plan(Step.READ, Unavailable())
    assert await codes.public_key(UUID(int=1)) == keys[1], "the one used last stays"


async def test_of_two_processes_the_first_key_counts() -> None:
    app = FakeApp()
    earlier = app.code_signer.new_key(EVENT)

    async def another_was_faster(step: Step) -> None:
        if step is Step.SAVE:
            app.tables.code_keys.setdefault(EVENT, earlier)

    app.storage.fault = another_was_faster
    assert await app.ticket_codes.public_key(EVENT) == earlier.public
    assert app.tables.code_keys[EVENT] == earlier


async def test_a_key_that_the_storage_does_not_give_back_signs_nothing() -> None:
    app = FakeApp()

    async def lose(step: Step) -> None:
        app.tables.code_keys.clear()

    app.storage.fault = lose
    with pytest.raises(Unavailable, match="not found"):
        await app.ticket_codes.code(ref())


async def test_without_its_secret_a_key_signs_nothing_but_what_it_signed_still_holds() -> None:
    app = FakeApp()
    text = await app.ticket_codes.code(ref())
    later = TicketCodes(app.storage, Ed25519CodeSigner(OLDER_SECRET))
    with pytest.raises(SecretMissing):
        await later.code(ref())
    read = later.read(text)
    assert read is not None
    assert later.holds(read, await later.public_key(EVENT))
    assert len(app.tables.code_keys) == 1


async def test_the_sweep_encrypts_keys_of_older_secrets_anew() -> None:
    app = FakeApp()
    older = TicketCodes(app.storage, Ed25519CodeSigner(OLDER_SECRET))
    refs = [replace(ref(), event_id=UUID(int=number)) for number in range(1, 4)]
    texts = [await older.code(each) for each in refs]
    await app.ticket_codes.public_key(UUID(int=9))
    rounds = [await app.sweep() for _ in range(3)]
    assert [(each.code_keys, each.was_due) for each in rounds] == [(2, True), (1, True), (0, False)]
    newest = TicketCodes(app.storage, Ed25519CodeSigner(SECRET))
    assert [await newest.code(each) for each in refs] == texts
    assert {each.sealed_by for each in app.tables.code_keys.values()} == {app.code_signer.newest_secret}


async def test_keys_of_unknown_secrets_are_left_alone() -> None:
    app = FakeApp()
    await TicketCodes(app.storage, Ed25519CodeSigner("a lost secret of the tests " * 2)).public_key(EVENT)
    before = dict(app.tables.code_keys)
    assert (await app.sweep()).code_keys == 0
    assert await SealCodeKeys(app.storage, Ed25519CodeSigner(SECRET))() == 0
    assert app.tables.code_keys == before
