"""Sign in."""

from datetime import timedelta

from msgspec import Struct, structs

from ..domain.fields import checked
from ..domain.refusals import WrongCredentials
from ..domain.user import LOGIN_RULES, Session
from .ports import Claims, Clock, Ids, PasswordHasher, Storage, Token, Tokens, UnitOfWork
from .transaction import in_transaction


class Credentials(Struct, frozen=True, kw_only=True):
    """What somebody says to sign in."""

    email: str
    password: str


class LogIn:
    """Sign in: start a session and issue its access token."""

    def __init__(self, storage: Storage, hasher: PasswordHasher, tokens: Tokens, clock: Clock, ids: Ids) -> None:
        self._storage = storage
        self._hasher = hasher
        self._tokens = tokens
        self._clock = clock
        self._ids = ids

    async def __call__(self, credentials: Credentials) -> Token:
        """An unknown e-mail and a wrong password look alike and take the same time.

        Raises: InvalidRequest, WrongCredentials, Unavailable.
        """
        kept = checked(structs.asdict(credentials), LOGIN_RULES)
        user = await self._storage.reads.user_by_email(kept["email"])
        is_right = await self._hasher.verify(kept["password"], user.password_hash if user else None)
        if user is None or not is_right:
            raise WrongCredentials
        now = self._clock.now()

        async def start(unit_of_work: UnitOfWork) -> Session:
            # With an id of its own at each attempt: after an unknown outcome the first one may be there already.
            session = Session(
                id=self._ids.new(),
                user_id=user.id,
                created_at=now,
                expires_at=now + timedelta(seconds=self._tokens.lifetime),
            )
            # The account's lock keeps a password change from missing a session that starts beside it.
            locked = await unit_of_work.users.lock(user.id)
            if locked is None or locked.password_hash != user.password_hash:
                raise WrongCredentials
            await unit_of_work.users.add_session(session, now)
            return session

        session = await in_transaction(self._storage, start)
        return self._tokens.issue(Claims(user.id, session.id), now)
