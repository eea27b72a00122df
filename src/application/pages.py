"""Pages of lists."""

from typing import Generic, TypeVar

from msgspec import Struct

Item = TypeVar("Item")
Key = TypeVar("Key")


class Page(Struct, Generic[Item, Key], frozen=True):
    """One page of a list; `next` is the key to continue after, None at the end."""

    items: list[Item]
    next: Key | None
