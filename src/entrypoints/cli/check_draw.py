"""The check-draw command: recompute a draw from its document."""

import sys
from pathlib import Path

from ..checkers.check_draw import DrawRefused, check_draw


def check_draw_file(file: Path) -> int:
    """Print what the document shows. Return 1 if it shows no draw, or one that was not held as it says."""
    try:
        checked = check_draw(file.read_bytes())
    except OSError as error:
        return _refused(f"{file} cannot be read: {error.strerror}.")
    except DrawRefused as refusal:
        return _refused(str(refusal))
    for sentence in checked.sentences:
        print(sentence)
    return 0


def _refused(sentence: str) -> int:
    print(f"boxoffice: {sentence}", file=sys.stderr)
    return 1
