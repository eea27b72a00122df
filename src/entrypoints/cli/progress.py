"""The progress of a command: a line that is overwritten, in a terminal only."""

import sys
from types import TracebackType
from typing import Self, TextIO


class ProgressLine:
    """Shows progress on stderr and clears it at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_shown = self._stream.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.show("")

    def show(self, text: str) -> None:
        """Replace the shown text. Write nothing if the stream is not a terminal."""
        if self._is_shown:
            self._stream.write(f"\r{text}\x1b[K")
            self._stream.flush()
