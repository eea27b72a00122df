"""A server on the loopback that takes whatever is sent to it, and keeps it: a collector of traces, a Sentry."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final


class Collector:
    """What was sent, by path, unpacked."""

    def __init__(self) -> None:
        self.received: Final[list[tuple[str, bytes]]] = []
        self._has_come = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, is_enough: Callable[[list[tuple[str, bytes]]], object]) -> None:
        """Until what was received is enough; a minute is for a machine that has other things to do."""
        with self._has_come:
            assert self._has_come.wait_for(lambda: bool(is_enough(self.received)), timeout=60), self.received

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                with collector._has_come:
                    collector.received.append((self.path, body))
                    collector._has_come.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not on the console."""

        return Handler


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    thread = threading.Thread(target=collector._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector._server.shutdown()
        collector._server.server_close()
        thread.join()
