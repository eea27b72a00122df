"""Bodies of webhooks and their deliveries."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....domain.values.fields import Rules
from ....domain.webhooks import FACT_KINDS, HOST_AND_PATH, LONGEST_URL, WEBHOOK_RULES, DeliveryStatus, Webhook
from ..decoding import RequestBody
from ..problems.problem import FieldProblem
from .fields import CreatedAt, EventId, NextCursor, Time, View

_URL = Meta(
    description="The HTTPS address that receives facts.",
    examples=["https://hooks.example.org/boxoffice"],
    extra_json_schema={"maxLength": LONGEST_URL, "pattern": f"^https?://{HOST_AND_PATH}$"},
)
_KINDS = Meta(
    description="Only these kinds of facts; by default all.", examples=[["TicketsBooked", "BookingCancelled"]]
)
_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105 - an example

FactKind = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/FactKind"})]
_SomeKinds = Annotated[list[FactKind], Meta(extra_json_schema={"minItems": 1, "maxItems": len(FACT_KINDS)})]


class WebhookRequest(RequestBody, frozen=True, kw_only=True):
    """A new receiver of the facts of your events."""

    rules: ClassVar[Rules] = WEBHOOK_RULES

    url: Annotated[str, _URL]
    event_id: Annotated[UUID | UnsetType, Meta(description="Only this event; by default all of yours.")] = UNSET
    kinds: Annotated[_SomeKinds | UnsetType, _KINDS] = UNSET


class WebhookChangesRequest(RequestBody, frozen=True, kw_only=True):
    """Changes of a receiver: at least one field."""

    rules: ClassVar[Rules] = WEBHOOK_RULES

    url: Annotated[str | UnsetType, _URL] = UNSET
    kinds: Annotated[_SomeKinds | UnsetType, _KINDS] = UNSET
    active: Annotated[
        bool | UnsetType,
        Meta(description="Whether it receives facts. `true` brings back one that was ended by a 410."),
    ] = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Yield a problem if no field is given."""
        if not given:
            yield FieldProblem("", "must name at least one of url, kinds, active")


class WebhookView(View, frozen=True, kw_only=True):
    """A receiver of the facts of your events."""

    id: Annotated[UUID, Meta(description="The webhook's id.")]
    url: Annotated[str, _URL]
    event_id: Annotated[UUID | None, Meta(description="The only event; `null`: all of yours.")]
    kinds: Annotated[list[FactKind] | None, Meta(description="The kinds of facts; `null`: all.")]
    active: Annotated[
        bool, Meta(description="Whether it receives facts. It ends with a 410, and facts of that time are never sent.")
    ]
    created_at: CreatedAt

    @classmethod
    def of(cls, source: Webhook, **others: Any) -> Self:
        """Return a webhook without its secret."""
        return super().of(source, kinds=list(source.kinds) or None, **others)


class NewWebhookView(WebhookView, frozen=True, kw_only=True):
    """A new webhook with its secret, which is shown only once."""

    secret: Annotated[
        str, Meta(description="The secret to verify messages (standardwebhooks.com).", examples=[_SECRET])
    ]


class WebhookPage(View, frozen=True, kw_only=True):
    """Your webhooks."""

    items: Annotated[list[WebhookView], Meta(description="All of them, at most 20.")]
    next_cursor: NextCursor


class DeliveryView(View, frozen=True, kw_only=True):
    """A fact that a webhook has not received yet."""

    id: Annotated[UUID, Meta(description="The delivery's id.")]
    event_id: EventId
    seq: Annotated[int, Meta(description="The fact's sequence number in the event.", examples=[2])]
    kind: Annotated[str, Meta(description="The fact's kind.", examples=["CustomerWaitlisted"])]
    status: Annotated[DeliveryStatus, Meta(description="Whether it is retried.")]
    attempts: Annotated[int, Meta(description="The number of attempts.", examples=[1])]
    error: Annotated[str, Meta(description="The error of the last attempt.", examples=["answered 503"])]
    created_at: CreatedAt
    tried_at: Annotated[Time, Meta(description="The time of the last attempt.")]
    due_at: Annotated[Time | None, Meta(description="The time of the next attempt; `null`: abandoned.")]


class DeliveryPage(View, frozen=True, kw_only=True):
    """A page of deliveries."""

    items: Annotated[list[DeliveryView], Meta(description="The deliveries of this page, newest first.")]
    next_cursor: NextCursor
