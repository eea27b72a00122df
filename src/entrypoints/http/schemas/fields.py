"""Types of fields that several bodies share.

The domain's rules normalise and trim text, so lengths are documented here and checked there.
"""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import Meta, Struct

_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
_BIDI = r"\u202a-\u202e\u2066-\u2069"
_NO_CONTROLS = f"^[^{_CONTROLS}]*$"
NOT_BLANK = rf"^[^{_CONTROLS}{_BIDI}]*[^\s{_CONTROLS}{_BIDI}][^{_CONTROLS}{_BIDI}]*$"
NO_SPACE = rf"^[^\s{_CONTROLS}{_BIDI}]+$"


class View(Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a response."""

    @classmethod
    def of(cls, source: Any, **others: Any) -> Self:
        """Return a view of the source's attributes and these others."""
        return cls(**{name: getattr(source, name) for name in cls.__struct_fields__ if name not in others}, **others)


def _text(least: int, most: int, pattern: str) -> Meta:
    return Meta(extra_json_schema={"minLength": least, "maxLength": most, "pattern": pattern})


Name = Annotated[str, _text(1, 200, NOT_BLANK)]
Device = Annotated[str, _text(1, 100, NOT_BLANK)]
Note = Annotated[str, _text(1, 200, NOT_BLANK)]
Description = Annotated[str, _text(0, 1_000, rf"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_BIDI}]*$")]
Venue = Annotated[str, _text(0, 200, f"^[^{_CONTROLS}{_BIDI}]*$")]
Email = Annotated[str, _text(3, 254, rf"^[^\s@{_CONTROLS}{_BIDI}]+@[^\s@{_CONTROLS}{_BIDI}]+$")]
NewPassword = Annotated[str, _text(8, 128, _NO_CONTROLS)]
TriedPassword = Annotated[str, _text(1, 1_024, _NO_CONTROLS)]
RefreshToken = Annotated[str, _text(1, 512, NOT_BLANK)]
CurrencyCode = Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Z]{3}$"})]
LinkToken = Annotated[str, _text(1, 512, NOT_BLANK)]
CardToken = Annotated[str, _text(1, 255, NO_SPACE)]
Time = Annotated[datetime, Meta(tz=True)]
EventId = Annotated[UUID, Meta(description="The event's id.")]
TicketTypeId = Annotated[UUID, Meta(description="The ticket type's id.")]
CreatedAt = Annotated[Time, Meta(description="When it was created.")]
NextCursor = Annotated[str | None, Meta(description="The cursor of the next page; `null` at the end of the list.")]
