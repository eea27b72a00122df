"""How likely a waiting booking is to be served, from the tickets of its event that have come back so far.

Occasions on which tickets come back are taken as a Poisson process of an unknown, constant rate, which the occasions so
far tell (a Gamma prior of Jeffreys). How many will come until the end then has a negative binomial distribution. All
tickets ahead have to come back first, so who stands further back never has a higher chance.
"""

from datetime import datetime
from math import ceil, erfc, exp, lgamma, log, log1p, sqrt
from typing import Final

from msgspec import Struct

from ..booking import Place
from ..event import Event
from ..tickets.ticket_type import TicketType
from .line_history import Returned

LEAST_BASIS: Final = 10
"""Fewer tickets that came back are no basis for a chance."""

HIGHEST: Final = 99
"""In percent: nothing is certain before it has happened."""

_PRIOR: Final = 0.5

_MANY: Final = 1_000
"""So many expected occasions have a normal distribution, nearly."""

_FAR: Final = 20
"""Standard deviations, and occasions, beyond which a number is not reached."""


class Chance(Struct, frozen=True, gc=False):
    """A chance in percent, and the number of tickets that came back, which it is based on."""

    percent: int
    basis: int


def chance_of(
    event: Event, ticket_type: TicketType, quantity: int, place: Place, returned: Returned, now: datetime
) -> Chance | None:
    """Return the chance of a waiting booking to get its tickets before the event starts; None: there is no basis."""
    needed = place.tickets_ahead + quantity - ticket_type.available
    return chance_from(sale_began(event), event.starts_at, needed, returned, now)


def chance_from(
    began_at: datetime, starts_at: datetime | None, needed: int, returned: Returned, now: datetime
) -> Chance | None:
    """Return the chance that so many tickets come back, if `returned` have since the sale began.

    An event without a start is taken to go on for as long again as it has.
    """
    if returned.tickets < LEAST_BASIS:
        return None
    elapsed = max(1.0, (now - began_at).total_seconds())
    left = elapsed if starts_at is None else max(0.0, (starts_at - now).total_seconds())
    occasions = ceil(needed * returned.occasions / returned.tickets)
    likely = _at_least(occasions, returned.occasions + _PRIOR, left / elapsed)
    return Chance(min(HIGHEST, int(100 * likely)), returned.tickets)


def sale_began(event: Event) -> datetime:
    """Return when tickets could first be booked."""
    return event.created_at if event.sales_open_at is None else max(event.created_at, event.sales_open_at)


def _at_least(number: int, shape: float, ratio: float) -> float:
    """Return how likely at least `number` events are in `ratio` times the time in which about `shape` were."""
    if number <= 0:
        return 1.0
    if ratio <= 0:
        return 0.0
    mean = shape * ratio
    deviation = sqrt(mean * (1 + ratio))
    if mean > _MANY:
        return 0.5 * erfc((number - 0.5 - mean) / (deviation * sqrt(2)))
    if number > mean + _FAR * deviation + _FAR:
        return 0.0
    fewer = sum(exp(_log_probability(each, shape, ratio)) for each in range(number))
    return min(1.0, max(0.0, 1 - fewer))


def _log_probability(number: int, shape: float, ratio: float) -> float:
    """Return the logarithm of the negative binomial probability."""
    return (
        lgamma(shape + number)
        - lgamma(shape)
        - lgamma(number + 1)
        + number * log(ratio)
        - (number + shape) * log1p(ratio)
    )
