"""Bodies of API keys."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....domain.policy import KeyRole
from ....domain.user import API_KEY_RULES
from ....domain.values.fields import Rules
from ..decoding import RequestBody
from .fields import CreatedAt, Name, NextCursor, Time, View

_NAME = Meta(description="A name by which you recognize it.", examples=["Scanner at the south door"])
_ROLE = Meta(
    description="What it may do at most. `read`: read whatever you may read. `door`, `desk`, `manager`: what such "
    "staff may do, and nothing for yourself. `organizer`: whatever you may do, but for what is yours alone."
)
_EVENT = Meta(description="The only event for which it acts; in other events it is a stranger.")
_EXPIRES_AT = Meta(description="When it expires.", examples=["2027-05-02T03:00:00Z"])
_KEY = "bxo_6P0Yw6Z0B7qkq3cW1bJmX2fT9uVhR4sLd8eNaGzKpQo"


class ApiKeyRequest(RequestBody, frozen=True, kw_only=True):
    """A new API key."""

    rules: ClassVar[Rules] = API_KEY_RULES

    name: Annotated[Name, _NAME]
    role: Annotated[KeyRole, _ROLE]
    event_id: Annotated[UUID | UnsetType, _EVENT] = UNSET
    expires_at: Annotated[Annotated[datetime, Meta(tz=True)] | UnsetType, _EXPIRES_AT] = UNSET


class NewApiKeyView(View, frozen=True, kw_only=True):
    """A new API key with its text, which is shown only once."""

    id: Annotated[UUID, Meta(description="The API key's id.")]
    name: Annotated[str, _NAME]
    role: Annotated[KeyRole, _ROLE]
    event_id: Annotated[UUID | None, Meta(description="The only event for which it acts; `null`: any.")]
    expires_at: Annotated[Time | None, Meta(description="When it expires; `null`: never.")]
    created_at: CreatedAt
    key: Annotated[str, Meta(description="Sent with every call: `Authorization: Bearer <key>`.", examples=[_KEY])]


class ApiKeyView(View, frozen=True, kw_only=True):
    """An API key without its text."""

    id: Annotated[UUID, Meta(description="The API key's id.")]
    name: Annotated[str, _NAME]
    role: Annotated[KeyRole, _ROLE]
    event_id: Annotated[UUID | None, Meta(description="The only event for which it acts; `null`: any.")]
    expires_at: Annotated[Time | None, Meta(description="When it expires, or has expired; `null`: never.")]
    created_at: CreatedAt
    last_used_at: Annotated[
        Time | None, Meta(description="When it was last used, to the minute or so; `null`: not yet.")
    ]


class ApiKeyPage(View, frozen=True, kw_only=True):
    """Your API keys."""

    items: Annotated[list[ApiKeyView], Meta(description="All of them; those that have expired until you make another.")]
    next_cursor: NextCursor
