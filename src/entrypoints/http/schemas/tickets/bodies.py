"""Bodies of tickets."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from .....domain.tickets.ticket import HOLDER_RULES, TicketStatus
from .....domain.values.fields import Rules
from ...decoding import RequestBody
from ...problems.problem import FieldProblem
from ..fields import Name, TicketTypeId, Time, View


def _true(value: bool) -> bool:
    """Check a field that says something by being there. Raises: ValueError."""
    if not value:
        raise ValueError("must be true where it is given")
    return value


class TicketChangesRequest(RequestBody, frozen=True, kw_only=True):
    """Changes of a ticket: at least one field."""

    rules: ClassVar[Rules] = {**HOLDER_RULES, "reissue": _true}

    holder_name: Annotated[
        Name | UnsetType, Meta(description="The name of who comes with it.", examples=["Grace Hopper"])
    ] = UNSET
    reissue: Annotated[
        bool | UnsetType,
        Meta(
            description="Give the ticket a new code and make its earlier ones void.", extra_json_schema={"const": True}
        ),
    ] = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """Yield a problem if no field is given."""
        if not given:
            yield FieldProblem("", "must name at least one of holderName, reissue")


class TicketView(View, frozen=True, kw_only=True):
    """A ticket with its code."""

    id: Annotated[UUID, Meta(description="The ticket's id.")]
    number: Annotated[
        int,
        Meta(description="The ticket's number: it counts up within the event and is never used again.", examples=[7]),
    ]
    ticket_type_id: TicketTypeId
    holder_name: Annotated[
        str | None,
        Meta(
            description="The name of who has it: the customer's, unless it was given another one; `null` once the "
            "account is erased.",
            examples=["Grace Hopper"],
        ),
    ]
    status: Annotated[
        TicketStatus,
        Meta(
            description="`valid`; `used` once its holder was let in; `void` once it was given back or its booking was "
            "cancelled."
        ),
    ]
    code: Annotated[
        str,
        Meta(
            description="What is checked at the door: signed, in characters of QR's alphanumeric set.",
            examples=["BX1" + "A" * 160],
            extra_json_schema={"pattern": "^BX1[A-Z2-7]{160}$"},
        ),
    ]
    checked_in_at: Annotated[Time | None, Meta(description="When its holder was let in; `null` until then.")]


class TicketsView(View, frozen=True, kw_only=True):
    """The tickets of a booking."""

    items: Annotated[list[TicketView], Meta(description="All tickets, void ones too, by number.")]
