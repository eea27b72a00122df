"""Calls: which handler answers what, found by path and method, with what it needs handed over from the container.

Every call goes the same way: who calls, the handler, its answer or the problem that it ran into. Litestar knows the
handlers and finds them by path and method; what it would do around them in each request (a stack of contexts, models of
signatures, groups of tasks, layers around exceptions and answers) costs more than all that a booking needs.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import signature
from typing import Any

from dependency_injector.providers import Provider
from litestar import Litestar
from litestar import Request as Connection
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from ...application.idempotency import Replayed
from .exchange import Request, Response
from .idempotency import respond
from .limits import Identify
from .operation import Operation
from .problems import problem_response

Handler = Callable[..., Awaitable[object]]
Decorator = Callable[[Handler], "Call"]
Providers = Mapping[str, Provider[Any]]


class Call(Struct, frozen=True):
    """A method of a path, what the reference says of it, and what answers it.

    In the path `{name}` stands for what is between two slashes. The handler takes the request and then what it names:
    such a piece of the path, or something that the container provides. It answers with a `Response`, or with a view.
    """

    method: HttpMethod
    path: str
    operation: Operation
    handler: Handler


def get(path: str, operation: Operation) -> Decorator:
    """Answers GET, and so HEAD."""
    return lambda handler: Call(HttpMethod.GET, path, operation, handler)


def post(path: str, operation: Operation) -> Decorator:
    """Answers POST."""
    return lambda handler: Call(HttpMethod.POST, path, operation, handler)


def patch(path: str, operation: Operation) -> Decorator:
    """Answers PATCH."""
    return lambda handler: Call(HttpMethod.PATCH, path, operation, handler)


def delete(path: str, operation: Operation) -> Decorator:
    """Answers DELETE."""
    return lambda handler: Call(HttpMethod.DELETE, path, operation, handler)


class Calls:
    """Litestar's handlers, each called as it is."""

    def __init__(self, app: Litestar) -> None:
        self._find = app.asgi_router.handle_routing

    def __call__(self, request: Request[Any]) -> Awaitable[Response]:
        """The answer, to be waited for. Raises: NotFoundException, MethodNotAllowedException."""
        scope = request.scope
        _, handler, _, scope["path_params"], scope["path_template"] = self._find(scope["path"], scope["method"])
        answering: Awaitable[Response] = handler.fn(request)
        return answering


def handlers_of(calls: Iterable[Call], providers: Providers, identify: Identify) -> list[HTTPRouteHandler]:
    """Litestar's handlers."""
    return [_handler_of(call, providers, identify) for call in calls]


def _handler_of(call: Call, providers: Providers, identify: Identify) -> HTTPRouteHandler:
    operation, handler = call.operation, call.handler
    _, *names = signature(call.handler).parameters
    needed = [(name, None if f"{{{name}}}" in call.path else providers[name]) for name in names]

    async def handle(request: Connection[Any, Any, Any]) -> Any:
        asked: Any = request
        try:
            await identify(operation, asked)
            of_path = asked.scope["path_params"]
            answer = await handler(
                asked, *[of_path[name] if provider is None else provider() for name, provider in needed]
            )
            response = answer if isinstance(answer, Response) else Response(answer)
        except Replayed as replayed:
            response = respond(replayed.answer, is_again=True)
        except Exception as error:  # noqa: BLE001 - told as a problem; one that nobody foresaw is logged there
            response = problem_response(error, str(asked.scope.get("request_id", "")))
        if response.status is None:
            response.status = operation.status
        return response

    path = call.path.replace("}", ":str}")
    # The answer has a status of its own; Litestar's own one for DELETE would forbid it a body.
    return HTTPRouteHandler(path, http_method=call.method, name=operation.id, status_code=200)(handle)
