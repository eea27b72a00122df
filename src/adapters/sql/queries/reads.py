"""What is committed. None of the calls waits for a lock, and each is one statement unless its queries say otherwise."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Executable,
    Integer,
    and_,
    bindparam,
    null,
    select,
    true,
    union_all,
)

from ....application.ports.queries import (
    Account,
    BookingOfEvent,
    EventFilter,
    EventKey,
    EventPage,
    Revocations,
    WaitingKey,
)
from ....application.ports.security import AccountKey
from ....domain.booking import Booking, BookingStatus
from ....domain.event import EventState
from ....domain.facts import Fact
from ....domain.payment import ChargeStatus, Payment
from ....domain.user import Session, User
from ..engine.pool import ConnectionPool
from ..engine.transaction import Diagnosis, Rows, read
from ..find import through
from ..schema.mappers import FACT, PAYMENT, SESSION, USER, event_states, fact, payment, session, user
from ..schema.tables import bookings, events, facts, payments, sessions, ticket_types, users
from .bookings import BookingQueries
from .events import STATES, EventQueries

_limit = bindparam("limit", type_=Integer())

_EVENTS_BY_ID = STATES.where(events.c.id.in_(bindparam("ids", expanding=True))).order_by(
    events.c.id, ticket_types.c.ordinal
)
_EVENT_OF = select(bookings.c.event_id).where(bookings.c.id == bindparam("booking_id"))


_FACTS = (
    select(*FACT)
    .where(facts.c.event_id == bindparam("event_id"), facts.c.seq > bindparam("after"))
    .order_by(facts.c.seq)
    .limit(_limit)
)
_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.booking_id == bindparam("booking_id"))
    .order_by(payments.c.created_at, payments.c.kind, payments.c.id)
)
_OPEN_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.status == ChargeStatus.PENDING, payments.c.ask_at <= bindparam("now"))
    .order_by(payments.c.ask_at, payments.c.id)
    .limit(_limit)
)
_LAPSING = (
    select(events.c.id)
    .where(events.c.earliest_expiry <= bindparam("now"))
    .order_by(events.c.earliest_expiry, events.c.id)
    .limit(_limit)
)
_USERS = select(*USER).order_by(users.c.id).limit(_limit)
_USERS_AFTER = _USERS.where(users.c.id > bindparam("after"))
_USER_BY_EMAIL = select(*USER).where(users.c.email == bindparam("email"))
_ACCOUNTS = (
    select(*USER, *SESSION)
    .outerjoin_from(
        users,
        sessions,
        and_(sessions.c.user_id == users.c.id, sessions.c.id.in_(bindparam("session_ids", expanding=True))),
    )
    .where(users.c.id.in_(bindparam("user_ids", expanding=True)))
)
_since: BindParameter[datetime] = bindparam("since")
_REVOKED = union_all(
    through(
        select(users.c.id, users.c.role, users.c.disabled_at).where(users.c.standing_changed_at >= _since),
        users,
        "ix_users_standing_changed_at",
    ),
    # Without a role, so that they are told apart.
    through(
        select(sessions.c.id, null(), null()).where(sessions.c.ended_at >= _since), sessions, "ix_sessions_ended_at"
    ),
)
# MariaDB finds nothing by an index that IS TRUE.
_UNSETTLED = select(events.c.id).where(events.c.is_unsettled == true()).order_by(events.c.id).limit(_limit)
_UNSETTLED_AFTER = _UNSETTLED.where(events.c.id > bindparam("after"))


class SqlReads:
    """What is committed, read without locks.

    Lists and searches have connections of their own, so that the others never wait for one behind them.
    """

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, diagnose: Diagnosis) -> None:
        self._reading = reading
        self._listing = listing
        self._diagnose = diagnose
        self._events = EventQueries(listing, diagnose)
        self._bookings = BookingQueries(reading, listing, diagnose)

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """Events with their ticket types in their order."""
        states = event_states(await self._rows(_EVENTS_BY_ID, ids=list(event_ids)))
        return {state.event.id: state for state in states}

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """Events after that place, soonest first."""
        return await self._events.page(wanted, after, limit)

    async def event_of(self, booking_id: UUID) -> UUID | None:
        """Which event a booking belongs to."""
        rows = await self._rows(_EVENT_OF, booking_id=booking_id)
        return rows[0][0] if rows else None

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """One booking, with its place while it waits."""
        return await self._bookings.one(booking_id)

    async def bookings_of_customer(
        self, customer_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """A customer's bookings, newest first."""
        return await self._bookings.page("customer_id", customer_id, status, before, limit)

    async def bookings_of_event(
        self, event_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """An event's bookings, newest first."""
        return await self._bookings.page("event_id", event_id, status, before, limit)

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """The waiting bookings, by ticket type and queue number."""
        return await self._bookings.waiting_list(event_id, ticket_type_id, after, limit)

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """An event's facts in order."""
        return [fact(row) for row in await self._listed(_FACTS, event_id=event_id, after=after, limit=limit)]

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """A booking's charges and refunds, oldest first."""
        return [payment(row) for row in await self._rows(_PAYMENTS, booking_id=booking_id)]

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Pending payments to be asked about, those that waited longest first."""
        return [payment(row) for row in await self._rows(_OPEN_PAYMENTS, now=now, limit=limit)]

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """Events in which a hold may have lapsed, the earliest first."""
        return [row[0] for row in await self._rows(_LAPSING, now=now, limit=limit)]

    async def user_by_email(self, email: str) -> User | None:
        """The account with this e-mail."""
        rows = await self._rows(_USER_BY_EMAIL, email=email)
        return user(rows[0]) if rows else None

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """Accounts by id."""
        if after is None:
            rows = await self._listed(_USERS, limit=limit)
        else:
            rows = await self._listed(_USERS_AFTER, after=after, limit=limit)
        return [user(row) for row in rows]

    async def revocations(self, since: datetime) -> Revocations:
        """Ended sessions, and users as they are today."""
        rows = await self._rows(_REVOKED, since=since)
        return Revocations(
            ended=[id_ for id_, role, _ in rows if role is None],
            users={id_: None if disabled_at else role for id_, role, disabled_at in rows if role is not None},
        )

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """Users, each with that session if it is theirs."""
        ids = {
            "user_ids": list({key.user_id for key in wanted}),
            "session_ids": list({key.session_id for key in wanted if key.session_id is not None}),
        }
        found_users: dict[UUID, User] = {}
        found_sessions: dict[AccountKey, Session] = {}
        for row in await self._rows(_ACCOUNTS, **ids):
            found_user, of_session = user(row[: len(USER)]), row[len(USER) :]
            found_users[found_user.id] = found_user
            if of_session[0] is not None:
                found_session = session(of_session)
                found_sessions[AccountKey(found_user.id, found_session.id)] = found_session
        return {
            key: Account(found_users[key.user_id], found_sessions.get(key))
            for key in wanted
            if key.user_id in found_users
        }

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """Events for which a step is still to be done."""
        if after is None:
            rows = await self._rows(_UNSETTLED, limit=limit)
        else:
            rows = await self._rows(_UNSETTLED_AFTER, after=after, limit=limit)
        return [row[0] for row in rows]

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._diagnose, statement, values)

    async def _listed(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._listing, self._diagnose, statement, values)
