"""The version of the package, as `boxoffice --version` prints it."""

from typing import Final

VERSION: Final = "0.1.0"
