"""Network addresses as subjects of limits."""

from collections.abc import Hashable
from ipaddress import IPv6Address, IPv6Network, ip_address


def network_of(address: Hashable) -> Hashable:
    """Return an IPv4 address, or the /64 network of an IPv6 address, which belongs to one customer.

    An IPv4-mapped IPv6 address gives the IPv4 address. Other values are returned unchanged.
    """
    if not isinstance(address, str):
        return address
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)
