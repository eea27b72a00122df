"""Create an account."""

from collections.abc import Hashable

from msgspec import Struct, structs

from ...domain.refusals import EmailTaken, invalid
from ...domain.user import REGISTRATION_RULES, User
from ...domain.values.fields import checked
from ...domain.verification import LinkPurpose, may_hold
from ..limits.networks import network_of
from ..ports.errors import Conflict
from ..ports.security import Asker, KnownPasswords, PasswordHasher
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction
from .link_mails import LinkMails


class Registration(Struct, frozen=True, kw_only=True):
    """The values of a new account."""

    name: str
    email: str
    password: str


class CreateUser:
    """Create an account; everyone starts as a customer. Where the service sends mails, one verifies the address."""

    def __init__(
        self,
        storage: Storage,
        hasher: PasswordHasher,
        known_passwords: KnownPasswords,
        clock: Clock,
        ids: Ids,
        mails: LinkMails,
    ) -> None:
        self._storage = storage
        self._mails = mails
        self._hasher = hasher
        self._known_passwords = known_passwords
        self._clock = clock
        self._ids = ids

    async def __call__(self, registration: Registration, address: Hashable = None) -> User:
        """Return the new account. `address` is the caller's network address, if known.

        If another account holds the e-mail address without having verified it, the new account exists once it has
        verified the address; until then the result looks the same.

        Raises: InvalidRequest, EmailTaken, Unavailable.
        """
        kept = checked(structs.asdict(registration), REGISTRATION_RULES)
        check_not_known(self._known_passwords, kept["password"], "password")
        asker = Asker((kept["email"], address), network_of(address))
        user = User(
            id=self._ids.new(),
            name=kept["name"],
            email=kept["email"],
            password_hash=await self._hasher.hash(kept["password"], asker),
            created_at=self._clock.now(),
        )
        link = self._mails.link_of(user.id, kept["email"], LinkPurpose.VERIFY, user.created_at)

        async def add(unit_of_work: UnitOfWork) -> None:
            await self._mails.lock(unit_of_work, kept["email"])
            holder = await unit_of_work.users.lock_by_email(kept["email"])
            # After an unknown outcome it may exist already.
            if (holder and holder.id) == user.id or await unit_of_work.links.claim(user.id) is not None:
                return
            if may_hold(holder, can_verify=self._mails.are_sent):
                await unit_of_work.users.add(user)
                await self._mails.queue(unit_of_work, link)
            # Without its mail a claim can never become an account, so it is not kept.
            elif await self._mails.queue(unit_of_work, link):
                await unit_of_work.links.add_claim(user)

        try:
            await in_transaction(self._storage, add)
        except Conflict:
            raise EmailTaken from None
        return user


def check_not_known(known_passwords: KnownPasswords, password: str, field: str) -> None:
    """Raise InvalidRequest for a well-known password (NIST SP 800-63B, 5.1.1.2)."""
    if known_passwords.contains(password):
        raise invalid("is too well known; choose another one", field)
