"""Who calls: looked up once for each request, before anything else is looked at."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from dependency_injector.providers import Provider

from ...application.authenticate import Authenticate, Caller
from ...domain.refusals import InvalidToken, NotSignedIn
from .exchange import Request
from .operation import Operation
from .problems import FieldProblem, Malformed

Headers = Iterable[tuple[bytes, bytes]]

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]{1,4096}=*")
"""The b64token of RFC 6750, 2.1; no token of ours is longer."""


class Identify:
    """Finds the `Caller` of a request, None for nobody."""

    def __init__(self, authenticate: Provider[Authenticate]) -> None:
        self._authenticate = authenticate

    async def __call__(self, operation: Operation, request: Request[Any]) -> Caller | None:
        """Raises: NotSignedIn, InvalidToken, Malformed."""
        if operation.ignores_token:
            return None
        token = bearer_token(request.header(b"authorization"))
        if token is not None:
            return await self._authenticate()(token)
        if operation.signed_in:
            raise NotSignedIn
        return None


def bearer_token(authorization: Sequence[bytes]) -> str | None:
    """The bearer token of these headers; another scheme counts as none. Raises: InvalidToken, Malformed."""
    if not authorization:
        return None
    if len(authorization) > 1:
        # Which of them counts would be a guess, and a proxy may guess otherwise.
        raise Malformed(FieldProblem("", "must have one Authorization header at most"))
    scheme, _, token = authorization[0].strip().partition(b" ")
    if scheme != b"Bearer" and scheme.lower() != b"bearer":
        return None
    token = token.strip(b" ")
    if not _TOKEN.fullmatch(token):
        raise InvalidToken
    return str(token, "ascii")


def actor_of(caller: Caller | None) -> Any:
    """Whoever calls as the rules see them, None for nobody."""
    return None if caller is None else caller.actor
