"""Who calls: looked up once for each request, before anything else is looked at."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...application.authenticate import Caller
from ...domain.refusals import InvalidToken
from .problems import FieldProblem, Malformed

Headers = Iterable[tuple[bytes, bytes]]


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
    # What else a token may not hold (RFC 6750, 2.1) stands in none that was signed here.
    if not token.isascii():
        raise InvalidToken
    return str(token, "ascii").strip(" ")


def actor_of(caller: Caller | None) -> Any:
    """Whoever calls as the rules see them, None for nobody."""
    return None if caller is None else caller.actor
