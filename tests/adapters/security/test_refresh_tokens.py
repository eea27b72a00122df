"""Refresh tokens are random, name their session and nothing else, and any other text is none."""

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.adapters.security import RandomRefreshTokens
from boxoffice.application.ports.security import RefreshToken

TOKENS = RandomRefreshTokens()


def parts(token: RefreshToken) -> tuple[bytes, bytes]:
    """What the session's tokens share, and the rest."""
    raw = base64.urlsafe_b64decode(token.text)
    return raw[:32], raw[32:64]


def test_a_token_is_read_as_it_was_made() -> None:
    first = TOKENS.first()
    second = TOKENS.after(first, TOKENS.new_salt())
    assert [TOKENS.read(each.text) for each in (first, second)] == [first, second]
    assert RandomRefreshTokens().read(second.text) == second, "no process has anything that another one needs"


def test_tokens_of_a_session_share_its_family_and_differ_in_all_else() -> None:
    token = TOKENS.first()
    tokens = [token, *(token := TOKENS.after(token, TOKENS.new_salt()) for _ in range(100))]
    assert len({each.digests.family for each in tokens}) == 1
    for values in ({each.text for each in tokens}, {each.digests.token for each in tokens}, set(map(parts, tokens))):
        assert len(values) == 101
    assert len({TOKENS.first().digests.family for _ in range(100)}) == 100


def test_a_token_and_its_salt_give_the_next_one_again_and_nothing_else_does() -> None:
    first, other, salt = TOKENS.first(), TOKENS.first(), TOKENS.new_salt()
    following = TOKENS.after(first, salt)
    assert RandomRefreshTokens().after(first, salt) == following
    same_session = TOKENS.after(first, TOKENS.new_salt())
    for each in (same_session, TOKENS.after(same_session, salt), TOKENS.after(other, salt)):
        assert parts(each)[1] != parts(following)[1]
    assert len({TOKENS.new_salt() for _ in range(100)}) == 100


def test_the_kept_digests_make_no_token() -> None:
    token = TOKENS.first()
    family, own = parts(token)
    assert (token.digests.family, token.digests.token) == (sha256(family).digest(), sha256(family + own).digest())
    kept = token.digests.family + token.digests.token
    for secret in (family, own):
        assert secret not in kept
    for guess in (kept, kept + bytes(8), kept[:32] + kept[:40]):
        assert TOKENS.read(base64.urlsafe_b64encode(guess).decode()) is None


def test_a_token_that_was_garbled_is_none() -> None:
    """So that it is not taken for a used one, which would end its session."""
    text = TOKENS.first().text
    for place, character in enumerate(text):
        for other in "AQgw_-":
            if other != character:
                assert TOKENS.read(text[:place] + other + text[place + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "A" * 95, "A" * 96, "A" * 97, "A" * 512, "=" * 96, "A" * 94 + "==", "\u0661" * 96, "A" * 95 + "\n"),
        *(" " * 96, "A" * 95 + "+", "A" * 95 + "/", "null", "a.b.c"),
        *(form.format(TOKENS.first().text) for form in ("{}=", "{}A", " {}", "{}\n", '"{}"')),
        *(TOKENS.first().text[:-1], TOKENS.first().text.swapcase()),
    ],
    ids=lambda text: str(len(text)),
)
def test_a_text_that_is_no_token_is_none(text: str) -> None:
    assert TOKENS.read(text) is None


@given(st.text(max_size=200) | st.text(alphabet="ABCabc019_-", min_size=96, max_size=96))
def test_no_text_is_an_error(text: str) -> None:
    assert TOKENS.read(text) is None
