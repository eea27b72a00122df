"""Tell who calls."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from msgspec import Struct

from ..domain.refusals import InvalidToken
from ..domain.user import Actor
from .ports import Claims, Clock, Reads, Standing, Tokens
from .sharing import Shared

REMEMBERED_FOR = 3.0
"""Seconds that a standing is remembered, so that a role or the end of a session holds within five."""

MOST_REMEMBERED = 1_000
"""Callers, for whoever asks again within that time."""

_UNKNOWN: Final[tuple[float, Standing | None]] = (float("-inf"), None)


class Caller(Struct, frozen=True):
    """Whoever sent a request, with the session that their token belongs to."""

    actor: Actor
    claims: Claims


class Authenticate:
    """Tell who calls by an access token, as of today's role and session (promise 9)."""

    def __init__(self, tokens: Tokens, reads: Reads, clock: Clock, *, seconds: Callable[[], float] = monotonic) -> None:
        self._tokens = tokens
        self._standing_of = Shared(reads.standings)
        self._clock = clock
        self._seconds = seconds
        self._remembered: OrderedDict[Claims, tuple[float, Standing | None]] = OrderedDict()

    async def __call__(self, token: str) -> Caller:
        """Raises: InvalidToken, Unavailable."""
        now = self._clock.now()
        claims = self._tokens.read(token, now)
        seconds = self._seconds()
        good_until, standing = self._remembered.get(claims, _UNKNOWN)
        if seconds >= good_until:
            standing = await self._standing_of(claims)
            self._remember(claims, seconds + REMEMBERED_FOR, standing)
        if standing is None or standing.expires_at <= now:
            raise InvalidToken
        return Caller(Actor(claims.user_id, standing.role), claims)

    def _remember(self, claims: Claims, until: float, standing: Standing | None) -> None:
        self._remembered[claims] = (until, standing)
        self._remembered.move_to_end(claims)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
