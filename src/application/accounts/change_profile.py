"""Read and change the caller's own account."""

from collections.abc import Hashable
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from ...domain.policy import PersonalRight
from ...domain.refusals import InvalidToken, MailNotConfigured, NotAllowed, invalid
from ...domain.user import PROFILE_RULES, User
from ...domain.values.fields import checked, given
from ...domain.verification import Link, LinkPurpose, change_address
from ..limits.networks import network_of
from ..ports.queries import AccountQueries
from ..ports.security import AccountKey, Asker, KnownPasswords, PasswordHasher
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .authenticate import Caller
from .create_user import check_not_known
from .link_mails import LinkMails
from .login_throttle import FailedLogins
from .prove_password import ProvePassword


class ProfileChanges(Struct, frozen=True, kw_only=True):
    """Changes of an account; UNSET fields stay as they are."""

    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
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
        if account is None or account.user.erased_at is not None:
            raise InvalidToken
        return account.user


class ChangeProfile:
    """Change the caller's name, address or password.

    A new address is pending until it is verified. A new password ends every other session.
    """

    def __init__(
        self,
        storage: Storage,
        hasher: PasswordHasher,
        known_passwords: KnownPasswords,
        mails: LinkMails,
        clock: Clock,
        failed_logins: FailedLogins | None = None,
    ) -> None:
        """Without `failed_logins`, attempts at the current password are not limited."""
        self._storage = storage
        self._hasher = hasher
        self._prove_password = ProvePassword(storage.account_queries, hasher, failed_logins)
        self._known_passwords = known_passwords
        self._mails = mails
        self._clock = clock

    async def __call__(self, caller: Caller, changes: ProfileChanges, address: Hashable = None) -> User:
        """Return the changed account. `address` is the caller's network address, if known.

        A new address gets a mail with a link, within its limit, and makes links to an earlier pending one dead.

        Raises: InvalidRequest, NotAllowed for a wrong current password, TooManyRequests after too many of them,
        InvalidToken, EmailTaken if another account has verified the new address, MailNotConfigured for a new address if
        the service sends no mails, Unavailable.
        """
        user_id = caller.actor.user_id
        kept = checked(given(changes), PROFILE_RULES)
        if not kept:
            raise invalid("must contain a new name, or the current password with a new password or address")
        new_password, email = kept.get("new_password"), kept.get("email")
        if "current_password" not in kept and (new_password is not None or email is not None):
            raise invalid("is needed for a new password or address", "current_password")
        if new_password is not None:
            check_not_known(self._known_passwords, new_password, "new_password")
        caller.actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)
        tried = kept.get("current_password")
        # The hash against which the current password was verified.
        proven = None if tried is None else (await self._prove_password(user_id, tried, address)).password_hash
        asker = Asker(user_id, network_of(address))
        new_hash = None if new_password is None else await self._hasher.hash(new_password, asker)
        now = self._clock.now()
        link = None if email is None else self._mails.link_of(user_id, email, LinkPurpose.VERIFY, now)

        async def change(unit_of_work: UnitOfWork) -> User:
            holder = None if link is None else await self._lock_holder(unit_of_work, link.email)
            user = await unit_of_work.users.lock(user_id)
            if user is None or not user.may_sign_in:
                raise InvalidToken
            if proven is not None and user.password_hash not in (proven, new_hash):
                raise NotAllowed("The password was changed meanwhile; try again.")
            changed = replace(user, name=kept.get("name", user.name), password_hash=new_hash or user.password_hash)
            if link is not None:
                changed = await self._change_address(unit_of_work, changed, link, holder)
            await unit_of_work.users.save(changed)
            if new_hash is not None:
                await unit_of_work.users.end_sessions(user.id, now, but=caller.session_id)
                await unit_of_work.links.remove_of(user.id, purpose=LinkPurpose.RESET)
            return changed

        return await in_transaction(self._storage, change)

    async def _lock_holder(self, unit_of_work: UnitOfWork, address: str) -> User | None:
        await self._mails.lock(unit_of_work, address)
        return await unit_of_work.users.lock_by_email(address)

    async def _change_address(self, unit_of_work: UnitOfWork, user: User, link: Link, holder: User | None) -> User:
        """Return the account with its new pending address, and queue the mail there."""
        changed = change_address(user, link.email, holder)
        if not self._mails.are_sent:
            raise MailNotConfigured
        if user.pending_email not in (None, changed.pending_email):
            await unit_of_work.links.remove_of(user.id, email=user.pending_email)
        # After an unknown outcome the mail may be queued already.
        if changed.pending_email is not None and await unit_of_work.links.link(link.id) is None:
            await self._mails.queue(unit_of_work, link)
        return changed
