"""The reference as a page: Litestar's Scalar plugin with the script from this package, without any other host."""

import gzip
import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from litestar import HttpMethod, Request, Router, route
from litestar.datastructures import ResponseHeader
from litestar.openapi.plugins import ScalarRenderPlugin

from ..refusals import refusals
from ..reply import Reply

# Scalar adds inline styles to the page.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' "
    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OPTIONS: Final = {
    "withDefaultFonts": False,
    "telemetry": False,
    "hideClientButton": True,
    "agent": {"disabled": True},
    "mcp": {"disabled": True},
    "showDeveloperTools": "never",
    "documentDownloadType": "json",
}
_SCRIPT: Final = "application/javascript; charset=utf-8"


class ReferencePage(ScalarRenderPlugin):
    """Scalar's page over `/openapi.json`."""

    def __init__(self) -> None:
        super().__init__(path="/", js_url="/docs/scalar.js", options=_OPTIONS)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """Return the page."""
        title = escape(openapi_schema["info"]["title"])
        return (
            "<!doctype html><html lang=en><head><meta charset=utf-8>"
            f"<title>{title}: API reference</title><meta name=viewport content='width=device-width, initial-scale=1'>"
            "<link rel=icon href=data:,></head><body>"
            "<noscript>The reference needs JavaScript; <a href=/openapi.json>/openapi.json</a> does not.</noscript>"
            f"<script id=api-reference data-url=/openapi.json data-configuration='{escape(json.dumps(self.options))}'>"
            f"</script><script src={self.js_url}></script></body></html>"
        ).encode()


@route("/", http_method=HttpMethod.HEAD)
async def handle_head(request: Request[Any, Any, Any]) -> Reply:
    """Answer HEAD, for which Litestar's handler of the page is missing."""
    page = ReferencePage().render(request, {"info": {"title": request.app.openapi_schema.info.title}})
    return Reply(page, headers={"Content-Security-Policy": _POLICY}, media_type="text/html; charset=utf-8")


@route("/scalar.js", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def handle_script(request: Request[Any, Any, Any]) -> Reply:
    """Return Scalar's script (MIT licence), compressed if the client accepts gzip."""
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Reply(_compressed(), headers={**headers, "Content-Encoding": "gzip"}, media_type=_SCRIPT)
    return Reply(gzip.decompress(_compressed()), headers=headers, media_type=_SCRIPT)


@cache
def _compressed() -> bytes:
    return files(__package__).joinpath("static", "scalar.js.gz").read_bytes()


def docs_router() -> Router:
    """Return the router under which Litestar serves the page."""
    return Router(
        "/docs",
        route_handlers=[handle_head, handle_script],
        middleware=[refusals],
        response_headers=[ResponseHeader(name="Content-Security-Policy", value=_POLICY)],
        include_in_schema=False,
    )
