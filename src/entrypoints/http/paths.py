"""Ids in paths: a malformed one names nothing."""

from uuid import UUID

from ...domain.refusals import NotFound
from .body import id_from


def id_in_path(value: str) -> UUID:
    """Raises: NotFound."""
    found = id_from(value)
    if found is None:
        raise NotFound
    return found
