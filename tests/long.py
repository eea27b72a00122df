"""Whether tests run with `--long`, for what is decided while modules load."""

import os
from typing import Final

_NAME: Final = "LONG_TESTS"


def be_long() -> None:
    """Let the modules that load from now on know of `--long`."""
    os.environ[_NAME] = "1"


def is_long() -> bool:
    """Return whether tests repeat as often, or among as much, as `make torture` does."""
    return _NAME in os.environ
