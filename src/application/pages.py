"""A page of a list."""

from typing import Generic, TypeVar

from msgspec import Struct

Item = TypeVar("Item")


Key = TypeVar("Key")


class Page(Struct, Generic[Item, Key], frozen=True):
    """A piece of a list; `next` is where to go on, None at the end."""

    items: list[Item]
    next: Key | None
