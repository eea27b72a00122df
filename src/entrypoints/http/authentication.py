"""Authentication and rate limits, before anything else of a request is read.

Requests of a signed-in user count for the user; sign-ups, sign-ins and all others count for the address. `/health`,
`/metrics` and the reference ignore tokens and have no limit.
"""

from collections.abc import Iterable
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from ...application.accounts.authenticate import Authenticate, Caller
from ...application.limits.rate_limits import LIMITS, READS, UNSIGNED, WRITES, Limit, RequestLimits
from ...domain.refusals import InvalidToken, NotSignedIn
from ..client_address import AddressOf
from .problems.problem import FieldProblem, Malformed

SIGNED_IN: Final = {"signed_in": True}
"""The `opt` of a handler that requires a signed-in user."""

UNAUTHENTICATED: Final = {"exclude_from_auth": True}
"""The `opt` of a handler that ignores tokens and has no limit."""


def limited_by(limit: Limit) -> dict[str, Any]:
    """Return the `opt` of a handler with its own limit per address."""
    return {"limit": limit.name}


_LIMITS: Final = {limit.name: limit for limit in LIMITS}
_READING: Final = frozenset({HttpMethod.GET, HttpMethod.HEAD})


class Authentication(AbstractAuthenticationMiddleware):
    """Set `request.user` to the caller or None, and count the request if limits are enabled."""

    def __init__(
        self,
        app: ASGIApp,
        authenticate: Authenticate,
        limits: RequestLimits | None,
        address_of: AddressOf,
    ) -> None:
        super().__init__(app)
        self._authenticate = authenticate
        self._limits = limits
        self._address_of = address_of

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        """Raises: NotSignedIn, InvalidToken, Malformed, TooManyRequests."""
        scope: Any = connection.scope
        opt = connection.route_handler.opt
        try:
            caller = await self._caller(bearer_token(scope["headers"]), is_needed="signed_in" in opt)
        except (InvalidToken, NotSignedIn):
            if self._limits is not None:
                self._limits[UNSIGNED](self._address_of(scope))
            raise
        # Set before the limits refuse, so that the log line of a refused request names its user.
        scope["user"] = caller
        if self._limits is not None:
            name: str | None = opt.get("limit")
            if caller is not None and name is None:
                # An int is hashed faster than a UUID.
                self._limits[READS if scope["method"] in _READING else WRITES](caller.actor.user_id.int)
            else:
                self._limits[UNSIGNED if name is None else _LIMITS[name]](self._address_of(scope))
        return AuthenticationResult(user=caller, auth=None)

    async def _caller(self, token: str | None, *, is_needed: bool) -> Caller | None:
        if token is not None:
            return await self._authenticate(token)
        if is_needed:
            raise NotSignedIn
        return None


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the bearer token; None for another scheme. Raises: InvalidToken, Malformed."""
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        return None
    if len(given) > 1:
        # A proxy may choose another of them than this service.
        raise Malformed(FieldProblem("", "must have at most one Authorization header"))
    scheme, _, token = given[0].strip().partition(b" ")
    if scheme != b"Bearer" and scheme.lower() != b"bearer":
        return None
    # A token is ASCII (RFC 6750, 2.1).
    if not token.isascii():
        raise InvalidToken
    return str(token, "ascii").strip(" ")
