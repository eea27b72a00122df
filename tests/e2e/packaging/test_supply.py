"""What is shipped: under which licences, and that all of it is what an audit asks about."""

import re
import subprocess
import sys
from typing import Final

from tests.e2e.packaging.readme import ROOT

FREE: Final = frozenset(
    {"Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
)
"""Licences under which it may be used, changed and passed on in a service, a closed one too."""


def _pinned(name: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_licences_are_those_of_what_is_locked() -> None:
    listed = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    said = subprocess.run(
        [sys.executable, ROOT / "tools" / "licences.py"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert listed == said, "make licences"
    rows = re.findall(r"^\| ([\w.-]+) \| (.+) \|$", listed, re.MULTILINE)[1:]
    assert len(rows) >= 20
    for name, licence in rows:
        choices = [set(choice.split(" AND ")) for choice in re.split(r" OR ", licence)]
        assert any(choice <= FREE for choice in choices), f"{name}: {licence}"


def test_an_audit_asks_about_all_that_is_locked_and_passes_over_nothing() -> None:
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    audited = re.findall(r"^AUDITED := (.*)$", make, re.MULTILINE)[0].split()
    pinned = set().union(*map(_pinned, audited))
    for lock in ROOT.glob("requirements*.txt"):
        assert _pinned(lock.name), lock
        assert _pinned(lock.name) <= pinned, f"{lock.name}: make lock"
    (command,) = re.findall(r"bin/pip-audit (.*)", make)
    assert {"--strict", "--disable-pip", "--require-hashes"} <= set(command.split())
