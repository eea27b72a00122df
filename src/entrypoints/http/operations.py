"""Operations: /health, /openapi.json, /docs."""

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from ...application.failures import Unavailable
from ...application.ports import Storage
from ..container import Draining
from .operation import Operation
from .reference import Reference
from .views import View

_TAG: Final = "Operations"


class HealthView(View, frozen=True, kw_only=True):
    """How the process is."""

    status: str


@get(
    "/health/live",
    opt=Operation(
        "ReadLiveness",
        "Whether the process answers",
        tag=_TAG,
        ignores_token=True,
        answer=HealthView,
        answer_example={"status": "live"},
    ).opt,
)
async def read_liveness() -> HealthView:
    """Without touching the database."""
    return HealthView(status="live")


@get(
    "/health/ready",
    opt=Operation(
        "ReadReadiness",
        "Whether requests should be sent here",
        tag=_TAG,
        ignores_token=True,
        answer=HealthView,
        answer_example={"status": "ready"},
        problems=("try-again",),
    ).opt,
)
async def read_readiness(
    storage: NamedDependency[SkipValidation[Storage]], draining: NamedDependency[SkipValidation[Draining]]
) -> HealthView:
    """Not when the database is away, read-only or at another schema version, or this process is draining."""
    if draining.has_begun:
        raise Unavailable("This process is about to end.")
    await storage.check_ready()
    return HealthView(status="ready")


@get(
    "/openapi.json",
    opt=Operation(
        "ReadOpenApi", "This reference for programs (OpenAPI 3.1)", tag=_TAG, ignores_token=True, answer=dict
    ).opt,
)
async def read_openapi(reference: NamedDependency[SkipValidation[Reference]]) -> Response[bytes]:
    """The whole of it."""
    return Response(reference.openapi, media_type="application/json")


@get(
    "/docs",
    opt=Operation(
        "ReadDocs",
        "This reference for people",
        tag=_TAG,
        ignores_token=True,
        answer=str,
        media_type="text/html",
    ).opt,
)
async def read_docs(reference: NamedDependency[SkipValidation[Reference]]) -> Response[str]:
    """A page that loads nothing from anywhere."""
    return Response(reference.page, media_type="text/html")
