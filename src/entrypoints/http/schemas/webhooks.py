"""Webhooks and their deliveries."""

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....domain.values.fields import Rules
from ....domain.webhooks import FACT_KINDS, HOST_AND_PATH, LONGEST_URL, WEBHOOK_RULES, DeliveryStatus, Webhook
from ..decoding import RequestBody
from .fields import CreatedAt, EventId, NextCursor, Time, View

_URL = Meta(
    description="Where facts are sent, by HTTPS.",
    examples=["https://hooks.example.org/boxoffice"],
    extra_json_schema={"maxLength": LONGEST_URL, "pattern": f"^https?://{HOST_AND_PATH}$"},
)
_KINDS = Meta(description="Some kinds of facts only; left out: all.", examples=[["TicketsBooked", "BookingCancelled"]])
_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105 - an example

FactKind = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/FactKind"})]
_SomeKinds = Annotated[list[FactKind], Meta(extra_json_schema={"minItems": 1, "maxItems": len(FACT_KINDS)})]


class WebhookRequest(RequestBody, frozen=True, kw_only=True):
    """A receiver of what happens to one's events."""

    rules: ClassVar[Rules] = WEBHOOK_RULES

    url: Annotated[str, _URL]
    event_id: Annotated[UUID | UnsetType, Meta(description="One event only; left out: all of one's own.")] = UNSET
    kinds: Annotated[_SomeKinds | UnsetType, _KINDS] = UNSET


class WebhookView(View, frozen=True, kw_only=True):
    """A receiver of what happens to one's events."""

    id: Annotated[UUID, Meta(description="The webhook's id.")]
    url: Annotated[str, _URL]
    event_id: Annotated[UUID | None, Meta(description="The one event; `null`: all of one's own.")]
    kinds: Annotated[list[FactKind] | None, Meta(description="The kinds of facts; `null`: all.")]
    created_at: CreatedAt

    @classmethod
    def of(cls, source: Webhook, **others: Any) -> Self:
        """Return a webhook; its secret is part of a new one only."""
        return super().of(source, kinds=list(source.kinds) or None, **others)


class NewWebhookView(WebhookView, frozen=True, kw_only=True):
    """A new webhook with its secret, which is shown this once."""

    secret: Annotated[str, Meta(description="Verifies what is sent (standardwebhooks.com).", examples=[_SECRET])]


class WebhookPage(View, frozen=True, kw_only=True):
    """One's own webhooks."""

    items: Annotated[list[WebhookView], Meta(description="All of them: there are at most 20.")]
    next_cursor: NextCursor


class DeliveryView(View, frozen=True, kw_only=True):
    """A fact that a webhook has not received yet."""

    id: Annotated[UUID, Meta(description="The delivery's id.")]
    event_id: EventId
    seq: Annotated[int, Meta(description="The fact's sequence number in the event.", examples=[2])]
    kind: Annotated[str, Meta(description="The fact's kind.", examples=["CustomerWaitlisted"])]
    status: Annotated[DeliveryStatus, Meta(description="Whether it is tried again.")]
    attempts: Annotated[int, Meta(description="How often it was tried.", examples=[1])]
    error: Annotated[str, Meta(description="What the last attempt came to.", examples=["answered 503"])]
    created_at: CreatedAt
    tried_at: Annotated[Time, Meta(description="When it was last tried.")]
    due_at: Annotated[Time | None, Meta(description="When it is tried again; `null`: it is given up.")]


class DeliveryPage(View, frozen=True, kw_only=True):
    """A page of deliveries."""

    items: Annotated[list[DeliveryView], Meta(description="The deliveries of this page, newest first.")]
    next_cursor: NextCursor
