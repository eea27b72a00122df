"""Where a request comes from, also behind proxies."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

Headers = Iterable[tuple[bytes, bytes]]
Network = IPv4Network | IPv6Network

_ONE_SUBSCRIBER: Final = 64
"""Bits of an IPv6 address that name a network. Whoever has one has 2^64 addresses in it (RFC 4291, 2.5.4)."""


class ClientAddress:
    """Where a request comes from. Proxies are believed only where the settings name them."""

    def __init__(self, proxies: Iterable[Network] = ()) -> None:
        self._proxies = tuple(proxies)

    def __call__(self, scope: Any) -> str:
        """An IPv4 address, or the network of an IPv6 address; empty where there is neither."""
        client = scope.get("client")
        address = client[0] if client else ""
        if self._proxies:
            address = self._behind_proxies(address, scope["headers"])
        return _subscriber(address) if ":" in address else address

    def _behind_proxies(self, peer: str, headers: Headers) -> str:
        """The nearest address that is none of the proxies: what stands left of it anybody may have written."""
        if not self._is_proxy(peer):
            return peer
        found = {
            self._nearest(peer, chain)
            for chain in (
                _joined(headers, b"x-forwarded-for", _addresses),
                _joined(headers, b"forwarded", _forwarded_addresses),
            )
            if chain
        }
        # A proxy writes one of the two; where they contradict each other, one is the client's own invention.
        return found.pop() if len(found) == 1 else peer

    def _nearest(self, peer: str, chain: Sequence[str]) -> str:
        nearest = peer
        for address in reversed(chain):
            if not _is_address(address):
                return nearest
            nearest = address
            if not self._is_proxy(address):
                return nearest
        return nearest

    def _is_proxy(self, address: str) -> bool:
        return _is_address(address) and any(_parsed(address) in network for network in self._proxies)


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


def _joined(headers: Headers, name: bytes, parse: Any) -> list[str]:
    """A list that may stand in several headers of one name (RFC 9110, 5.3)."""
    value = b",".join(value for each, value in headers if each == name).decode("latin-1")
    addresses: list[str] = parse(value) if value else []
    return addresses


def _addresses(value: str) -> list[str]:
    return [_without_port(each.strip()) for each in value.split(",")]


def _forwarded_addresses(value: str) -> list[str]:
    """The `for` of each proxy (RFC 7239); what stands in quotes there has no comma that would count."""
    found = []
    for element in value.split(","):
        pairs = (pair.strip().partition("=") for pair in element.split(";"))
        told = [node.strip().strip('"') for name, _, node in pairs if name.strip().lower() == "for"]
        found.append(_without_port(told[0]) if len(told) == 1 else "")
    return found


def _without_port(node: str) -> str:
    """`192.0.2.1:4711` and `[2001:db8::1]:4711` have one, `2001:db8::1` has none."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
