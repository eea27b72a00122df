"""Who calls: looked up once for each request, before anything else is looked at."""

import re
from typing import Any, Final

from dependency_injector.providers import Provider
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from ...application.authenticate import Authenticate, Caller
from ...domain.refusals import InvalidToken, NotSignedIn
from .operation import Operation
from .problems import FieldProblem, Malformed

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]{1,4096}=*")
"""The b64token of RFC 6750, 2.1; no token of ours is longer."""


def identify_with(authenticate: Provider[Authenticate]) -> Guard:
    """A guard that puts the `Caller` (None: nobody) where `request.user` finds it."""

    async def identify(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raises: NotSignedIn, InvalidToken, Malformed."""
        operation: Operation | None = handler.opt.get("operation")
        connection.scope["user"] = None
        if operation is None or operation.ignores_token:
            return
        token = bearer_token(connection.scope["headers"])
        if token is not None:
            connection.scope["user"] = await authenticate()(token)
        elif operation.signed_in:
            raise NotSignedIn

    return identify


def bearer_token(headers: Any) -> str | None:
    """The bearer token that was sent; another scheme counts as none. Raises: InvalidToken, Malformed."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return None
    if len(values) > 1:
        # Which of them counts would be a guess, and a proxy may guess otherwise.
        raise Malformed(FieldProblem("", "must have one Authorization header at most"))
    scheme, _, token = values[0].strip().partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    token = token.strip(b" ")
    if not _TOKEN.fullmatch(token):
        raise InvalidToken
    return str(token, "ascii")


def actor_of(caller: Caller | None) -> Any:
    """Whoever calls as the rules see them, None for nobody."""
    return None if caller is None else caller.actor
