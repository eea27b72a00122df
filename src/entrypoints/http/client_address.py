"""The address that a request comes from, with or without proxies in between."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from ..settings import ForwardedHeader, Network

Headers = Iterable[tuple[bytes, bytes]]

_ONE_SUBSCRIBER: Final = 64
"""Bits of an IPv6 address that name a network. A subscriber has 2^64 addresses in it (RFC 4291, 2.5.4)."""

_log = logging.getLogger(__name__)


class AddressOf:
    """Finds the address of a request's client.

    One header is read, and only from the proxies that the settings name: a proxy adds to one of them, and the client
    can write the other one.
    """

    def __init__(
        self, proxies: Iterable[Network] = (), header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR
    ) -> None:
        self._proxies = tuple(proxies)
        self._header = header.encode()
        self._parse = _PARSERS[header]
        self._has_warned = False

    def __call__(self, scope: Any) -> str:
        """Return an IPv4 address, or the network of an IPv6 address; empty where the scope has neither."""
        client = scope.get("client")
        peer = client[0] if client else ""
        address = peer
        if self._is_proxy(peer):
            address = self._behind_proxies(peer, scope["headers"])
        elif not self._has_warned:
            self._warn_if_forwarded(scope["headers"])
        return _subscriber(address) if ":" in address else address

    def _behind_proxies(self, peer: str, headers: Headers) -> str:
        """Return the nearest address that is not a proxy's: what stands left of it can be the client's invention."""
        nearest = peer
        for address in reversed(_joined(headers, self._header, self._parse)):
            if not _is_address(address):
                return nearest
            nearest = address
            if not self._is_proxy(address):
                return nearest
        return nearest

    def _is_proxy(self, address: str) -> bool:
        return (
            bool(self._proxies)
            and _is_address(address)
            and any(_parsed(address) in network for network in self._proxies)
        )

    def _warn_if_forwarded(self, headers: Headers) -> None:
        """Warn once: all clients of a proxy that is not trusted share its address, and with it its limits."""
        if any(name in _NAMES for name, _ in headers):
            self._has_warned = True
            _log.warning(
                "A request has a forwarding header and comes from no trusted proxy, so the header is ignored. "
                "If a proxy of yours sent it, name its address in BOXOFFICE_TRUSTED_PROXIES: without that, all of its "
                "clients share one limit. This is said once."
            )


@lru_cache(maxsize=10_000)
def _parsed(address: str) -> Any:
    """Raises: ValueError."""
    parsed = ip_address(address)
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def _is_address(text: str) -> bool:
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=10_000)
def _subscriber(address: str) -> str:
    if not _is_address(address):
        return address
    parsed = _parsed(address)
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(IPv6Network((int(parsed), _ONE_SUBSCRIBER), strict=False))


def _joined(headers: Headers, name: bytes, parse: Callable[[str], list[str]]) -> Sequence[str]:
    """Return the addresses of a list that may be spread over several headers of one name (RFC 9110, 5.3)."""
    value = b",".join(value for each, value in headers if each == name).decode("latin-1")
    return parse(value) if value else []


def _addresses(value: str) -> list[str]:
    return [_without_port(each.strip()) for each in value.split(",")]


def _forwarded_addresses(value: str) -> list[str]:
    """Return the `for` of each proxy (RFC 7239). A comma in a quoted value ends the chain there, as no address does."""
    found = []
    for element in value.split(","):
        pairs = (pair.strip().partition("=") for pair in element.split(";"))
        nodes = [node.strip().strip('"') for name, _, node in pairs if name.strip().lower() == "for"]
        found.append(_without_port(nodes[0]) if len(nodes) == 1 else "")
    return found


def _without_port(node: str) -> str:
    """Cut the port from `192.0.2.1:4711` or `[2001:db8::1]:4711`; `2001:db8::1` has none."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


_PARSERS: Final[dict[ForwardedHeader, Callable[[str], list[str]]]] = {
    ForwardedHeader.X_FORWARDED_FOR: _addresses,
    ForwardedHeader.FORWARDED: _forwarded_addresses,
}
_NAMES: Final = frozenset(header.encode() for header in ForwardedHeader)
