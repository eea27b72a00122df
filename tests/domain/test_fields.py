"""Values: text, numbers, times, money, e-mail addresses and passwords, down to single characters."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from boxoffice.domain.fields import Rule, checked, moment, optional, text, whole
from boxoffice.domain.money import CURRENCIES, MOST, Money, currency, price
from boxoffice.domain.refusals import InvalidRequest
from boxoffice.domain.user import email, new_password, tried_password

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
def test_control_characters_are_refused_wherever_they_stand(code: int) -> None:
    character = chr(code)
    for value in (f"a{character}b", f"{character}a", f"a{character}"):
        assert refused(name, value) == f"must not hold the control character U+{code:04X}"
        if code in LINES:
            assert lines(value).startswith("a")
        else:
            assert "control character" in refused(lines, value)


@pytest.mark.parametrize("code", BIDI, ids=hex)
def test_bidirectional_controls_are_refused(code: int) -> None:
    for rule in (name, lines, email):
        assert refused(rule, f"abcd@efgh{chr(code)}") == f"must not hold the bidirectional control U+{code:04X}"


@pytest.mark.parametrize("code", BIDI, ids=hex)
def test_nobody_reads_a_password_so_it_may_have_any_direction(code: int) -> None:
    for rule in (new_password, tried_password):
        assert rule(f"abcd@efgh{chr(code)}") == f"abcd@efgh{chr(code)}"


@pytest.mark.parametrize("value", [1.0, True, "1", None])
def test_what_only_looks_like_a_whole_number_is_none(value: object) -> None:
    assert refused(whole(0, 10), value) == "must be a whole number"


@pytest.mark.parametrize("code", SURROGATES, ids=hex)
def test_lone_surrogates_are_refused(code: int) -> None:
    for rule in (name, lines, email, new_password, tried_password):
        assert refused(rule, f"abcd@efgh{chr(code)}") == f"must not hold the lone surrogate U+{code:04X}"


@pytest.mark.parametrize(
    "code", [0x20, 0x7E, 0xA1, 0xAD, 0x200E, 0x2029, 0x202F, 0x2065, 0x206A, 0xD7FF, 0xE000, 0x1F3B7], ids=hex
)
def test_the_neighbours_of_what_is_refused_are_kept(code: int) -> None:
    assert name(f"a{chr(code)}b") == f"a{chr(code)}b"


def test_text_is_normalised_before_it_is_measured() -> None:
    assert name("e\u0301" * 10) == "\u00e9" * 10
    assert refused(name, "e\u0301" * 11) == "must have at most 10 characters"


def test_text_is_trimmed_before_it_is_measured() -> None:
    assert name("\u00a0\u3000 " + "x" * 10 + " \u2003") == "x" * 10
    assert refused(name, "\u00a0\u3000 ") == "must not be empty"


def test_text_that_may_be_empty_may_be_blank() -> None:
    assert lines(" \n ") == ""


def test_characters_are_counted_and_not_bytes() -> None:
    assert name("\U0001f3b7" * 10) == "\U0001f3b7" * 10


def test_too_short_a_text_says_how_long_it_must_be() -> None:
    assert refused(text(3, 9), "ab") == "must have at least 3 characters"


def test_text_that_was_kept_is_kept_again_as_it_is() -> None:
    for value in ("  Ze\u0301phyr ", "\u212b ngstro\u0308m", "\ufb01n"):
        assert name(name(value)) == name(value)


# Numbers.


def test_a_number_is_within_its_bounds() -> None:
    rule = whole(2, 5)
    assert [rule(2), rule(5)] == [2, 5]
    assert refused(rule, 1) == "must be at least 2"
    assert refused(rule, 6) == "must be at most 5"


def test_what_is_optional_may_be_nothing_at_all() -> None:
    rule = optional(whole(2, 5))
    assert rule(None) is None
    assert rule(3) == 3
    assert refused(rule, 6) == "must be at most 5"


# Times.


def test_a_time_is_kept_in_utc() -> None:
    kept = moment(datetime(2027, 5, 1, 21, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))))
    assert kept == datetime(2027, 5, 1, 19, 0, 0, 123456, tzinfo=UTC)
    assert kept.tzinfo is UTC


def test_a_time_needs_an_offset() -> None:
    assert refused(moment, datetime(2027, 5, 1)) == "must have an offset from UTC"  # noqa: DTZ001


EAST, WEST = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))


@pytest.mark.parametrize(
    "value",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=EAST),
        datetime(1, 1, 1, tzinfo=EAST),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=WEST),
    ],
    ids=str,
)
def test_a_time_lies_in_the_years_that_every_database_keeps(value: datetime) -> None:
    assert refused(moment, value) == "must lie in the years 1970 to 9999 in UTC"


@pytest.mark.parametrize(
    "value",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 13, tzinfo=WEST),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=EAST),
    ],
    ids=str,
)
def test_the_first_and_the_last_of_these_years_are_kept(value: datetime) -> None:
    assert moment(value) == value


# Money.


def test_a_price_counts_minor_units_from_0_to_100000000() -> None:
    for amount in (0, 1, MOST):
        assert price(Money(amount, "EUR")) == Money(amount, "EUR")
    assert MOST == 100_000_000
    assert refused(price, Money(-1, "EUR")) == "must be at least 0"
    assert refused(price, Money(MOST + 1, "EUR")) == "must be at most 100000000"


@pytest.mark.parametrize("code", ["eur", "EU", "EURO", "", "XXX", "XTS", "XAU", "DEM", "\u0415UR"])
def test_a_currency_is_one_that_one_can_pay_with(code: str) -> None:
    assert "ISO 4217" in refused(currency, code)
    assert "ISO 4217" in refused(price, Money(1, code))


@pytest.mark.parametrize("code", ["EUR", "USD", "GBP", "JPY", "CHF", "KWD", "PLN", "XOF", "INR", "BRL"])
def test_the_usual_currencies_are_known(code: str) -> None:
    assert currency(code) == code


def test_every_currency_is_three_capitals() -> None:
    assert all(re.fullmatch("[A-Z]{3}", code) for code in CURRENCIES)
    assert len(CURRENCIES) > 150


def test_money_is_multiplied_without_rounding() -> None:
    assert Money(MOST, "EUR").times(1_000) == Money(100_000_000_000, "EUR")


# E-mail addresses.


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (" Ana@Example.ORG ", "ana@example.org"),
        ("a@b", "a@b"),
        ("\u00c4NNE@EXAMPLE.ORG", "\u00e4nne@example.org"),
        ("a\u0308nne@example.org", "\u00e4nne@example.org"),
        ("A\u0308NNE@EXAMPLE.ORG", "\u00e4nne@example.org"),
        ("o'brien+tag@ex-ample.org", "o'brien+tag@ex-ample.org"),
        ("a@" + "b" * 252, "a@" + "b" * 252),
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
    assert refused(email, "a@" + "b" * 253) == "must have 3 to 254 characters"


@pytest.mark.parametrize("code", CONTROLS, ids=hex)
def test_an_address_holds_no_control_characters_not_even_around_it(code: int) -> None:
    for value in (f"a{chr(code)}na@example.org", f"{chr(code)}ana@example.org", f"ana@example.org{chr(code)}"):
        assert "control character" in refused(email, value)


# Passwords.


def test_a_password_is_neither_trimmed_nor_lowered() -> None:
    assert new_password("  Pass Word  ") == "  Pass Word  "
    assert tried_password(" ") == " "


def test_a_password_is_normalised_so_that_every_keyboard_types_the_same() -> None:
    assert new_password("cafe\u0301 noir") == tried_password("caf\u00e9 noir") == "caf\u00e9 noir"


def test_a_new_password_has_8_to_128_characters() -> None:
    for length in (8, 128):
        assert len(new_password("x" * length)) == length
    for length in (0, 7, 129):
        assert refused(new_password, "x" * length) == "must have 8 to 128 characters"
    assert refused(new_password, "e\u0301" * 7) == "must have 8 to 128 characters"


def test_any_password_of_1_to_1024_characters_may_be_tried() -> None:
    for length in (1, 1_024):
        assert len(tried_password("x" * length)) == length
    for length in (0, 1_025):
        assert refused(tried_password, "x" * length) == "must have 1 to 1024 characters"


@pytest.mark.parametrize("code", CONTROLS, ids=hex)
def test_a_password_holds_no_control_characters(code: int) -> None:
    for rule in (new_password, tried_password):
        assert "control character" in refused(rule, f"pass{chr(code)}word")


# Many values together.


def test_every_broken_value_is_named_and_the_others_are_not() -> None:
    rules = {"a": whole(1, 2), "b": whole(1, 2), "c": whole(1, 2)}
    with pytest.raises(InvalidRequest) as error:
        checked({"a": 0, "b": 1, "c": 3}, rules)
    assert [(each.path, each.detail) for each in error.value.errors] == [
        (("a",), "must be at least 1"),
        (("c",), "must be at most 2"),
    ]
    assert str(error.value) == "a must be at least 1; c must be at most 2"


def test_values_without_a_rule_are_kept_as_they_are() -> None:
    assert checked({"a": " x ", "b": " x "}, {"a": text(1, 9)}) == {"a": "x", "b": " x "}
