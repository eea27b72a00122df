"""Prices that the payment provider could never charge are refused where they are set."""

from collections.abc import Callable, Mapping

from msgspec import UNSET, UnsetType

from ...refusals import FieldError, FieldPath, InvalidRequest
from ...values.money import Money

Objection = Callable[[Money], str | None]
"""Returns what the price of a ticket must be instead; None: the provider can charge it."""


def any_price(_: Money) -> str | None:
    """Return None: there are no limits."""
    return None


def check_prices(prices: Mapping[FieldPath, Money | UnsetType | None], objection: Objection) -> None:
    """Raise InvalidRequest with the provider's objection to each price, judged for one ticket."""
    errors = []
    for path, price in prices.items():
        detail = None if price is UNSET or price is None else objection(price)
        if detail is not None:
            errors.append(FieldError(path, detail))
    if errors:
        raise InvalidRequest(*errors)
