"""Operations: /health, /openapi.json, /docs."""

from typing import Final

from ..readiness import Readiness
from .exchange import HTML, Request, Response
from .operation import Operation
from .reference import STYLE, Reference
from .routing import get
from .security_headers import page_policy
from .views import View

_TAG: Final = "Operations"


class HealthView(View, frozen=True, kw_only=True):
    """How the process is."""

    status: str


@get(
    "/health/live",
    Operation(
        "ReadLiveness",
        "Whether the process answers",
        tag=_TAG,
        ignores_token=True,
        answer=HealthView,
        answer_example={"status": "live"},
    ),
)
async def read_liveness(_: Request[None]) -> HealthView:
    """Without touching the database."""
    return HealthView(status="live")


@get(
    "/health/ready",
    Operation(
        "ReadReadiness",
        "Whether requests should be sent here",
        tag=_TAG,
        ignores_token=True,
        answer=HealthView,
        answer_example={"status": "ready"},
        problems=("try-again",),
    ),
)
async def read_readiness(_: Request[None], readiness: Readiness) -> HealthView:
    """Not when the database is away, takes no writes or is at another schema version, or this process is draining."""
    await readiness()
    return HealthView(status="ready")


@get(
    "/openapi.json",
    Operation("ReadOpenApi", "This reference for programs (OpenAPI 3.1)", tag=_TAG, ignores_token=True, answer=dict),
)
async def read_openapi(_: Request[None], reference: Reference) -> Response:
    """The whole of it."""
    return Response(reference.openapi)


@get(
    "/docs",
    Operation(
        "ReadDocs",
        "This reference for people",
        tag=_TAG,
        ignores_token=True,
        answer=str,
        media_type="text/html",
    ),
)
async def read_docs(_: Request[None], reference: Reference) -> Response:
    """A page that loads nothing from anywhere."""
    return Response(reference.page.encode(), headers=page_policy(STYLE), media_type=HTML)
