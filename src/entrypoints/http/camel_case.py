"""Names in JSON: `totalTickets` for `total_tickets`."""


def camel_case(name: str) -> str:
    """Return the name in camelCase."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
