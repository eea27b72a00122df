"""The domain and the application contain no words of the wire: their text fits HTTP and a command line alike."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from .sources import SRC, sources

_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "ETag",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)
RULES: Final = {
    "protocol": re.compile(r"\b(?:HTTPS?|REST|OpenAPI|JSON|Litestar|ASGI)\b|\bBearer\b", re.ASCII),
    "request": re.compile(r"\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\b"),
    "path": re.compile(r"(?<![\w:/.*])/(?:[a-z{][\w{}-]*/?)+"),
    "header": re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, _HEADERS))})(?![\w-])", re.IGNORECASE),
    "status code": re.compile(
        r"\b[1-5]xx\b|(?<![\w.,])(?:20[0-4]|30[1-8]|40[0-9]|41[0-7]|42[1-9]|431|50[0-4])(?![\w.,]\d|\w)"
    ),
    "camel case": re.compile(r"(?<![\w.])[a-z]+[a-z0-9]*[A-Z]\w*"),
    "document": re.compile(r"\bapi\.md\b", re.IGNORECASE),
}
STORED_NAMES: Final = frozenset(
    {"maxOvertakes", "salesOpenAt", "startsAt", "totalTickets", "waitingList", "waitingListPolicy"}
)
"""Names in stored facts, which never change. The replay and the mails read them."""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string with its line: docstrings, messages and the constant parts of f-strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def wire_words(tree: ast.AST) -> list[str]:
    """Words of the wire in strings, each with its rule and the line where the string begins."""
    return [
        f"line {line}: {found.group()!r} ({rule})"
        for line, text in texts(tree)
        if text not in STORED_NAMES
        for rule, pattern in RULES.items()
        for found in pattern.finditer(text)
    ]


@pytest.mark.parametrize("layer", ["domain", "application"])
def test_the_hexagon_has_no_words_of_the_wire(layer: str) -> None:
    assert {str(source): found for source in sources(SRC / layer) if (found := wire_words(source.tree))} == {}


BITES: Final = {
    "protocol": ["Return the body over HTTP.", "Send it as a Bearer token."],
    "request": ["POST the booking again."],
    "path": ["see /bookings/list"],
    "header": ["Refused with Retry-After.", "the event's etag"],
    "status code": ["Beyond it, 503.", "Anything but 2xx fails."],
    "camel case": ["ticketTypeId is needed"],
    "document": ["The codes are in API.md."],
}


@pytest.mark.parametrize("rule", RULES)
def test_a_word_of_the_wire_is_seen(rule: str) -> None:
    for text in BITES[rule]:
        for code in (f'def f():\n    """{text}"""', f'raise NotFound("{text}")', f'raise NotFound(f"{text} {{name}}")'):
            assert any(found.endswith(f"({rule})") for found in wire_words(ast.parse(code))), code


@pytest.mark.parametrize(
    "text",
    [
        "must have at most 254 characters",
        "A quantity below 1 or above 1,000, or 404.5.",
        "Confirm or hold; waiting is an outcome.",
        "https://example.com/hook",
        "`TicketsBooked` has `ticket_type_id`.",
        "asyncio.Future[CommandResult]",
    ],
)
def test_other_words_pass(text: str) -> None:
    assert wire_words(ast.parse(repr(text))) == []


def test_names_in_stored_facts_pass_alone_only() -> None:
    assert wire_words(ast.parse("changes.get('totalTickets')")) == []
    assert wire_words(ast.parse("raise NotFound('totalTickets is needed')"))
