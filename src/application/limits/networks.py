"""Network addresses as limits count them."""

from collections.abc import Hashable
from ipaddress import IPv6Address, IPv6Network, ip_address


def network_of(address: Hashable) -> Hashable:
    """What counts as one address: an IPv4 address, or the IPv6 network of 64 bits that one customer has whole.

    An IPv4 address within an IPv6 one is that IPv4 address. What is no address stays as it is.
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
