"""Sign in."""

from collections.abc import Hashable
from datetime import timedelta

from msgspec import Struct, structs

from ...domain.refusals import WrongCredentials
from ...domain.user import LOGIN_RULES, Session, User
from ...domain.values.addresses import spellings
from ...domain.values.fields import checked
from ..limits.networks import network_of
from ..ports.errors import Unavailable
from ..ports.security import Asker, Claims, PasswordHasher, RefreshTokens, Token, Tokens
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction

SESSION_LIFETIME = timedelta(days=30)
"""How long a session lasts from its start, or from the last time that its refresh token was used."""

_LOOKS = 3
"""Times that a password is held against the account, when that is changed meanwhile."""


class Credentials(Struct, frozen=True, kw_only=True):
    """What somebody says to sign in."""

    email: str
    password: str


class SignedIn(Struct, frozen=True):
    """What whoever signed in gets: an access token, and the refresh token that gets the next one, once."""

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
        """An unknown e-mail, a wrong password and a disabled account look alike and take the same time.

        `address` is the network address that asks, if it is known.

        Raises: InvalidRequest, WrongCredentials, Unavailable.
        """
        kept = checked(structs.asdict(credentials), LOGIN_RULES)
        # A stranger's attempts use up a share of their own, not that of the account.
        asker = Asker((spellings(kept["email"])[-1], address), network_of(address))
        for _ in range(_LOOKS):
            user = await self._find(kept["email"])
            is_right = await self._hasher.verify(kept["password"], user.password_hash if user else None, asker)
            if user is None or not is_right or user.disabled_at is not None:
                raise WrongCredentials
            signed_in = await self._start(user, await self._better_hash(user, kept["password"], asker))
            if signed_in is not None:
                return signed_in
        raise Unavailable("The account is being changed; try again in a moment.")

    async def _find(self, typed: str) -> User | None:
        for address in spellings(typed):
            user = await self._storage.account_queries.user_by_email(address)
            if user is not None:
                return user
        return None

    async def _better_hash(self, user: User, password: str, asker: Asker) -> str:
        """The password kept as today's are. The old hash where it is good, or where too many others wait."""
        if not self._hasher.is_outdated(user.password_hash):
            return user.password_hash
        try:
            return await self._hasher.hash(password, asker)
        except Unavailable:
            return user.password_hash

    async def _start(self, user: User, password_hash: str) -> SignedIn | None:
        """None when the account is not what it was when its password was verified."""
        now = self._clock.now()

        async def start(unit_of_work: UnitOfWork) -> SignedIn | None:
            # The account's lock keeps a password change from missing a session that starts beside it.
            locked = await unit_of_work.users.lock(user.id)
            if locked is None or locked.disabled_at is not None:
                return None
            if locked.password_hash not in (user.password_hash, password_hash):
                return None
            if locked.password_hash != password_hash:
                await unit_of_work.users.save(structs.replace(locked, password_hash=password_hash))
            # Made anew at each attempt: after an unknown outcome the first session may be there already.
            refresh_token = self._refresh_tokens.first()
            session = Session(id=self._ids.new(), user_id=user.id, created_at=now, expires_at=now + SESSION_LIFETIME)
            await unit_of_work.users.add_session(session, refresh_token.digests, now)
            return SignedIn(self._tokens.issue(Claims(user.id, session.id, locked.role), now), refresh_token.text)

        return await in_transaction(self._storage, start)
