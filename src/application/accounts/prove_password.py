"""Verify the password of a signed-in user."""

from collections.abc import Hashable
from uuid import UUID

from ...domain.refusals import InvalidToken, NotAllowed
from ...domain.user import User
from ..limits.networks import network_of
from ..ports.queries import AccountQueries
from ..ports.security import AccountKey, Asker, PasswordHasher
from .login_throttle import FailedLogins, subjects_of


class ProvePassword:
    """Verify an account's password; failures count like failed sign-ins. Without `failed_logins` none count."""

    def __init__(self, accounts: AccountQueries, hasher: PasswordHasher, failed_logins: FailedLogins | None) -> None:
        self._accounts = accounts
        self._hasher = hasher
        self._failed_logins = failed_logins

    async def __call__(self, user_id: UUID, password: str, address: Hashable = None) -> User:
        """Return the account with the hash that was verified. `address` is the caller's network address, if known.

        Raises: NotAllowed for a wrong password, TooManyRequests, InvalidToken if the account is gone, Unavailable.
        """
        key = AccountKey(user_id)
        account = (await self._accounts.accounts([key])).get(key)
        if account is None or account.user.erased_at is not None:
            raise InvalidToken
        user = account.user
        subjects = subjects_of(user.email or user.id, address)
        if self._failed_logins is not None:
            self._failed_logins.check(subjects)
        is_right = await self._hasher.verify(password, user.password_hash, Asker(user_id, network_of(address)))
        if self._failed_logins is not None:
            await self._failed_logins.judge(subjects, was_right=is_right)
        if not is_right:
            raise NotAllowed("The current password is wrong.")
        return user
