"""What each problem's code means: /problems/{code}."""

import re
from html import escape
from typing import Any

from litestar.datastructures import Accept
from msgspec import Struct

from ...domain.refusals import NotFound
from .exchange import HTML, Request, Response
from .kinds import KINDS, Kind
from .operation import Operation
from .routing import get
from .security_headers import page_policy


class ProblemView(Struct, frozen=True):
    """What a code means."""

    type: str
    title: str
    status: int
    code: str
    explanation: str


@get(
    "/problems/{code}",
    Operation(
        "ReadProblem",
        "Explain a problem's code",
        answer=ProblemView,
        answers_html=True,
        tag="Operations",
        problems=("not-found",),
    ),
)
async def read_problem(request: Request[Any], code: str) -> Response:
    """What a code means, as a page for people or as JSON for programs."""
    kind = KINDS.get(code)
    if kind is None:
        raise NotFound("There is no such problem code.")
    headers = {"Vary": "Accept"}
    wanted = Accept(b", ".join(request.header(b"accept")).decode("latin-1") or "*/*")
    if wanted.best_match(["text/html", "application/json"], default="text/html") == "application/json":
        view = ProblemView(f"/problems/{code}", kind.title, kind.status, code, kind.explanation)
        return Response(view, headers=headers)
    return Response(_page(code, kind).encode(), headers={**headers, **page_policy()}, media_type=HTML)


def _page(code: str, kind: Kind) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(kind.title)}</title><h1>{escape(kind.title)}</h1>"
        f"<p><code>{escape(code)}</code>, status {kind.status}</p><p>{prose(kind.explanation)}</p></html>"
    )


def prose(text: str) -> str:
    """A sentence as HTML; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
