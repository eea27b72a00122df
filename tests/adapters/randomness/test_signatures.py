"""Beacons of drand count only with the chain's signature of their round."""

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.adapters.randomness.signatures import is_authentic
from boxoffice.domain.draws.beacons import QUICKNET, Beacon

from .recorded_beacons import ROUND_1000, ROUND_657413


def beacon(recorded: dict[str, Any]) -> Beacon:
    return Beacon(recorded["round"], bytes.fromhex(recorded["signature"]), bytes.fromhex(recorded["randomness"]))


def with_signature(of: Beacon, signature: bytes) -> Beacon:
    return replace(of, signature=signature, randomness=sha256(signature).digest())


@pytest.mark.parametrize("recorded", [ROUND_1000, ROUND_657413], ids=lambda each: each["round"])
def test_a_published_beacon_is_authentic(recorded: dict[str, Any]) -> None:
    assert is_authentic(beacon(recorded), QUICKNET)


def test_the_beacon_of_another_round_is_not() -> None:
    published = beacon(ROUND_1000)
    assert not is_authentic(replace(published, round=1001), QUICKNET)
    assert not is_authentic(with_signature(published, beacon(ROUND_657413).signature), QUICKNET)
    for number in (0, -1, 1 << 64):
        assert not is_authentic(replace(published, round=number), QUICKNET)


def test_randomness_that_is_not_the_signature_s_hash_is_not() -> None:
    assert not is_authentic(replace(beacon(ROUND_1000), randomness=bytes(32)), QUICKNET)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(47),
        bytes(48),
        b"\xff" * 48,
        b"\xc0" + bytes(47),  # the point at infinity
        # On the curve and outside of the subgroup: x = 4.
        bytes([0x80, *bytes(46), 4]),
    ],
    ids=["empty", "short", "zeros", "ones", "infinity", "other group"],
)
def test_what_is_no_point_of_the_group_is_not(signature: bytes) -> None:
    assert not is_authentic(with_signature(beacon(ROUND_1000), signature), QUICKNET)


def test_another_chain_did_not_make_it() -> None:
    published = beacon(ROUND_1000)
    assert not is_authentic(published, replace(QUICKNET, scheme="pedersen-bls-chained"))
    assert not is_authentic(published, replace(QUICKNET, public_key=bytes(96)))
    generator = bytes.fromhex(
        "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    )
    assert not is_authentic(published, replace(QUICKNET, public_key=generator))
