"""TLS to the database: its certificate must match the host and be signed by the URL's CA, or nothing is sent."""

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from boxoffice.entrypoints.settings import Settings, SettingsError
from tests import mariadb
from tests.faults.service import boxoffice, servers
from tests.wire.people import sign_up

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("db.example.org")


class Signer(Struct):
    """A certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def named(cls, name: str) -> "Signer":
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(_certificate(name, name, key, key, x509.BasicConstraints(ca=True, path_length=0)), key)

    def write(self, path: Path) -> Path:
        """Write the authority's certificate to a file."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def sign(self, directory: Path, host: x509.GeneralName) -> tuple[Path, Path]:
        """Write a certificate for a host, and its key, to files."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        signed = _certificate("server", str(issuer), key, self.key, x509.SubjectAlternativeName([host]))
        certificate_file, key_file = directory / "server.pem", directory / "server-key.pem"
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        return certificate_file, key_file


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signing, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class SecureMariaDB(mariadb.MariaDB):
    """A server that requires TLS if it has a certificate, and otherwise has no TLS."""

    files: tuple[Path, Path] | None = None

    def _command(self, port: int) -> list[str]:
        if self.files is None:
            return [*super()._command(port), "--skip-ssl"]
        certificate, key = self.files
        return [
            *super()._command(port),
            f"--ssl-cert={certificate}",
            f"--ssl-key={key}",
            "--require-secure-transport=ON",
        ]


@contextmanager
def server_with(template: Path, files: tuple[Path, Path] | None) -> Iterator[str]:
    """Start a server with this certificate and key, and return the URL of a database on it."""
    server = SecureMariaDB(template)
    server.files = files
    with (server.directory / "init.sql").open("a") as init:
        init.write("CREATE DATABASE boxoffice CHARACTER SET utf8mb4;\n")
    with server:
        yield f"{server.admin_url}/boxoffice"


@pytest.fixture
def signer() -> Signer:
    return Signer.named("ours")


@pytest.fixture
def trusted(signer: Signer, tmp_path: Path) -> Path:
    return signer.write(tmp_path / "ca.pem")


def test_a_certificate_of_its_host_by_whom_is_trusted_serves(
    mariadb_template: Path, signer: Signer, trusted: Path, tmp_path: Path
) -> None:
    """All connections use TLS, including the sandbox's, because the server refuses others."""
    with server_with(mariadb_template, signer.sign(tmp_path, HERE)) as plain:
        url = f"{plain}?ssl_ca={trusted}"
        migrated = boxoffice(url, tmp_path, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        with servers(url, tmp_path, 1) as (server,):
            people = sign_up(server.url)
            event = people.organizer.initialize(
                ticketTypes=[{"name": "Seat", "totalTickets": 1, "price": {"amount": 500, "currency": "EUR"}}]
            )
            booked = people.customer.book(event)
            people.customer.post(f"/bookings/{booked['id']}/payment", {"method": "card", "token": "tok_ok"})
            assert server.terminate() == 0
            assert not server.complaints()
        assert boxoffice(url, tmp_path, "verify").returncode == 0
        refused = boxoffice(plain, tmp_path, "verify")
        assert refused.returncode == 1, "the server must require TLS"


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_anything_else_is_refused_and_said(
    mariadb_template: Path, signer: Signer, trusted: Path, tmp_path: Path, command: str
) -> None:
    stranger = Signer.named("ours").write(tmp_path / "stranger.pem")
    arguments = ("serve", "--port", "0") if command == "serve" else (command,)
    with server_with(mariadb_template, signer.sign(tmp_path, HERE)) as plain:
        _is_refused(boxoffice(f"{plain}?ssl_ca={stranger}", tmp_path, *arguments), "CERTIFICATE_VERIFY_FAILED")
    with server_with(mariadb_template, signer.sign(tmp_path, ELSEWHERE)) as plain:
        _is_refused(boxoffice(f"{plain}?ssl_ca={trusted}", tmp_path, *arguments), "CERTIFICATE_VERIFY_FAILED")
    with server_with(mariadb_template, None) as plain:
        _is_refused(boxoffice(f"{plain}?ssl_ca={trusted}", tmp_path, *arguments), "WRONG_VERSION_NUMBER")


def _is_refused(result: "subprocess.CompletedProcess[str]", word: str) -> None:
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("boxoffice: The database at ")
    assert word in line, line


def test_what_the_url_says_of_tls_is_looked_at_before_anything_starts(trusted: Path, tmp_path: Path) -> None:
    def load(query: str) -> Settings:
        url = f"mysql+asyncmy://owner:hush@127.0.0.1/b?{query}"
        return Settings.load({"BOXOFFICE_DATABASE_URL": url}, tmp_path)

    assert load(f"ssl_ca={trusted}").database_url.endswith(str(trusted))
    (tmp_path / "no.pem").write_text("hush")
    for query in (
        "ssl=true",
        "ssl_cat=/x",
        f"ssl_ca={trusted}&ssl_check_hostname=false",
        f"ssl_ca={tmp_path}/missing.pem",
        f"ssl_ca={tmp_path}",
        f"ssl_ca={tmp_path}/no.pem",
        f"ssl_ca={trusted}&ssl_ca={trusted}",
        "ssl_ca=",
        "ssl_cert=/x",
    ):
        with pytest.raises(SettingsError) as refused:
            load(query)
        assert "BOXOFFICE_DATABASE_URL" in str(refused.value)
        assert "hush" not in str(refused.value)
