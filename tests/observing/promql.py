"""What a query of Prometheus names: its metrics and their labels. As much of the language as our queries speak."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct


class Selector(Struct, frozen=True):
    """A metric that a query asks for, and what its labels must be: (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


class Query(Struct, frozen=True):
    """What a query names; `grouped` are the labels by which it groups or joins, wherever they come from."""

    selectors: tuple[Selector, ...]
    grouped: frozenset[str]


_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<range>\[[^\]]*\])
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>\d[\w.]*)
      | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){},])
    )""",
    re.VERBOSE,
)
_GROUPING: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


def parse(text: str) -> Query:
    """Raises: ValueError where it is no query, or speaks more of the language than is known here."""
    tokens = list(_tokens(text))
    selectors: list[Selector] = []
    grouped: set[str] = set()
    at = 0
    depth = 0
    while at < len(tokens):
        kind, token = tokens[at]
        at += 1
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0 or (kind == "sign" and token in "{}"):
            raise ValueError(f"{token} has no place in {text}")
        if kind != "name" or token.lower() in _WORDS:
            continue
        if token in _GROUPING:
            names, at = _labels(tokens, at, text)
            grouped.update(names)
        elif (at < len(tokens) and tokens[at][1] == "(") or _is_aggregation(tokens, at):
            continue
        else:
            matchers, at = _matchers(tokens, at, text)
            selectors.append(Selector(token, matchers))
    if depth or not selectors:
        raise ValueError(f"{text} is no query")
    return Query(tuple(selectors), frozenset(grouped))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ValueError(f"{text[at:]} is not understood")
        at = found.end()
        yield found.lastgroup, found[found.lastgroup]


def _is_aggregation(tokens: list[tuple[str, str]], at: int) -> bool:
    """`sum by (…) (…)`: what groups stands before what is grouped."""
    return at < len(tokens) and tokens[at][1] in {"by", "without"}


def _labels(tokens: list[tuple[str, str]], at: int, text: str) -> tuple[list[str], int]:
    if at >= len(tokens) or tokens[at][1] != "(":
        raise ValueError(f"labels are missing in {text}")
    names: list[str] = []
    for number in range(at + 1, len(tokens)):
        kind, token = tokens[number]
        if token == ")":
            return names, number + 1
        if kind == "name":
            names.append(token)
    raise ValueError(f"a bracket is missing in {text}")


def _matchers(tokens: list[tuple[str, str]], at: int, text: str) -> tuple[tuple[tuple[str, str, str], ...], int]:
    if at >= len(tokens) or tokens[at][1] != "{":
        return (), at
    matchers = []
    at += 1
    while at + 2 < len(tokens) and tokens[at][1] != "}":
        (_, label), (_, operator), (kind, value) = tokens[at : at + 3]
        if kind != "text" or operator not in {"=", "!=", "=~", "!~"}:
            raise ValueError(f"{label} {operator} {value} is no matcher in {text}")
        matchers.append((label, operator, value[1:-1]))
        at += 3
        if tokens[at][1] == ",":
            at += 1
    if at >= len(tokens) or tokens[at][1] != "}":
        raise ValueError(f"a bracket is missing in {text}")
    return tuple(matchers), at + 1
