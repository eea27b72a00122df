"""Stripe's units and limits of amounts.

Taken from Stripe's page "Supported currencies", with its sections on zero-decimal and three-decimal currencies, special
cases, and minimum and maximum charge amounts, and from "Create a PaymentIntent" in its API reference.
"""

from typing import Final

from ...domain.values.money import Money

_UNITS_PER_MINOR_UNIT: Final = {"ISK": 100, "UGX": 100}
"""Without decimals in ISO 4217, and with two decimals at Stripe, which must be 00. All others have Stripe's decimals or
more."""

_MINOR_UNITS_PER_UNIT: Final = {"MGA": 100}
"""With two decimals in ISO 4217, and without any at Stripe."""

_STEPS: Final = {"MGA": 100, **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10)}
"""What amounts must be multiples of, in minor units. The last of three decimals must be 0 at Stripe."""

_LEAST: Final = {
    **dict.fromkeys(("ARS", "AUD", "BRL", "CAD", "CHF", "COP", "EUR", "IDR"), 50),
    **dict.fromkeys(("ILS", "INR", "JPY", "KRW", "NZD", "PHP", "RUB", "SGD", "USD", "ZAR"), 50),
    "AED": 200,
    "CZK": 1_500,
    "DKK": 250,
    "GBP": 30,
    "HKD": 400,
    "HUF": 17_500,
    "MXN": 1_000,
    "MYR": 200,
    "NOK": 300,
    "PLN": 200,
    "RON": 200,
    "SEK": 300,
    "THB": 1_000,
}
"""The least charges in minor units. In other currencies they depend on the account's own and the exchange rate."""

_MOST: Final = 99_999_999
"""The highest charge in Stripe's units, which has eight digits in most currencies."""

_MORE_DIGITS: Final = frozenset({"COP", "HUF", "IDR", "INR", "JPY", "LBP"})
"""Currencies with charges of more digits, above the highest price that an event may have."""

_NOT_CHARGED: Final = frozenset(
    {
        *("BTN", "CUP", "ERN", "GHS", "IQD", "IRR", "KPW", "LYD", "MRU"),
        *("SDG", "SSP", "STN", "SVC", "SYP", "TMT", "VED", "VES", "ZWG"),
    }
)
"""The currencies of ISO 4217 that are no presentment currency of accounts in any country."""


def in_stripe_units(amount: Money) -> int | None:
    """Return the amount in Stripe's units; None if it has parts that Stripe does not move."""
    code = amount.currency
    if amount.amount % _STEPS.get(code, 1):
        return None
    return amount.amount * _UNITS_PER_MINOR_UNIT.get(code, 1) // _MINOR_UNITS_PER_UNIT.get(code, 1)


def objection(price: Money) -> str | None:
    """Return what the price must be for Stripe to ever charge it; None if it can. 0 is not charged."""
    code, units = price.currency, in_stripe_units(price)
    if price.amount == 0:
        return None
    if code in _NOT_CHARGED:
        return f"must be in another currency, because Stripe does not charge {code}"
    if units is None:
        return f"must be a multiple of {_STEPS[code]}, because Stripe charges no smaller part of {code}"
    least = _LEAST.get(code, 1)
    if price.amount < least:
        return f"must be 0 or at least {least}, the least that Stripe charges in {code}"
    if units > _MOST and code not in _MORE_DIGITS:
        return f"must be at most {_MOST // _UNITS_PER_MINOR_UNIT.get(code, 1)}, the most that Stripe charges in {code}"
    return None
