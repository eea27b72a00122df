"""Read and change the caller's own account."""

from collections.abc import Hashable
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ...domain.event import given
from ...domain.refusals import InvalidToken, NotAllowed, invalid
from ...domain.user import PROFILE_RULES, User
from ...domain.values.fields import checked
from ..limits.networks import network_of
from ..ports.queries import AccountQueries
from ..ports.security import AccountKey, Asker, Claims, KnownPasswords, PasswordHasher
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .create_user import check_not_known
from .login_throttle import FailedLogins
from .prove_password import ProvePassword


class ProfileChanges(Struct, frozen=True, kw_only=True):
    """Changes of an account; UNSET fields stay as they are."""

    name: str | UnsetType = UNSET
    current_password: str | UnsetType = UNSET
    new_password: str | UnsetType = UNSET


class ReadProfile:
    """Read the caller's own account."""

    def __init__(self, accounts: AccountQueries) -> None:
        self._accounts = accounts

    async def __call__(self, user_id: UUID) -> User:
        """Return the account. Raises: InvalidToken if it does not exist, Unavailable."""
        key = AccountKey(user_id)
        account = (await self._accounts.accounts([key])).get(key)
        if account is None:
            raise InvalidToken
        return account.user


class ChangeProfile:
    """Change the caller's name or password; a new password ends every other session."""

    def __init__(
        self,
        storage: Storage,
        hasher: PasswordHasher,
        known_passwords: KnownPasswords,
        clock: Clock,
        failed_logins: FailedLogins | None = None,
    ) -> None:
        """Without `failed_logins`, attempts at the current password are not limited."""
        self._storage = storage
        self._hasher = hasher
        self._prove_password = ProvePassword(storage.account_queries, hasher, failed_logins)
        self._known_passwords = known_passwords
        self._clock = clock

    async def __call__(self, claims: Claims, changes: ProfileChanges, address: Hashable = None) -> User:
        """Return the changed account. `address` is the caller's network address, if known.

        Raises: InvalidRequest, NotAllowed for a wrong current password, TooManyRequests after too many of them,
        InvalidToken, Unavailable.
        """
        kept = checked(given(changes), PROFILE_RULES)
        if not kept:
            raise invalid("must contain a new name, or the current and the new password")
        new_password = kept.get("new_password")
        if new_password is not None:
            if "current_password" not in kept:
                raise invalid("is needed for a new password", "current_password")
            check_not_known(self._known_passwords, new_password, "new_password")
        tried = kept.get("current_password")
        # The hash against which the current password was verified.
        proven = None if tried is None else (await self._prove_password(claims.user_id, tried, address)).password_hash
        asker = Asker(claims.user_id, network_of(address))
        new_hash = None if new_password is None else await self._hasher.hash(new_password, asker)

        async def change(unit_of_work: UnitOfWork) -> User:
            user = await unit_of_work.users.lock(claims.user_id)
            if user is None:
                raise InvalidToken
            if new_hash is not None and user.password_hash not in (proven, new_hash):
                raise NotAllowed("The password was changed meanwhile; try again.")
            changed = replace(user, name=kept.get("name", user.name), password_hash=new_hash or user.password_hash)
            await unit_of_work.users.save(changed)
            if new_hash is not None:
                await unit_of_work.users.end_sessions(user.id, self._clock.now(), but=claims.session_id)
            return changed

        return await in_transaction(self._storage, change)
