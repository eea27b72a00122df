"""Limits over HTTP: which one a request counts for, and whom it is counted for.

What somebody sends who is signed in counts for the user; signing up, signing in and everything else counts for the
address. `/health`, `/metrics` and the reference have no limit, and what is no path of ours costs nothing worth one.
"""

from typing import Any

from dependency_injector.providers import Provider

from ...application.authenticate import Authenticate, Caller
from ...application.limits import READS, UNSIGNED, WRITES, RequestLimits
from ...domain.refusals import InvalidToken, NotSignedIn
from ..client_address import AddressOf
from .exchange import Request
from .identity import bearer_token
from .operation import Operation


class Identify:
    """Finds who calls, notes it in the request, and counts that where there are limits."""

    def __init__(
        self, authenticate: Provider[Authenticate], limits: Provider[RequestLimits] | None, address_of: AddressOf
    ) -> None:
        self._authenticate = authenticate
        self._limits = limits
        self._address_of = address_of

    async def __call__(self, operation: Operation, request: Request[Any]) -> None:
        """Raises: NotSignedIn, InvalidToken, Malformed, TooManyRequests."""
        if operation.ignores_token:
            return
        try:
            token = bearer_token(request.header(b"authorization"))
            if token is None:
                _check_may_be_nobody(operation)
            else:
                request.caller = await self._authenticate()(token)
        except (InvalidToken, NotSignedIn):
            if self._limits is not None:
                self._limits()[UNSIGNED](self._address_of(request.scope))
            raise
        if self._limits is None:
            return
        caller: Caller | None = request.caller
        if caller is not None and operation.limit is None:
            # The number has its hash at hand, the UUID has not.
            self._limits()[READS if request.scope["method"] == "GET" else WRITES](caller.actor.user_id.int)
        else:
            self._limits()[operation.limit or UNSIGNED](self._address_of(request.scope))


def _check_may_be_nobody(operation: Operation) -> None:
    """Raises: NotSignedIn where somebody has to be."""
    if operation.signed_in:
        raise NotSignedIn
