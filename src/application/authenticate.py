"""Tell who calls."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from ..domain.refusals import InvalidToken
from ..domain.user import Actor
from .ports import Account, AccountKey, Claims, Clock, Reads, Tokens
from .sharing import Shared

REMEMBERED_FOR = 3.0
"""Seconds that an account is remembered, so that a role or the end of a session holds within five."""

MOST_REMEMBERED = 50_000


class Caller(Struct, frozen=True):
    """Whoever sent a request, with the session that their token belongs to."""

    actor: Actor
    claims: Claims


class Authenticate:
    """Tell who calls by an access token, as of today's role and session (promise 9)."""

    def __init__(self, tokens: Tokens, reads: Reads, clock: Clock, *, seconds: Callable[[], float] = monotonic) -> None:
        self._tokens = tokens
        self._account_of = Shared(reads.accounts)
        self._clock = clock
        self._seconds = seconds
        self._remembered: OrderedDict[Claims, tuple[float, Account | None]] = OrderedDict()

    async def __call__(self, token: str) -> Caller:
        """Raises: InvalidToken, Unavailable."""
        now = self._clock.now()
        claims = self._tokens.read(token, now)
        account = await self._account(claims)
        if account is None or account.session is None or not account.session.is_live(now):
            raise InvalidToken
        return Caller(Actor(claims.user_id, account.user.role), claims)

    async def _account(self, claims: Claims) -> Account | None:
        seconds = self._seconds()
        remembered = self._remembered.get(claims)
        if remembered and seconds < remembered[0]:
            return remembered[1]
        account = await self._account_of(AccountKey(claims.user_id, claims.session_id))
        if account is not None and account.user.disabled_at is not None:
            account = None
        self._remembered[claims] = (seconds + REMEMBERED_FOR, account)
        self._remembered.move_to_end(claims)
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return account
