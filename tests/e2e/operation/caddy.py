"""Caddy with the configuration of deploy/, on loopback and with a certificate of its own authority."""

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Final, Self

from msgspec import Struct

from tests.faults.service import free_port
from tests.mariadb import DIE_WITH_ME

REQUIRED_VARIABLE: Final = "BOXOFFICE_REQUIRE_CADDY"
"""Whether a test fails, rather than being skipped, where there is no Caddy."""

CADDYFILE: Final = Path(__file__).parents[3] / "deploy" / "Caddyfile"
_UNPACKED: Final = Path(__file__).parents[3] / ".venv" / "caddy" / "usr" / "bin" / "caddy"
_WITHIN: Final = 60.0  # seconds


def program() -> str | None:
    """Return the path of the program, if it was fetched or is installed."""
    return str(_UNPACKED) if _UNPACKED.exists() else shutil.which("caddy")


class Answer(Struct, frozen=True):
    """A response, completely read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, response: HTTPResponse) -> "Answer":
        return cls(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())


class Caddy:
    """One process, in front of an address such as `127.0.0.1:8000`."""

    def __init__(self, caddy: str, directory: Path, upstream: str) -> None:
        self.http_port: Final = free_port()
        self.https_port: Final = free_port()
        self._directory = directory
        self._log: Final = directory / "caddy.log"
        # Its certificates and their authority are below these directories.
        self._environment = os.environ | {
            "HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory),
            "UPSTREAM": upstream,
        }  # fmt: skip
        self._command = [caddy, "run", "--config", str(directory / "caddy.json")]
        (directory / "caddy.json").write_text(json.dumps(self._configuration(caddy)))
        self._process: subprocess.Popen[bytes] | None = None

    def _configuration(self, caddy: str) -> dict[str, Any]:
        """Return the configuration as Caddy understands it, with other ports, and on loopback only."""
        adapted = subprocess.run(
            [caddy, "adapt", "--config", CADDYFILE, "--adapter", "caddyfile"],
            env=self._environment, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        configuration: dict[str, Any] = json.loads(adapted.stdout)
        http = configuration["apps"]["http"]
        (server,) = http["servers"].values()
        assert server["listen"] == [":443"]
        server["listen"] = [f"127.0.0.1:{self.https_port}"]
        http["http_port"], http["https_port"] = self.http_port, self.https_port
        configuration["logging"] = {"logs": {"default": {"level": "DEBUG"}}}
        return configuration

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", DIE_WITH_ME, "sh", *self._command],
                env=self._environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait_until(self._answers)
        return self

    def _answers(self) -> bool:
        try:
            connection = self.connect()
            connection.connect()
        except OSError:
            return False
        connection.close()
        return True

    def wait_until_logged(self, text: str, times: int) -> None:
        """Wait until the log has a text so many times."""
        self._wait_until(lambda: self._log.read_text().count(text) >= times)

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _WITHIN
        while not is_so():
            if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                self.__exit__()
                raise RuntimeError(f"Caddy did not get so far:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.02)

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.kill()
            self._process.stdin.close()
            self._process.wait(timeout=30)

    @property
    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts this authority only."""
        return ssl.create_default_context(
            cafile=self._directory / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        )

    def connect(self, source: str = "127.0.0.1") -> HTTPSConnection:
        """Return a connection from an address on loopback."""
        return HTTPSConnection("localhost", self.https_port, timeout=60, source_address=(source, 0), context=self.tls)

    def ask(self, method: str, path: str, body: Any = None, *, source: str = "127.0.0.1", **headers: str) -> Answer:
        """Send a request on a new connection. Underscores in the names of headers are hyphens."""
        connection = self.connect(source)
        try:
            return ask(connection, method, path, body, **headers)
        finally:
            connection.close()


def ask(connection: HTTPSConnection, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a request on a connection. Underscores in the names of headers are hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()} | {"Host": "localhost"}
    if body is not None:
        named["Content-Type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), named)
    return Answer.of(connection.getresponse())
