"""Who calls: looked up once for each request, before anything else is looked at."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...application.authenticate import Caller
from ...domain.refusals import InvalidToken
from .problems import FieldProblem, Malformed

Headers = Iterable[tuple[bytes, bytes]]

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]{1,4096}=*")
"""The b64token of RFC 6750, 2.1; no token of ours is longer."""


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
