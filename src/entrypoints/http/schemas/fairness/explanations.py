"""The body of an explanation."""

from typing import Annotated

from msgspec import Meta

from .....domain.booking import BookingStatus
from .....domain.event import WaitingListPolicy
from .....domain.explanations.explanation import Explanation, ExplanationCode
from ..fields import View


class SinceView(View, frozen=True, kw_only=True):
    """What happened while a booking waited, in bookings of its ticket type. It stays when the wait has ended."""

    served: Annotated[int, Meta(description="Bookings ahead of it that got tickets.", examples=[4])]
    left: Annotated[int, Meta(description="Bookings ahead of it that were cancelled.", examples=[1])]
    overtook_you: Annotated[
        int, Meta(description="Bookings from behind it, and newcomers, that got tickets. No grants.", examples=[0])
    ]
    granted: Annotated[int, Meta(description="Bookings of complimentary tickets.", examples=[0])]


class ChanceView(View, frozen=True, kw_only=True):
    """How likely a waiting booking is to get its tickets."""

    percent: Annotated[int, Meta(ge=0, le=100, description="The chance in percent.", examples=[35])]
    basis: Annotated[int, Meta(description="The tickets of its type that have come back so far.", examples=[17])]


class ExplanationView(View, frozen=True, kw_only=True):
    """Why a booking stands where it stands."""

    status: Annotated[BookingStatus, Meta(description="The booking's status.")]
    code: Annotated[
        ExplanationCode,
        Meta(
            description="Why: it was `confirmed-at-once`, `promoted` from the waiting list, or `granted`; it waits, "
            "because the list is `not-served-now`, is `blocked-by-bigger-group` although enough tickets are free for "
            "it, is `waiting-for-its-size`, or `waiting-behind-others`; it is `held`, its `hold-lapsed`, or it was "
            "`cancelled-by-customer`, `cancelled-by-organizer` or with its event (`event-cancelled`)."
        ),
    ]
    sentence: Annotated[
        str,
        Meta(
            min_length=10,
            max_length=400,
            description="The same in a sentence.",
            examples=["No tickets are free; 1 booking for 2 tickets stands before this one, and …."],
        ),
    ]
    policy: Annotated[WaitingListPolicy, Meta(description="The event's rule for its waiting list.")]
    position: Annotated[int | None, Meta(description="Its place in the waiting list, from 1; `null` unless it waits.")]
    tickets_ahead: Annotated[
        int | None, Meta(description="Tickets requested by the bookings before it; `null` where `position` is.")
    ]
    since: Annotated[SinceView, Meta(description="What happened while it waited; zeros if it never did.")]
    chance: Annotated[
        ChanceView | None,
        Meta(description="Its chance; `null` unless it waits and at least 10 tickets of its type have come back."),
    ]

    @classmethod
    def explaining(cls, explanation: Explanation) -> "ExplanationView":
        """Return the view of an explanation."""
        since, chance = explanation.since, explanation.chance
        return cls.of(
            explanation,
            since=SinceView.of(since, overtook_you=since.overtook),
            chance=None if chance is None else ChanceView.of(chance),
        )
