"""A box office on the in-memory storage, with fakes for the clock, ids, tokens, passwords and the payment provider."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from boxoffice.adapters.memory import MemoryStorage, Step
from boxoffice.adapters.memory.tables import Tables
from boxoffice.adapters.memory.unit_of_work import MemoryUnitOfWork
from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.accounts.link_mails import LinkMails
from boxoffice.application.api_keys.key_uses import KeyUses
from boxoffice.application.api_keys.known_keys import KnownKeys
from boxoffice.application.api_keys.use_api_key import UseApiKey
from boxoffice.application.background.number_tickets import NumberTickets
from boxoffice.application.background.review_accounts import ReviewAccounts
from boxoffice.application.background.seal_code_keys import SealCodeKeys
from boxoffice.application.background.sweep import CompletePayments, ContinueErasures, ExpireHolds, Sweep
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.bookings.attendees import ExportAttendees, ListAttendees
from boxoffice.application.bookings.book_ticket import BookTicket
from boxoffice.application.bookings.cancel_booking import CancelBooking, Cancellation
from boxoffice.application.bookings.give_back_tickets import GiveBackTickets
from boxoffice.application.bookings.pay_booking import Bill, PayBooking
from boxoffice.application.bookings.promote_from_waitlist import PromoteFromWaitlist, ResumeUnsettled
from boxoffice.application.bookings.queries import ListEventBookings, ReadBooking, ReadWaitingList
from boxoffice.application.bookings.review_account import ReviewAccount
from boxoffice.application.door.queries import ListConflicts, ReadDoorList
from boxoffice.application.door.record_check_ins import RecordCheckIns
from boxoffice.application.door.undo_check_in import UndoCheckIn
from boxoffice.application.duties import Duties
from boxoffice.application.events.change_event import ChangeEvent
from boxoffice.application.events.commit_to_draw import CommitToDraw
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.events.queries import ReadChanges, ReadEvent
from boxoffice.application.payments.grant_refund import GrantPartialRefund
from boxoffice.application.payments.record_notice import RecordPaymentNotice
from boxoffice.application.payments.settle_refund import SettleRefundByHand
from boxoffice.application.personal_data.finish_erasure import FinishErasure
from boxoffice.application.ports.accounts.api_keys import KeyText
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Response
from boxoffice.application.ports.observability import BatchStats, Overload, Trouble
from boxoffice.application.ports.payments import ChargeReply, GatewaySilent
from boxoffice.application.ports.security import Asker, Claims, RefreshDigests, RefreshToken, Token
from boxoffice.application.ports.storage import Storage
from boxoffice.application.ports.system import Clock, Ids
from boxoffice.application.tickets.list_tickets import ListTickets, ShowTickets
from boxoffice.application.tickets.name_ticket import NameTicket
from boxoffice.application.tickets.ticket_codes import TicketCodes
from boxoffice.application.turnstile.command_queue import MOST_WAITING, Bounds
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.application.webhooks.delete_webhook import DeleteWebhook
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import Edit, EventChanges, Initialize, general_admission
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.event import EventDetails, EventStatus
from boxoffice.domain.facts import Fact
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.refusals import InvalidToken
from boxoffice.domain.tickets.ticket_type import EventState, TicketTypeSpec
from boxoffice.domain.user import Actor, Organizers, Role
from boxoffice.domain.values.money import Money
from tests.settable_clock import SettableClock

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)

SECRET, OLDER_SECRET = "a secret of the tests " * 2, "an older secret of the tests " * 2

ORGANIZER = Actor(UUID(int=900))
ADMIN = Actor(UUID(int=901), Role.ADMIN)
STRANGER = Actor(UUID(int=902))
ANA, BEN, CLEO, DAN, EVE = (Actor(UUID(int=number)) for number in range(1, 6))


def customer(number: int) -> Actor:
    """A customer of a crowd."""
    return Actor(UUID(int=10_000 + number))


def once(text: str = "k", request: str = "", actor: Actor = ANA) -> IdempotentRequest[Any]:
    """An idempotency key, whose answer holds the result as text."""

    def render(result: Any) -> Response:
        if isinstance(result, Exception):
            return Response(b"!" + repr(result).encode())
        return Response(str(result).encode())

    return IdempotentRequest(key=Key(actor.user_id, text), fingerprint=request.encode(), render=render)


class CountedIds:
    """Ids in the order of their making."""

    def __init__(self) -> None:
        self._numbers = count(1_000_000)

    def new(self) -> UUID:
        return UUID(int=next(self._numbers))


class PlainHasher:
    """Keeps passwords in clear text, and records what it was asked to verify, and for whom."""

    def __init__(self) -> None:
        self.verified: list[tuple[str, str | None]] = []
        self.askers: list[Asker] = []

    async def hash(self, password: str, asker: Asker) -> str:
        self.askers.append(asker)
        return f"hash of {password}"

    async def verify(self, password: str, password_hash: str | None, asker: Asker) -> bool:
        self.askers.append(asker)
        self.verified.append((password, password_hash))
        return password_hash in (f"hash of {password}", f"old hash of {password}")

    def is_outdated(self, password_hash: str) -> bool:
        return password_hash.startswith("old ")


class FewKnownPasswords:
    """Knows one password."""

    def contains(self, password: str) -> bool:
        return password.casefold() == "password1"


class PlainTokens:
    """Access tokens that never expire, with the claims of each."""

    lifetime = 900

    def __init__(self) -> None:
        self.issued: dict[str, Claims] = {}

    def issue(self, claims: Claims, now: datetime) -> Token:
        text = f"token {len(self.issued)}"
        self.issued[text] = claims
        return Token(text, self.lifetime)

    def read(self, text: str, now: datetime) -> Claims:
        if text not in self.issued:
            raise InvalidToken
        return self.issued[text]


class PlainLinkTokens:
    """Tokens of links that show the link's id."""

    def text(self, link_id: UUID) -> str:
        return f"link-{link_id}"

    def read(self, text: str) -> UUID | None:
        return UUID(text.removeprefix("link-")) if text.startswith("link-") else None


class PlainKeyTexts:
    """API keys that are numbered. Their digest is legible, and so is what is sealed."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> KeyText:
        text = f"bxo_{next(self._numbers)}"
        return KeyText(text, self._digest(text))

    def is_one(self, text: str) -> bool:
        return text.startswith("bxo_")

    def digest_of(self, text: str) -> bytes | None:
        return self._digest(text) if text.removeprefix("bxo_").isdigit() else None

    def sealed(self, text: str) -> str:
        return f"sealed {text}"

    def opened(self, sealed: str) -> str | None:
        return sealed.removeprefix("sealed ")

    def _digest(self, text: str) -> bytes:
        return f"digest of {text}".encode()


def using_api_keys(storage: Storage, clock: Clock) -> UseApiKey:
    """Authentication by API keys, in a process that remembers none."""
    return UseApiKey(PlainKeyTexts(), KnownKeys(storage.api_key_queries), KeyUses(storage), clock)


def without_mails(ids: Ids) -> LinkMails:
    """As on a service without a mail server."""
    return LinkMails(ids, are_sent=False)


class PlainRefreshTokens:
    """Refresh tokens whose text holds the number of their session and their sequence number."""

    def __init__(self) -> None:
        self._sessions = count(1)
        self._numbers = count(1)

    def first(self) -> RefreshToken:
        return self._token(next(self._sessions))

    def new_salt(self) -> bytes:
        return str(next(self._numbers)).encode()

    def after(self, token: RefreshToken, salt: bytes) -> RefreshToken:
        return self._token(int(token.text.split()[1]), int(salt))

    def read(self, text: str) -> RefreshToken | None:
        if not text.startswith("session "):
            return None
        _, session, _, number = text.split()
        return self._token(int(session), int(number))

    def _token(self, session: int, number: int | None = None) -> RefreshToken:
        text = f"session {session} token {number or next(self._numbers)}"
        return RefreshToken(text, RefreshDigests(f"digest of {session}".encode(), f"digest of {text}".encode()))


class Faults:
    """Makes a storage fail at a step, or stop there until a test lets it go on."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._planned: dict[Step, list[Exception | None]] = {}
        self._gates: dict[Step, tuple[int, asyncio.Event, asyncio.Event]] = {}

    async def __call__(self, step: Step) -> None:
        self.steps.append(step)
        skip, reached, opened = self._gates.get(step, (1, None, None))
        if reached and opened and skip:
            self._gates[step] = (skip - 1, reached, opened)
        elif reached and opened:
            del self._gates[step]
            reached.set()
            await opened.wait()
        planned = self._planned.get(step)
        failure = planned.pop(0) if planned else None
        if failure is not None:
            raise failure

    def plan(self, step: Step, *failures: Exception | None) -> None:
        """Fail the next times that this step is reached; None lets one pass."""
        self._planned[step] = list(failures)

    def gate(self, step: Step, *, skip: int = 0) -> tuple[asyncio.Event, asyncio.Event]:
        """Stop at this step, after skipping it so often. Returns: set once it is reached; to be set to let it go on."""
        reached, opened = asyncio.Event(), asyncio.Event()
        self._gates[step] = (skip, reached, opened)
        return reached, opened

    def count(self, step: Step) -> int:
        """How often a step was reached."""
        return self.steps.count(step)


class FakeGateway:
    """A payment provider that a test silences, or stops at a gate. It keeps what it knows of each reference."""

    def __init__(self) -> None:
        self.charges: dict[UUID, Answer] = {}
        self.refunds: dict[UUID, UUID] = {}
        self.asked: list[str] = []
        self.is_silent = False
        self.hears = True
        self.refund_answer = Answer.DONE
        self.gates: list[tuple[asyncio.Event, asyncio.Event]] = []

    def objection(self, price: Money) -> str | None:
        """What this provider never charges."""
        return "must be another price" if price.amount == 13 else None

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        self.asked.append("charge")
        if self.gates:
            reached, opened = self.gates.pop(0)
            reached.set()
            await opened.wait()
        if self.hears:
            answers = {"tok_ok": Answer.DONE, "tok_action": Answer.ACTION_REQUIRED}
            self.charges.setdefault(reference, answers.get(token, Answer.DECLINED))
        self._maybe_silent()
        return self._reply(reference)

    async def find_charge(self, reference: UUID) -> ChargeReply:
        self.asked.append("find")
        self._maybe_silent()
        return self._reply(reference)

    async def cancel_charge(self, reference: UUID) -> ChargeReply:
        self.asked.append("cancel")
        self._maybe_silent()
        if self.charges[reference] is Answer.ACTION_REQUIRED:
            self.charges[reference] = Answer.DECLINED
        return self._reply(reference)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        self.asked.append("refund")
        self._maybe_silent()
        assert self.charges[charge_reference] is Answer.DONE
        if self.refund_answer is Answer.DONE:
            self.refunds[reference] = charge_reference
        return self.refund_answer

    async def reference_of(self, provider_id: str) -> UUID | None:
        self.asked.append("reference")
        self._maybe_silent()
        return next((each for each in self.charges if provider_id == f"at the provider: {each}"), None)

    def _reply(self, reference: UUID) -> ChargeReply:
        answer = self.charges.get(reference, Answer.NOT_FOUND)
        url = "https://bank.example/" if answer is Answer.ACTION_REQUIRED else None
        return ChargeReply(answer=answer, action_url=url, provider_id=f"at the provider: {reference}")

    async def close(self) -> None:
        """Nothing to close."""

    def gate(self) -> tuple[asyncio.Event, asyncio.Event]:
        """Stop at the next charge. Returns: set once it is reached; to be set to let it go on."""
        gate = (asyncio.Event(), asyncio.Event())
        self.gates.append(gate)
        return gate

    def _maybe_silent(self) -> None:
        if self.is_silent:
            raise GatewaySilent


class Watcher:
    """Records what the turnstile reports to its observer."""

    def __init__(self) -> None:
        self.arrived = 0
        self.batches: list[Sequence[object]] = []
        self.inside = 0
        self.passages: list[BatchStats] = []
        self.failures: list[tuple[Trouble, int]] = []
        self.overloads: list[Overload] = []

    def arriving(self) -> object:
        self.arrived += 1
        return self.arrived

    @contextmanager
    def batch(self, marks: Sequence[object]) -> Iterator[None]:
        self.batches.append(marks)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def passed(self, passage: BatchStats) -> None:
        assert self.inside
        self.passages.append(passage)

    def failed(self, trouble: Trouble, commands: int) -> None:
        assert self.inside
        self.failures.append((trouble, commands))

    def overloaded(self, queue: Overload) -> None:
        self.overloads.append(queue)


def _code_signer() -> tuple[Ed25519CodeSigner, CommitToDraw]:
    signer = Ed25519CodeSigner(SECRET, OLDER_SECRET)
    return signer, CommitToDraw(lambda: signer)


class FakeApp:
    """One process with its storage. Another one on the same storage and ids is the next process, or one beside it."""

    def __init__(self, storage: MemoryStorage | None = None, ids: CountedIds | None = None, **turnstile: Any) -> None:
        self.faults = Faults()
        self.storage = storage or MemoryStorage()
        self.storage.fault = self.faults
        self.clock = SettableClock(NOW)
        self.ids = ids or CountedIds()
        self.watcher = Watcher()
        # On a slow machine too no command is refused for overload, unless a test sets other bounds.
        usual: dict[str, Any] = {"jitter": lambda: 0.0, "bounds": Bounds(least_waiting=MOST_WAITING)}
        usual["observer"] = self.watcher
        self.turnstile = Turnstile(self.storage, self.clock, self.ids, **(usual | turnstile))
        self.duties = Duties(self.storage.staff_queries)
        self.book_ticket = BookTicket(self.turnstile, self.duties)
        self.cancel_booking = CancelBooking(self.turnstile, self.storage.booking_queries, self.duties)
        self.change_event = ChangeEvent(self.turnstile, self.duties)
        self.code_signer, self.commit_to_draw = _code_signer()
        self.initialize_event = InitializeEvent(self.turnstile, self.commit_to_draw)
        self.promote = PromoteFromWaitlist(self.turnstile)
        self.resume = ResumeUnsettled(self.turnstile, self.storage.event_queries)
        self.read_event = ReadEvent(self.storage.event_queries, self.duties)
        events, bookings, accounts = (
            self.storage.event_queries,
            self.storage.booking_queries,
            self.storage.account_queries,
        )
        self.read_changes = ReadChanges(events, self.duties)
        self.read_booking = ReadBooking(bookings, accounts, self.duties)
        self.list_event_bookings = ListEventBookings(events, bookings, accounts, self.duties)
        self.read_waiting_list = ReadWaitingList(events, bookings, accounts, self.duties)
        self.list_attendees = ListAttendees(events, bookings, self.storage.ticket_queries, self.duties)
        self.export_attendees = ExportAttendees(events, bookings, self.storage.ticket_queries, self.duties)
        self.gateway = FakeGateway()
        self.pauses: list[float] = []
        self.has_paused = asyncio.Event()
        self.pay_booking = PayBooking(
            self.turnstile,
            self.storage.booking_queries,
            self.storage.payment_queries,
            self.gateway,
            self.duties,
            self.ids,
            pause=self._pause,
        )
        self.grant_refund = GrantPartialRefund(self.turnstile, self.storage.booking_queries, self.duties, self.ids)
        self.settle_refund = SettleRefundByHand(self.turnstile, self.storage.booking_queries, self.duties)
        self.record_notice = RecordPaymentNotice(
            self.turnstile, self.storage.booking_queries, self.storage.payment_queries
        )
        self.expire_holds = ExpireHolds(self.promote, self.storage.event_queries, self.clock)
        self.complete_payments = CompletePayments(
            self.turnstile, self.storage.booking_queries, self.storage.payment_queries, self.gateway, self.clock
        )
        self.number_tickets = NumberTickets(self.storage, self.clock, self.ids, step=2)
        self.review_account = ReviewAccount(self.turnstile, self.storage.account_queries, self.storage.booking_queries)
        self.review_accounts = ReviewAccounts(self.review_account, self.storage, self.clock)
        self.finish_erasure = FinishErasure(
            self.storage, self.turnstile, self.change_event, DeleteWebhook(self.storage), self.clock
        )
        self.continue_erasures = ContinueErasures(self.finish_erasure, self.storage.account_queries, self.clock)
        self.ticket_codes = TicketCodes(self.storage, self.code_signer)
        at_the_door = (self.turnstile, events, self.storage.check_in_queries, self.duties)
        self.record_check_ins = RecordCheckIns(*at_the_door, self.ticket_codes)
        self.undo_check_in = UndoCheckIn(*at_the_door)
        self.list_conflicts = ListConflicts(*at_the_door[1:])
        self.read_door_list = ReadDoorList(
            *(events, self.storage.check_in_queries, self.storage.ticket_queries),
            *(self.duties, self.ticket_codes, self.clock),
        )
        show = ShowTickets(accounts, self.ticket_codes)
        self.list_tickets = ListTickets(bookings, self.storage.ticket_queries, self.duties, show)
        self.name_ticket = NameTicket(self.turnstile, bookings, self.duties, show)
        self.seal_code_keys = SealCodeKeys(self.storage, self.code_signer, at_once=2)
        self.sweep = Sweep(
            self.expire_holds,
            self.complete_payments,
            self.number_tickets,
            self.review_accounts,
            self.continue_erasures,
            self.storage,
            self.clock,
            self.ids,
            seal_code_keys=self.seal_code_keys,
        )

    @property
    def tables(self) -> Tables:
        """The stored rows, for tests that tamper with them."""
        unit_of_work = self.storage.begin()
        assert isinstance(unit_of_work, MemoryUnitOfWork)
        return unit_of_work.draft.tables

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.has_paused.set()
        await asyncio.sleep(0)

    def pay(
        self,
        booking: Booking,
        token: str = "tok_ok",
        actor: Actor | None = None,
        once: IdempotentRequest[Booking] | None = None,
    ) -> Awaitable[Booking]:
        """Pay by card; in cash without a token."""
        actor = actor or Actor(booking.customer_id)
        method = PaymentMethod.CARD if token else PaymentMethod.CASH
        return self.pay_booking(Bill(booking_id=booking.id, actor=actor, method=method, token=token), once)

    def initialization(
        self,
        total_tickets: int = 3,
        *,
        event_id: UUID | None = None,
        price: Money | None = None,
        types: Sequence[TicketTypeSpec] = (),
        status: EventStatus = EventStatus.ON_SALE,
        actor: Actor = ORGANIZER,
        **details: Any,
    ) -> Initialize:
        """The command for a new event."""
        return Initialize(
            event_id=event_id or self.ids.new(),
            actor=actor,
            details=EventDetails(**{"name": "Jazz night", "max_tickets_per_customer": 1_000, **details}),
            ticket_types=tuple((self.ids.new(), spec) for spec in types or [general_admission(total_tickets, price)]),
            currency="EUR",
            status=status,
        )

    async def event(
        self, total_tickets: int = 3, *, organizers: Organizers = Organizers.EVERYONE, **values: Any
    ) -> UUID:
        """Initialize an event and return its id."""
        initialize = InitializeEvent(self.turnstile, self.commit_to_draw, organizers)
        return (await initialize(self.initialization(total_tickets, **values))).event.id

    async def type_ids(self, event_id: UUID) -> list[UUID]:
        """The ids of an event's ticket types."""
        return [each.id for each in (await self.state(event_id)).ticket_types]

    @property
    def give_back_tickets(self) -> GiveBackTickets:
        """The use case."""
        return GiveBackTickets(self.turnstile, self.storage.booking_queries, self.duties, self.ids)

    def book(
        self, event_id: UUID, actor: Actor, quantity: int = 1, ticket_type_id: UUID | None = None
    ) -> Awaitable[Booking]:
        """Book."""
        return self.book_ticket(
            Book(
                booking_id=self.ids.new(),
                event_id=event_id,
                actor=actor,
                quantity=quantity,
                ticket_type_id=ticket_type_id,
            )
        )

    async def crowd(self, event_id: UUID, size: int, first: int = 0) -> list[Booking]:
        """Book for many customers at once."""
        return list(await asyncio.gather(*(self.book(event_id, customer(first + each)) for each in range(size))))

    def cancel(self, booking: Booking, actor: Actor | None = None) -> Awaitable[Cancellation]:
        """Cancel by the booking's id; without an actor its customer does."""
        actor = actor or Actor(booking.customer_id)
        return self.cancel_booking(Cancel(event_id=booking.event_id, actor=actor, booking_id=booking.id))

    def edit(self, event_id: UUID, actor: Actor = ORGANIZER, **changes: Any) -> Awaitable[EventState]:
        """Edit the event."""
        return self.change_event(Edit(event_id=event_id, actor=actor, changes=EventChanges(**changes)))

    async def statuses(self, bookings: Sequence[Booking]) -> list[str]:
        """The bookings' statuses."""
        return [(await self.booking(booking.id)).status.value for booking in bookings]

    async def booking(self, booking_id: UUID) -> Booking:
        """The stored booking."""
        found = await self.storage.booking_queries.booking(booking_id)
        assert found is not None
        return found.booking

    async def state(self, event_id: UUID) -> EventState:
        """The stored event."""
        return await self.read_event(event_id, ADMIN)

    async def facts(self, event_id: UUID) -> list[Fact]:
        """All facts of an event."""
        return await self.storage.event_queries.facts(event_id, 0, 1_000_000)

    async def idle(self) -> None:
        """Wait until no command waits and no transaction runs."""
        while self.turnstile.waiting or self.watcher.inside:  # noqa: ASYNC110 - the loop's turns are all there is
            await asyncio.sleep(0)

    async def settled(self, event_id: UUID) -> EventState:
        """The event after the steps that follow an answer."""
        await self.idle()
        state = await self.state(event_id)
        assert not state.event.is_unsettled
        return state

    async def check_promises(self) -> None:
        """Assert that no promise is broken, and that what is stored is what the facts say."""
        assert (await VerifyPromises(self.storage, self.clock)()).breaches == []


def later(**delta: float) -> datetime:
    """The time so long after `NOW`."""
    return NOW + timedelta(**delta)
