"""Entity tags (RFC 9110, 8.8.3 and 13.1), for caches and against lost updates."""

import re
from hashlib import blake2b
from typing import Any, Final

import msgspec

from .reply import Reply
from .request import JsonRequest

_TAG: Final = re.compile(r'[ \t,]*(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t,]*|$)')
_EDITABLE: Final = re.compile(r"([1-9][0-9]{0,8})\.[0-9a-f]+")


def tag_of(body: bytes, version: int | None = None) -> str:
    """Return a digest of the body, behind the version of an event, which is the only part that `If-Match` compares."""
    digest = blake2b(body, digest_size=9).hexdigest()
    return digest if version is None else f"{version}.{digest}"


def tagged(request: JsonRequest[Any], view: object, *, version: int | None = None, compared: object = None) -> Reply:
    """Return the view with its ETag, or 304 if the client has the same.

    `compared` is the part of the view that the ETag is of; None: all of it.
    """
    body = msgspec.json.encode(view)
    tag = tag_of(body if compared is None else msgspec.json.encode(compared), version)
    headers = {"ETag": f'"{tag}"'}
    if request.scope["method"] in {"GET", "HEAD"}:
        known = _tags(request, b"if-none-match", absent=[])
        if known is None or tag in known:
            return Reply(b"", status=304, headers=headers)
    return Reply(body, headers=headers)


def expected_versions(request: JsonRequest[Any]) -> frozenset[int] | None:
    """Return the versions of an event that `If-Match` names; None: any.

    A weak tag counts as a strong one, although 13.1.1 forbids it: a compressing proxy weakens tags, and the digest is
    of the uncompressed body. Anything but a tag of ours names no version.
    """
    tags = _tags(request, b"if-match", absent=None)
    if tags is None:
        return None
    return frozenset(int(match[1]) for match in map(_EDITABLE.fullmatch, tags) if match)


def _tags(request: JsonRequest[Any], header: bytes, absent: list[str] | None) -> list[str] | None:
    """Return the opaque tags of a header, none if it is malformed; None for `*`; `absent` without the header."""
    values = request.values(header)
    if not values:
        return absent
    listed = b", ".join(values).decode("latin-1")
    if listed.strip() == "*":
        return None
    found, at = [], 0
    while match := _TAG.match(listed, at):
        found.append(match["opaque"])
        at = match.end()
    return found if at == len(listed) else []
