"""Make an API key."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from ...domain.policy import KeyRole, PersonalRight
from ...domain.refusals import InvalidToken, NotFound
from ...domain.user import API_KEY_RULES, Actor, ApiKey, check_room_for_an_api_key
from ...domain.values.fields import checked
from ..duties import Duties, check_visible
from ..idempotent_transaction import check_is_first, store_response
from ..ports.accounts.api_keys import ApiKeyTexts
from ..ports.errors import Conflict
from ..ports.idempotency import IdempotentRequest
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction


class NewApiKey(Struct, frozen=True, kw_only=True):
    """The values of a new API key. `event_id`: only for this event. `expires_at` None: it does not expire."""

    actor: Actor
    name: str
    role: KeyRole
    event_id: UUID | None = None
    expires_at: datetime | None = None


class CreatedKey(Struct, frozen=True):
    """A new API key. Its text is sealed, because the answer may be stored; `ApiKeyTexts.opened` gives it."""

    key: ApiKey
    sealed: str


class CreateApiKey:
    """Make an API key that acts as its owner."""

    def __init__(self, storage: Storage, texts: ApiKeyTexts, duties: Duties, clock: Clock, ids: Ids) -> None:
        self._storage = storage
        self._duties = duties
        self._texts = texts
        self._clock = clock
        self._ids = ids

    async def __call__(self, command: NewApiKey, idempotent: IdempotentRequest[CreatedKey] | None = None) -> CreatedKey:
        """Return the key with its text. Keys of the owner that have expired are deleted.

        Raises: InvalidRequest, NotFound, NotAllowed, TooManyApiKeys, InvalidToken if the account does not exist,
        Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        kept = checked({"name": command.name}, API_KEY_RULES)
        if command.expires_at is not None:
            kept |= checked({"expires_at": command.expires_at}, API_KEY_RULES)
        key = ApiKey(
            id=self._ids.new(),
            user_id=command.actor.user_id,
            role=command.role,
            event_id=command.event_id,
            created_at=self._clock.now(),
            **kept,
        )
        key.check_is_live(key.created_at)
        await self._check_event(command)
        command.actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)
        text = self._texts.new()
        created = CreatedKey(key, self._texts.sealed(text.text))

        async def add(unit_of_work: UnitOfWork) -> None:
            # Concurrent requests of one user continue one by one.
            if await unit_of_work.users.lock(key.user_id) is None:
                raise InvalidToken
            if idempotent is not None:
                await check_is_first(unit_of_work, idempotent)
            before = await unit_of_work.api_keys.of_user(key.user_id)
            if any(each.id == key.id for each in before):
                # After an unknown outcome the row may exist already.
                return
            live = [each for each in before if each.is_live(key.created_at)]
            check_room_for_an_api_key(len(live))
            await unit_of_work.api_keys.remove([each.id for each in before if each not in live])
            await unit_of_work.api_keys.add(key, text.digest)
            if idempotent is not None:
                await store_response(unit_of_work, idempotent, created, key.created_at)

        try:
            await in_transaction(self._storage, add)
        except Conflict:
            # A concurrent request had the same idempotency key and has stored its response.
            await in_transaction(self._storage, add)
        return created

    async def _check_event(self, command: NewApiKey) -> None:
        if command.event_id is None:
            return
        state = (await self._storage.event_queries.events_by_id([command.event_id])).get(command.event_id)
        if state is None:
            raise NotFound
        await check_visible(state.event, self._duties, command.actor)
