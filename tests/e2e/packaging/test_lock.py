"""The lock files are in step with pyproject.toml and name versions and hashes, never a place."""

import re
import tomllib
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.e2e.packaging.readme import ROOT

EXTRAS: Final = ("otel", "sentry", "stripe")
LOCKS: Final = (
    "requirements.txt",
    *(f"requirements-{extra}.txt" for extra in EXTRAS),
    "requirements-dev.txt",
    "requirements-audit.txt",
    "requirements-clients.txt",
    "requirements-build.txt",
)
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _locked(name: str) -> dict[str, str]:
    """The lines of a lock file by the distribution they pin; hashes stand on the same logical line."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines, f"{name} pins nothing"
    return {canonicalize_name(re.split(r"[=\[ ;]", line, maxsplit=1)[0]): line for line in lines}


def _version(line: str) -> Version:
    found = re.match(r"[\w.-]+(?:\[[^\]]*\])?==([^\s;]+)", line)
    assert found, line
    return Version(found.group(1))


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_pins_a_version_with_hashes(name: str) -> None:
    for line in _locked(name).values():
        assert _version(line) >= Version("0")
        assert "--hash=sha256:" in line


@pytest.mark.parametrize(
    "name", [*LOCKS, "pyproject.toml", "Makefile", "tools/apt.sh", "tools/caddy.sh", "tools/mariadb.sh", ".ci/run"]
)
def test_no_place_to_fetch_from_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"(https?|file)://|--(extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize(
    ("name", "requirements"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PROJECT["project"]["optional-dependencies"]["harness"]),
        *((f"requirements-{extra}.txt", PROJECT["project"]["dependencies"]) for extra in EXTRAS),
        *((f"requirements-{extra}.txt", PROJECT["project"]["optional-dependencies"][extra]) for extra in EXTRAS),
        ("requirements-dev.txt", PROJECT["dependency-groups"]["dev"]),
        ("requirements-audit.txt", PROJECT["dependency-groups"]["audit"]),
        ("requirements-clients.txt", PROJECT["dependency-groups"]["clients"]),
        ("requirements-build.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_what_is_asked_for_is_locked(name: str, requirements: list[str]) -> None:
    locked = _locked(name)
    for requirement in map(Requirement, requirements):
        assert _version(locked[canonicalize_name(requirement.name)]) in requirement.specifier, (
            f"{requirement}: make lock"
        )


@pytest.mark.parametrize(
    ("production", "other"),
    [
        ("requirements.txt", "requirements-dev.txt"),
        *(("requirements.txt", f"requirements-{extra}.txt") for extra in EXTRAS),
        *((f"requirements-{extra}.txt", "requirements-dev.txt") for extra in EXTRAS),
    ],
)
def test_development_runs_what_production_runs(production: str, other: str) -> None:
    locked = _locked(other)
    for name, line in _locked(production).items():
        assert _version(locked[name]) == _version(line)
