"""Operations: /health, /metrics, /problems."""

import re
from html import escape
from typing import Final, Protocol

from litestar import Router
from litestar.datastructures import Accept
from litestar.params import FromPath

from ....domain.refusals import NotFound
from ...readiness import Readiness
from ..authentication import UNAUTHENTICATED
from ..problems.catalog import CATALOG, Entry
from ..reference.operations import PUBLIC, Subject
from ..reply import JSON, Reply
from ..request import AnyoneRequest
from ..schemas.fields import View
from ..schemas.operations import LivenessView, ProblemList, ProblemView, ReadinessView

_PAGES: Final = (JSON, "text/html")
_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class MetricsPage(Protocol):
    """The content of `/metrics`."""

    async def page(self) -> bytes:
        """Return the metrics of all processes of the service, in Prometheus' text format."""


def router(readiness: Readiness, metrics: MetricsPage) -> Router:
    """Return the routes for operators, and the pages that explain problem codes."""
    operations = Subject("Operations")

    @operations.get("/health/live", LivenessView, opt=UNAUTHENTICATED)
    async def handle_read_liveness() -> Reply:
        """Check that the process responds. The database is not used."""
        return Reply(LivenessView(status="live"))

    @operations.get("/health/ready", ReadinessView, ("try-again",), opt=UNAUTHENTICATED)
    async def handle_read_readiness() -> Reply:
        """Check whether this process should receive requests.

        The answer is 503 when the database is unreachable, refuses writes or has another schema version, or when the
        process is shutting down.
        """
        await readiness()
        return Reply(ReadinessView(status="ready"))

    @operations.get("/metrics", str, opt=UNAUTHENTICATED, media_types=("text/plain",))
    async def handle_read_metrics() -> Reply:
        """Read the metrics of all processes (Prometheus). Those of an unreachable database are missing."""
        return Reply(await metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @operations.get("/problems", ProblemList, media_types=_PAGES, opt=PUBLIC)
    async def handle_list_problems(request: AnyoneRequest) -> Reply:
        """List the problem codes, as a page for people or as JSON for programs."""
        items = "".join(
            f"<li><a href=/problems/{code}>{escape(code)}</a> ({entry.status}): {escape(entry.title)}</li>"
            for code, entry in CATALOG.items()
        )
        views = ProblemList(items=[_view(code, entry) for code, entry in CATALOG.items()])
        return _reply(request, views, "Problems", f"<ul>{items}</ul>")

    @operations.get("/problems/{code:str}", ProblemView, media_types=_PAGES, opt=PUBLIC)
    async def handle_read_problem(code: FromPath[str], request: AnyoneRequest) -> Reply:
        """Explain a problem code, as a page for people or as JSON for programs."""
        entry = CATALOG.get(code)
        if entry is None:
            raise NotFound("This problem code does not exist; GET /problems lists all codes.")
        explanation = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(entry.explanation))
        content = (
            f"<p><code>{escape(code)}</code>, status {entry.status}</p><p>{explanation}</p>"
            "<p><a href=/problems>All problems</a></p>"
        )
        return _reply(request, _view(code, entry), entry.title, content)

    return operations.router


def _view(code: str, entry: Entry) -> ProblemView:
    return ProblemView.of(entry, type=f"/problems/{code}", code=code)


def _reply(request: AnyoneRequest, view: View, title: str, content: str) -> Reply:
    """Return the view, or a page with the content if the client prefers HTML."""
    accept = Accept(b", ".join(request.values(b"accept")).decode("latin-1") or "*/*")
    if accept.best_match([*_PAGES], default=JSON) == JSON:
        return Reply(view, headers={"Vary": "Accept"})
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1>{content}</html>"
    )
    headers = {"Vary": "Accept", "Content-Security-Policy": _POLICY}
    return Reply(page.encode(), headers=headers, media_type="text/html; charset=utf-8")
