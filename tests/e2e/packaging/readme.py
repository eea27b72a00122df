"""The examples of README.md, as it shows them."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]


def first_example(language: str) -> str:
    """The first fenced block of that language.

    Raises: AssertionError when there is none.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"README.md shows no {language}"
    return found.group(1)
