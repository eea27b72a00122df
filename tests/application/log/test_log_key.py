"""The key that signs the checkpoints of all logs."""

import asyncio

import pytest

from boxoffice.adapters.log.formats import C2spLogFormats
from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.memory.steps import Step
from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.background.seal_code_keys import SealCodeKeys
from boxoffice.application.log.log_key import LOG_KEY_ID, LogKey
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.ticket_codes import SecretMissing
from tests.application.fake_app import OLDER_SECRET, SECRET, Faults


def log_key(storage: MemoryStorage, *secrets: str, host: str = "tickets.example.org") -> LogKey:
    """The key of a process with these secrets."""
    return LogKey(storage, Ed25519CodeSigner(*(secrets or (SECRET,))), C2spLogFormats(), host)


async def test_it_is_made_once_and_keeps_the_name_that_it_was_made_with() -> None:
    storage = MemoryStorage()
    key = log_key(storage)
    signers = await asyncio.gather(key(), key(), log_key(storage)(), log_key(storage, host="elsewhere.example")())
    (text,) = {each.key_text for each in signers}
    assert text.startswith("tickets.example.org+")
    assert (await log_key(storage, host="elsewhere.example")()).key_text == text


async def test_what_a_process_remembers_spares_reads() -> None:
    faults = Faults()
    key = log_key(MemoryStorage(faults))
    await key()
    reads = faults.count(Step.READ)
    await key()
    assert faults.count(Step.READ) == reads


async def test_it_is_encrypted_anew_with_the_keys_of_events() -> None:
    storage = MemoryStorage()
    text = (await log_key(storage, OLDER_SECRET)()).key_text
    with pytest.raises(SecretMissing):
        await log_key(storage)()
    assert await SealCodeKeys(storage, Ed25519CodeSigner(SECRET, OLDER_SECRET))() == 1
    assert (await log_key(storage)()).key_text == text


async def test_a_key_that_is_not_found_after_it_was_stored_is_no_key() -> None:
    storage = MemoryStorage()
    key = log_key(storage)

    async def nothing() -> None:
        return None

    storage.log_queries.host = nothing  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await key()
    assert (await storage.code_key_queries.keys([LOG_KEY_ID])).keys() == {LOG_KEY_ID}
