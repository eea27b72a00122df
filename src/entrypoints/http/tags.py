"""Entity tags (RFC 9110, 8.8.3 and 13.1): what a client has seen need not be sent again and is not overwritten."""

import re
from hashlib import blake2b
from typing import Any, Final

import msgspec

from .exchange import Request, Response

_TAG: Final = re.compile(r'[ \t,]*(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t,]*|$)')
_EDITABLE: Final = re.compile(r"([1-9][0-9]{0,8})\.[0-9a-f]+")


def tag_of(body: bytes, version: int | None) -> str:
    """A digest of the answer itself, so that it changes whenever the answer does.

    Before it stands the version of an event, the only part that `If-Match` looks at.
    """
    digest = blake2b(body, digest_size=9).hexdigest()
    return digest if version is None else f"{version}.{digest}"


def tagged(request: Request[Any], view: object, *, version: int | None = None) -> Response:
    """The view with its ETag, or 304 where the client has just that."""
    body = msgspec.json.encode(view)
    tag = tag_of(body, version)
    headers = {"ETag": f'"{tag}"'}
    if request.scope["method"] == "GET" and _has(_listed(request, b"if-none-match"), tag):
        return Response(b"", status=304, headers=headers)
    return Response(body, headers=headers)


def expected_versions(request: Request[Any]) -> frozenset[int] | None:
    """The versions of an event that `If-Match` names; None: whatever there is.

    A weak tag never matches (13.1.1), and what is no tag names no version.
    """
    listed = _listed(request, b"if-match")
    if listed is None or listed.strip() == "*":
        return None
    strong = [opaque for is_weak, opaque in _tags(listed) if not is_weak]
    matches = [_EDITABLE.fullmatch(opaque) for opaque in strong]
    return frozenset(int(match[1]) for match in matches if match)


def _listed(request: Request[Any], header: bytes) -> str | None:
    values = request.header(header)
    return b", ".join(values).decode("latin-1") if values else None


def _has(listed: str | None, tag: str) -> bool:
    if listed is None:
        return False
    return listed.strip() == "*" or any(opaque == tag for _, opaque in _tags(listed))


def _tags(listed: str) -> list[tuple[bool, str]]:
    """The tags of a list, each with whether it is weak; none where the list is broken."""
    found = []
    at = 0
    while at < len(listed):
        match = _TAG.match(listed, at)
        if match is None:
            return []
        found.append((match["weak"] is not None, match["opaque"]))
        at = match.end()
    return found
