"""Where a log's files are read from: a service, or a folder with a copy. Both are strangers: bounded time and size."""

from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from time import monotonic
from typing import Final, Protocol
from urllib.parse import urlsplit

from .refused import Refused

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
ALL_SECONDS: Final = 1_800.0
_PIECE: Final = 65_536


class Source(Protocol):
    """The files below a log."""

    def get(self, path: str, most_bytes: int) -> bytes | None:
        """Return a file of at most so many bytes; None: there is none.

        Raises: Refused: it is larger, or cannot be read in time.
        """

    def close(self) -> None:
        """End its connections."""


class LogFolder:
    """A folder with a copy of a log's files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, path: str, most_bytes: int) -> bytes | None:
        """See the protocol."""
        try:
            with (self._folder / path).open("rb") as file:
                content = file.read(most_bytes + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}") from None
        if len(content) > most_bytes:
            raise Refused(f"{path} has more than {most_bytes} bytes")
        return content

    def close(self) -> None:
        """See the protocol. There are none."""


class LogService:
    """A service that serves a log over HTTP. One connection is used for all files; redirects are not followed."""

    def __init__(self, url: str) -> None:
        """Raises: Refused: no such address."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Refused("the address is broken") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise Refused("the address of a log is http(s)://…/events/{id}/log, or a folder")
        if not url.isascii() or any(each <= " " for each in url):
            raise Refused("the address is broken")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, port, timeout=CONNECT_SECONDS)
        self._path = parts.path.rstrip("/")
        self._ends_at = monotonic() + ALL_SECONDS

    def get(self, path: str, most_bytes: int) -> bytes | None:
        """See the protocol."""
        ends_at = min(monotonic() + ANSWER_SECONDS, self._ends_at)
        try:
            response = self._answer(path)
            content = _read(response, most_bytes, ends_at)
        except (OSError, HTTPException, ValueError) as error:
            self._connection.close()
            raise Refused(f"{path} cannot be read: {type(error).__name__}: {error}"[:200]) from None
        if content is None:
            self._connection.close()
            raise Refused(f"{path} has more than {most_bytes} bytes, or takes too long")
        if response.status == 404:
            return None
        if response.status != 200:
            raise Refused(f"{path} is answered with {response.status}")
        return content

    def close(self) -> None:
        """See the protocol."""
        self._connection.close()

    def _answer(self, path: str) -> HTTPResponse:
        headers = {"Accept-Encoding": "identity"}
        try:
            self._connection.request("GET", f"{self._path}/{path}", headers=headers)
            return self._connection.getresponse()
        except (ConnectionError, HTTPException):
            # The service may have closed the connection after the last answer.
            self._connection.close()
            self._connection.request("GET", f"{self._path}/{path}", headers=headers)
            return self._connection.getresponse()


def source_of(address: str) -> Source:
    """Return the source with this address: a URL, or a folder.

    Raises: Refused.
    """
    return LogService(address) if "://" in address else LogFolder(Path(address))


def _read(response: HTTPResponse, most_bytes: int, ends_at: float) -> bytes | None:
    """Return the body; None: it is larger, or does not end in time."""
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > most_bytes or monotonic() > ends_at:
            return None
    if response.length:
        raise HTTPException("the answer ends too early")
    # Otherwise the connection is not used again.
    response.close()
    return b"".join(pieces)
