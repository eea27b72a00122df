"""Tell who calls."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from msgspec import Struct

from ...domain.refusals import InvalidToken
from ...domain.user import Actor, Role
from ..ports.queries import AccountQueries
from ..ports.security import Claims, Tokens
from ..ports.system import Clock
from ..turnstile.coalesced_reads import CoalescedReads

LOOKS_EVERY = 3.0
"""Seconds between two looks at what was revoked, so that a role or the end of a session holds within five."""

LOOKS_AGAIN_AFTER = 0.1
"""Seconds after a look before a token that disagrees with it is a reason for another one."""

MARGIN = timedelta(minutes=1)
"""How long a revocation may take from the time that it bears until it is there to be read.

It was stamped before its transaction was durable, and by a clock that may be another one.
"""

_THE_SAME: Final = None
"""What everybody asks for at the shared look."""


class Caller(Struct, frozen=True):
    """Whoever sent a request, with the session that their token belongs to."""

    actor: Actor
    claims: Claims


class Authenticate:
    """Tell who calls by an access token, as of today's role and session (promise 9).

    A token says both as they were when it was issued. What was revoked since then is read from the storage for all
    callers at once, every few seconds while anybody calls.
    """

    def __init__(
        self, tokens: Tokens, accounts: AccountQueries, clock: Clock, *, seconds: Callable[[], float] = monotonic
    ) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._clock = clock
        self._seconds = seconds
        self._look = CoalescedReads(self._catch_up)
        self._good_until = self._looks_again_at = float("-inf")
        self._looked_at: datetime | None = None
        # By the number of the session, of the user (numbers have their hashes at hand): until when, in `seconds`, a
        # token may be out that says otherwise.
        self._ended: dict[int, float] = {}
        self._users: dict[int, tuple[float, Role | None]] = {}

    async def __call__(self, token: str) -> Caller:
        """Raises: InvalidToken, Unavailable."""
        claims = self._tokens.read(token, self._clock.now())
        if self._seconds() >= self._good_until:
            await self._look(_THE_SAME)
        if claims.session_id.int in self._ended:
            raise InvalidToken
        role = self._role(claims)
        if role is None or (role is not claims.role and self._seconds() >= self._looks_again_at):
            # Enabled again, or with another role, the user may have signed in since the last look.
            await self._look(_THE_SAME)
            role = self._role(claims)
        if role is None:
            raise InvalidToken
        return Caller(Actor(claims.user_id, role), claims)

    def _role(self, claims: Claims) -> Role | None:
        """Today's; None: disabled."""
        _, role = self._users.get(claims.user_id.int, (0.0, claims.role))
        return role

    async def _catch_up(self, _: Sequence[None]) -> dict[None, bool]:
        seconds, now = self._seconds(), self._clock.now()
        lifetime = timedelta(seconds=self._tokens.lifetime)
        # A clock that was ahead when it was looked at last leaves no gap.
        last = now - lifetime if self._looked_at is None else min(self._looked_at, now)
        found = await self._accounts.revocations(last - MARGIN)
        until = seconds + (lifetime + 2 * MARGIN).total_seconds()
        self._ended = {number: each for number, each in self._ended.items() if each > seconds}
        self._ended.update((session_id.int, until) for session_id in found.ended)
        self._users = {number: each for number, each in self._users.items() if each[0] > seconds}
        self._users.update((user_id.int, (until, role)) for user_id, role in found.users.items())
        self._looked_at, self._good_until = now, seconds + LOOKS_EVERY
        self._looks_again_at = seconds + LOOKS_AGAIN_AFTER
        return {_THE_SAME: True}
