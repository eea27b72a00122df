"""A server on loopback that accepts and stores everything: it acts as a collector of traces and as Sentry."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final


class Collector:
    """The received bodies, uncompressed, with their paths."""

    def __init__(self) -> None:
        self.received: Final[list[tuple[str, bytes]]] = []
        self.url = ""
        self._has_come = threading.Condition()

    def keep(self, path: str, body: bytes) -> None:
        with self._has_come:
            self.received.append((path, body))
            self._has_come.notify_all()

    def wait_for(self, is_enough: Callable[[list[tuple[str, bytes]]], object]) -> None:
        """Wait until enough is received, for a minute at most on a busy machine."""
        with self._has_come:
            assert self._has_come.wait_for(lambda: bool(is_enough(self.received)), timeout=60), self.received


@contextmanager
def collecting() -> Iterator[Collector]:
    """Start a collector."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.keep(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Do not log to the console."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
