"""Values: text, numbers, times, money, e-mail addresses and passwords."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from boxoffice.domain.refusals import InvalidRequest
from boxoffice.domain.user import new_password, tried_password
from boxoffice.domain.values.addresses import email, is_reachable, tried_email
from boxoffice.domain.values.characters import look_alike_key, trimmed
from boxoffice.domain.values.fields import Rule, checked, optional, text, utc_time, whole_number
from boxoffice.domain.values.money import CURRENCIES, MOST, Money, currency, minor_digits, price
from boxoffice.domain.values.time_zones import local_time, time_zone

CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
SURROGATES = [0xD800, 0xDBFF, 0xDC00, 0xDFFF]
LINES = {0x09, 0x0A, 0x0D}

name = text(1, 10)
lines = text(0, 10, lines=True)


def refused(rule: Rule, value: Any) -> str:
    """Why a rule refuses a value."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - what it says is the outcome
        rule(value)
    return str(error.value)


# Text.


@pytest.mark.parametrize("code", CONTROLS, ids=hex)
def test_control_characters_are_refused_everywhere(code: int) -> None:
    character = chr(code)
    for value in (f"a{character}b", f"{character}a", f"a{character}"):
        assert refused(name, value) == f"must not contain the control character U+{code:04X}"
        if code in LINES:
            assert lines(value).startswith("a")
        else:
            assert "control character" in refused(lines, value)
    for value in (f"a{character}na@example.org", f"{character}ana@example.org", f"ana@example.org{character}"):
        for rule in (email, new_password, tried_password):
            assert "control character" in refused(rule, value)


@pytest.mark.parametrize("code", BIDI, ids=hex)
def test_bidirectional_controls_are_refused_in_all_but_passwords(code: int) -> None:
    value = f"abcd@efgh{chr(code)}"
    for rule in (name, lines, email):
        assert refused(rule, value) == f"must not contain the bidirectional control U+{code:04X}"
    for rule in (new_password, tried_password):
        assert rule(value) == value


@pytest.mark.parametrize("code", SURROGATES, ids=hex)
def test_lone_surrogates_are_refused_everywhere(code: int) -> None:
    for rule in (name, lines, email, new_password, tried_password):
        assert refused(rule, f"abcd@efgh{chr(code)}") == f"must not contain the lone surrogate U+{code:04X}"


@pytest.mark.parametrize(
    "code", [0x20, 0x7E, 0xA1, 0xAD, 0x200E, 0x2029, 0x202F, 0x2065, 0x206A, 0xD7FF, 0xE000, 0x1F3B7], ids=hex
)
def test_the_neighbours_of_what_is_refused_are_kept(code: int) -> None:
    assert name(f"a{chr(code)}b") == f"a{chr(code)}b"


def test_text_is_trimmed_and_normalised_before_its_characters_are_counted() -> None:
    assert name("e\u0301" * 10) == "\u00e9" * 10
    assert refused(name, "e\u0301" * 11) == "must have at most 10 characters"
    assert name("\u00a0\u3000 " + "x" * 10 + " \u2003") == "x" * 10
    assert name("\U0001f3b7" * 10) == "\U0001f3b7" * 10
    assert refused(name, "\u00a0\u3000 ") == "must not be empty"
    assert refused(text(3, 9), "ab") == "must have at least 3 characters"
    assert lines(" \n ") == lines("\u200b\u3164 \n") == ""
    for value in ("  Ze\u0301phyr ", "\u212b ngstro\u0308m", "\ufb01n"):
        assert name(name(value)) == name(value)


BLANK = [0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x2060, 0x2063, 0x206A]
BLANK += [0x2800, 0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0x1D159, 0x1D173, 0xE0001, 0xE0041, 0xE01EF]


@pytest.mark.parametrize("code", BLANK, ids=hex)
def test_invisible_characters_are_no_name_and_are_trimmed(code: int) -> None:
    character = chr(code)
    assert refused(name, character) == "must not be empty"
    assert refused(name, f" {character} {character}") == "must not be empty"
    assert name(f"{character} VIP{character}") == name(f" {character}VIP {character}") == "VIP"
    assert name(f"a{character}b") == f"a{character}b"


@pytest.mark.parametrize("value", ["\u0301", "\u0301\u0302", "\ufffe", "\ufdd0"])
def test_a_name_has_a_visible_character(value: str) -> None:
    assert refused(name, value) == "must have a visible character"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((each, each) for each in ("love \u2764\ufe0f", "what\u2049\ufe0f", "\u25b6\ufe0e", "\u845b\U000e0100")),
        *((each, each) for each in ("\u1820\u180b", "\U0001f468\u200d\U0001f467")),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",) * 2,
        *((f"VIP{each}", "VIP") for each in ("\ufe0f", "\U000e0100", "\u180b", "\U000e0067\U000e007f")),
        *((each, "") for each in ("\u2800\ufe0f", "\ufe0f")),
    ],
    ids=ascii,
)
def test_invisible_characters_stay_where_they_form_the_last_character(value: str, kept: str) -> None:
    assert trimmed(value) == kept


def test_names_look_alike_without_case_and_invisible_characters() -> None:
    alike = ["VIP", "vip", "V\u200bIP", "vip\ufe0f", "\u3164VIP"]
    assert {look_alike_key(each) for each in alike} == {"vip"}
    assert look_alike_key("Row\u00a01  a") == look_alike_key("row 1 A")
    assert look_alike_key("Row 1 1") != look_alike_key("Row 11")


# Numbers.


def test_a_number_is_whole_and_within_its_bounds() -> None:
    rule = whole_number(2, 5)
    assert [rule(2), rule(5)] == [2, 5]
    assert refused(rule, 1) == "must be at least 2"
    for value in (1.0, True, "1", None):
        assert refused(rule, value) == "must be a whole number"
    assert optional(rule)(None) is None
    assert optional(rule)(3) == 3
    assert refused(optional(rule), 6) == "must be at most 5"


# Times.


def test_a_time_needs_an_offset_and_is_kept_in_utc() -> None:
    kept = utc_time(datetime(2027, 5, 1, 21, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))))
    assert kept == datetime(2027, 5, 1, 19, 0, 0, 123456, tzinfo=UTC)
    assert kept.tzinfo is UTC
    assert refused(utc_time, datetime(2027, 5, 1)) == "must have an offset from UTC"  # noqa: DTZ001


EAST, WEST = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), False),
        (datetime(1970, 1, 1, tzinfo=UTC), True),
        (datetime(1970, 1, 1, tzinfo=EAST), False),
        (datetime(1969, 12, 31, 13, tzinfo=WEST), True),
        (datetime(1, 1, 1, tzinfo=EAST), False),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        (datetime(9999, 12, 31, 23, tzinfo=EAST), True),
        (datetime(9999, 12, 31, 23, tzinfo=WEST), False),
    ],
    ids=str,
)
def test_a_time_lies_in_the_years_that_every_database_keeps(value: datetime, is_kept: bool) -> None:
    if is_kept:
        assert utc_time(value) == value
    else:
        assert refused(utc_time, value) == "must lie in the years 1970 to 9999 in UTC"


# Money.


def test_a_price_counts_minor_units_from_0_to_100000000() -> None:
    for amount in (0, 1, MOST):
        assert price(Money(amount, "EUR")) == Money(amount, "EUR")
    assert MOST == 100_000_000
    assert refused(price, Money(-1, "EUR")) == "must be at least 0"
    assert refused(price, Money(MOST + 1, "EUR")) == "must be at most 100000000"


@pytest.mark.parametrize("code", ["eur", "EU", "EURO", "", "XXX", "XTS", "XAU", "DEM", "\u0415UR"])
def test_a_currency_is_an_iso_code_of_money_in_use(code: str) -> None:
    assert "ISO 4217" in refused(currency, code)
    assert "ISO 4217" in refused(price, Money(1, code))
    assert all(re.fullmatch("[A-Z]{3}", each) and currency(each) == each for each in CURRENCIES)


def test_minor_units_are_those_of_iso_4217() -> None:
    digits = {code: minor_digits(code) for code in CURRENCIES}
    assert [digits[code] for code in ("EUR", "USD", "MGA", "JPY", "ISK", "UGX", "KWD", "TND")] == [
        2,
        2,
        2,
        0,
        0,
        0,
        3,
        3,
    ]
    assert sorted(digits.values()).count(0) == 16
    assert list(digits.values()).count(3) == 7
    assert {"EUR", "USD", "GBP", "JPY", "CHF", "KWD", "PLN", "XOF", "INR", "BRL"} <= set(CURRENCIES)


# E-mail addresses.


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (" Ana@Example.ORG ", "ana@example.org"),
        *((each, each) for each in ("a@b", "x..y@b", '"x"@b', "x,y@b", "x<y>@b", "x;y@b")),
        ("\u00c4NNE@EXAMPLE.ORG", "\u00e4nne@example.org"),
        ("a\u0308nne@example.org", "\u00e4nne@example.org"),
        ("A\u0308NNE@EXAMPLE.ORG", "\u00e4nne@example.org"),
        ("o'brien+tag@ex-ample.org", "o'brien+tag@ex-ample.org"),
        ("\ufeffana@example.org\u200b ", "ana@example.org"),
        ("ana@example.org.", "ana@example.org"),
        ("jo@fa\u00df.example", "jo@fa\u00df.example"),
        ("jo@XN--FA-HIA.example", "jo@fa\u00df.example"),
        ("x" * 64 + "@" + "b" * 63 + ".org", "x" * 64 + "@" + "b" * 63 + ".org"),
    ],
)
def test_an_address_is_kept_trimmed_normalised_and_in_lower_case(value: str, kept: str) -> None:
    assert email(value) == kept
    assert email(kept) == kept


@pytest.mark.parametrize(
    "value",
    ["", "@", "ana", "ana@", "@example.org", "a@b@c", "a@@b", "a na@example.org", "a@exam\u00a0ple.org", "a@ b"],
)
def test_an_address_has_one_at_sign_with_something_on_both_sides_and_no_spaces(value: str) -> None:
    assert "one @" in refused(email, value)


def test_an_address_has_254_characters_at_most() -> None:
    domain = ".".join(["b" * 62] * 4)
    assert len(email(f"aa@{domain}")) == 254
    assert refused(email, f"aaa@{domain}") == "must have 3 to 254 characters"


UNREACHABLE = ["x@.org", "x@x..org", "x@x.org..", "x@" + "b" * 64 + ".org", "x@example\u3002org", "x@-x.org"]
UNREACHABLE += ["x@x_y.org", "x@[127.0.0.1]", "x@xn--zzzzzz.org", "x@\u2603.example", "x@ex/ample.org"]
MAPPED = ["ana@\uff45xample.org", "ana@example\uff0eorg", "ana@example\uff61org", "ana@e\u212aample.org"]
MAPPED += ["ana@\ufb01n.org", "ana@\u2460.org", "ana@\u0130stanbul.org", "\uff41na@example.org"]
MAPPED += ["ana\uff20example.org@x.org"]


def test_addresses_that_mail_cannot_reach_or_with_characters_that_stand_for_others_are_refused() -> None:
    for value in UNREACHABLE:
        assert "domain that mail can reach" in refused(email, value)
    for value in MAPPED:
        assert "stands for another character" in refused(email, value)


@pytest.mark.parametrize("local", ["x" * 65, "\u00e4" * 33])
def test_the_part_before_the_at_sign_has_64_bytes_at_most(local: str) -> None:
    assert refused(email, f"{local}@example.org") == "must have at most 64 bytes before the @"
    assert email(f"{local[1:]}@example.org")


@pytest.mark.parametrize(
    "code", [0xAD, 0x200B, 0x200D, 0x2060, 0xFE0F, 0xFEFF, 0x115F, 0x3164, 0x2800, 0xE0041], ids=hex
)
def test_invisible_characters_are_trimmed_from_an_address_and_refused_inside(code: int) -> None:
    character = chr(code)
    assert email(f"{character}ana@example.org{character}") == "ana@example.org"
    for value in (f"a{character}na@example.org", f"ana@exam{character}ple.org", f"ana{character}@example.org"):
        assert refused(email, value) == "must not contain invisible characters"


def test_an_address_that_no_mail_can_reach_is_found_by_the_spelling_of_earlier_rules() -> None:
    for value, stored in ((" X@x..org", "x@x..org"), ("\uff41NA@example.org", "\uff41na@example.org")):
        assert tried_email(value) == stored
        assert not is_reachable(stored)
    for value in (" Jo@XN--FA-HIA.example", "jo@FA\u00df.example."):
        assert tried_email(value) == email(value) == "jo@fa\u00df.example"
    assert is_reachable("jo@fa\u00df.example")
    assert not is_reachable("jo@xn--fa-hia.example"), "not in the spelling of accounts"
    for value in ("ana", "a b@example.org", "a@b@example.org"):
        assert "one @" in refused(tried_email, value)
    assert "254" in refused(tried_email, "a" * 254 + "@b")


# Passwords.


def test_a_password_is_normalised_and_not_trimmed() -> None:
    assert new_password("  Pass Word  ") == "  Pass Word  "
    assert tried_password(" ") == " "
    assert new_password("cafe\u0301 noir") == tried_password("caf\u00e9 noir") == "caf\u00e9 noir"


def test_passwords_have_bounds() -> None:
    for length in (8, 128):
        assert len(new_password("xy" * (length // 2))) == length
    for value in ("", "x" * 7, "x" * 129, "e\u0301" * 7):
        assert refused(new_password, value) == "must have 8 to 128 characters"
    for value in (" " * 8, "a" * 8, "aAaAaAaA", "\u00e9" * 9, "e\u0301" * 9):
        assert refused(new_password, value) == "must not be one character over and over"
        assert tried_password(value)
    for length in (1, 1_024):
        assert len(tried_password("x" * length)) == length
    for length in (0, 1_025):
        assert refused(tried_password, "x" * length) == "must have 1 to 1024 characters"


# Many values together.


def test_every_broken_value_is_named_and_values_without_a_rule_are_kept() -> None:
    rules = {"a": whole_number(1, 2), "b": whole_number(1, 2), "c": whole_number(1, 2)}
    with pytest.raises(InvalidRequest) as error:
        checked({"a": 0, "b": 1, "c": 3}, rules)
    assert [each.path for each in error.value.errors] == [("a",), ("c",)]
    assert str(error.value) == "a must be at least 1; c must be at most 2"
    assert checked({"a": " x ", "b": " x "}, {"a": text(1, 9)}) == {"a": "x", "b": " x "}


# Time zones.


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Paris", "America/Argentina/ComodRivadavia", "Asia/Calcutta", "Etc/GMT+12"]
)
def test_a_time_zone_has_an_iana_name(zone: str) -> None:
    assert time_zone(zone) == zone


@pytest.mark.parametrize(
    "zone", ["", "utc", "Factory", "localtime", "posixrules", "Europe", "../UTC", "Europe/Paris ", "CEST"]
)
def test_other_time_zones_are_refused(zone: str) -> None:
    assert "IANA" in refused(time_zone, zone)


def test_a_time_of_day_follows_daylight_saving() -> None:
    times = [datetime(2027, 10, 31, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    assert [f"{local_time(each, 'Europe/Paris'):%H:%M %z}" for each in times] == ["02:30 +0200", "02:30 +0100"]
    assert f"{local_time(datetime(2027, 3, 28, 1, tzinfo=UTC), 'Europe/Paris'):%H:%M %z}" == "03:00 +0200"


def test_the_last_hours_of_all_time_are_in_utc() -> None:
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert local_time(last, "Asia/Tokyo") == last
    assert f"{local_time(last, 'America/New_York'):%H:%M %z}" == "18:00 -0500"
