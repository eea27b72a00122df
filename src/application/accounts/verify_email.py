"""Verify e-mail addresses: ask for the mail with a link, and use the link."""

from ...domain.policy import PersonalRight
from ...domain.refusals import InvalidToken, LinkExpired, MailNotConfigured, NotFound
from ...domain.user import LOGIN_RULES, Actor, User
from ...domain.values.fields import checked
from ...domain.verification import LINK_RULES, LinkPurpose, verify
from ..idempotent_transaction import check_is_first, store_response
from ..ports.errors import Conflict
from ..ports.idempotency import IdempotentRequest
from ..ports.security import AccountKey, LinkTokens
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .link_mails import LinkMails


class RequestVerification:
    """Send the mail that verifies the caller's address again."""

    def __init__(self, storage: Storage, mails: LinkMails, clock: Clock) -> None:
        self._storage = storage
        self._mails = mails
        self._clock = clock

    async def __call__(self, actor: Actor, idempotent: IdempotentRequest[User] | None = None) -> User:
        """Queue the mail and return the account; queue none without an address to verify or beyond its limit.

        Raises: NotAllowed, MailNotConfigured, InvalidToken, Unavailable; with `idempotent` also Replayed,
        IdempotencyKeyReused.
        """
        actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)
        if not self._mails.are_sent:
            raise MailNotConfigured
        key = AccountKey(actor.user_id)
        account = (await self._storage.account_queries.accounts([key])).get(key)
        if account is None:
            raise InvalidToken
        address = account.user.address_to_verify
        now = self._clock.now()
        asker = account.user
        link = None if address is None else self._mails.link_of(asker.id, address, LinkPurpose.VERIFY, now)

        async def queue(unit_of_work: UnitOfWork) -> None:
            if link is not None:
                await self._mails.lock(unit_of_work, link.email)
            user = await unit_of_work.users.lock(actor.user_id)
            if idempotent is not None:
                await check_is_first(unit_of_work, idempotent)
                await store_response(unit_of_work, idempotent, asker, now)
            elif link is not None and await unit_of_work.links.link(link.id) is not None:
                # After an unknown outcome the row may exist already.
                return
            if link is not None and user is not None and user.address_to_verify == link.email:
                await self._mails.queue(unit_of_work, link)

        try:
            await in_transaction(self._storage, queue)
        except Conflict:
            # A concurrent request had the same key and has stored its response.
            await in_transaction(self._storage, queue)
        return asker


class VerifyEmail:
    """Verify an address by the token of a link that was sent there."""

    def __init__(self, storage: Storage, tokens: LinkTokens, mails: LinkMails, clock: Clock) -> None:
        self._storage = storage
        self._tokens = tokens
        self._mails = mails
        self._clock = clock

    async def __call__(self, token: str) -> User:
        """Return the account, whose address is verified. It takes the address from one that never verified it.

        A registration takes over an account without a password, with its bookings: a desk made it for that person.

        A pending address replaces the account's own, whose links are dead then; a mail tells the former address.

        Raises: InvalidRequest, LinkExpired, EmailTaken, Unavailable.
        """
        link_id = self._tokens.read(checked({"token": token}, LINK_RULES)["token"])
        found = None if link_id is None else await self._storage.notification_queries.link(link_id)
        if found is None:
            raise LinkExpired
        now = self._clock.now()
        tried: list[User] = []

        async def use(unit_of_work: UnitOfWork) -> User:
            await self._mails.lock(unit_of_work, found.email)
            # Others may have used it during the wait for the lock.
            link = await unit_of_work.links.link(found.id)
            holder = await unit_of_work.users.lock_by_email(found.email)
            account = await unit_of_work.users.lock(found.user_id)
            claim = await unit_of_work.links.claim(found.user_id)
            for each in (account, holder):
                if each is not None and each in tried:
                    # After an unknown outcome it was verified by this call.
                    return each
            verification = verify(link, account or claim, holder, now, is_claim=account is None)
            if verification.loser is not None:
                await unit_of_work.users.save(verification.loser)
                await unit_of_work.links.remove_of(verification.loser.id, email=found.email)
            if verification.user.id in {each.id for each in (account, holder) if each is not None}:
                await unit_of_work.users.save(verification.user)
            else:
                await unit_of_work.users.add(verification.user)
            if account is None:
                await unit_of_work.links.remove_claim(found.user_id)
            await unit_of_work.links.remove(found.id)
            if verification.replaced is not None:
                await unit_of_work.links.remove_of(verification.user.id, email=verification.replaced)
            if verification.told is not None:
                told = self._mails.link_of(verification.user.id, verification.told, LinkPurpose.REPLACED, now)
                await self._mails.queue(unit_of_work, told)
            tried.append(verification.user)
            return verification.user

        return await in_transaction(self._storage, use)


class MarkVerified:
    """Mark an account's address as verified without a mail. Only operators can do this."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, email: str) -> User:
        """Return the account. Raises: InvalidRequest, NotFound, Unavailable."""
        address = checked({"email": email}, LOGIN_RULES)["email"]

        async def mark(unit_of_work: UnitOfWork) -> User:
            user = await unit_of_work.users.lock_by_email(address)
            if user is None:
                raise NotFound("No account has this e-mail address.")
            verified = user.with_verified_address(self._clock.now())
            await unit_of_work.users.save(verified)
            return verified

        return await in_transaction(self._storage, mark)
