"""Tokens of links: they cannot be guessed, and nothing stored gives one without the secret."""

import re

import pytest
from uuid_utils.compat import uuid7

from boxoffice.adapters.security import HmacLinkTokens

SECRET, OLDER = "a secret of the tests " * 2, "an older secret of the tests " * 2
TOKENS = HmacLinkTokens(SECRET, OLDER)


def test_a_token_gives_its_link_and_is_the_same_each_time() -> None:
    link_id = uuid7()
    text = TOKENS.text(link_id)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{22,}", text)
    assert TOKENS.read(text) == link_id
    assert HmacLinkTokens(SECRET).text(link_id) == text != TOKENS.text(uuid7())


def test_a_token_of_an_older_secret_is_read_and_of_another_one_is_not() -> None:
    link_id = uuid7()
    assert TOKENS.read(HmacLinkTokens(OLDER).text(link_id)) == link_id
    assert HmacLinkTokens(SECRET).read(HmacLinkTokens(OLDER).text(link_id)) is None


@pytest.mark.parametrize("place", [0, 20, 40, 63])
def test_a_changed_token_is_not_read(place: int) -> None:
    text = TOKENS.text(uuid7())
    other = "A" if text[place] != "A" else "B"
    assert TOKENS.read(text[:place] + other + text[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "x", "A" * 64, "A" * 65, "\u00e9" * 64, f"{'A' * 63}=", f"{'A' * 64}\n"])
def test_other_text_is_not_read(text: str) -> None:
    assert TOKENS.read(text) is None
