"""Secrets that others guess are distinguished from random ones."""

import base64
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from boxoffice.entrypoints.secret_strength import new_secret, weakness_of
from boxoffice.entrypoints.settings import Settings, SettingsError

ROOT: Final = Path(__file__).parents[2]


SHORT = "shorter than 32 bytes in base64 or hexadecimal"


@pytest.mark.parametrize(
    ("words", "secret"),
    [
        *(("repeats", text) for text in ("x" * 32, "0123456789abcdef" * 2, "correct horse correct horse correct")),
        ("few", "abababababababababababababababac"),
        ("fewer than 11", "0000111122223333444455556666" + "0123"),
        *(("counts", text) for text in ("98765432109876543210zyxwvutsrqponm", "abcdefghijklmnopqrstuvwxyz0123456789")),
        ("counts", "aaaaaaaaaaaabbbbbbbbccccccddddeeffgghhiijjkkll"),
        ("example", "change-me-change_me! 4f9a7c1e0b3d"),
        ("example", "please change this to something long"),
        ("example", "<replace with 32 random bytes or more>"),
        ("example", "your-256-bit-secret-goes-in-here-ok?"),
        ("example", "a-string-secret-at-least-256-bits-long"),
        ("example", "super-secret-jwt-token-with-at-least-32-characters-long"),
        (SHORT, "correct horse battery staple correct horse"),
        (SHORT, "thisisaverysecretkeythatissecretandlong"),
        (SHORT, "k7Vq-2mXw9-Tr4Zs-8pLd6-Hn3Yb-5fJc"),
        (SHORT, "q3Vd-Zk81tYx_0RbN7mJwPf5LsGe2HcUo9TiXaD4Q6"),
        (SHORT, "c9f0f895fb98ab9159f51fd0297e236d45c48cce2e2d7fbdea1afc51c7c6ad2"),
        (SHORT, "äöüßéèêëñçåøæœþð"),
        ("sentence", "thisisaverysecretkeythatissecretandverylongindeed"),
        ("sentence", "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich"),
        ("words", "The-Quick-Brown-Fox-Jumps-Over-The-Lazy-Dog-2024"),
        ("words", "My$ecretK3yForBoxoffice-Production-2026!!xx"),
        ("words", "qwertyuiop1234567890asdfghjklQWERTYUIOPzxcvbnm"),
        ("different", "3141592653589793238462643383279502884197169399375105820974944592"),
    ],
)
def test_a_secret_that_others_guess_is_weak(words: str, secret: str) -> None:
    weakness = weakness_of(secret)
    assert weakness is not None
    assert words in weakness


@pytest.mark.parametrize(
    ("make", "times"),
    [
        (lambda: secrets.token_urlsafe(32), 150),
        (lambda: secrets.token_urlsafe(48), 50),
        (lambda: base64.b64encode(secrets.token_bytes(32)).decode(), 50),
        (lambda: secrets.token_hex(32), 2_000),
        (lambda: secrets.token_hex(32).upper(), 2_000),
    ],
    ids=["base64url", "longer", "base64", "hexadecimal", "upper case"],
)
def test_a_generated_secret_is_never_weak(make: Callable[[], str], times: int) -> None:
    assert {weakness_of(make()) for _ in range(times)} == {None}


def test_a_new_secret_holds_32_random_bytes() -> None:
    made = {new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(base64.urlsafe_b64decode(secret + "=")) for secret in made} == {32}
    assert {weakness_of(secret) for secret in made} == {None}


def test_no_secret_that_stands_in_a_manual_starts_anything(tmp_path: Path) -> None:
    manuals = [ROOT / ".env.example", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(manual.read_text(encoding="utf-8") for manual in manuals)
    shown = re.findall(r"BOXOFFICE_JWT_(?:OLDER_)?SECRETS?=(['\"]?)(.*?)\1(?:\s|$)", text, re.MULTILINE)
    assert shown
    for _, secret in shown:
        with pytest.raises(SettingsError):
            Settings.load({"BOXOFFICE_JWT_SECRET": secret}, tmp_path)
