"""The catalogue of problem codes, and what each means: `catalog.toml` beside this file."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """What one code means."""

    status: int
    title: str
    explanation: str


def _read() -> dict[str, Entry]:
    text = files(__package__).joinpath("catalog.toml").read_bytes()
    found = msgspec.toml.decode(text, type=dict[str, Entry])
    return {
        code: msgspec.structs.replace(each, explanation=" ".join(each.explanation.split()))
        for code, each in found.items()
    }


CATALOG: Final[Mapping[str, Entry]] = _read()
