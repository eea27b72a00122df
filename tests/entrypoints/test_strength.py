"""Secrets that others guess are told from random ones."""

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


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("x" * 32, "repeats"),
        ("0123456789" * 4, "repeats"),
        ("0123456789abcdef" * 2, "repeats"),
        ("correct horse correct horse correct", "repeats"),
        ("abababababababababababababababac", "few"),
        ("0000111122223333444455556666" + "0123", "fewer than 11"),
        ("abcdefghijklmnopqrstuvwxyz0123456789", "counts"),
        ("98765432109876543210zyxwvutsrqponm", "counts"),
        ("aaaaaaaaaaaabbbbbbbbccccccddddeeffgghhiijjkkll", "counts"),
        *(
            (text, "example")
            for text in (
                "change-me-change_me! 4f9a7c1e0b3d",
                "CHANGEME-4f9a7c1e0b3d5f7a9c1e-CHANGEME2",
                "please change this to something long",
                "<replace with 32 random bytes or more>",
                "your-256-bit-secret-goes-in-here-ok?",
                "your_secret_of_32_bytes_or_more_here",
                "a-string-secret-at-least-256-bits-long",
                "super-secret-jwt-token-with-at-least-32-characters-long",
            )
        ),
    ],
)
def test_what_no_random_secret_is_like_is_weak(secret: str, words: str) -> None:
    weakness = weakness_of(secret)
    assert weakness is not None
    assert words in weakness


@pytest.mark.parametrize(
    "secret",
    [
        "correct horse battery staple correct horse",
        "thisisaverysecretkeythatissecretandlong",
        "a secret of the tests, long enough",
        "k7Vq-2mXw9-Tr4Zs-8pLd6-Hn3Yb-5fJc",
        "c9f0f895fb98ab9159f51fd0297e236d",
        "q3Vd-Zk81tYx_0RbN7mJwPf5LsGe2HcUo9TiXaD4Q6",
        "c9f0f895fb98ab9159f51fd0297e236d45c48cce2e2d7fbdea1afc51c7c6ad2",
        "äöüßéèêëñçåøæœþð",
    ],
)
def test_what_says_less_than_32_bytes_is_short(secret: str) -> None:
    assert weakness_of(secret) == "is shorter than 32 bytes in base64 or hexadecimal"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("thisisaverysecretkeythatissecretandverylongindeed", "sentence"),
        ("THEQUICKBROWNFOXJUMPSOVERTHELAZYDOGANDRUNSAWAY", "sentence"),
        ("Lorem ipsum dolor sit amet, consectetur adipiscing elit", "sentence"),
        ("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich", "sentence"),
        ("The-Quick-Brown-Fox-Jumps-Over-The-Lazy-Dog-2024", "words"),
        ("ThisIsAVerySecretKeyForMyService2024DoNotShare", "words"),
        ("My$ecretK3yForBoxoffice-Production-2026!!xx", "words"),
        ("Password1!Summer2024#Winter2025$Admin123%Root99", "words"),
        ("qwertyuiop1234567890asdfghjklQWERTYUIOPzxcvbnm", "words"),
        ("3141592653589793238462643383279502884197169399375105820974944592", "different"),
    ],
)
def test_what_somebody_thought_up_is_weak_however_long(secret: str, words: str) -> None:
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
def test_what_a_generator_makes_is_never_weak(make: Callable[[], str], times: int) -> None:
    assert {weakness_of(make()) for _ in range(times)} == {None}


def test_a_new_secret_says_32_random_bytes() -> None:
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
