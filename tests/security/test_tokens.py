"""A token that we issued is read; whatever else comes is an invalid token, and never another exception."""

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
    """Whatever is said, rightly signed: put together by hand, because PyJWT refuses to make most of it."""
    signing_input = f"{_segment(header)}.{_segment(payload)}"
    signature = hmac.digest(secret.encode(), signing_input.encode(), digest)
    return f"{signing_input}.{_segment(signature)}"


def altered(values: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    kept = {**values, name: value}
    return {key: each for key, each in kept.items() if each is not ABSENT}


def refused(text: str, now: datetime = NOW) -> None:
    with pytest.raises(InvalidToken):
        JwtTokens(SECRET).read(text, now)


def test_an_issued_token_speaks_for_its_session() -> None:
    tokens = JwtTokens(SECRET)
    token = tokens.issue(CLAIMS, NOW)
    assert token.expires_in == tokens.lifetime == 900
    assert tokens.read(token.text, NOW) == CLAIMS


def test_a_token_says_what_the_contract_says() -> None:
    token = JwtTokens(SECRET).issue(CLAIMS, NOW).text
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}
    payload = jwt.decode(
        token,
        SECRET.encode(),
        ["HS256"],
        audience="boxoffice",
        issuer="boxoffice",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert payload == {**PAYLOAD, "jti": payload["jti"]}


@pytest.mark.parametrize("role", list(Role))
def test_a_token_speaks_for_the_role_it_was_issued_with(role: Role) -> None:
    tokens, claims = JwtTokens(SECRET), replace(CLAIMS, role=role)
    assert tokens.read(tokens.issue(claims, NOW).text, NOW) == claims


def test_every_token_has_an_id_of_its_own() -> None:
    tokens = JwtTokens(SECRET)
    assert len({tokens.issue(CLAIMS, NOW).text for _ in range(100)}) == 100


def test_the_key_id_tells_secrets_apart_and_nothing_about_them() -> None:
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


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"true", b"\xff\xfe", b"{}", b"\x00", b"NaN", b"[" * 1_000),
        *(b'{"exp":' + b"9" * 1_000 + b"}", b"\xef\xbb\xbf{}", json.dumps([PAYLOAD]).encode()),
    ],
)
def test_a_payload_that_holds_no_claims_is_invalid(payload: bytes) -> None:
    refused(signed(payload))


@pytest.mark.parametrize("name", ["typ", "alg", "kid"])
@pytest.mark.parametrize(
    "value",
    [
        *("", "none", "None", "NONE", "hs256", "HS384", "HS512", "RS256", "ES256", "dir", "JWT", "at+JWT", "JWE", "x"),
        *("application/at+jwt", "../../../../dev/null", "' OR 1=1", None, True, 1, 1.5, [], ["HS256"], {"a": 1}),
    ],
    ids=repr,
)
def test_a_header_that_is_odd_makes_the_token_invalid(name: str, value: Any) -> None:
    refused(signed(header={**HEADER, name: value}))


@pytest.mark.parametrize("name", ["typ", "alg"])
def test_a_header_that_leaves_something_out_makes_the_token_invalid(name: str) -> None:
    refused(signed(header=altered(HEADER, name, ABSENT)))


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": "exp"},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"jku": "https://example.org/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://example.org/cert"},
        {"x5c": ["AAAA"]},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"unknown": 1},
    ],
    ids=repr,
)
def test_a_header_that_holds_more_makes_the_token_invalid(extra: dict[str, Any]) -> None:
    refused(signed(header={**HEADER, **extra}))


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b"null", b"1", b"\xff", b"{" * 500, b"[" * 1_000], ids=repr)
def test_a_header_that_is_none_makes_the_token_invalid(header: bytes) -> None:
    refused(signed(header=header))


@pytest.mark.parametrize("digest", ["sha1", "sha384", "sha512"])
def test_another_digest_is_no_signature(digest: str) -> None:
    refused(signed(digest=digest))


@pytest.mark.parametrize("secret", ["", "x", SECRET + " ", SECRET.upper(), SECRET[:-1], "\0" * 32])
def test_another_secret_is_no_signature(secret: str) -> None:
    refused(signed(secret=secret))


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


@pytest.mark.parametrize("size", [0, 1, 10, *range(20, len(_GOOD), 20), len(_GOOD) - 1])
def test_a_token_cut_short_is_invalid(size: int) -> None:
    refused(_GOOD[:size])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ".",
            "..",
            "...",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "a.b.c.d.e",
            "null",
            "\0",
            "ü.ü.ü",
            "\ud800.\ud800.\ud800",
        ),
        *(_GOOD + tail for tail in ("=", "==", " ", "\n", "\0", "ü", ".x", "A", "\ud800")),
        *(head + _GOOD for head in (" ", "\n", "\ufeff", ".", "Bearer ", "=")),
        *(_GOOD.replace(".", other) for other in ("..", " . ", "\n.", "\u3002", "=.")),
        *(_GOOD.upper(), _GOOD.lower(), _GOOD[::-1], f"{_GOOD}.{_GOOD}", f'"{_GOOD}"'),
        *("A" * 3_000, "A" * 1_000_000, "." * 1_000_000, ".".join(["A" * 1_000_000] * 3), "\ud800" * 10_000),
        *(
            f"{_segment(HEADER)}..{_segment(b'1' * 12)}.{_segment(b'2')}.{_segment(b'3' * 16)}",
            "{}",
            "[]",
            "eyJ.eyJ.eyJ",
        ),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_what_is_no_token_is_invalid(text: str) -> None:
    refused(text)


def test_a_rightly_signed_token_that_is_too_big_is_invalid() -> None:
    assert JwtTokens(SECRET).read(signed({**PAYLOAD, "x": "y" * 1_000}), NOW) == CLAIMS
    refused(signed({**PAYLOAD, "x": "y" * 2_000}))


def test_a_token_in_a_token_is_invalid() -> None:
    refused(signed(_GOOD.encode()))
    refused(signed(_GOOD.encode(), header={**HEADER, "cty": "JWT"}))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(header=st.dictionaries(st.sampled_from(["typ", "kid", "crit", "b64", "x"]), _json), payload=_json)
def test_whatever_is_signed_is_read_or_refused(header: dict[str, Any], payload: Any) -> None:
    refused(signed(payload, {**HEADER, **header}))


@given(name=st.sampled_from(sorted(PAYLOAD)), value=_json)
def test_whatever_a_claim_is_nobody_else_is_meant(name: str, value: Any) -> None:
    try:
        claims = JwtTokens(SECRET).read(signed({**PAYLOAD, name: value}), NOW)
    except InvalidToken:
        return
    assert claims == CLAIMS


@given(st.text(max_size=200))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    refused(text)


def test_a_token_that_was_good_is_so_within_its_time_only() -> None:
    tokens = JwtTokens(SECRET)
    text = tokens.issue(CLAIMS, NOW).text
    assert tokens.read(text, NOW) == tokens.read(text, NOW) == CLAIMS
    for moment in (NOW + timedelta(seconds=901), NOW - timedelta(seconds=30)):
        with pytest.raises(InvalidToken):
            tokens.read(text, moment)
    assert tokens.read(text, NOW) == CLAIMS
