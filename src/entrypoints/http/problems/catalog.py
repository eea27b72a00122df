"""The catalogue of problem codes, read from `catalog.toml`."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """The meaning of a code."""

    status: int
    title: str
    explanation: str


def _read() -> dict[str, Entry]:
    text = files(__package__).joinpath("catalog.toml").read_bytes()
    entries = msgspec.toml.decode(text, type=dict[str, Entry])
    return {
        code: msgspec.structs.replace(each, explanation=" ".join(each.explanation.split()))
        for code, each in entries.items()
    }


CATALOG: Final[Mapping[str, Entry]] = _read()
