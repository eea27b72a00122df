"""Operations: /metrics."""

from typing import Final, Protocol

from .exchange import Request, Response
from .operation import Operation
from .routing import get

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Protocol):
    """What Prometheus is told."""

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. Neither method nor route may be what somebody made up: those are ``""``."""

    async def page(self) -> bytes:
        """All of it, of all processes of the service."""


@get(
    "/metrics",
    Operation(
        "ReadMetrics",
        "Figures for operators (Prometheus)",
        tag="Operations",
        ignores_token=True,
        answer=str,
        media_type="text/plain",
    ),
)
async def read_metrics(_: Request[None], metrics: Metrics) -> Response:
    """Also while the database is away; then without what only the database knows."""
    return Response(await metrics.page(), media_type=CONTENT_TYPE)
