"""Everything that is kept of an account, as one JSON object that is streamed."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from ....application.personal_data.export_account import AccountExport
from ....domain.policy import StaffRole
from ....domain.tickets.ticket import TicketStatus
from ....domain.user import User
from ....domain.verification import LinkPurpose
from ..camel_case import camel_case
from .accounts import UserView
from .api_keys import ApiKeyView
from .bookings import BookingView
from .events import EventView
from .fields import CreatedAt, EventId, TicketTypeId, Time, View
from .payments import EventPaymentView
from .webhooks import WebhookView


class ExportedUserView(UserView, frozen=True, kw_only=True):
    """The account itself."""

    verified_at: Annotated[Time | None, Meta(description="Since when the address is verified; `null`: it is not.")]

    @classmethod
    def of_user(cls, user: User) -> "ExportedUserView":
        """Return the view of an account."""
        return cls.of(user, email_verified=user.is_verified)


class SessionView(View, frozen=True, kw_only=True):
    """A sign-in."""

    id: Annotated[UUID, Meta(description="The session's id.")]
    created_at: CreatedAt
    expires_at: Annotated[Time, Meta(description="When it ends unless it is refreshed.")]
    ended_at: Annotated[Time | None, Meta(description="When it was ended before; `null`: it was not.")]


class ExportedTicketView(View, frozen=True, kw_only=True):
    """A ticket of a booking that was confirmed."""

    id: Annotated[UUID, Meta(description="The ticket's id.")]
    number: Annotated[int, Meta(description="Its number within the event.", examples=[7])]
    event_id: EventId
    booking_id: Annotated[UUID, Meta(description="The booking.")]
    ticket_type_id: TicketTypeId
    holder_name: Annotated[
        str | None, Meta(description="The name that it was given; `null`: none, so it is in the account's name.")
    ]
    status: Annotated[TicketStatus, Meta(description="`valid`, `used` or `void`.")]
    checked_in_at: Annotated[Time | None, Meta(description="When its holder was let in; `null` until then.")]


class DutyView(View, frozen=True, kw_only=True):
    """What the account does for an event of another one."""

    event_id: EventId
    role: Annotated[StaffRole, Meta(description="The role.")]


class LinkView(View, frozen=True, kw_only=True):
    """A link that was mailed, or is about to be."""

    purpose: Annotated[LinkPurpose, Meta(description="What it does.")]
    email: Annotated[str, Meta(description="The address that it was sent to.", examples=["ada@example.org"])]
    created_at: CreatedAt


class ExportView(View, frozen=True, kw_only=True):
    """Everything that is kept of an account."""

    user: Annotated[ExportedUserView, Meta(description="The account.")]
    sessions: Annotated[list[SessionView], Meta(description="Its sign-ins.")]
    bookings: Annotated[list[BookingView], Meta(description="Its bookings, newest first.")]
    tickets: Annotated[list[ExportedTicketView], Meta(description="The tickets of its bookings.")]
    payments: Annotated[list[EventPaymentView], Meta(description="The charges and refunds of its bookings.")]
    events: Annotated[list[EventView], Meta(description="The events that it organizes, drafts too.")]
    staff: Annotated[list[DutyView], Meta(description="The events that it works for.")]
    api_keys: Annotated[list[ApiKeyView], Meta(description="Its API keys, without the keys.")]
    webhooks: Annotated[list[WebhookView], Meta(description="Its webhooks, without their secrets.")]
    links: Annotated[list[LinkView], Meta(description="The links that were mailed to it and may still work.")]


def _views(now: datetime) -> Mapping[str, Callable[[Any], object]]:
    return {
        "sessions": SessionView.of,
        "bookings": lambda booking: BookingView.at(booking, now),
        "tickets": ExportedTicketView.of,
        "payments": EventPaymentView.of,
        "events": lambda state: EventView.at(state, now),
        "staff": lambda duty: DutyView(event_id=duty[0], role=duty[1]),
        "api_keys": ApiKeyView.of,
        "webhooks": WebhookView.of,
        "links": LinkView.of,
    }


_encode: Final = msgspec.json.Encoder().encode


async def exported_json(export: AccountExport, now: datetime) -> AsyncIterator[bytes]:
    """Yield the object, member by member and page by page."""
    yield b'{"user":' + _encode(ExportedUserView.of_user(export.user))
    views = _views(now)
    for name, pages in export.sections.items():
        yield b"," + _encode(camel_case(name)) + b":["
        is_first = True
        async for page in pages:
            if page:
                yield (b"" if is_first else b",") + b",".join([_encode(views[name](item)) for item in page])
                is_first = False
        yield b"]"
    yield b"}"
