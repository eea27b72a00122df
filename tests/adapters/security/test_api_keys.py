"""API keys: they cannot be guessed, scanners know them, and a stored answer does not give one without the secret."""

import re
from hashlib import sha256

import pytest

from boxoffice.adapters.security import RandomApiKeyTexts

SECRET, OLDER = "a secret of the tests " * 2, "an older secret of the tests " * 2
TEXTS = RandomApiKeyTexts(SECRET, OLDER)


def test_a_key_is_random_behind_a_prefix_and_its_digest_is_all_that_is_stored() -> None:
    key, other = TEXTS.new(), TEXTS.new()
    assert re.fullmatch(r"bxo_[A-Za-z0-9_-]{43}", key.text)
    assert key.text != other.text
    assert TEXTS.is_one(key.text)
    assert key.digest == sha256(key.text.encode()).digest() == TEXTS.digest_of(key.text) != other.digest
    # It depends on no secret, so a secret may be replaced.
    assert RandomApiKeyTexts("another secret of the tests " * 2).digest_of(key.text) == key.digest


@pytest.mark.parametrize(
    "text", ["bxo_", f"bxo_{'A' * 42}", f"bxo_{'A' * 44}", f"bxo_{'A' * 42}=", f"bxo_{'A' * 43}\n"]
)
def test_malformed_text_is_one_that_has_no_digest(text: str) -> None:
    assert TEXTS.is_one(text)
    assert TEXTS.digest_of(text) is None


@pytest.mark.parametrize("text", ["", "bxo", "eyJhbGciOiJIUzI1NiJ9.e30.x", f"Bxo_{'A' * 43}", f" bxo_{'A' * 43}"])
def test_other_text_is_none(text: str) -> None:
    assert not TEXTS.is_one(text)
    assert TEXTS.digest_of(text) is None


def test_a_sealed_key_is_opened_with_its_secret_and_no_other() -> None:
    text = TEXTS.new().text
    sealed = TEXTS.sealed(text)
    assert text not in sealed
    assert sealed != TEXTS.sealed(text)
    assert TEXTS.opened(sealed) == RandomApiKeyTexts(SECRET).opened(sealed) == text
    assert TEXTS.opened(RandomApiKeyTexts(OLDER).sealed(text)) == text
    assert RandomApiKeyTexts(OLDER).opened(sealed) is None
    assert TEXTS.opened(f"{sealed[:-9]}A{sealed[-8:]}") is None
