"""Whole logs: read from a folder or a service that may lie, be slow or never end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from boxoffice.adapters.log import Checkpoint, to_bundle
from boxoffice.entrypoints.checkers import sources
from boxoffice.entrypoints.checkers.log_reader import MOST_ENTRIES, ReplayedLog, replay_log
from boxoffice.entrypoints.checkers.receipt import check_receipt
from boxoffice.entrypoints.checkers.refused import Refused
from boxoffice.entrypoints.checkers.sources import source_of

from .written_logs import (
    EVENT_ID,
    SIGNER,
    begun,
    booked,
    cancelled,
    checkpoint,
    files,
    promoted,
    receipt,
    said,
    texts,
    waits,
    write,
)

SMALL = texts(said(begun(), booked(), waits(1), cancelled(), promoted(1)))


@cache
def large() -> list[bytes]:
    """A log of 66,000 entries: three levels of tiles."""
    return texts(said(begun(), *[{"kind": "TicketCheckedIn"}] * 65_999))


class Files:
    """A source in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    def get(self, path: str, most_bytes: int) -> bytes | None:
        self.asked.append(path)
        return self.files.get(path)

    def close(self) -> None:
        pass


def ask(address: str) -> ReplayedLog:
    with closing(source_of(address)) as source:
        return replay_log(source, SIGNER.key)


def read(files: dict[str, bytes], *receipts: str) -> ReplayedLog:
    return replay_log(Files(files), SIGNER.key, [check_receipt(each, SIGNER.key) for each in receipts])


def test_a_log_is_read_from_a_folder(tmp_path: Path) -> None:
    write(tmp_path, files(SMALL))
    log = ask(str(tmp_path))
    assert (log.event_id, log.checkpoint.size, log.report.findings, log.report.promoted) == (EVENT_ID, 5, (), 1)
    with pytest.raises(Refused, match="no log"):
        ask(str(tmp_path / "nowhere"))
    (tmp_path / "tile/0/000.p/5").write_bytes(bytes(10_000))
    with pytest.raises(Refused, match="more than 8192 bytes"):
        ask(str(tmp_path))


def test_a_large_log_has_its_upper_tiles_compared() -> None:
    written = files(large())
    source = Files(written)
    assert replay_log(source, SIGNER.key).checkpoint.size == 66_000
    assert set(source.asked) == set(written)
    for path in ("tile/1/001.p/1", "tile/2/000.p/1"):
        with pytest.raises(Refused, match="does not belong"):
            read({**written, path: bytes(len(written[path]))})


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512])
def test_logs_of_every_width_are_read(size: int) -> None:
    assert read(files(large()[:size])).checkpoint.size == size


@pytest.mark.parametrize("path", ["tile/0/000.p/5", "tile/entries/000.p/5"])
def test_a_tile_that_has_become_full_is_read_instead(path: str) -> None:
    written, full = files(SMALL), files([*SMALL, *large()[5:256]])
    del written[path]
    with pytest.raises(Refused, match="missing"):
        read(written)
    whole = path.removesuffix(".p/5")
    assert read({**written, whole: full[whole]}).checkpoint.size == 5


ALTERED: dict[str, Callable[[dict[str, bytes]], None]] = {
    "an entry": lambda log: log.update(
        {"tile/entries/000.p/5": log["tile/entries/000.p/5"].replace(b'"quantity":1', b'"quantity":2')}
    ),
    "a dropped entry": lambda log: log.update({"tile/entries/000.p/5": to_bundle(SMALL[:4])}),
    "a broken bundle": lambda log: log.update({"tile/entries/000.p/5": log["tile/entries/000.p/5"][:-1]}),
    "a tile": lambda log: log.update({"tile/0/000.p/5": bytes(160)}),
    "the log and its tile": lambda log: log.update({**files([*SMALL[:4], SMALL[3]]), "checkpoint": log["checkpoint"]}),
    "the checkpoint": lambda log: log.update({"checkpoint": log["checkpoint"].replace(b"\n5\n", b"\n4\n")}),
    "no text": lambda log: log.update({"checkpoint": b"\xff"}),
    "no checkpoint": lambda log: log.clear(),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_log_is_refused(name: str) -> None:
    written = files(SMALL)
    ALTERED[name](written)
    with pytest.raises(Refused):
        read(written)


def test_a_log_that_claims_to_be_endless_is_refused() -> None:
    endless = SIGNER.signed(Checkpoint(f"h/events/{EVENT_ID}/log", MOST_ENTRIES + 1, bytes(32)).text)
    with pytest.raises(Refused, match="more than"):
        read({"checkpoint": endless.encode()})


def test_receipts_are_true_of_the_log_that_grew() -> None:
    early = receipt(SMALL[:3], 3)
    assert read(files(SMALL), early, receipt(SMALL, 5), early).checkpoint.size == 5


def test_a_shrunk_log_is_found_by_a_receipt() -> None:
    with pytest.raises(Refused, match="shrunk"):
        read(files(SMALL[:4]), receipt(SMALL, 3))


def test_a_rewritten_log_is_found_by_a_receipt() -> None:
    rewritten = files([SMALL[0], SMALL[1].replace(b"confirmed", b"held     "), *SMALL[2:]])
    with pytest.raises(Refused, match="another entry 2"):
        read(rewritten, receipt(SMALL, 2))
    with pytest.raises(Refused, match="another root of its first 4"):
        read(rewritten, receipt(SMALL[:4], 3))


def test_a_receipt_of_another_event_is_refused() -> None:
    other = checkpoint(SMALL, origin=f"h/events/{EVENT_ID[:-1]}2/log").encode()
    with pytest.raises(Refused, match="another event"):
        read({**files(SMALL), "checkpoint": other}, receipt(SMALL, 3))


@contextmanager
def service(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve answers on this machine, and yield the address of a log."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A checker that has seen enough closes the connection."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/events/{EVENT_ID}/log"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, content: bytes | None, status: int = 200) -> None:
    handler.send_response(404 if content is None else status)
    handler.send_header("Content-Length", str(len(content or b"")))
    handler.end_headers()
    handler.wfile.write(content or b"")


def test_a_log_is_read_from_a_service_over_one_connection() -> None:
    written, peers = files(SMALL), set()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        peers.add(handler.client_address)
        send(handler, written.get(handler.path.partition("/log/")[2]))

    with service(answer) as url:
        assert ask(url + "/").report.findings == ()
        assert len(peers) == 1
        del written["checkpoint"]
        with pytest.raises(Refused, match="no log, or it is not public"):
            ask(url)


def test_a_service_that_closes_its_connections_is_read() -> None:
    written = files(SMALL)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, written.get(handler.path.partition("/log/")[2]))
        handler.close_connection = True

    with service(answer) as url:
        assert ask(url).checkpoint.size == 5


def test_what_a_service_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(65_536))
        except OSError:
            handler.close_connection = True

    with service(endless) as url, pytest.raises(Refused, match="more than 65536 bytes"):
        ask(url)
    monkeypatch.setattr(sources, "ANSWER_SECONDS", -1.0)
    with service(lambda handler: send(handler, b"x")) as url, pytest.raises(Refused, match="too long"):
        ask(url)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda handler: send(handler, b"", 500), "500"),
        (lambda handler: send(handler, b"", 302), "302"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "BadStatusLine"),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "too early"),
        (lambda handler: None, "cannot be read"),
    ],
)
def test_what_is_no_log_is_refused(answer: Callable[[BaseHTTPRequestHandler], None], said: str) -> None:
    def once(handler: BaseHTTPRequestHandler) -> None:
        answer(handler)
        handler.close_connection = True

    with service(once) as url, pytest.raises(Refused, match=said):
        ask(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/log",
        "http:///log",
        "http://example.com:99999/log",
        "http://example.com/log?a=b",
        "http://example.com/log#a",
        "http://[::1/log",
        "http://example.com/a b",
        "http://example.com/\r\nx",
        "http://exämple.com/log",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        source_of(url)


def test_an_unreachable_service_is_refused() -> None:
    with service(lambda handler: None) as url:
        pass
    with pytest.raises(Refused, match="cannot be read"):
        ask(url)
