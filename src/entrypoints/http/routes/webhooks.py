"""Webhooks: /webhooks and the deliveries below them."""

from typing import Annotated

from litestar import Router
from litestar.params import FromPath, JSONBody, QueryParameter

from ....application.webhooks.change_webhook import ChangeWebhook
from ....application.webhooks.create_webhook import CreateWebhook, NewWebhook
from ....application.webhooks.delete_webhook import DeleteWebhook
from ....application.webhooks.read_webhooks import ListDeliveries, ListWebhooks, ReadWebhook
from ....application.webhooks.resend_delivery import ResendDelivery
from ....domain.webhooks import DeliveryStatus, Webhook, WebhookChanges
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import Cursor, Limit, check_parameters, id_cursors
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.webhooks import (
    DeliveryPage,
    DeliveryView,
    NewWebhookView,
    WebhookChangesRequest,
    WebhookPage,
    WebhookRequest,
    WebhookView,
)

DeliveryFilter = Annotated[DeliveryStatus | None, QueryParameter(description="Only deliveries with this status.")]


def router(
    create_webhook: CreateWebhook,
    list_webhooks: ListWebhooks,
    read_webhook: ReadWebhook,
    change_webhook: ChangeWebhook,
    delete_webhook: DeleteWebhook,
    list_deliveries: ListDeliveries,
    resend_delivery: ResendDelivery,
) -> Router:
    """Return the routes of webhooks."""
    webhooks = Subject("Webhooks")

    @webhooks.post(
        "/webhooks", NewWebhookView, ("not-allowed", "not-found", "too-many-webhooks"), ("Idempotency-Key",), status=201
    )
    async def handle_create_webhook(data: JSONBody[WebhookRequest], request: SignedInRequest) -> Reply:
        """Register a webhook. It receives the new facts of the events that you organize."""

        def respond(webhook: Webhook) -> RepeatableResponse:
            return response_of(NewWebhookView.of(webhook), status=201, location=f"/webhooks/{webhook.id}")

        command = data.to(NewWebhook, actor=request.user.actor)
        return reply_of(respond(await create_webhook(command, await idempotent_request(request, respond))))

    @webhooks.get("/webhooks", WebhookPage, ("not-allowed",))
    async def handle_list_webhooks(request: SignedInRequest) -> Reply:
        """List your webhooks, oldest first, on one page."""
        webhooks = await list_webhooks(request.user.actor)
        return Reply(WebhookPage(items=[WebhookView.of(webhook) for webhook in webhooks], next_cursor=None))

    @webhooks.get("/webhooks/{webhook_id:str}", WebhookView, ("not-allowed",))
    async def handle_read_webhook(webhook_id: FromPath[str], request: SignedInRequest) -> Reply:
        """Read one of your webhooks."""
        return Reply(WebhookView.of(await read_webhook(id_in_path(webhook_id), request.user.actor)))

    @webhooks.patch("/webhooks/{webhook_id:str}", WebhookView, ("not-allowed",))
    async def handle_change_webhook(
        webhook_id: FromPath[str], data: JSONBody[WebhookChangesRequest], request: SignedInRequest
    ) -> Reply:
        """Change a webhook. One that becomes active receives facts from then on."""
        changes = data.to(WebhookChanges)
        return Reply(WebhookView.of(await change_webhook(id_in_path(webhook_id), request.user.actor, changes)))

    @webhooks.delete("/webhooks/{webhook_id:str}", None, ("not-allowed",), status=204)
    async def handle_delete_webhook(webhook_id: FromPath[str], request: SignedInRequest) -> None:
        """Delete a webhook with its deliveries. A delivery in progress is still sent."""
        await delete_webhook(id_in_path(webhook_id), request.user.actor)

    @webhooks.get("/webhooks/{webhook_id:str}/deliveries", DeliveryPage, ("not-allowed",))
    async def handle_list_deliveries(
        webhook_id: FromPath[str],
        request: SignedInRequest,
        status: DeliveryFilter = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """List a webhook's failed deliveries that have not succeeded since, newest first."""
        check_parameters(request, "status", "cursor", "limit")
        cursors = id_cursors("deliveries", webhook_id.lower(), status)
        page = await list_deliveries(
            id_in_path(webhook_id), request.user.actor, status=status, before=cursors.read(cursor), limit=limit
        )
        views = [DeliveryView.of(each) for each in page.items]
        return Reply(DeliveryPage(items=views, next_cursor=cursors.write(page.next)))

    @webhooks.post("/webhooks/{webhook_id:str}/deliveries/{delivery_id:str}/retry", DeliveryView, ("not-allowed",))
    async def handle_resend_delivery(
        webhook_id: FromPath[str], delivery_id: FromPath[str], request: SignedInRequest
    ) -> Reply:
        """Repeat a delivery at once, in the background.

        It has been abandoned or waits for its next attempt. Needs no body.
        """
        delivery = await resend_delivery(id_in_path(webhook_id), id_in_path(delivery_id), request.user.actor)
        return Reply(DeliveryView.of(delivery))

    return webhooks.router
