"""Bodies of an event's staff."""

from typing import Annotated, ClassVar, Self
from uuid import UUID

from msgspec import Meta

from ....application.ports.accounts.staff import Colleague
from ....domain.decisions.staff import MOST_STAFF, STAFF_RULES
from ....domain.policy import StaffRole
from ....domain.values.fields import Rules
from ..decoding import RequestBody
from .fields import Email, NextCursor, View

_ROLE = Meta(
    description="`manager`: everything but staff and the event's end. `desk`: the bookings of others, and cash. "
    "`door`: the event before it is published.",
    examples=["desk"],
)


class StaffRequest(RequestBody, frozen=True, kw_only=True):
    """A person who shall work for an event."""

    rules: ClassVar[Rules] = STAFF_RULES

    email: Annotated[
        Email,
        Meta(
            description="The address of the person's account, verified if mails are sent.", examples=["ben@example.org"]
        ),
    ]
    role: Annotated[StaffRole, _ROLE]


class StaffChangesRequest(RequestBody, frozen=True, kw_only=True):
    """Another role."""

    rules: ClassVar[Rules] = {}

    role: Annotated[StaffRole, _ROLE]


class StaffView(View, frozen=True, kw_only=True):
    """A person who works for an event."""

    user_id: Annotated[UUID, Meta(description="The person's account.")]
    name: Annotated[str, Meta(description="The person's name.", examples=["Ben"])]
    email: Annotated[
        str | None,
        Meta(description="The account's address; `null` if it has none any more.", examples=["ben@example.org"]),
    ]
    role: Annotated[StaffRole, _ROLE]

    @classmethod
    def of_colleague(cls, colleague: Colleague) -> Self:
        """Return a member of the staff."""
        member, user = colleague.member, colleague.user
        return cls(user_id=user.id, name=user.name, email=user.email, role=member.role)


class StaffPage(View, frozen=True, kw_only=True):
    """A page of an event's staff."""

    items: Annotated[
        list[StaffView], Meta(description=f"The people of this page; at most {MOST_STAFF} work for an event.")
    ]
    next_cursor: NextCursor
