"""Money: whole minor units and a currency. There are no fractions, so nothing is rounded."""

from typing import Annotated

from msgspec import Meta, Struct

from .fields import Rule, whole_number

MOST = 100_000_000
"""The highest price of one ticket, in minor units."""

CURRENCIES = frozenset(
    [
        "AED",
        "AFN",
        "ALL",
        "AMD",
        "AOA",
        "ARS",
        "AUD",
        "AWG",
        "AZN",
        "BAM",
        "BBD",
        "BDT",
        "BHD",
        "BIF",
        "BMD",
        "BND",
        "BOB",
        "BRL",
        "BSD",
        "BTN",
        "BWP",
        "BYN",
        "BZD",
        "CAD",
        "CDF",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CRC",
        "CUP",
        "CVE",
        "CZK",
        "DJF",
        "DKK",
        "DOP",
        "DZD",
        "EGP",
        "ERN",
        "ETB",
        "EUR",
        "FJD",
        "FKP",
        "GBP",
        "GEL",
        "GHS",
        "GIP",
        "GMD",
        "GNF",
        "GTQ",
        "GYD",
        "HKD",
        "HNL",
        "HTG",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "IQD",
        "IRR",
        "ISK",
        "JMD",
        "JOD",
        "JPY",
        "KES",
        "KGS",
        "KHR",
        "KMF",
        "KPW",
        "KRW",
        "KWD",
        "KYD",
        "KZT",
        "LAK",
        "LBP",
        "LKR",
        "LRD",
        "LSL",
        "LYD",
        "MAD",
        "MDL",
        "MGA",
        "MKD",
        "MMK",
        "MNT",
        "MOP",
        "MRU",
        "MUR",
        "MVR",
        "MWK",
        "MXN",
        "MYR",
        "MZN",
        "NAD",
        "NGN",
        "NIO",
        "NOK",
        "NPR",
        "NZD",
        "OMR",
        "PAB",
        "PEN",
        "PGK",
        "PHP",
        "PKR",
        "PLN",
        "PYG",
        "QAR",
        "RON",
        "RSD",
        "RUB",
        "RWF",
        "SAR",
        "SBD",
        "SCR",
        "SDG",
        "SEK",
        "SGD",
        "SHP",
        "SLE",
        "SOS",
        "SRD",
        "SSP",
        "STN",
        "SVC",
        "SYP",
        "SZL",
        "THB",
        "TJS",
        "TMT",
        "TND",
        "TOP",
        "TRY",
        "TTD",
        "TWD",
        "TZS",
        "UAH",
        "UGX",
        "USD",
        "UYU",
        "UZS",
        "VED",
        "VES",
        "VND",
        "VUV",
        "WST",
        "XAF",
        "XCD",
        "XCG",
        "XOF",
        "XPF",
        "YER",
        "ZAR",
        "ZMW",
        "ZWG",
    ]
)
"""The ISO 4217 codes of currencies, without funds, metals and test codes."""

_MINOR_DIGITS = {
    **dict.fromkeys(
        [
            *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"),
            *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
"""ISO 4217's exponents of the currencies whose minor unit is no hundredth."""


def minor_digits(currency: str) -> int:
    """Return how many decimals of the currency's unit a minor unit is (ISO 4217): 2 for EUR, 0 for JPY."""
    return _MINOR_DIGITS.get(currency, 2)


amount_of_price: Rule = whole_number(0, MOST)


class Money(Struct, frozen=True, gc=False):
    """`amount` counts minor units (cents); `currency` is an ISO 4217 code."""

    amount: Annotated[int, Meta(description="Minor units, such as cents.", examples=[2_500])]
    currency: Annotated[str, Meta(description="An ISO 4217 code.", examples=["EUR"])]

    def times(self, quantity: int) -> "Money":
        """Return the price of `quantity` tickets."""
        return Money(self.amount * quantity, self.currency)

    def at_most(self, other: "Money") -> "Money":
        """Return the lower amount, in this currency; amounts in two currencies differ only where one is nothing."""
        is_comparable = other.currency == self.currency or other.amount == 0
        return Money(min(self.amount, other.amount), self.currency) if is_comparable else self


def currency(code: str) -> str:
    """Return the code. Raises: ValueError unless it is in `CURRENCIES`."""
    if code not in CURRENCIES:
        raise ValueError("must be an ISO 4217 currency code in capitals, such as EUR")
    return code


def price(value: Money) -> Money:
    """Return the price of one ticket; 0 is free. Raises: ValueError."""
    return Money(amount_of_price(value.amount), currency(value.currency))
