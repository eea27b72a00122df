"""How mails write numbers, money, times and the words of users."""

import re
from datetime import datetime
from typing import Final

from ...domain.values.money import Money, minor_digits

_ZERO_WIDTH_SPACE: Final = "\u200b"
_LINK_SIGN: Final = re.compile(r"[.:@/\u3002\uff0e\uff61](?=\S)")
"""A sign of a URL, a domain or an address. Browsers read U+3002, U+FF0E and U+FF61 as dots."""


def one_line(text: str) -> str:
    """Return the text as one line of printable characters, safe in a header.

    Encoded words (RFC 2047) are broken up, because a header decodes them: `=?utf-8?q?=0ABcc:_x?=` would end the header
    and start another one.
    """
    visible = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(visible.replace("=?", "= ?").split())


def unlinked(text: str) -> str:
    """Return a user's words as one line in which no mail client finds a link.

    Clients make links of text that looks like a URL, a domain or an address. An invisible space after each dot, colon,
    slash and at sign prevents it; the text looks the same.
    """
    return _LINK_SIGN.sub(lambda sign: sign.group() + _ZERO_WIDTH_SPACE, one_line(text))


def count(number: int, singular: str, plural: str) -> str:
    """Return "1 ticket" or "2 tickets"."""
    return f"{number:,} {singular if number == 1 else plural}"


def money(value: Money) -> str:
    """Return an amount in the currency's own unit, with as many decimals as it has: "EUR 1,250.00", "JPY 500"."""
    digits = minor_digits(value.currency)
    whole, part = divmod(value.amount, 10**digits)
    return f"{value.currency} {whole:,}" + (f".{part:0{digits}}" if digits else "")


def time(local: datetime, zone: str) -> str:
    """Return a time of day with its date, zone and offset: "Saturday, 1 May 2027, 19:00 (Europe/Paris, UTC+02:00)".

    The offset tells apart the two times of an hour that is repeated when daylight saving ends.
    """
    # Not strftime's names of days and months, which depend on the process's locale.
    date = f"{_DAYS[local.weekday()]}, {local.day} {_MONTHS[local.month - 1]} {local.year}, {local:%H:%M}"
    offset = f"{local:%z}"
    return f"{date} UTC" if zone == "UTC" else f"{date} ({zone}, UTC{offset[:3]}:{offset[3:5]})"


_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
