"""Charges and refunds. No call waits for a lock; each is one statement."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Executable,
    Integer,
    bindparam,
    select,
)

from ....domain.payment import ChargeStatus, Payment, PaymentKind
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
_PAYMENT = select(*PAYMENT).where(payments.c.id == bindparam("payment_id"))
_OF_PROVIDER = (
    select(payments.c.id)
    .where(payments.c.provider_id == bindparam("provider_id"), payments.c.kind == PaymentKind.CHARGE)
    .limit(1)
)
_OPEN_PAYMENTS = (
    select(*PAYMENT)
    .where(payments.c.status == ChargeStatus.PENDING, payments.c.ask_at <= bindparam("now"))
    .order_by(payments.c.ask_at, payments.c.id)
    .limit(_limit)
)


class SqlPaymentQueries:
    """See the port."""

    def __init__(self, reading: ConnectionPool, classify: ErrorClassifier) -> None:
        self._reading = reading
        self._classify = classify

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """See the port."""
        return [payment(row) for row in await self._rows(_PAYMENTS, booking_id=booking_id)]

    async def payment(self, payment_id: UUID) -> Payment | None:
        """See the port."""
        rows = await self._rows(_PAYMENT, payment_id=payment_id)
        return payment(rows[0]) if rows else None

    async def charge_of_provider(self, provider_id: str) -> UUID | None:
        """See the port."""
        rows = await self._rows(_OF_PROVIDER, provider_id=provider_id)
        return rows[0].id if rows else None

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """See the port."""
        return [payment(row) for row in await self._rows(_OPEN_PAYMENTS, now=now, limit=limit)]

    async def _rows(self, statement: Executable, **values: Any) -> Rows:
        return await read(self._reading, self._classify, statement, values)
