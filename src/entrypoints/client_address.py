"""The client's address of a request, directly or through proxies."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from .settings import ForwardedHeader, Network

Headers = Iterable[tuple[bytes, bytes]]

_NETWORK_BITS: Final = 64
"""The prefix of an IPv6 network (RFC 4291, 2.5.4). One subscriber has all addresses of it."""

_log = logging.getLogger(__name__)


class AddressOf:
    """Finds the address of a request's client.

    It reads one header only, and only from trusted proxies: the client can write the header that its proxy does not.
    """

    def __init__(
        self, proxies: Iterable[Network] = (), header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR
    ) -> None:
        self._proxies = tuple(proxies)
        self._header = header.encode()
        self._parse = _PARSERS[header]
        self._has_warned = False

    def __call__(self, scope: Any) -> str:
        """Return an IPv4 address, or the /64 network of an IPv6 address; empty if the scope has none."""
        client = scope.get("client")
        peer = client[0] if client else ""
        address = peer
        if self._is_proxy(peer):
            address = self._behind_proxies(peer, scope["headers"])
        elif not self._has_warned:
            self._warn_if_forwarded(scope["headers"])
        return _subscriber(address) if ":" in address else address

    def _behind_proxies(self, peer: str, headers: Headers) -> str:
        """Return the rightmost address that is not a trusted proxy's: the client can forge those to its left."""
        nearest = peer
        for address in reversed(_forwarded(headers, self._header, self._parse)):
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
        """Warn once: all clients of an untrusted proxy share its address and therefore its limits."""
        if any(name in _NAMES for name, _ in headers):
            self._has_warned = True
            _log.warning(
                "A request with a forwarding header came from an untrusted address, so the header is ignored. If that "
                "is your proxy, add its address to BOXOFFICE_TRUSTED_PROXIES; otherwise all of its clients share one "
                "limit. This warning is logged once."
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
    return str(IPv6Network((int(parsed), _NETWORK_BITS), strict=False))


def _forwarded(headers: Headers, name: bytes, parse: Callable[[str], list[str]]) -> Sequence[str]:
    """Return the addresses of a header that may be repeated (RFC 9110, 5.3)."""
    value = b",".join(value for each, value in headers if each == name).decode("latin-1")
    return parse(value) if value else []


def _addresses(value: str) -> list[str]:
    return [_without_port(each.strip()) for each in value.split(",")]


def _forwarded_addresses(value: str) -> list[str]:
    """Return the `for` of each proxy (RFC 7239). A comma in quotes yields a non-address, which ends the chain."""
    found = []
    for element in value.split(","):
        pairs = (pair.strip().partition("=") for pair in element.split(";"))
        nodes = [node.strip().strip('"') for name, _, node in pairs if name.strip().lower() == "for"]
        found.append(_without_port(nodes[0]) if len(nodes) == 1 else "")
    return found


def _without_port(node: str) -> str:
    """Return the address without its port: `192.0.2.1:4711`, `[2001:db8::1]:4711`; `2001:db8::1` has none."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


_PARSERS: Final[dict[ForwardedHeader, Callable[[str], list[str]]]] = {
    ForwardedHeader.X_FORWARDED_FOR: _addresses,
    ForwardedHeader.FORWARDED: _forwarded_addresses,
}
_NAMES: Final = frozenset(header.encode() for header in ForwardedHeader)
