"""Names on the wire: the rules say `total_tickets`, JSON says `totalTickets`."""


def camel_case(name: str) -> str:
    """Return the name in camelCase."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
