"""Receive what the payment provider sends by itself."""

from uuid import UUID

from ...domain.decisions.payments.notices import PaymentNotice
from ..ports.errors import Unavailable
from ..ports.payments import GatewaySilent, NoticeReader, PaymentGateway, ProviderNotice
from ..ports.queries import PaymentQueries
from .record_notice import RecordPaymentNotice


class ReceiveNotice:
    """Check that a message is the provider's, find the payment that it is about, and record it.

    Whatever fails here is sent again by the provider.
    """

    def __init__(
        self, reader: NoticeReader, payments: PaymentQueries, gateway: PaymentGateway, record: RecordPaymentNotice
    ) -> None:
        self._reader = reader
        self._payments = payments
        self._gateway = gateway
        self._record = record

    async def __call__(self, body: bytes, signature: str) -> None:
        """Record a message, unless it is about nothing of ours. Raises: BadNotice, Unavailable."""
        notice = self._reader.read(body, signature)
        payment_id = None if notice is None else await self._payment_of(notice)
        if notice is not None and payment_id is not None:
            await self._record(PaymentNotice(payment_id=payment_id, kind=notice.kind, occurred_at=notice.occurred_at))

    async def _payment_of(self, notice: ProviderNotice) -> UUID | None:
        if notice.payment_id is not None or notice.provider_id is None:
            return notice.payment_id
        known = await self._payments.charge_of_provider(notice.provider_id)
        if known is not None:
            return known
        try:
            return await self._gateway.reference_of(notice.provider_id)
        except GatewaySilent as silent:
            raise Unavailable("The payment provider does not say which charge it means.") from silent
