"""A token that we issued is read; anything else is an invalid token, and never another exception."""

import base64
import hmac
import json
import string
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.adapters.security import JwtTokens
from boxoffice.application.ports.security import Claims
from boxoffice.domain.refusals import InvalidToken
from boxoffice.domain.user import Role

SECRET: Final = "a secret of thirty-two bytes, ünd more"
NOW: Final = datetime(2027, 5, 1, 19, 0, 0, 250_000, tzinfo=UTC)
SECONDS: Final = int(NOW.timestamp())
CLAIMS: Final = Claims(
    UUID("01965f3a-0000-7000-8000-000000000001"), UUID("01965f3a-0000-7000-8000-000000000002"), Role.ORGANIZER
)
PAYLOAD: Final[dict[str, Any]] = {
    "iss": "boxoffice",
    "aud": "boxoffice",
    "sub": str(CLAIMS.user_id),
    "sid": str(CLAIMS.session_id),
    "role": "organizer",
    "jti": "an id",
    "iat": SECONDS,
    "exp": SECONDS + 900,
}
HEADER: Final = {"alg": "HS256", "typ": "at+jwt"}
ABSENT: Final = "(left out)"


def _segment(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(payload: Any = PAYLOAD, header: Any = HEADER, secret: str = SECRET, digest: str = "sha256") -> str:
    """Any content, rightly signed: put together by hand, because PyJWT refuses to make most of it."""
    signing_input = f"{_segment(header)}.{_segment(payload)}"
    signature = hmac.digest(secret.encode(), signing_input.encode(), digest)
    return f"{signing_input}.{_segment(signature)}"


def altered(values: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    kept = {**values, name: value}
    return {key: each for key, each in kept.items() if each is not ABSENT}


def refused(text: str, now: datetime = NOW) -> None:
    with pytest.raises(InvalidToken):
        JwtTokens(SECRET).read(text, now)


@pytest.mark.parametrize("role", list(Role))
def test_an_issued_token_speaks_for_its_session_and_role(role: Role) -> None:
    tokens, claims = JwtTokens(SECRET), replace(CLAIMS, role=role)
    token = tokens.issue(claims, NOW)
    assert token.expires_in == tokens.lifetime == 900
    assert tokens.read(token.text, NOW) == claims


def test_a_token_says_what_the_contract_says() -> None:
    token = JwtTokens(SECRET).issue(CLAIMS, NOW).text
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}
    payload = jwt.api_jws.decode(token, SECRET.encode(), ["HS256"])
    said = json.loads(payload)
    assert said == {**PAYLOAD, "jti": said["jti"]}


def test_each_token_has_its_own_id_and_each_secret_a_key_id_that_reveals_nothing() -> None:
    assert len({JwtTokens(SECRET).issue(CLAIMS, NOW).text for _ in range(100)}) == 100
    kids = {jwt.get_unverified_header(JwtTokens(SECRET + tail).issue(CLAIMS, NOW).text)["kid"] for tail in "abc"}
    assert len(kids) == 3
    assert all(len(kid) == 12 and SECRET not in kid for kid in kids)


def test_what_another_program_signs_by_the_contract_is_read() -> None:
    """The control for all that is refused below: the same by hand, with nothing wrong about it."""
    assert JwtTokens(SECRET).read(signed(), NOW) == CLAIMS
    assert JwtTokens(SECRET).read(signed({**PAYLOAD, "unknown": 1, "nbf": SECONDS}), NOW) == CLAIMS


def test_a_token_lives_for_its_lifetime() -> None:
    tokens = JwtTokens(SECRET)
    whole = NOW.replace(microsecond=0)
    text = tokens.issue(CLAIMS, whole).text
    assert tokens.read(text, whole + timedelta(seconds=899, microseconds=999_999)) == CLAIMS
    refused(text, whole + timedelta(seconds=900))
    refused(text, whole + timedelta(days=36_500))


def test_a_clock_that_lags_a_little_does_not_refuse_a_new_token() -> None:
    tokens = JwtTokens(SECRET)
    whole = NOW.replace(microsecond=0)
    text = tokens.issue(CLAIMS, whole).text
    assert tokens.read(text, whole - timedelta(seconds=5)) == CLAIMS
    refused(text, whole - timedelta(seconds=5, microseconds=1))


def test_an_older_secret_still_reads_and_the_newest_signs() -> None:
    old, new = JwtTokens(SECRET), JwtTokens("another secret of thirty-two bytes", SECRET)
    assert new.read(old.issue(CLAIMS, NOW).text, NOW) == CLAIMS
    assert new.read(signed(), NOW) == CLAIMS
    refused(new.issue(CLAIMS, NOW).text)


def test_the_name_of_another_of_our_keys_does_not_fit() -> None:
    new = JwtTokens("another secret of thirty-two bytes", SECRET)
    kid = jwt.get_unverified_header(new.issue(CLAIMS, NOW).text)["kid"]
    with pytest.raises(InvalidToken):
        new.read(signed(header={**HEADER, "kid": kid}), NOW)


_WRONG_TYPES: Final[tuple[Any, ...]] = (ABSENT, None, True, False, 1.5, "", [], {}, ["boxoffice"], {"a": 1})
_ODD_TEXTS: Final = (*_WRONG_TYPES, 0, 1, -1, 10**400)
_ODD_NAMES: Final = (*_ODD_TEXTS, "x", "böxoffice", "Boxoffice", "boxoffice ", ["boxoffice", "x"])
_ID: Final = str(CLAIMS.user_id)
_ODD_IDS: Final = (
    *(*_ODD_NAMES, _ID.upper(), _ID.replace("-", ""), f"{{{_ID}}}", f"urn:uuid:{_ID}", f" {_ID}", f"{_ID}\n", _ID[:-1]),
    *(_ID[:-1] + "g", _ID[:-1] + "\u0661", "ann@example.org"),
)
_ODD_TIMES: Final = (*_WRONG_TYPES, "1", str(SECONDS + 1), SECONDS + 1.0, float("nan"), float("inf"), [SECONDS + 1])
_ODD_CLAIMS: Final = {
    "iss": _ODD_NAMES,
    "aud": _ODD_NAMES,
    "sub": _ODD_IDS,
    "sid": _ODD_IDS,
    "role": (*_ODD_TEXTS, "Organizer", "organizer ", "owner", ["organizer"], ["admin"], "admin\0"),
    "jti": _ODD_TEXTS,
    "exp": (*_ODD_TIMES, 0, 1, -1, SECONDS, SECONDS - 1, -(10**400)),
    "iat": (*_ODD_TIMES, SECONDS + 6, SECONDS + 899, SECONDS + 900, 10**400),
    "nbf": (*(odd for odd in _ODD_TIMES if odd is not ABSENT), SECONDS + 6, 10**400),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, odd) for name, odds in _ODD_CLAIMS.items() for odd in odds], ids=lambda x: ascii(x)[:30]
)
def test_a_claim_that_is_odd_makes_the_token_invalid(name: str, value: Any) -> None:
    refused(signed(altered(PAYLOAD, name, value)))


_MORE: Final[list[dict[str, Any]]] = [
    *json.loads('[{"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": "exp"}, {"crit": ["b64"], "b64": false}]'),
    *json.loads('[{"b64": false}, {"jwk": {"kty": "oct", "k": "AAAA"}}, {"x5c": ["AAAA"]}]'),
    *[{name: "https://example.org"} for name in ("jku", "x5u", "cty", "zip", "enc", "unknown")],
]
_ODD_HEADERS: Final = (
    *(
        altered(HEADER, name, value)
        for name in ("typ", "alg", "kid")
        for value in (
            *("", "none", "NONE", "hs256", "HS384", "HS512", "RS256", "dir", "JWT", "at+JWT", "application/at+jwt"),
            *("../../../../dev/null", None, True, 1, [], ["HS256"], {"a": 1}),
        )
    ),
    *(altered(HEADER, name, ABSENT) for name in ("typ", "alg")),
    *({**HEADER, **extra} for extra in _MORE),
    *(b"", b"{", b"[]", b"null", b"1", b"\xff", b"{" * 500, b"[" * 1_000),
)


@pytest.mark.parametrize("header", _ODD_HEADERS, ids=repr)
def test_a_header_that_is_odd_makes_the_token_invalid(header: Any) -> None:
    refused(signed(header=header))


@pytest.mark.parametrize(
    ("secret", "digest"),
    [
        *((SECRET, digest) for digest in ("sha1", "sha384", "sha512")),
        *((secret, "sha256") for secret in ("", "x", SECRET + " ", SECRET.upper(), SECRET[:-1], "\0" * 32)),
    ],
)
def test_another_secret_or_digest_is_no_signature(secret: str, digest: str) -> None:
    refused(signed(secret=secret, digest=digest))


def test_a_token_without_signature_is_invalid() -> None:
    for header in (HEADER, {"alg": "none", "typ": "at+jwt"}, {"alg": "none"}):
        for tail in ("", ".", "..", ".AA", ".="):
            refused(f"{_segment(header)}.{_segment(PAYLOAD)}{tail}")


_GOOD: Final = signed()


@pytest.mark.parametrize("place", range(len(_GOOD)))
def test_one_character_that_differs_makes_the_token_invalid(place: int) -> None:
    """Also the last one, some of whose bits say nothing: there is one way to write a token."""
    alphabet = string.ascii_letters + string.digits + "-_"
    for other in (alphabet[(alphabet.find(_GOOD[place]) + 1) % 64], "A", "."):
        if other != _GOOD[place]:
            refused(_GOOD[:place] + other + _GOOD[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ".",
            "..",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "null",
            "\0",
            "ü.ü.ü",
            "\ud800.\ud800.\ud800",
            "{}",
            "eyJ.eyJ.eyJ",
        ),
        *(_GOOD[:size] for size in (1, 10, *range(20, len(_GOOD), 40), len(_GOOD) - 1)),
        *(_GOOD + tail for tail in ("=", "==", " ", "\n", "\0", "ü", ".x", "A", "\ud800")),
        *(head + _GOOD for head in (" ", "\n", "\ufeff", ".", "Bearer ", "=")),
        *(_GOOD.replace(".", other) for other in ("..", " . ", "\n.", "\u3002", "=.")),
        *(_GOOD.upper(), _GOOD.lower(), _GOOD[::-1], f"{_GOOD}.{_GOOD}", f'"{_GOOD}"', signed(_GOOD.encode())),
        *("A" * 1_000_000, "." * 1_000_000, ".".join(["A" * 1_000_000] * 3), "\ud800" * 10_000),
        f"{_segment(HEADER)}..{_segment(b'1' * 12)}.{_segment(b'2')}.{_segment(b'3' * 16)}",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_a_text_that_is_no_token_is_invalid(text: str) -> None:
    refused(text)


def test_a_rightly_signed_token_that_is_too_big_is_invalid() -> None:
    assert JwtTokens(SECRET).read(signed({**PAYLOAD, "x": "y" * 1_000}), NOW) == CLAIMS
    refused(signed({**PAYLOAD, "x": "y" * 2_000}))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(PAYLOAD)), value=_json)
def test_no_claim_makes_a_token_speak_for_another_user(name: str, value: Any) -> None:
    try:
        claims = JwtTokens(SECRET).read(signed({**PAYLOAD, name: value}), NOW)
    except InvalidToken:
        return
    assert claims == CLAIMS
