"""Bodies of refunds, and of an event's payments."""

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....domain.payment import MOST, REFUND_RULES
from ....domain.values.fields import Rules
from ....domain.values.money import Money, currency
from ..decoding import RequestBody
from .bookings import PaymentView
from .fields import CurrencyCode, NextCursor, Note, View


class RefundAmountRequest(RequestBody, frozen=True, kw_only=True):
    """What is given back, in the currency of the payment."""

    rules: ClassVar[Rules] = {"currency": currency}

    amount: Annotated[int, Meta(ge=1, le=MOST, description="Minor units, such as cents.", examples=[1_000])]
    currency: Annotated[CurrencyCode, Meta(description="An ISO 4217 code.", examples=["EUR"])]


class RefundRequest(RequestBody, frozen=True, kw_only=True):
    """A part of a booking's payment to give back, or all that is left of it."""

    rules: ClassVar[Rules] = REFUND_RULES

    amount: Annotated[RefundAmountRequest, Meta(description="What is given back.")]
    reason: Annotated[Note, Meta(description="Why, for the event's facts.", examples=["A pillar in the view"])]

    @property
    def money(self) -> Money:
        """The amount as the domain has it."""
        return Money(self.amount.amount, self.amount.currency)


class SettlementRequest(RequestBody, frozen=True, kw_only=True):
    """A refund that was paid by hand."""

    rules: ClassVar[Rules] = REFUND_RULES

    note: Annotated[Note | UnsetType, Meta(description="How it was paid.", examples=["Handed over at the door"])] = (
        UNSET
    )


class EventPaymentView(PaymentView, frozen=True, kw_only=True):
    """A charge or a refund, with its booking."""

    booking_id: Annotated[UUID, Meta(description="The booking.")]


class EventPaymentPage(View, frozen=True, kw_only=True):
    """A page of an event's payments."""

    items: Annotated[
        list[EventPaymentView],
        Meta(description="The payments of this page, the newest charge first; the refund that ends a charge is next."),
    ]
    next_cursor: NextCursor
