"""The Litestar application, wired through the container."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from litestar import HttpMethod, Litestar, Request, Response, Router
from litestar.config.cors import CORSConfig
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.plugins import PluginProtocol
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Middleware, Scope

from ...application.ports.idempotency import Replayed
from ..container import Container
from ..lifespan import running
from .authentication import Authentication
from .idempotency import reply_of, stored_response
from .observation import observe, request_id_of, stopwatch
from .problems.problem import MEDIA_TYPE, render
from .reference import document
from .refusals import is_plain, refusals
from .request import JsonRequest
from .wiring import Routes

_ALLOWED_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"]
_EXPOSED_HEADERS = ["X-Request-Id", "ETag", "Location", "Retry-After", "Idempotency-Replayed"]
_PREFLIGHT_SECONDS = 600


def create_app(
    container: Container,
    *,
    route_handlers: Sequence[ControllerRouterHandler] = (),
    middleware: Sequence[Middleware] = (),
    plugins: Sequence[PluginProtocol] = (),
) -> Litestar:
    """Return the REST API, extended by an embedder's handlers, middleware and plugins.

    Its lifespan runs `running`.
    """
    settings = container.settings()
    tracing = container.tracing()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with running(container):
            yield

    return Litestar(
        route_handlers=[_api(container), document.router(), *route_handlers],
        middleware=[*([] if tracing is None else [tracing.around]), stopwatch, *middleware],
        plugins=list(plugins),
        exception_handlers={Exception: _problem, Replayed: _replay},
        before_send=[_name_all_methods, observe(container.clock(), container.metrics())],
        cors_config=_cors(settings.cors_origins),
        openapi_config=document.openapi_config(),
        lifespan=[lifespan],
        # The process that runs the application configures logging.
        logging_config=None,
    )


async def _name_all_methods(message: Message, scope: Scope) -> None:
    """Name all methods of a path in the response to OPTIONS. Litestar names those of its first handler."""
    request: Any = scope
    if message["type"] != "http.response.start" or request.get("method") != HttpMethod.OPTIONS:
        return
    routes = [route for route in request["litestar_app"].routes if isinstance(route, HTTPRoute)]
    methods = [route.methods for route in routes if route.path_format == request.get("path_template")]
    allow = ", ".join(sorted(set().union(*methods))).encode()
    message["headers"] = [(name, allow if name == b"allow" else value) for name, value in message["headers"]]


def _api(container: Container) -> Router:
    """Return the routes of the API with their middleware."""
    routes = Routes(core=container)
    limits = container.request_limits() if container.settings().rate_limits else None

    def authentication(app: ASGIApp) -> ASGIApp:
        return Authentication(app, container.authenticate(), limits, routes.address_of())

    return Router(
        "/",
        route_handlers=routes.routers(),
        middleware=[refusals, authentication],
        request_class=JsonRequest,
    )


def _problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the problem details of an exception."""
    if isinstance(error, MethodNotAllowedException) and not is_plain(request.scope):
        error = NotFoundException()
    problem = render(error, request_id_of(request.scope))
    body = b"" if request.method == "HEAD" else problem.body
    headers = {**problem.headers, "Content-Length": str(len(problem.body))}
    return Response(body, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def _replay(_: Request[Any, Any, Any], replayed: Replayed) -> Response[bytes]:
    """Return the stored response of an idempotency key."""
    reply = reply_of(stored_response(replayed.response), is_replayed=True)
    return Response(reply.body, status_code=reply.status, headers=dict(reply.headers), media_type=reply.media_type)


def _cors(origins: Sequence[str]) -> CORSConfig | None:
    """Return the CORS rules for the origins of the settings; None if there are none.

    Credentials are not allowed, because the API uses tokens and no cookies.
    """
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
        allow_headers=_ALLOWED_HEADERS,
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_SECONDS,
    )
