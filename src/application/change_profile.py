"""See and change one's own account."""

from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ..domain.event import given
from ..domain.fields import checked
from ..domain.refusals import InvalidToken, NotAllowed, invalid
from ..domain.user import PROFILE_RULES, User
from .create_user import check_not_known
from .ports import Account, AccountKey, Claims, Clock, KnownPasswords, PasswordHasher, Reads, Storage, UnitOfWork
from .transaction import in_transaction


class ProfileChanges(Struct, frozen=True, kw_only=True):
    """What shall be different about one's account; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    current_password: str | UnsetType = UNSET
    new_password: str | UnsetType = UNSET


class ReadProfile:
    """See one's own account."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def __call__(self, user_id: UUID) -> User:
        """Raises: InvalidToken when the account is gone, Unavailable."""
        account = await _account(self._reads, user_id)
        if account is None:
            raise InvalidToken
        return account.user


class ChangeProfile:
    """Change one's own name or password; a new password ends every other session."""

    def __init__(self, storage: Storage, hasher: PasswordHasher, known_passwords: KnownPasswords, clock: Clock) -> None:
        self._storage = storage
        self._hasher = hasher
        self._known_passwords = known_passwords
        self._clock = clock

    async def __call__(self, claims: Claims, changes: ProfileChanges) -> User:
        """Raises: InvalidRequest, NotAllowed for a wrong current password, InvalidToken, Unavailable."""
        kept = checked(given(changes), PROFILE_RULES)
        if not kept:
            raise invalid("must name at least one of name, currentPassword and newPassword")
        new_password = kept.get("new_password")
        if new_password is not None:
            if "current_password" not in kept:
                raise invalid("is needed for a new password", "current_password")
            check_not_known(self._known_passwords, new_password, "new_password")
        proven = await self._prove(claims.user_id, kept.get("current_password"))
        new_hash = None if new_password is None else await self._hasher.hash(new_password)

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

    async def _prove(self, user_id: UUID, password: str | None) -> str | None:
        """The hash that the current password was held against."""
        if password is None:
            return None
        account = await _account(self._storage.reads, user_id)
        if account is None:
            raise InvalidToken
        if not await self._hasher.verify(password, account.user.password_hash):
            raise NotAllowed("The current password is wrong.")
        return account.user.password_hash


async def _account(reads: Reads, user_id: UUID) -> Account | None:
    key = AccountKey(user_id)
    return (await reads.accounts([key])).get(key)
