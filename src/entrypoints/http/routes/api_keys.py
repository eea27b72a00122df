"""API keys: /api-keys."""

import msgspec
from litestar import Router
from litestar.params import FromPath, JSONBody
from msgspec.structs import replace

from ....application.api_keys.create_api_key import CreateApiKey, CreatedKey, NewApiKey
from ....application.api_keys.list_api_keys import ListApiKeys
from ....application.api_keys.revoke_api_key import RevokeApiKey
from ....application.ports.accounts.api_keys import ApiKeyTexts
from ....application.ports.idempotency import Replayed
from ....domain.refusals import IdempotencyKeyReused
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of, stored_response
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.api_keys import ApiKeyPage, ApiKeyRequest, ApiKeyView, NewApiKeyView


def router(
    create_api_key: CreateApiKey,
    list_api_keys: ListApiKeys,
    revoke_api_key: RevokeApiKey,
    api_key_texts: ApiKeyTexts,
) -> Router:
    """Return the routes of API keys."""
    api_keys = Subject("API keys")

    def opened(response: RepeatableResponse, *, is_replayed: bool = False) -> Reply:
        """Return the answer with the key, which is sealed in what is stored."""
        view = msgspec.json.decode(response.body, type=NewApiKeyView)
        key = api_key_texts.opened(view.key)
        if key is None:
            raise IdempotencyKeyReused("This key was made and cannot be shown again; delete it and make another one.")
        body = msgspec.json.encode(replace(view, key=key))
        return reply_of(replace(response, body=body), is_replayed=is_replayed)

    @api_keys.post(
        "/api-keys", NewApiKeyView, ("not-allowed", "not-found", "too-many-api-keys"), ("Idempotency-Key",), status=201
    )
    async def handle_create_api_key(data: JSONBody[ApiKeyRequest], request: SignedInRequest) -> Reply:
        """Make an API key, which a program sends instead of an access token. It never may more than you may.

        API keys themselves cannot do this.
        """

        def respond(created: CreatedKey) -> RepeatableResponse:
            view = NewApiKeyView.of(created.key, key=created.sealed)
            return response_of(view, status=201, location=f"/api-keys/{view.id}")

        command = data.to(NewApiKey, actor=request.user.actor)
        try:
            return opened(respond(await create_api_key(command, await idempotent_request(request, respond))))
        except Replayed as replayed:
            return opened(stored_response(replayed.response), is_replayed=True)

    @api_keys.get("/api-keys", ApiKeyPage, ("not-allowed",))
    async def handle_list_api_keys(request: SignedInRequest) -> Reply:
        """List your API keys, oldest first, on one page."""
        views = [ApiKeyView.of(key) for key in await list_api_keys(request.user.actor)]
        return Reply(ApiKeyPage(items=views, next_cursor=None))

    @api_keys.delete("/api-keys/{api_key_id:str}", None, ("not-allowed",), status=204)
    async def handle_revoke_api_key(api_key_id: FromPath[str], request: SignedInRequest) -> None:
        """Revoke an API key. Other processes accept it for at most five seconds more."""
        await revoke_api_key(id_in_path(api_key_id), request.user.actor)

    return api_keys.router
