"""Book for another person, as at a desk, and make an account for one who has none."""

from uuid import UUID

from msgspec import Struct, structs

from ...domain.booking import Booking
from ...domain.decisions.book import Book, Complimentary, OtherCustomer, book
from ...domain.user import PERSON_RULES, Actor, User
from ...domain.values.fields import checked
from ...domain.verification import LinkPurpose
from ..accounts.link_mails import LinkMails
from ..duties import Duties
from ..limits.allowances import Allowance
from ..ports.errors import Conflict
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..ports.queries import AccountQueries
from ..ports.storage import UnitOfWork
from ..ports.system import Clock, Ids
from ..turnstile.pending_command import RecordAlso, outcome
from ..turnstile.turnstile import Turnstile


class Person(Struct, frozen=True, kw_only=True):
    """A person's name, and the address that identifies their account."""

    name: str
    email: str


class BookingForOther(Struct, frozen=True, kw_only=True):
    """A booking for `person`; the other values as in `Book`."""

    booking_id: UUID
    event_id: UUID
    actor: Actor
    person: Person
    quantity: int = 1
    ticket_type_id: UUID | None = None
    only_if_available: bool = False
    complimentary: Complimentary | None = None


class BookForOther:
    """Book for another person: the booking, its limits and its mails are those of their account.

    An account that holds the address keeps its name. Otherwise one without a password is made in the transaction of the
    booking, so a refused booking makes none; where the service sends mails, one verifies the address.
    """

    def __init__(
        self,
        turnstile: Turnstile,
        accounts: AccountQueries,
        duties: Duties,
        mails: LinkMails,
        clock: Clock,
        ids: Ids,
        allowance: Allowance | None = None,
    ) -> None:
        """`allowance` bounds the accounts that a user makes by this."""
        self._turnstile = turnstile
        self._accounts = accounts
        self._duties = duties
        self._mails = mails
        self._clock = clock
        self._ids = ids
        self._allowance = allowance

    async def __call__(self, wanted: BookingForOther, idempotent: IdempotentRequest[Booking] | None = None) -> Booking:
        """Return the booking. A key belongs to the actor.

        Raises: InvalidRequest, TooManyRequests beyond the allowance, what `book` refuses, Unavailable; with
        `idempotent` also Replayed, IdempotencyKeyReused.
        """
        person = structs.replace(wanted.person, **checked(structs.asdict(wanted.person), PERSON_RULES))
        actor = await self._duties(wanted.actor, wanted.event_id)
        known = structs.replace(wanted, actor=actor, person=person)
        try:
            return await self._book(known, idempotent)
        except Conflict:
            # Another transaction has made an account with this address meanwhile.
            return await self._book(known, idempotent)

    async def _book(self, wanted: BookingForOther, idempotent: IdempotentRequest[Booking] | None) -> Booking:
        customer, new_user = await self._find_customer(wanted)
        command = Book(
            booking_id=wanted.booking_id,
            event_id=wanted.event_id,
            actor=wanted.actor,
            quantity=wanted.quantity,
            ticket_type_id=wanted.ticket_type_id,
            only_if_available=wanted.only_if_available,
            on_behalf_of=customer,
            complimentary=wanted.complimentary,
        )
        needs = LoadSpec(event_id=command.event_id, customer_id=command.customer_id)
        request = idempotent.bind(outcome) if idempotent else None
        record_also = None if new_user is None else self._adding(new_user, wanted.person.email)
        booking = outcome(await self._turnstile.admit(command, needs, book, request, record_also))
        if new_user is not None and self._allowance is not None:
            self._allowance.use(wanted.actor.user_id, 1, new_user.created_at)
        return booking

    async def _find_customer(self, wanted: BookingForOther) -> tuple[OtherCustomer, User | None]:
        """Return the person's account; one that does not exist yet is also returned as a user to add."""
        user = await self._accounts.user_by_email(wanted.person.email)
        if user is not None:
            return OtherCustomer(user.id, is_disabled=not user.may_sign_in), None
        now = self._clock.now()
        if self._allowance is not None:
            self._allowance.check(wanted.actor.user_id, now)
        new_user = User(
            id=self._ids.new(),
            name=wanted.person.name,
            email=wanted.person.email,
            password_hash=None,
            created_at=now,
        )
        return OtherCustomer(new_user.id), new_user

    def _adding(self, user: User, address: str) -> RecordAlso:
        link = self._mails.link_of(user.id, address, LinkPurpose.VERIFY, user.created_at)

        async def add(unit_of_work: UnitOfWork) -> None:
            await self._mails.lock(unit_of_work, address)
            if await unit_of_work.users.lock_by_email(address) is not None:
                raise Conflict
            await unit_of_work.users.add(user)
            await self._mails.queue(unit_of_work, link)

        return add
