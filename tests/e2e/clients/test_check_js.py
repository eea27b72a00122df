"""`check.js`, which the pages serve, says the same of receipts as the command line does: in Node and in a browser."""

import json
import os
import shutil
import signal
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from random import Random
from typing import Final

import pytest

from boxoffice.adapters.log import LogProof, NoteSigner, VerifierKey
from boxoffice.entrypoints.checkers.receipt import check_receipt, read_key
from boxoffice.entrypoints.checkers.refused import Refused
from tests.entrypoints.checkers.test_log_reader import large
from tests.entrypoints.checkers.test_receipt import ENTRIES, OPENING, RECEIPT
from tests.entrypoints.checkers.written_logs import EVENT_ID, KEY, SIGNER, receipt

CHECK: Final = Path(__file__).parents[3] / "src" / "entrypoints" / "checkers" / "check.js"
CHARACTERS: Final = "\n\r\t \0=+/—é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") + '0159aAzZ{}":,.'

RUN: Final = """
import { checkReceipt } from "./check.mjs";
import { readFileSync } from "node:fs";
const said = [];
for (const [text, key] of JSON.parse(readFileSync(0))) {
  try { const { eventId, entry } = await checkReceipt(text, key); said.push(`${eventId} ${entry.kind}`); }
  catch (error) { said.push(error.constructor.name); }
}
console.log(JSON.stringify(said));
"""

pytestmark = [pytest.mark.slow]


def in_python(text: str, key: str) -> str:
    try:
        checked = check_receipt(text, read_key(key))
    except Refused:
        return "Refused"
    return f"{checked.event_id} {checked.entry.kind}"


def cases() -> list[tuple[str, str]]:
    """Return receipts with their keys: right ones of every place, and altered ones."""
    random = Random(20261201)
    logs = [ENTRIES[:size] for size in range(1, 6)] + [large()[:size] for size in (255, 256, 257)]
    right = [receipt(log, seq) for log in logs for seq in {1, len(log) // 2 + 1, len(log)}]
    other = NoteSigner("box.example/log", bytes(32))
    proof = LogProof.parse(RECEIPT)
    checkpoint = proof.checkpoint
    cosigned = checkpoint + other.signature_line(checkpoint.partition("\n\n")[0] + "\n")
    altered = []
    for _ in range(250):
        text = random.choice([RECEIPT, RECEIPT, *right])
        at = random.randrange(len(text))
        altered.append(text[:at] + random.choice(["", random.choice(CHARACTERS)]) + text[at + random.choice([0, 1]) :])
    extras = [
        {"entry": ENTRIES[4].decode()},
        {"entry": ENTRIES[4].decode(), "opening": OPENING + "."},
        {"entry": ENTRIES[4].decode(), "opening": OPENING.partition(".")[0]},
        {"entry": ENTRIES[3].decode()},
        {"opening": OPENING},
        [],
    ]
    texts = [
        RECEIPT,
        *right,
        *altered,
        LogProof(proof.index, proof.hashes, cosigned, proof.extra).text,
        *(LogProof(proof.index, proof.hashes, checkpoint, json.dumps(each).encode()).text for each in extras),
        LogProof(proof.index, (*proof.hashes, bytes(32)), checkpoint, proof.extra).text,
        LogProof(proof.index, proof.hashes[1:], checkpoint, proof.extra).text,
    ]
    keys = [other.key.text, VerifierKey("another", SIGNER.key.public).text, KEY[:-1], "", "a+b", KEY + "\n"]
    return [*((text, KEY) for text in texts), *((RECEIPT, key) for key in keys)]


def test_it_says_the_same_in_node(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("needs Node.js: make clients", pytrace=False)
    shutil.copy(CHECK, tmp_path / "check.mjs")
    (tmp_path / "run.mjs").write_text(RUN)
    given = cases()
    ended = subprocess.run(
        [node, "run.mjs"],
        cwd=tmp_path,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    expected = [in_python(*each) for each in given]
    assert [(*case, js, py) for case, js, py in zip(given, said, expected, strict=True) if js != py] == []
    assert f"{EVENT_ID} BookingPromoted" in said
    assert said.count("Refused") > 150


def test_it_is_short_and_needs_nothing() -> None:
    source = CHECK.read_text()
    assert len(source.splitlines()) <= 150
    assert not any(word in source for word in ("import ", "require(", "fetch(", "XMLHttpRequest", "eval("))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, Queue[str]]]:
    """Serve a page that checks a right and a wrong receipt. Yield its address, and what it then says."""
    shutil.copy(CHECK, tmp_path)
    texts = [b64encode(text.encode()).decode() for text in (RECEIPT, RECEIPT.replace("index 4", "index 3"))]
    (tmp_path / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><script type="module">'
        'import { checkReceipt } from "./check.js";'
        "const read = (text) => new TextDecoder().decode(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)));"
        "const said = [];"
        f"for (const text of {json.dumps(texts)})"
        f"  await checkReceipt(read(text), {json.dumps(KEY)}).then("
        "    ({ eventId, entry, hidden }) => said.push(`${eventId} ${entry.kind} ${hidden.bookingId}`),"
        "    (error) => said.push(error.constructor.name));"
        'await fetch("/said", { method: "POST", body: said.join("; ") });'
        "</script>"
    )

    said: Queue[str] = Queue()

    class Listening(SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            said.put(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Listening, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/index.html", said
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_works_in_a_browser(page: tuple[str, Queue[str]], tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    address, said = page
    with (tmp_path / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                address,
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert said.get(timeout=120) == f"{EVENT_ID} BookingPromoted b; Refused"
    finally:
        # Its helpers are in its group.
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
