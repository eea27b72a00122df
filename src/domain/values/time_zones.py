"""Time zones: IANA names, and times of day in them.

The rules of the zones are the operating system's where it has them, otherwise those of the package `tzdata`.
"""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

LONGEST_ZONE = 64
"""Maximum characters of a name."""


def time_zone(name: str) -> str:
    """Return the name of a time zone. Raises: ValueError unless it is an IANA name."""
    # Not the system's list: some systems add `localtime`, which is another zone on each of them.
    if name not in _names():
        raise ValueError("must be the IANA name of a time zone, such as Europe/Paris")
    return name


def local_time(moment: datetime, zone: str) -> datetime:
    """Return the time of day in a zone; in UTC where that would lie after the year 9999."""
    try:
        return moment.astimezone(ZoneInfo(zone))
    except OverflowError:
        return moment.astimezone(UTC)


@cache
def _names() -> frozenset[str]:
    names = files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    # The zone of systems that are not set up yet.
    return frozenset(names) - {"Factory"}
