"""Health, and what a problem's code means."""

from typing import Annotated

from msgspec import Meta

from ..problems.problem import ProblemCode
from .fields import View


class LivenessView(View, frozen=True, kw_only=True):
    """This process answers."""

    status: Annotated[str, Meta(description="Always `live`.", examples=["live"])]


class ReadinessView(View, frozen=True, kw_only=True):
    """Requests may be sent here."""

    status: Annotated[str, Meta(description="Always `ready`.", examples=["ready"])]


class ProblemView(View, frozen=True, kw_only=True):
    """What a problem's code means."""

    type: Annotated[str, Meta(description="The path of this page.", examples=["/problems/already-booked"])]
    title: Annotated[str, Meta(description="The code in a few words.")]
    status: Annotated[int, Meta(description="The status that it comes with.", examples=[409])]
    code: ProblemCode
    explanation: Annotated[str, Meta(description="When it occurs and what to do.")]


class ProblemList(View, frozen=True, kw_only=True):
    """Every code of the API."""

    items: Annotated[list[ProblemView], Meta(description="The codes, by status.")]
