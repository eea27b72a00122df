"""Charges and refunds. No call waits for a lock; each is one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    bindparam,
    select,
)

from ....domain.payment import (
    OVERDUE,
    ChargeStatus,
    DisputeStatus,
    Need,
    Payment,
    PaymentKind,
    PaymentMethod,
)
from ..bulk.select import force_index
from ..engine.pool import ConnectionPool
from ..engine.transaction import ErrorClassifier, Rows, read
from ..schema.mappers import PAYMENT, payment
from ..schema.tables import payments

_limit = bindparam("limit", type_=Integer())
_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.booking_id == bindparam("booking_id"))
    .order_by(payments.c.created_at, payments.c.kind, payments.c.id)
)
_OF_BOOKINGS = (
    select(*PAYMENT).where(payments.c.booking_id.in_(bindparam("booking_ids", expanding=True))).order_by(payments.c.id)
)
_PAYMENT = select(*PAYMENT).where(payments.c.id == bindparam("payment_id"))
_OF_PROVIDER = (
    select(payments.c.id)
    .where(payments.c.provider_id == bindparam("provider_id"), payments.c.kind == PaymentKind.CHARGE)
    .limit(1)
)
_of_event = select(*PAYMENT).where(payments.c.event_id == bindparam("event_id")).order_by(payments.c.id.desc())
_OF_EVENT = force_index(_of_event, payments, "ix_payments_event_id_id").limit(_limit)
_OF_STATUS = (
    force_index(_of_event, payments, "ix_payments_event_id_status_id")
    .where(payments.c.status == bindparam("status"))
    .limit(_limit)
)
_BEFORE = payments.c.id < bindparam("before")

# The conditions of `need_of`, and the indexes that lead to those few payments.
_NEEDED: Final[Mapping[Need, tuple[str, Sequence[ColumnElement[bool]]]]] = {
    Need.CASH: (
        "ix_payments_kind_status_id",
        (
            payments.c.kind == PaymentKind.REFUND,
            payments.c.status == ChargeStatus.PENDING,
            payments.c.method == PaymentMethod.CASH,
        ),
    ),
    Need.REFUND_FAILED: (
        "ix_payments_kind_status_id",
        (
            payments.c.kind == PaymentKind.REFUND,
            payments.c.status == ChargeStatus.FAILED,
            payments.c.dispute.is_(None),
        ),
    ),
    Need.DISPUTED: ("ix_payments_dispute_id", (payments.c.dispute == DisputeStatus.OPEN,)),
    Need.PENDING: (
        "ix_payments_status_ask_at_id",
        (
            payments.c.status == ChargeStatus.PENDING,
            payments.c.ask_at.is_not(None),
            payments.c.created_at <= bindparam("overdue"),
        ),
    ),
}


def select_needing(need: Need, *columns: Any) -> Select[Any]:
    """Return the SELECT of the payments that need a person for this reason."""
    index, conditions = _NEEDED[need]
    return force_index(select(*columns), payments, index).where(*conditions)


_NEEDING = {
    need: select_needing(need, *PAYMENT).where(payments.c.id > bindparam("after")).order_by(payments.c.id).limit(_limit)
    for need in Need
}
_FIRST = UUID(int=0)
_OPEN_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.status == ChargeStatus.PENDING, payments.c.ask_at <= bindparam("now"))
    .order_by(payments.c.ask_at, payments.c.id)
    .limit(_limit)
)


class SqlPaymentQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, listing: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._listing = listing
        self._classify = classify

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """See the port."""
        return [payment(row) for row in await self._rows(_PAYMENTS, booking_id=booking_id)]

    async def payments_of_bookings(self, booking_ids: Sequence[UUID]) -> list[Payment]:
        """See the port."""
        return [payment(row) for row in await self._rows(_OF_BOOKINGS, booking_ids=list(booking_ids))]

    async def payment(self, payment_id: UUID) -> Payment | None:
        """See the port."""
        rows = await self._rows(_PAYMENT, payment_id=payment_id)
        return payment(rows[0]) if rows else None

    async def charge_of_provider(self, provider_id: str) -> UUID | None:
        """See the port."""
        rows = await self._rows(_OF_PROVIDER, provider_id=provider_id)
        return rows[0].id if rows else None

    async def payments_of_event(
        self, event_id: UUID, status: ChargeStatus | None, before: UUID | None, limit: int
    ) -> list[Payment]:
        """See the port."""
        statement = _OF_EVENT if status is None else _OF_STATUS
        values = {"event_id": event_id, "status": status, "before": before, "limit": limit}
        statement = statement if before is None else statement.where(_BEFORE)
        known = {name: value for name, value in values.items() if value is not None}
        return [payment(row) for row in await read(self._listing, self._classify, statement, known)]

    async def needing_payments(self, need: Need, now: datetime, after: UUID | None, limit: int) -> list[Payment]:
        """See the port."""
        values: dict[str, Any] = {"after": after or _FIRST, "limit": limit}
        if need is Need.PENDING:
            values["overdue"] = now - OVERDUE
        return [payment(row) for row in await read(self._listing, self._classify, _NEEDING[need], values)]

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """See the port."""
        return [payment(row) for row in await self._rows(_OPEN_PAYMENTS, now=now, limit=limit)]

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)
