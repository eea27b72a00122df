"""Forgotten passwords: ask for the mail with a link, make a link without a mail, and use the link."""

from collections.abc import Hashable

from msgspec.structs import replace

from ...domain.refusals import MailNotConfigured, NotAllowed, NotFound
from ...domain.user import LOGIN_RULES, User
from ...domain.values.fields import checked
from ...domain.verification import RESET_RULES, LinkPurpose, check_link, reset_password
from ..limits.networks import network_of
from ..ports.security import Asker, KnownPasswords, LinkTokens, PasswordHasher
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .create_user import check_not_known
from .link_mails import LinkMails


class RequestPasswordReset:
    """Send a mail with a link that sets a new password."""

    def __init__(self, storage: Storage, mails: LinkMails, clock: Clock) -> None:
        self._storage = storage
        self._mails = mails
        self._clock = clock

    async def __call__(self, email: str) -> None:
        """Queue the mail, if an account with this address may get it and within the address's limit.

        The work is the same otherwise, so it does not reveal whether there is such an account.

        Raises: InvalidRequest, MailNotConfigured, Unavailable.
        """
        address = checked({"email": email}, LOGIN_RULES)["email"]
        if not self._mails.are_sent:
            raise MailNotConfigured
        link = self._mails.link_of(None, address, LinkPurpose.RESET, self._clock.now())

        async def queue(unit_of_work: UnitOfWork) -> None:
            await self._mails.lock(unit_of_work, address)
            # Under the locks, so that no link is added to an account that is just being erased.
            user = await unit_of_work.users.lock_by_email(address)
            user_id = link.user_id if user is None or user.address_for_reset is None else user.id
            # After an unknown outcome it may exist already.
            if await unit_of_work.links.link(link.id) is None:
                await self._mails.queue(unit_of_work, replace(link, user_id=user_id))

        await in_transaction(self._storage, queue)


class ResetPassword:
    """Set a new password by the token of a link."""

    def __init__(
        self,
        storage: Storage,
        hasher: PasswordHasher,
        known_passwords: KnownPasswords,
        tokens: LinkTokens,
        mails: LinkMails,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._hasher = hasher
        self._known_passwords = known_passwords
        self._tokens = tokens
        self._mails = mails
        self._clock = clock

    async def __call__(self, token: str, new_password: str, address: Hashable = None) -> User:
        """Return the account. Every session ends, and the API keys and all other links of the account are dead.

        A password that is refused does not use up the link. `address` is the caller's network address, if known.

        Raises: InvalidRequest, LinkExpired, Unavailable.
        """
        kept = checked({"token": token, "new_password": new_password}, RESET_RULES)
        check_not_known(self._known_passwords, kept["new_password"], "new_password")
        now = self._clock.now()
        link_id = self._tokens.read(kept["token"])
        stored = None if link_id is None else await self._storage.notification_queries.link(link_id)
        # Before the slow hashing, which only links that work may cause.
        found = check_link(stored, LinkPurpose.RESET, now)
        password_hash = await self._hasher.hash(
            kept["new_password"], Asker((found.email, address), network_of(address))
        )
        tried: list[User] = []

        async def use(unit_of_work: UnitOfWork) -> User:
            await self._mails.lock(unit_of_work, found.email)
            link = await unit_of_work.links.link(found.id)
            user = await unit_of_work.users.lock(found.user_id)
            if user is not None and user in tried:
                # After an unknown outcome it was set by this call.
                return user
            changed = reset_password(link, user, password_hash, now)
            await unit_of_work.users.save(changed)
            await unit_of_work.users.end_sessions(changed.id, now, but=None)
            await unit_of_work.api_keys.remove_of(changed.id)
            await unit_of_work.links.remove_of(changed.id)
            tried.append(changed)
            return changed

        return await in_transaction(self._storage, use)


class MakeResetLink:
    """Make a link that sets a new password, without a mail. Only operators can do this."""

    def __init__(self, storage: Storage, tokens: LinkTokens, mails: LinkMails, clock: Clock) -> None:
        self._storage = storage
        self._tokens = tokens
        self._mails = mails
        self._clock = clock

    async def __call__(self, email: str) -> str:
        """Return the link's token. Raises: InvalidRequest, NotFound, NotAllowed if it is disabled, Unavailable."""
        address = checked({"email": email}, LOGIN_RULES)["email"]
        link = self._mails.link_of(None, address, LinkPurpose.RESET, self._clock.now()).has_left()

        async def add(unit_of_work: UnitOfWork) -> None:
            await self._mails.lock(unit_of_work, address)
            user = await unit_of_work.users.lock_by_email(address)
            if user is None:
                raise NotFound("No account has this e-mail address.")
            if not user.may_sign_in:
                raise NotAllowed("The account is disabled; enable it first.")
            # After an unknown outcome it may exist already.
            if await unit_of_work.links.link(link.id) is None:
                await unit_of_work.links.add(replace(link, user_id=user.id))

        await in_transaction(self._storage, add)
        return self._tokens.text(link.id)
