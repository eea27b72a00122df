"""Secrets that others guess are told from random ones."""

import re
import secrets
from pathlib import Path
from typing import Final

import pytest

from boxoffice.entrypoints.settings import Settings, SettingsError
from boxoffice.entrypoints.strength import weakness_of

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("x" * 32, "repeats"),
        ("0123456789" * 4, "repeats"),
        ("0123456789abcdef" * 2, "repeats"),
        ("correct horse correct horse correct", "repeats"),
        ("abababababababababababababababac", "few"),
        ("0000111122223333444455556666" + "0123", "fewer than 8"),
        ("abcdefghijklmnopqrstuvwxyz0123456789", "counts"),
        ("98765432109876543210zyxwvutsrqponm", "counts"),
        ("aaaaaaaaaaaabbbbbbbbccccccddddeeffgghh", "counts"),
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


def test_a_random_secret_is_never_weak() -> None:
    for _ in range(2_000):
        for secret in (secrets.token_urlsafe(48), secrets.token_urlsafe(24), secrets.token_hex(32)):
            assert weakness_of(secret) is None


@pytest.mark.parametrize("secret", ["a secret of the tests, long enough", "correct horse battery staple, and 7 more"])
def test_a_sentence_that_is_no_example_is_left_to_its_author(secret: str) -> None:
    assert weakness_of(secret) is None


def test_no_secret_that_stands_in_a_manual_starts_anything(tmp_path: Path) -> None:
    manuals = [ROOT / ".env.example", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(manual.read_text(encoding="utf-8") for manual in manuals)
    shown = re.findall(r"BOXOFFICE_JWT_(?:OLDER_)?SECRETS?=(['\"]?)(.*?)\1(?:\s|$)", text, re.MULTILINE)
    assert shown
    for _, secret in shown:
        with pytest.raises(SettingsError):
            Settings.load({"BOXOFFICE_JWT_SECRET": secret}, tmp_path)
