"""TLS to the database: its certificate must match the host and be signed by the URL's CA, or nothing is sent."""

import datetime as dt
import ipaddress
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
from tests.e2e.operation.conftest import buy_and_cancel
from tests.faults.service import boxoffice, servers

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("db.example.org")


class Signer(Struct):
    """A certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> "Signer":
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(_certificate("ours", key, key, x509.BasicConstraints(ca=True, path_length=0)), key)

    def write(self, path: Path) -> Path:
        """Write the authority's certificate to a file."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def sign(self, directory: Path, host: x509.GeneralName) -> tuple[Path, Path]:
        """Write a certificate for a host, and its key, to files."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _certificate("server", key, self.key, x509.SubjectAlternativeName([host]))
        files = directory / "server.pem", directory / "server-key.pem"
        files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        form, encryption = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
        return files


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, signing: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ours")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signing, hashes.SHA256())
    )


class SecureMariaDB(mariadb.MariaDB):
    """A server that requires TLS if it has a certificate, and otherwise has no TLS."""

    files: tuple[Path, Path] | None = None

    def command(self, port: int) -> list[str]:
        """Return the command line with the options for TLS."""
        if self.files is None:
            return [*super().command(port), "--skip-ssl"]
        certificate, key = self.files
        options = f"--ssl-cert={certificate}", f"--ssl-key={key}", "--require-secure-transport=ON"
        return [*super().command(port), *options]


@contextmanager
def server_with(template: Path, files: tuple[Path, Path] | None) -> Iterator[str]:
    """Start a server with this certificate and key, and return the URL of a database on it."""
    server = SecureMariaDB(template)
    server.files = files
    with server.init_file.open("a") as init:
        init.write("CREATE DATABASE boxoffice CHARACTER SET utf8mb4;\n")
    with server:
        yield f"{server.admin_url}/boxoffice"


@pytest.fixture
def signer() -> Signer:
    return Signer.new()


@pytest.fixture
def trusted(signer: Signer, tmp_path: Path) -> Path:
    return signer.write(tmp_path / "ca.pem")


def test_a_certificate_for_its_host_by_a_trusted_signer_is_accepted(
    mariadb_template: Path, signer: Signer, trusted: Path, tmp_path: Path
) -> None:
    """All connections use TLS, including the sandbox's, because the server refuses others."""
    with server_with(mariadb_template, signer.sign(tmp_path, HERE)) as plain:
        url = f"{plain}?ssl_ca={trusted}"
        migrated = boxoffice(url, tmp_path, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        with servers(url, tmp_path, 1) as (server,):
            buy_and_cancel(server.url)
            assert server.terminate() == 0
            assert not server.complaints()
        assert boxoffice(url, tmp_path, "verify").returncode == 0
        refused = boxoffice(plain, tmp_path, "verify")
        assert refused.returncode == 1, "the server must require TLS"


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_any_other_server_is_refused_with_the_reason(
    mariadb_template: Path, signer: Signer, trusted: Path, tmp_path: Path, command: str
) -> None:
    stranger = Signer.new().write(tmp_path / "stranger.pem")
    arguments = ("serve", "--port", "0") if command == "serve" else (command,)
    for host, ca, reason in (
        (HERE, stranger, "CERTIFICATE_VERIFY_FAILED"),
        (ELSEWHERE, trusted, "CERTIFICATE_VERIFY_FAILED"),
        (None, trusted, "WRONG_VERSION_NUMBER"),
    ):
        with server_with(mariadb_template, signer.sign(tmp_path, host) if host else None) as plain:
            result = boxoffice(f"{plain}?ssl_ca={ca}", tmp_path, *arguments)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("boxoffice: The database at ")
        assert reason in line, line


def test_the_tls_options_of_the_url_are_checked_at_the_start(trusted: Path, tmp_path: Path) -> None:
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
