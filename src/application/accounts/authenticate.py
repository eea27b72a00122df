"""Authenticate callers by their access tokens or API keys."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.refusals import InvalidToken
from ...domain.user import Actor, Role
from ..api_keys.use_api_key import UseApiKey
from ..ports.queries import AccountQueries
from ..ports.security import Claims, Tokens
from ..ports.system import Clock
from ..turnstile.coalesced_reads import CoalescedReads

LOOKS_EVERY = 3.0
"""Seconds between two reads of the revocations, so a new role or the end of a session takes effect within five."""

LOOKS_AGAIN_AFTER = 0.1
"""Seconds after a read before a token that contradicts it causes another one."""

MARGIN = timedelta(minutes=1)
"""How long a revocation may take from its timestamp until it can be read.

The timestamp is older than the commit, and may be from another clock.
"""

_ALL: Final = None
"""The only key of the shared read."""


class Caller(Struct, frozen=True):
    """The user of a request, with the session of their access token or the id of their API key."""

    actor: Actor
    session_id: UUID | None = None
    key_id: UUID | None = None


class Authenticate:
    """Authenticate a caller by an access token or an API key, with the current role (promise 9).

    A token contains both as they were when it was issued. Revocations since then are read for all callers together,
    every few seconds while there are calls.
    """

    def __init__(
        self,
        tokens: Tokens,
        accounts: AccountQueries,
        clock: Clock,
        use_api_key: UseApiKey,
        *,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._use_api_key = use_api_key
        self._tokens = tokens
        self._accounts = accounts
        self._clock = clock
        self._seconds = seconds
        self._refresh = CoalescedReads(self._load_revocations)
        self._fresh_until = self._refreshable_at = float("-inf")
        self._refreshed_at: datetime | None = None
        # Keyed by integers of session and user ids, which are faster to hash than UUIDs. The values are the times, in
        # `seconds`, until which a token that contradicts them may be valid.
        self._ended: dict[int, float] = {}
        self._users: dict[int, tuple[float, Role | None]] = {}

    async def __call__(self, token: str) -> Caller:
        """Return the caller. Raises: InvalidToken, Unavailable."""
        if self._use_api_key.is_one(token):
            actor, key_id = await self._use_api_key(token)
            return Caller(actor, key_id=key_id)
        claims = self._tokens.read(token, self._clock.now())
        if self._seconds() >= self._fresh_until:
            await self._refresh(_ALL)
        if claims.session_id.int in self._ended:
            raise InvalidToken
        role = self._role(claims)
        if role is None or (role is not claims.role and self._seconds() >= self._refreshable_at):
            # The user may have been enabled, or got another role, and signed in since the last read.
            await self._refresh(_ALL)
            role = self._role(claims)
        if role is None:
            raise InvalidToken
        return Caller(Actor(claims.user_id, role), claims.session_id)

    def _role(self, claims: Claims) -> Role | None:
        """Return the current role; None: disabled or erased."""
        _, role = self._users.get(claims.user_id.int, (0.0, claims.role))
        return role

    async def _load_revocations(self, _: Sequence[None]) -> dict[None, bool]:
        seconds, now = self._seconds(), self._clock.now()
        lifetime = timedelta(seconds=self._tokens.lifetime)
        # If the clock was ahead at the last read, no gap remains.
        last = now - lifetime if self._refreshed_at is None else min(self._refreshed_at, now)
        found = await self._accounts.revocations(last - MARGIN)
        until = seconds + (lifetime + 2 * MARGIN).total_seconds()
        self._ended = {number: each for number, each in self._ended.items() if each > seconds}
        self._ended.update((session_id.int, until) for session_id in found.ended)
        self._users = {number: each for number, each in self._users.items() if each[0] > seconds}
        self._users.update((user_id.int, (until, role)) for user_id, role in found.users.items())
        self._refreshed_at, self._fresh_until = now, seconds + LOOKS_EVERY
        self._refreshable_at = seconds + LOOKS_AGAIN_AFTER
        return {_ALL: True}
