"""Sign in."""

from collections.abc import Hashable
from datetime import timedelta

from msgspec import Struct, structs

from ...domain.refusals import WrongCredentials
from ...domain.user import LOGIN_RULES, Session, User
from ...domain.values.fields import checked
from ..limits.networks import network_of
from ..ports.errors import Unavailable
from ..ports.security import Asker, Claims, PasswordHasher, RefreshTokens, Token, Tokens
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction

SESSION_LIFETIME = timedelta(days=30)
"""The lifetime of a session from its start or its last refresh."""

_ATTEMPTS = 3
"""Attempts when the account changes while its password is verified."""


class Credentials(Struct, frozen=True, kw_only=True):
    """The values to sign in with."""

    email: str
    password: str


class SignedIn(Struct, frozen=True):
    """The tokens of a session: an access token, and a refresh token that can be used once."""

    access: Token
    refresh_token: str


class LogIn:
    """Sign in: start a session and issue its first tokens."""

    def __init__(
        self,
        storage: Storage,
        hasher: PasswordHasher,
        tokens: Tokens,
        refresh_tokens: RefreshTokens,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._storage = storage
        self._hasher = hasher
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._clock = clock
        self._ids = ids

    async def __call__(self, credentials: Credentials, address: Hashable = None) -> SignedIn:
        """Return the new tokens. `address` is the caller's network address, if known.

        An unknown e-mail address, a wrong password, an account without one and a disabled account look alike and take
        the same time.

        Raises: InvalidRequest, WrongCredentials, Unavailable.
        """
        kept = checked(structs.asdict(credentials), LOGIN_RULES)
        # Attempts use a share of address and account together, so a stranger cannot use up the account's own.
        asker = Asker((kept["email"], address), network_of(address))
        for _ in range(_ATTEMPTS):
            user = await self._storage.account_queries.user_by_email(kept["email"])
            is_right = await self._hasher.verify(kept["password"], user.password_hash if user else None, asker)
            if user is None or user.password_hash is None or not is_right or not user.may_sign_in:
                raise WrongCredentials
            signed_in = await self._start(user, await self._better_hash(user.password_hash, kept["password"], asker))
            if signed_in is not None:
                return signed_in
        raise Unavailable("The account is being changed; try again in a moment.")

    async def _better_hash(self, password_hash: str, password: str, asker: Asker) -> str:
        """Return a new hash if the old one is outdated and the hasher has room, otherwise the old one."""
        if not self._hasher.is_outdated(password_hash):
            return password_hash
        try:
            return await self._hasher.hash(password, asker)
        except Unavailable:
            return password_hash

    async def _start(self, user: User, password_hash: str) -> SignedIn | None:
        """Start a session; return None if the account changed after its password was verified."""
        now = self._clock.now()

        async def start(unit_of_work: UnitOfWork) -> SignedIn | None:
            # The lock makes a concurrent password change see this session.
            locked = await unit_of_work.users.lock(user.id)
            if locked is None or not locked.may_sign_in:
                return None
            if locked.password_hash not in (user.password_hash, password_hash):
                return None
            if locked.password_hash != password_hash:
                await unit_of_work.users.save(structs.replace(locked, password_hash=password_hash))
            # New ids for each attempt: after an unknown outcome the first session may exist already.
            refresh_token = self._refresh_tokens.first()
            session = Session(id=self._ids.new(), user_id=user.id, created_at=now, expires_at=now + SESSION_LIFETIME)
            await unit_of_work.users.add_session(session, refresh_token.digests, now)
            return SignedIn(self._tokens.issue(Claims(user.id, session.id, locked.role), now), refresh_token.text)

        return await in_transaction(self._storage, start)
