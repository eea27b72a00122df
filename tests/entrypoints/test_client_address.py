"""A request's address is the client's, as far as trusted proxies say it in the one header that counts."""

import logging
from typing import Any

import pytest

from boxoffice.entrypoints.client_address import AddressOf
from boxoffice.entrypoints.settings import ForwardedHeader, Settings

PROXIES = Settings.load({"BOXOFFICE_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1,2001:db8:1::/48"}).trusted_proxies


def scope(peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    return {
        "client": None if peer is None else (peer, 4711),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }


XFF = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("peer", "headers", "found"),
    [
        # A stranger may write what it likes.
        ("203.0.113.9", [(XFF, "198.51.100.7")], "203.0.113.9"),
        ("203.0.113.9", [("Forwarded", "for=198.51.100.7")], "203.0.113.9"),
        ("10.1.2.3", [], "10.1.2.3"),
        # From the right: what stands left of the first stranger is that one's own word.
        ("10.1.2.3", [(XFF, "1.1.1.1, 198.51.100.7")], "198.51.100.7"),
        ("10.1.2.3", [(XFF, "1.1.1.1, 198.51.100.7, 192.0.2.1 ,10.9.9.9")], "198.51.100.7"),
        ("10.1.2.3", [(XFF, "1.1.1.1"), (XFF, "198.51.100.7, 10.9.9.9")], "198.51.100.7"),
        ("10.1.2.3", [(XFF, "10.0.0.1, 10.0.0.2")], "10.0.0.1"),
        # What is no address ends the chain at the last one that is.
        ("10.1.2.3", [(XFF, "198.51.100.7, unknown")], "10.1.2.3"),
        ("10.1.2.3", [(XFF, "198.51.100.7, _hidden, 10.9.9.9")], "10.9.9.9"),
        ("10.1.2.3", [(XFF, ",,")], "10.1.2.3"),
        ("10.1.2.3", [(XFF, "\xff\x00")], "10.1.2.3"),
        ("10.1.2.3", [(XFF, "198.51.100.7:4711")], "198.51.100.7"),
        ("10.1.2.3", [(XFF, "[2001:db8:7::1]:4711")], "2001:db8:7::/64"),
        # One subscriber has a whole network of IPv6 addresses.
        ("2001:db8:7:8:ffff::1", [], "2001:db8:7:8::/64"),
        ("::ffff:10.1.2.3", [(XFF, "198.51.100.7")], "198.51.100.7"),
        ("2001:db8:1::1", [(XFF, "198.51.100.7")], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("", [(XFF, "198.51.100.7")], ""),
        (None, [], ""),
    ],
)
def test_the_address_is_the_nearest_that_is_no_proxy(
    peer: str | None, headers: list[tuple[str, str]], found: str
) -> None:
    assert AddressOf(PROXIES)(scope(peer, *headers)) == found


@pytest.mark.parametrize(
    ("peer", "headers", "found"),
    [
        ("10.1.2.3", [("Forwarded", "for=198.51.100.7;proto=http;by=10.1.2.3")], "198.51.100.7"),
        ("10.1.2.3", [("Forwarded", 'FOR="198.51.100.7:80", for=10.9.9.9')], "198.51.100.7"),
        ("10.1.2.3", [("Forwarded", 'for=1.1.1.1, for="[2001:db8:7::1]:4711"')], "2001:db8:7::/64"),
        ("10.1.2.3", [("Forwarded", "for=unknown")], "10.1.2.3"),
        ("10.1.2.3", [("Forwarded", "for=1.1.1.1, proto=https")], "10.1.2.3"),
        ("10.1.2.3", [("Forwarded", "for=1.1.1.1;for=2.2.2.2")], "10.1.2.3"),
        ("10.1.2.3", [("Forwarded", "for=1.1.1.1"), ("Forwarded", "for=198.51.100.7")], "198.51.100.7"),
        # Neither an open quote nor a comma within one hides what the proxy adds.
        ("10.1.2.3", [("Forwarded", 'for="1.1.1.1, for=198.51.100.7')], "198.51.100.7"),
        ("10.1.2.3", [("Forwarded", 'for="1.1.1.1, 2.2.2.2", for=198.51.100.7')], "198.51.100.7"),
    ],
)
def test_the_same_in_the_standard_header(peer: str, headers: list[tuple[str, str]], found: str) -> None:
    assert AddressOf(PROXIES, ForwardedHeader.FORWARDED)(scope(peer, *headers)) == found


def test_only_the_header_of_the_settings_counts() -> None:
    """A proxy adds to one of them, and the other one is as its client wrote it."""
    forwarded = ("Forwarded", "for=1.1.1.1")
    assert AddressOf(PROXIES)(scope("10.1.2.3", forwarded)) == "10.1.2.3"
    assert AddressOf(PROXIES)(scope("10.1.2.3", forwarded, (XFF, "198.51.100.7"))) == "198.51.100.7"
    standard = AddressOf(PROXIES, ForwardedHeader.FORWARDED)
    assert standard(scope("10.1.2.3", (XFF, "198.51.100.7"))) == "10.1.2.3"
    assert standard(scope("10.1.2.3", forwarded, (XFF, "198.51.100.7"))) == "1.1.1.1"


@pytest.mark.parametrize("proxies", [(), PROXIES])
def test_a_header_of_a_proxy_that_is_not_trusted_does_not_count_and_is_warned_of_once(
    proxies: Any, caplog: pytest.LogCaptureFixture
) -> None:
    address_of = AddressOf(proxies)
    address_of(scope("203.0.113.9"))
    AddressOf(PROXIES)(scope("10.1.2.3", (XFF, "198.51.100.7")))
    assert not caplog.records
    for name in (XFF, "Forwarded", XFF):
        assert address_of(scope("203.0.113.9", (name, "198.51.100.7"))) == "203.0.113.9"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "BOXOFFICE_TRUSTED_PROXIES" in record.getMessage()
    assert "198.51.100.7" not in record.getMessage()
