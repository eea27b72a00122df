"""How far a command has come: one line that is written over, in a terminal only."""

import sys
from types import TracebackType
from typing import Self, TextIO


class ProgressLine:
    """Writes to stderr, and leaves nothing there at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Where the stream is no terminal, nothing is written."""
        self._stream = stream or sys.stderr
        self._is_shown = self._stream.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.show("")

    def show(self, text: str) -> None:
        """Write a text over the one before."""
        if self._is_shown:
            self._stream.write(f"\r{text}\x1b[K")
            self._stream.flush()
