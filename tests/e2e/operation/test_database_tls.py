"""TLS to the database: its certificate must match the host and be signed by the URL's CA, or nothing is sent."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from boxoffice.entrypoints.settings import Settings, SettingsError
from tests import mariadb
from tests.e2e.operation.conftest import serve_a_customer
from tests.faults.service import boxoffice
from tests.servers import KIND
from tests.servers import server as new_server

MANUAL: Final = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
WITHOUT_TLS: Final = {"mariadb": "--skip-ssl", "mysql": "--tls-version="}


def make_certificates(directory: Path, host: str) -> Path:
    """Run the manual's commands, and return the certificate of their CA."""
    section = MANUAL.partition("\n### TLS to the database\n")[2].partition("\n### ")[0]
    commands = re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[0]
    assert commands.count("db.example.org") == 2
    directory.mkdir()
    subprocess.run(
        ["/bin/sh", "-eu", "-c", commands.replace("db.example.org", host)],
        cwd=directory, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return directory / "ca.pem"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a CA's certificate, beside that of a server at localhost."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "ours", "localhost")


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another CA's certificate, beside that of a server at another host."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "strange", "db.example.org")


def with_certificate(ca: Path) -> list[str]:
    """Return the options of a server that requires TLS, as the manual's `[mysqld]` section has them."""
    (lines,) = re.findall(r"^```ini\n\[mysqld\]\n(.*?)^```$", MANUAL, re.DOTALL | re.MULTILINE)
    return [f"--{line}".replace("/etc/mysql/tls", str(ca.parent)) for line in lines.splitlines()]


@contextmanager
def server_with(server_template: Path, *options: str) -> Iterator[tuple[mariadb.MariaDB, str]]:
    """Start a server with these options, and return it with the URL of a database on it."""
    server = new_server(server_template)
    server.options += options
    with server.init_file.open("a") as init:
        init.write("CREATE DATABASE boxoffice CHARACTER SET utf8mb4;\n")
    with server:
        yield server, f"{server.admin_url}/boxoffice".replace("127.0.0.1", "localhost")


def test_the_manuals_certificates_are_valid_to_the_letter(ours: Path) -> None:
    """Python 3.13 and newer check them strictly."""
    verify = ("openssl", "verify", "-x509_strict", "-CAfile", ours, "-verify_hostname", "localhost")
    subprocess.run([*verify, ours.with_name("server-cert.pem")], check=True, capture_output=True, timeout=60)
    assert ours.with_name("server-key.pem").stat().st_mode & 0o77 == 0


def test_a_certificate_for_its_host_by_a_trusted_signer_is_accepted(
    server_template: Path, ours: Path, tmp_path: Path
) -> None:
    """All connections use TLS, including the sandbox's, because the server refuses others."""
    with server_with(server_template, *with_certificate(ours)) as (_, plain):
        url = f"{plain}?ssl_ca={ours}"
        migrated = boxoffice(url, tmp_path, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        serve_a_customer(url, tmp_path)
        assert boxoffice(url, tmp_path, "verify").returncode == 0
        refused = boxoffice(plain, tmp_path, "verify")
        assert refused.returncode == 1, "the server must require TLS"


def test_any_other_server_is_refused_with_the_reason(
    server_template: Path, ours: Path, strange: Path, tmp_path: Path
) -> None:
    def check_refusal(url: str, ca: Path, reason: str) -> None:
        for command in (("serve", "--port", "0"), ("migrate",)):
            result = boxoffice(f"{url}?ssl_ca={ca}", tmp_path, *command)
            assert result.returncode == 1
            (line,) = result.stderr.splitlines()
            assert line.startswith("boxoffice: The database at ")
            assert reason in line

    with server_with(server_template, *with_certificate(ours)) as (_, url):
        check_refusal(url, strange, "CERTIFICATE_VERIFY_FAILED")
    with server_with(server_template, *with_certificate(strange)) as (_, url):
        check_refusal(url, strange, "does not name its host")
    with server_with(server_template, WITHOUT_TLS[KIND]) as (_, url):
        check_refusal(url, ours, "WRONG_VERSION_NUMBER")
    if KIND == "mysql":
        with server_with(server_template) as (server, url):
            check_refusal(url, server.data / "ca.pem", "those that MySQL makes itself name none")


def test_the_tls_options_of_the_url_are_checked_at_the_start(ours: Path, tmp_path: Path) -> None:
    def load(query: str) -> Settings:
        url = f"mysql+asyncmy://owner:hush@127.0.0.1/b?{query}"
        return Settings.load({"BOXOFFICE_DATABASE_URL": url}, tmp_path)

    assert load(f"ssl_ca={ours}").database_url.endswith(str(ours))
    (tmp_path / "no.pem").write_text("hush")
    for query in (
        "ssl=true",
        "ssl_cat=/x",
        f"ssl_ca={ours}&ssl_check_hostname=false",
        f"ssl_ca={tmp_path}/missing.pem",
        f"ssl_ca={tmp_path}",
        f"ssl_ca={tmp_path}/no.pem",
        f"ssl_ca={ours}&ssl_ca={ours}",
        "ssl_ca=",
        "ssl_cert=/x",
    ):
        with pytest.raises(SettingsError) as refused:
            load(query)
        assert "BOXOFFICE_DATABASE_URL" in str(refused.value)
        assert "hush" not in str(refused.value)
