"""Webhooks and their deliveries."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ....application.create_webhook import NewWebhook
from ....domain.fields import Rules
from ....domain.user import Actor
from ....domain.webhooks import WEBHOOK_RULES, Delivery, DeliveryStatus, Webhook
from ..decoding import RequestBody
from .fields import CreatedAt, EventId, NextCursor, View

_URL = Meta(description="Where facts are sent, by HTTPS.", examples=["https://hooks.example.org/boxoffice"])


class WebhookRequest(RequestBody, frozen=True, kw_only=True):
    """A receiver of what happens to one's events."""

    rules: ClassVar[Rules] = WEBHOOK_RULES

    url: Annotated[str, _URL]
    event_id: Annotated[UUID | UnsetType, Meta(description="One event only; left out: all of one's own.")] = UNSET
    kinds: Annotated[
        list[str] | UnsetType,
        Meta(description="Some kinds of facts only; left out: all.", examples=[["TicketsBooked", "BookingCancelled"]]),
    ] = UNSET

    def to_command(self, actor: Actor) -> NewWebhook:
        """Return it as the use case takes it."""
        return NewWebhook(
            actor=actor,
            url=self.url,
            event_id=None if self.event_id is UNSET else self.event_id,
            kinds=None if self.kinds is UNSET else self.kinds,
        )


class WebhookView(View, frozen=True, kw_only=True):
    """A receiver of what happens to one's events."""

    id: Annotated[UUID, Meta(description="The webhook's id.")]
    url: Annotated[str, _URL]
    event_id: Annotated[UUID | None, Meta(description="The one event; `null`: all of one's own.")]
    kinds: Annotated[list[str] | None, Meta(description="The kinds of facts; `null`: all.")]
    created_at: CreatedAt

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookView":
        """Return a webhook without its secret."""
        return cls(
            id=webhook.id,
            url=webhook.url,
            event_id=webhook.event_id,
            kinds=list(webhook.kinds) or None,
            created_at=webhook.created_at,
        )


class NewWebhookView(WebhookView, frozen=True, kw_only=True):
    """A new webhook with its secret, which is shown this once."""

    secret: Annotated[
        str,
        Meta(
            description="Verifies what is sent (standardwebhooks.com).",
            examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
        ),
    ]

    @classmethod
    def of(cls, webhook: Webhook) -> "NewWebhookView":
        """Return a webhook with its secret."""
        return cls(**msgspec.structs.asdict(WebhookView.of(webhook)), secret=webhook.secret)


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
    tried_at: Annotated[datetime, Meta(description="When it was last tried.")]
    due_at: Annotated[datetime | None, Meta(description="When it is tried again; `null`: it is given up.")]

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        """Return a delivery of a webhook that is named elsewhere."""
        return cls(**{name: getattr(delivery, name) for name in cls.__struct_fields__})


class DeliveryPage(View, frozen=True, kw_only=True):
    """A page of deliveries."""

    items: Annotated[list[DeliveryView], Meta(description="The deliveries of this page, newest first.")]
    next_cursor: NextCursor
