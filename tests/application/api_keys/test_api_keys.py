"""API keys: made, listed, revoked and used, with what a process remembers of them."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.accounts.authenticate import Authenticate, Caller
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.api_keys import known_keys
from boxoffice.application.api_keys.create_api_key import CreateApiKey, CreatedKey, NewApiKey
from boxoffice.application.api_keys.key_uses import EVERY, MOST_NOTED, KeyUses
from boxoffice.application.api_keys.known_keys import READ_EVERY, KnownKeys
from boxoffice.application.api_keys.list_api_keys import ListApiKeys
from boxoffice.application.api_keys.revoke_api_key import RevokeApiKey
from boxoffice.application.api_keys.use_api_key import UseApiKey
from boxoffice.application.operators.disable_user import DisableUser, EnableUser
from boxoffice.application.operators.grant_role import GrantRole
from boxoffice.application.ports.errors import OutcomeUnknown, Unavailable
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.domain.event import EventStatus
from boxoffice.domain.policy import KeyRole, KeyScope
from boxoffice.domain.refusals import (
    IdempotencyKeyReused,
    InvalidRequest,
    InvalidToken,
    NotFound,
    TooManyApiKeys,
)
from boxoffice.domain.user import MOST_API_KEYS, Actor, ApiKey, Role
from tests.application.fake_app import (
    NOW,
    STRANGER,
    FakeApp,
    FewKnownPasswords,
    PlainHasher,
    PlainKeyTexts,
    PlainTokens,
    later,
    once,
    without_mails,
)

ANAS = "ana@example.org"


class Process:
    """Everything about API keys in one process."""

    def __init__(self, app: FakeApp, texts: PlainKeyTexts) -> None:
        storage, clock = app.storage, app.clock
        self.app = app
        self.texts = texts
        self.seconds = 0.0
        self.create = CreateApiKey(storage, texts, app.duties, clock, app.ids)
        self.list = ListApiKeys(storage.api_key_queries)
        self.revoke = RevokeApiKey(storage)
        self.uses = KeyUses(storage, jitter=lambda: 0.0)
        self.known = KnownKeys(storage.api_key_queries, seconds=lambda: self.seconds)
        use = UseApiKey(texts, self.known, self.uses, clock)
        self.authenticate = Authenticate(PlainTokens(), storage.account_queries, clock, use)
        self.disable = DisableUser(storage, clock, app.review_account)
        self.enable = EnableUser(storage, clock, app.review_account)
        self.grant = GrantRole(storage, clock)
        self._create_user = CreateUser(
            storage, PlainHasher(), FewKnownPasswords(), clock, app.ids, without_mails(app.ids)
        )

    async def user(self, email: str = ANAS) -> Actor:
        """A new account."""
        return Actor((await self._create_user(Registration(name="Ana", email=email, password="correct horse"))).id)

    async def key(self, owner: Actor, role: KeyRole = KeyRole.DOOR, **fields: Any) -> tuple[ApiKey, str]:
        """A new key with its text."""
        created = await self.create(NewApiKey(actor=owner, name="Scanner", role=role, **fields))
        return created.key, self.text(created)

    def text(self, created: CreatedKey) -> str:
        """The text of a key that was made."""
        text = self.texts.opened(created.sealed)
        assert text is not None
        return text

    async def is_refused(self, text: str) -> bool:
        """Whether a key identifies no caller."""
        try:
            await self.authenticate(text)
        except InvalidToken:
            return True
        return False

    def reads(self) -> int:
        """How often anything was read without a lock."""
        return self.app.faults.count(Step.READ)


@pytest.fixture
def process(app: FakeApp) -> Process:
    """A process on an empty storage."""
    return Process(app, PlainKeyTexts())


# Making, listing and revoking.


async def test_a_key_is_its_owners_and_its_text_is_kept_nowhere(process: Process) -> None:
    ana, ben = await process.user(), await process.user("ben@example.org")
    event_id = await process.app.event()
    created = await process.create(
        NewApiKey(actor=ana, name=" South door ", role=KeyRole.DOOR, event_id=event_id, expires_at=later(days=1))
    )
    assert created.key == ApiKey(
        id=created.key.id,
        user_id=ana.user_id,
        name="South door",
        role=KeyRole.DOOR,
        event_id=event_id,
        expires_at=later(days=1),
        created_at=NOW,
    )
    assert (await process.list(ana), await process.list(ben)) == ([created.key], [])
    assert process.text(created) not in repr(process.app.tables.api_keys)
    assert list(process.app.tables.key_digests) == [process.texts.digest_of(process.text(created))]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": " "}, "name"),
        ({"expires_at": NOW}, "expires_at"),
        ({"expires_at": NOW.replace(tzinfo=None)}, "expires_at"),
    ],
)
async def test_broken_values_are_refused(process: Process, fields: dict[str, Any], path: str) -> None:
    ana = await process.user()
    with pytest.raises(InvalidRequest) as refused:
        await process.create(NewApiKey(**{"actor": ana, "name": "Scanner", "role": KeyRole.DOOR, **fields}))
    assert [error.path for error in refused.value.errors] == [(path,)]
    assert await process.list(ana) == []


async def test_a_key_is_for_an_event_that_its_owner_may_see(process: Process) -> None:
    ana = await process.user()
    draft = await process.app.event(status=EventStatus.DRAFT)
    for hidden in (draft, UUID(int=7)):
        with pytest.raises(NotFound):
            await process.key(ana, event_id=hidden)
    # Whether the owner may do anything there is judged when the key is used.
    await process.key(ana, KeyRole.MANAGER, event_id=await process.app.event())


async def test_a_user_who_does_not_exist_gets_no_key(process: Process) -> None:
    with pytest.raises(InvalidToken):
        await process.key(STRANGER)


async def test_there_are_fifty_keys_at_most_and_expired_ones_make_room(process: Process) -> None:
    ana = await process.user()
    expiring, _ = await process.key(ana, expires_at=later(hours=1))
    keys = [(await process.key(ana))[0] for _ in range(MOST_API_KEYS - 1)]
    with pytest.raises(TooManyApiKeys):
        await process.key(ana)
    process.app.clock.time = later(hours=1)
    assert await process.list(ana) == [expiring, *keys]
    newest, _ = await process.key(ana)
    assert await process.list(ana) == [*keys, newest]
    await process.revoke(keys[0].id, ana)
    await process.key(ana)


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_a_key_whose_commit_was_not_answered_is_made_once(process: Process, step: Step) -> None:
    ana = await process.user()
    process.app.faults.plan(step, OutcomeUnknown())
    key, text = await process.key(ana)
    assert await process.list(ana) == [key]
    assert (await process.authenticate(text)).key_id == key.id


async def test_a_repeated_request_makes_no_second_key(process: Process) -> None:
    ana = await process.user()
    command = NewApiKey(actor=ana, name="Scanner", role=KeyRole.DOOR)
    first = await process.create(command, once(actor=ana))
    with pytest.raises(Replayed):
        await process.create(command, once(actor=ana))
    with pytest.raises(IdempotencyKeyReused):
        await process.create(command, once(request="another", actor=ana))
    assert await process.list(ana) == [first.key]


async def test_the_loser_of_two_requests_with_one_key_gets_the_stored_answer(process: Process) -> None:
    ana, ben = await process.user(), await process.user("ben@example.org")
    command = NewApiKey(actor=ana, name="Scanner", role=KeyRole.DOOR)
    reached, opened = process.app.faults.gate(Step.COMMIT)
    # Another user's lock does not keep them apart, as that of one user would.
    loser = asyncio.ensure_future(process.create(NewApiKey(actor=ben, name="x", role=KeyRole.DOOR), once(actor=ana)))
    await reached.wait()
    await process.create(command, once(actor=ana))
    opened.set()
    with pytest.raises(Replayed):
        await loser


async def test_a_revoked_key_is_gone_and_only_ones_own_can_be_revoked(process: Process) -> None:
    ana, ben = await process.user(), await process.user("ben@example.org")
    key, text = await process.key(ana)
    for unknown, actor in ((key.id, ben), (UUID(int=7), ana)):
        with pytest.raises(NotFound):
            await process.revoke(unknown, actor)
    assert not await process.is_refused(text)
    process.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    await process.revoke(key.id, ana)
    with pytest.raises(NotFound):
        await process.revoke(key.id, ana)
    process.seconds += READ_EVERY
    assert await process.is_refused(text)


# Using.


async def test_a_key_acts_as_its_owner_within_its_scope(process: Process) -> None:
    ana = await process.user()
    event_id = await process.app.event()
    key, text = await process.key(ana, KeyRole.DESK, event_id=event_id)
    actor = Actor(ana.user_id, scope=KeyScope(KeyRole.DESK, event_id))
    assert await process.authenticate(text) == Caller(actor, key_id=key.id)


@pytest.mark.parametrize("text", ["bxo_", "bxo_x", "bxo_999", "bxo_1 "])
async def test_text_that_is_no_key_is_refused(process: Process, text: str) -> None:
    await process.key(await process.user())
    assert await process.is_refused(text)


async def test_a_key_is_refused_from_the_moment_when_it_expires(process: Process) -> None:
    _, text = await process.key(await process.user(), expires_at=later(hours=1))
    process.app.clock.time = later(hours=1) - timedelta(microseconds=1)
    assert not await process.is_refused(text)
    process.app.clock.time = later(hours=1)
    assert await process.is_refused(text), "although it was read a moment ago"


@pytest.mark.parametrize("how", ["revoking", "disabling", "granting"])
async def test_a_change_holds_after_the_next_read_in_every_process(app: FakeApp, how: str) -> None:
    texts = PlainKeyTexts()
    one, other = Process(app, texts), Process(FakeApp(app.storage.another(), app.ids), texts)
    ana = await one.user()
    key, text = await one.key(ana)
    for process in (one, other):
        assert (await process.authenticate(text)).actor.role is Role.CUSTOMER
    if how == "revoking":
        await one.revoke(key.id, ana)
    elif how == "disabling":
        await one.disable(ANAS)
    else:
        await one.grant(ANAS, Role.ADMIN)
    for process in (one, other):
        process.seconds = READ_EVERY - 0.001
        assert (await process.authenticate(text)).actor.role is Role.CUSTOMER, "not read with every call"
        process.seconds = READ_EVERY
        if how == "granting":
            assert (await process.authenticate(text)).actor.role is Role.ADMIN
        else:
            assert await process.is_refused(text)
    if how == "disabling":
        await one.enable(ANAS)
        other.seconds += READ_EVERY
        assert not await other.is_refused(text)


async def test_a_key_in_use_is_read_once_in_a_while_and_an_unknown_one_too(process: Process) -> None:
    _, text = await process.key(await process.user())
    before = process.reads()
    await asyncio.gather(*(process.authenticate(text) for _ in range(20)))
    await process.authenticate(text)
    assert process.reads() == before + 1
    for _ in range(3):
        assert await process.is_refused("bxo_999")
    assert process.reads() == before + 2
    process.seconds = READ_EVERY
    assert await process.is_refused("bxo_999")
    await process.authenticate(text)
    assert process.reads() == before + 4


async def test_a_read_counts_from_when_it_was_begun(process: Process) -> None:
    ana = await process.user()
    key, text = await process.key(ana)
    reached, opened = process.app.faults.gate(Step.READ)
    calling = asyncio.ensure_future(process.authenticate(text))
    await reached.wait()
    process.seconds = READ_EVERY - 1
    opened.set()
    await calling
    await process.revoke(key.id, ana)
    process.seconds = READ_EVERY
    assert await process.is_refused(text)


async def test_made_up_keys_share_reads_of_bounded_size_and_displace_no_key(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MOST_KEYS", 10)
    monkeypatch.setattr(known_keys, "AT_ONCE", 8)
    _, text = await process.key(await process.user())
    await process.authenticate(text)
    before = process.reads()
    results = await asyncio.gather(*(process.is_refused(f"bxo_{number}") for number in range(100, 120)))
    assert all(results)
    assert process.reads() == before + 3
    await process.authenticate(text)
    assert process.reads() == before + 3, "it is still known"
    assert await process.is_refused("bxo_119")
    assert process.reads() == before + 3, "the newest are remembered"
    assert await process.is_refused("bxo_100")
    assert process.reads() == before + 4, "the oldest are forgotten"


async def test_keys_used_longest_ago_are_forgotten_first(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "MOST_KEYS", 2)
    ana = await process.user()
    texts = [(await process.key(ana))[1] for _ in range(3)]
    await process.authenticate(texts[0])
    await process.authenticate(texts[1])
    process.seconds = READ_EVERY
    await process.authenticate(texts[0])
    await process.authenticate(texts[2])
    before = process.reads()
    await process.authenticate(texts[0])
    await process.authenticate(texts[2])
    assert process.reads() == before
    await process.authenticate(texts[1])
    assert process.reads() == before + 1


async def test_while_nothing_can_be_read_no_key_is_refused_for_good(process: Process) -> None:
    _, text = await process.key(await process.user())
    process.app.faults.plan(Step.READ, Unavailable("away"))
    with pytest.raises(Unavailable):
        await process.authenticate(text)
    assert not await process.is_refused(text)


# When it was last used.


async def last_used(process: Process, owner: Actor) -> list[Any]:
    return [key.last_used_at for key in await process.list(owner)]


async def test_a_use_is_stored_in_the_background_and_not_more_than_once_a_minute(process: Process) -> None:
    ana = await process.user()
    (_, text), _ = await process.key(ana), await process.key(ana)
    begun = process.app.faults.count(Step.BEGIN)
    await process.authenticate(text)
    await process.authenticate(text)
    assert process.app.faults.count(Step.BEGIN) == begun
    assert await last_used(process, ana) == [None, None]
    await process.uses.store()
    assert await last_used(process, ana) == [NOW, None]
    begun = process.app.faults.count(Step.BEGIN)
    process.seconds = READ_EVERY
    process.app.clock.time = NOW + EVERY - timedelta(microseconds=1)
    await process.authenticate(text)
    await process.uses.store()
    assert process.app.faults.count(Step.BEGIN) == begun, "nothing to store, so no transaction"
    process.app.clock.time = NOW + EVERY
    await process.authenticate(text)
    await process.uses.store()
    assert await last_used(process, ana) == [NOW + EVERY, None]


async def test_what_could_not_be_stored_is_stored_with_the_next_use(process: Process) -> None:
    ana = await process.user()
    _, text = await process.key(ana)
    await process.authenticate(text)
    process.app.faults.plan(Step.BEGIN, Unavailable("away"))
    with pytest.raises(Unavailable):
        await process.uses.store()
    await process.uses.store()
    assert await last_used(process, ana) == [None]
    await process.authenticate(text)
    await process.uses.store()
    assert await last_used(process, ana) == [NOW]


async def test_a_refused_key_is_not_used(process: Process) -> None:
    ana = await process.user()
    _, text = await process.key(ana, expires_at=later(hours=1))
    process.app.clock.time = later(hours=1)
    assert await process.is_refused(text)
    await process.uses.store()
    assert await last_used(process, ana) == [None]


async def test_no_more_uses_are_noted_than_a_round_may_store(process: Process) -> None:
    ana = await process.user()
    keys = [
        ApiKey(id=UUID(int=number), user_id=ana.user_id, name="x", role=KeyRole.READ, created_at=NOW)
        for number in range(MOST_NOTED + 1)
    ]
    tables = process.app.tables
    tables.api_keys.update({key.id: key for key in keys})
    for key in [*keys, keys[0]]:
        process.uses.note(key, NOW)
    await process.uses.store()
    assert [key.last_used_at for key in tables.api_keys.values()] == [NOW] * MOST_NOTED + [None]


async def test_a_key_revoked_while_its_use_is_stored_stays_revoked(process: Process) -> None:
    ana = await process.user()
    key, text = await process.key(ana)
    await process.authenticate(text)
    reached, opened = process.app.faults.gate(Step.COMMIT)
    storing = asyncio.ensure_future(process.uses.store())
    await reached.wait()
    await process.revoke(key.id, ana)
    opened.set()
    await storing
    assert await process.list(ana) == []
