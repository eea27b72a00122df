"""The deployment files name existing files, settings and options. No image or unit runs, which needs daemons."""

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from boxoffice.entrypoints.cli.serve import DRAIN_SECONDS
from boxoffice.entrypoints.settings import Settings
from tests import mariadb, servers
from tests.constants import SECRET
from tests.faults.service import Server
from tests.mariadb import MariaDB

ROOT: Final = Path(__file__).parents[3]
MANUAL: Final = (ROOT / "docs" / "operations.md").read_text()
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
PASSWORDS: Final = {
    "MYSQL_ROOT_PASSWORD": "root-password",
    "BOXOFFICE_MIGRATING_PASSWORD": "migrating-password",
    "BOXOFFICE_SERVING_PASSWORD": "serving-password",
    "BOXOFFICE_JWT_SECRET": SECRET,
}


def instructions() -> list[tuple[str, str]]:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line and not line.startswith("#")]


def arguments_of(name: str) -> list[str]:
    return [text for found, text in instructions() if found == name]


HEALTH_CHECK: Final = arguments_of("HEALTHCHECK")[0].partition("CMD ")[2]


def test_the_image_copies_existing_files_that_are_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (ROOT / ".dockerignore").read_text().startswith("*\n"), "only listed files, so neither .env nor data/"
    copied = [source for text in arguments_of("COPY") if "--from" not in text for source in text.split()[:-1]]
    assert sorted(copied) == sorted(sent)
    for source in copied:
        assert list(ROOT.glob(source)), source
    for needed in (*re.findall(r"requirements[a-z-]*\.txt", (ROOT / "Dockerfile").read_text()), "README.md", "LICENSE"):
        assert (ROOT / needed).is_file()


def test_the_image_installs_with_hashes_and_runs_without_rights() -> None:
    installs = re.findall(r"pip install (.*)", "\n".join(arguments_of("RUN")))
    assert len(installs) == 2
    assert all("--require-hashes" in each or "--no-deps --no-build-isolation" in each for each in installs)
    assert arguments_of("USER") == ["10001:10001"]
    assert arguments_of("STOPSIGNAL") == ["SIGTERM"]
    assert len(arguments_of("FROM")) == 2
    for text in (*arguments_of("ENTRYPOINT"), *arguments_of("CMD"), HEALTH_CHECK):
        assert isinstance(json.loads(text), list), "a shell would not forward the signal"


@pytest.mark.slow
def test_the_command_of_the_image_serves_and_its_health_check_works(migrated_sqlite_url: str, tmp_path: Path) -> None:
    ((program,), arguments) = json.loads(arguments_of("ENTRYPOINT")[0]), json.loads(arguments_of("CMD")[0])
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    # It appends its own address and port, which take effect.
    server = Server(migrated_sqlite_url, tmp_path, command=command)
    check = HEALTH_CHECK.replace(":8000/", f":{server.port}/")
    healthy = [sys.executable, *json.loads(check)[1:]]
    assert subprocess.run(healthy, check=False, capture_output=True, timeout=60).returncode != 0
    server.start()
    try:
        assert subprocess.run(healthy, check=False, timeout=60).returncode == 0
        os.kill(server.pid, getattr(signal, arguments_of("STOPSIGNAL")[0]))
        assert server.terminate() == 0
    finally:
        server.kill()


def filled_in(environment: dict[str, str | None]) -> dict[str, str]:
    """Return the environment as Compose fills it in when only the passwords are set; drop names without a value."""
    must = {
        name: re.sub(r"\$\{(\w+):\?must be set\}", lambda found: PASSWORDS[found[1]], str(text))
        for name, text in environment.items()
        if text is not None
    }
    return {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text) for name, text in must.items()}


def settings_but(*fixed: str) -> set[str]:
    names = {f"BOXOFFICE_{name.upper()}" for name in Settings.__struct_fields__ if name != "unknown"}
    return names - {f"BOXOFFICE_{name}" for name in fixed}


def test_compose_passes_every_setting(tmp_path: Path) -> None:
    environment = COMPOSE["services"]["boxoffice"]["environment"]
    assert set(environment) == settings_but()
    settings = Settings.load(filled_in(environment), tmp_path)
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)


def test_compose_trusts_its_proxy_and_nobody_else(tmp_path: Path) -> None:
    service, proxy = COMPOSE["services"]["boxoffice"], COMPOSE["services"]["proxy"]
    settings = Settings.load(filled_in(service["environment"]), tmp_path)
    (network,) = COMPOSE["networks"]["outside"]["ipam"]["config"]
    address = proxy["networks"]["outside"]["ipv4_address"]
    assert [str(each) for each in settings.trusted_proxies] == [f"{address}/32"]
    assert settings.forwarded_header == "x-forwarded-for"
    assert ip_address(address) in ip_network(network["subnet"])
    assert ip_address(address) not in ip_network(network["ip_range"])
    assert "outside" in service["networks"]
    # Other machines reach the proxy only.
    published = {name: each["ports"] for name, each in COMPOSE["services"].items() if "ports" in each}
    assert published == {"boxoffice": ["127.0.0.1:8000:8000"], "proxy": ["80:80", "443:443", "443:443/udp"]}


def test_the_proxy_of_compose_gets_what_its_configuration_reads(tmp_path: Path) -> None:
    proxy = COMPOSE["services"]["proxy"]
    settings = Settings.load(filled_in(COMPOSE["services"]["boxoffice"]["environment"]), tmp_path)
    given = {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text) for name, text in proxy["environment"].items()}
    assert given == {"PUBLIC_URL": settings.public_url, "UPSTREAM": f"boxoffice:{settings.port}"}
    mounted, where, _ = proxy["volumes"][0].split(":")
    assert where == "/etc/caddy/Caddyfile"
    assert set(re.findall(r"\{\$(\w+)", (ROOT / mounted).read_text())) == set(given)
    assert proxy["depends_on"] == {"boxoffice": {"condition": "service_healthy"}}


def test_the_image_listens_where_its_settings_say(tmp_path: Path) -> None:
    given = dict(re.findall(r"(BOXOFFICE_\w+)=(\S+)", " ".join(arguments_of("ENV"))))
    settings = Settings.load(given, tmp_path)
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 8000, 2)
    assert f":{settings.port}/" in HEALTH_CHECK
    assert arguments_of("EXPOSE") == [str(settings.port)]


def test_compose_starts_one_after_the_other_with_secrets_from_the_environment(tmp_path: Path) -> None:
    services = COMPOSE["services"]
    made = services["database"]["environment"]["MYSQL_DATABASE"]
    assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert services["boxoffice"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate"]["restart"] == "no"
    assert services["database"]["image"] == "mysql:8.4"
    assert int(services["boxoffice"]["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS
    for service, account in (("migrate", "boxoffice_admin"), ("boxoffice", "boxoffice")):
        settings = Settings.load(filled_in(services[service]["environment"]), tmp_path)
        assert settings.database_url.startswith(f"mysql+asyncmy://{account}:")
        assert settings.database_place == f"mysql+asyncmy://database:3306/{made}"
        assert not settings.unknown
    assert "password" not in re.sub(r"#.*|\$\{\w+:\?must be set\}", "", (ROOT / "compose.yaml").read_text())
    for mounted in services["database"]["volumes"]:
        if mounted.startswith("./"):
            assert os.access(ROOT / mounted.split(":")[0], os.X_OK)
    named = {name for each in services.values() for name in each.get("networks", [])}
    assert named == set(COMPOSE["networks"])


def test_the_accounts_of_compose_are_those_of_the_manual(own_server: MariaDB, tmp_path: Path) -> None:
    """Run the script as MySQL's image does, but over TCP."""
    mariadb.execute(own_server.admin_url, "CREATE DATABASE `event-ticket-booking-service`")
    program = tmp_path / "mysql"
    password = own_server.admin_url.split(":")[2].split("@")[0]
    program.write_text(
        '#!/bin/sh\ntest "$*" = "--user=root --protocol=socket" || exit 9\n'
        'test "$MYSQL_PWD" = "root-password" || exit 9\n'
        f"MYSQL_PWD={password} exec {servers.client()} --host=127.0.0.1 --port={own_server.port} --user=boxoffice\n"
    )
    program.chmod(0o700)
    given = filled_in(COMPOSE["services"]["database"]["environment"]) | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = ROOT / "deploy" / "database" / "accounts.sh"
    for bad in ("", "a'b", "a b", "a;b", "a`b"):
        wrong = subprocess.run([script], env=given | {"SERVING_PASSWORD": bad}, check=False, capture_output=True)
        assert wrong.returncode == 1, bad
    subprocess.run([script], env=given, check=True, timeout=60)
    for account in ("boxoffice_admin", "boxoffice"):
        granted, on_restored = re.findall(rf"^GRANT (.*) ON .* TO '{account}'@'%';$", MANUAL, re.MULTILINE)
        assert granted == on_restored
        rows = [str(row[0]) for row in mariadb.execute(own_server.admin_url, f"SHOW GRANTS FOR '{account}'@'%'")]
        (row,) = (row for row in rows if not row.startswith("GRANT USAGE ON *.* "))
        rights, _, place = row.removeprefix("GRANT ").partition(" ON ")
        assert set(rights.split(", ")) == set(granted.split(", "))
        assert place.startswith("`event-ticket-booking-service`.* TO ")


def test_the_unit_runs_the_service_and_lets_it_end(tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "boxoffice.service")
    service = unit["Service"]
    program, command, *arguments = shlex.split(service["ExecStart"])
    assert int(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")
    here = Path(sys.executable).with_name("boxoffice")
    offered = subprocess.run([here, command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert {each for each in arguments if each.startswith("--")} <= set(re.findall(r"--\w+", offered))
    verify = shutil.which("systemd-analyze")
    if verify is not None:
        text = (ROOT / "deploy" / "boxoffice.service").read_text().replace(program, str(here))
        (tmp_path / "boxoffice.service").write_text(text)
        checked = subprocess.run(
            [verify, "verify", "--man=no", "--recursive-errors=no", tmp_path / "boxoffice.service"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (checked.returncode, checked.stderr) == (0, "")


def test_the_settings_beside_the_unit_are_settings(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "boxoffice.env.example").read_text()
    given = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert given.pop("BOXOFFICE_JWT_SECRET") == "…"
    url, _, query = given["BOXOFFICE_DATABASE_URL"].partition("?")
    url = url.replace("…", "password")
    assert query == "ssl_ca=/etc/boxoffice/ca.pem"
    assert [str(each) for each in Settings.load(given | {"BOXOFFICE_DATABASE_URL": url}, tmp_path).trusted_proxies]
    assert set(re.findall(r"^#?(BOXOFFICE_\w+)=", text, re.MULTILINE)) == settings_but()
    assert not Settings.load(given | {"BOXOFFICE_DATABASE_URL": url}, tmp_path).unknown
    assert "EnvironmentFile=/etc/boxoffice/boxoffice.env\n" in (ROOT / "deploy" / "boxoffice.service").read_text()
