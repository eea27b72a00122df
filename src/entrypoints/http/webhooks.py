"""Webhooks: whom to tell what happens to one's events."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from ...application.authenticate import Caller
from ...application.create_webhook import CreateWebhook, NewWebhook
from ...application.delete_webhook import DeleteWebhook
from ...application.idempotency import Answer
from ...application.queries import Page
from ...application.read_webhooks import ListDeliveries, ListWebhooks, ReadWebhook
from ...application.resend_delivery import ResendDelivery
from ...domain.webhooks import WEBHOOK_RULES, Delivery, DeliveryStatus, Webhook
from .body import Body
from .bookings import BOOKING
from .exchange import Request, Response
from .idempotency import read_once, respond
from .operation import CURSOR, LIMIT, Operation, Parameter
from .paths import id_in_path
from .query import Cursors, Listed, limit, one_of, page_of, query
from .routing import delete, get, post
from .views import View

_WEBHOOK: Final = {
    "id": "019a0000-0000-7000-8000-000000000006",
    "url": "https://hooks.example.org/boxoffice",
    "eventId": None,
    "kinds": None,
    "createdAt": "2027-01-01T12:00:00Z",
}
_DELIVERY: Final = {
    "id": "019a0000-0000-7000-8000-000000000007",
    "eventId": BOOKING["eventId"],
    "seq": 2,
    "kind": "CustomerWaitlisted",
    "status": "retrying",
    "attempts": 1,
    "error": "answered 503",
    "createdAt": "2027-01-01T12:00:00Z",
    "triedAt": "2027-01-01T12:00:00Z",
    "dueAt": "2027-01-01T12:00:05Z",
}
_MISSING: Final = ("not-found",)


class WebhookBody(Body, frozen=True, kw_only=True):
    """Where to tell what happens to one's events: to one of them only (`eventId`), of some kinds of facts (`kinds`)."""

    rules = WEBHOOK_RULES

    url: str
    event_id: UUID | UnsetType = UNSET
    kinds: list[str] | UnsetType = UNSET


class WebhookView(View, frozen=True, kw_only=True):
    """A webhook. `eventId` null: all of one's events; `kinds` null: all kinds of facts."""

    id: UUID
    url: str
    event_id: UUID | None
    kinds: list[str] | None
    created_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookView":
        """A webhook without its secret."""
        return cls(
            id=webhook.id,
            url=webhook.url,
            event_id=webhook.event_id,
            kinds=list(webhook.kinds) or None,
            created_at=webhook.created_at,
        )


class NewWebhookView(View, frozen=True, kw_only=True):
    """A webhook with the secret that verifies what it is sent; it is told this once."""

    id: UUID
    url: str
    event_id: UUID | None
    kinds: list[str] | None
    created_at: datetime
    secret: str

    @classmethod
    def of(cls, webhook: Webhook) -> "NewWebhookView":
        """A webhook with its secret."""
        return cls(**msgspec.structs.asdict(WebhookView.of(webhook)), secret=webhook.secret)


class DeliveryView(View, frozen=True, kw_only=True):
    """A fact that a webhook does not have yet: the last failure, and when it is tried again (null: it is given up)."""

    id: UUID
    event_id: UUID
    seq: int
    kind: str
    status: DeliveryStatus
    attempts: int
    error: str
    created_at: datetime
    tried_at: datetime
    due_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        """A delivery of a webhook that is named elsewhere."""
        return cls(**{name: getattr(delivery, name) for name in cls.__struct_fields__})


@post(
    "/webhooks",
    Operation(
        "CreateWebhook",
        "Register a webhook",
        tag="Webhooks",
        signed_in=True,
        takes_key=True,
        body=WebhookBody,
        example={"url": _WEBHOOK["url"], "kinds": ["TicketsBooked", "BookingCancelled"]},
        answer=NewWebhookView,
        answer_example={**_WEBHOOK, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"},
        status=201,
        has_location=True,
        problems=("not-allowed", "not-found", "too-many-webhooks"),
    ),
)
async def create_webhook(request: Request[Caller], create_webhook: CreateWebhook) -> Response:
    """It is told what happens from then on to the events that one organizes."""
    asked = await read_once(request, WebhookBody)
    body = asked.body

    def answer(webhook: Webhook) -> Answer:
        # About no booking and no event, so it names no subject.
        view = msgspec.json.encode(NewWebhookView.of(webhook))
        return Answer(status=201, body=view, location=f"/webhooks/{webhook.id}")

    command = NewWebhook(
        actor=request.caller.actor,
        url=body.url,
        event_id=None if body.event_id is UNSET else body.event_id,
        kinds=None if body.kinds is UNSET else body.kinds,
    )
    return respond(answer(await create_webhook(command, asked.once(answer))))


@get(
    "/webhooks",
    Operation(
        "ListWebhooks",
        "One's own webhooks, oldest first",
        tag="Webhooks",
        signed_in=True,
        answer=Listed[WebhookView],
        answer_example={"items": [_WEBHOOK], "nextCursor": None},
    ),
)
async def list_webhooks(request: Request[Caller], list_webhooks: ListWebhooks) -> Listed[WebhookView]:
    """All of them: there are 20 at most."""
    webhooks = await list_webhooks(request.caller.actor)
    return Listed([WebhookView.of(webhook) for webhook in webhooks], None)


@get(
    "/webhooks/{webhook_id}",
    Operation(
        "ReadWebhook",
        "See a webhook",
        tag="Webhooks",
        signed_in=True,
        answer=WebhookView,
        answer_example=_WEBHOOK,
        problems=_MISSING,
    ),
)
async def read_webhook(request: Request[Caller], webhook_id: str, read_webhook: ReadWebhook) -> WebhookView:
    """One's own, without its secret."""
    return WebhookView.of(await read_webhook(id_in_path(webhook_id), request.caller.actor))


@delete(
    "/webhooks/{webhook_id}",
    Operation(
        "DeleteWebhook",
        "Give up a webhook",
        tag="Webhooks",
        signed_in=True,
        answer=None,
        status=204,
        problems=_MISSING,
    ),
)
async def delete_webhook(request: Request[Caller], webhook_id: str, delete_webhook: DeleteWebhook) -> Response:
    """Nothing more is sent there, but for what is under way; its deliveries go with it."""
    await delete_webhook(id_in_path(webhook_id), request.caller.actor)
    return Response(b"")


@get(
    "/webhooks/{webhook_id}/deliveries",
    Operation(
        "ListDeliveries",
        "What a webhook does not have yet, newest first",
        tag="Webhooks",
        signed_in=True,
        answer=Listed[DeliveryView],
        answer_example={"items": [_DELIVERY], "nextCursor": None},
        parameters=(
            Parameter(
                "status",
                "Only deliveries that stand so.",
                {"type": "string", "enum": [each.value for each in DeliveryStatus]},
            ),
            CURSOR,
            LIMIT,
        ),
        problems=("invalid-request", *_MISSING),
    ),
)
async def list_deliveries(
    request: Request[Caller], webhook_id: str, list_deliveries: ListDeliveries
) -> Listed[DeliveryView]:
    """Deliveries that failed and were not made up for. What went through is not listed."""
    asked = query(request, status=one_of(DeliveryStatus), limit=limit, cursor=str)
    status = asked.get("status")
    cursors: Cursors[UUID] = Cursors(UUID, "deliveries", webhook_id.lower(), status)
    page: Page[Delivery, UUID] = await list_deliveries(
        id_in_path(webhook_id),
        request.caller.actor,
        status=status,
        before=cursors.read_from(asked),
        limit=asked.get("limit", 50),
    )
    return page_of(page, DeliveryView.of, cursors)


@post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
    Operation(
        "ResendDelivery",
        "Send a delivery once more",
        tag="Webhooks",
        signed_in=True,
        answer=DeliveryView,
        answer_example={**_DELIVERY, "status": "resending", "attempts": 10},
        problems=_MISSING,
    ),
)
async def resend_delivery(
    request: Request[Caller], webhook_id: str, delivery_id: str, resend_delivery: ResendDelivery
) -> DeliveryView:
    """In the background, at once: what was given up, or what waits for its next attempt. Needs no body."""
    delivery = await resend_delivery(id_in_path(webhook_id), id_in_path(delivery_id), request.caller.actor)
    return DeliveryView.of(delivery)
