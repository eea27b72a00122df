"""Bodies of health checks and problem codes."""

from typing import Annotated

from msgspec import Meta

from ..problems.problem import ProblemCode
from .fields import View


class LivenessView(View, frozen=True, kw_only=True):
    """This process responds."""

    status: Annotated[str, Meta(description="Always `live`.", examples=["live"])]


class ReadinessView(View, frozen=True, kw_only=True):
    """This process accepts requests."""

    status: Annotated[str, Meta(description="Always `ready`.", examples=["ready"])]


class ProblemView(View, frozen=True, kw_only=True):
    """The meaning of a problem code."""

    type: Annotated[str, Meta(description="The path of this page.", examples=["/problems/already-booked"])]
    title: Annotated[str, Meta(description="A short description of the code.")]
    status: Annotated[int, Meta(description="The HTTP status of its problems.", examples=[409])]
    code: ProblemCode
    explanation: Annotated[str, Meta(description="When it occurs and what to do.")]


class ProblemList(View, frozen=True, kw_only=True):
    """All problem codes."""

    items: Annotated[list[ProblemView], Meta(description="The codes, by status.")]


class NoticeView(View, frozen=True, kw_only=True):
    """The event was received, whether it changed something or not."""

    received: Annotated[bool, Meta(description="Always true.")]
