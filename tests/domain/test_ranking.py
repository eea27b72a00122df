"""Draws: which round they take, and the ranks and places that follow from their randomness."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from random import Random

import pytest

from boxoffice.domain.draws.beacons import MARGIN, QUICKNET
from boxoffice.domain.draws.ranking import places, rank, root_of

GENESIS = datetime.fromtimestamp(1_692_803_367, UTC)


@pytest.mark.parametrize(
    ("before_the_round", "number"),
    [(60.0, 1), (59.999999, 2), (57.0, 2), (56.5, 3), (86_400 * 365, 1)],
)
def test_a_draw_takes_the_first_round_60_seconds_after_its_closing(before_the_round: float, number: int) -> None:
    assert QUICKNET.round_after(GENESIS - timedelta(seconds=before_the_round)) == number


def test_rounds_and_times_agree() -> None:
    # The recorded beacon was published at this time.
    assert QUICKNET.time_of(657_413) == datetime(2023, 9, 15, 11, 0, 3, tzinfo=UTC)
    closes_at = datetime(2026, 12, 1, 20, 0, 0, 1, tzinfo=UTC)
    number = QUICKNET.round_after(closes_at)
    assert QUICKNET.time_of(number - 1) < closes_at + MARGIN <= QUICKNET.time_of(number)


def test_a_rank_is_the_hash_of_what_the_contract_says() -> None:
    leaves = [bytes([each]) * 32 for each in range(3)]
    left = sha256(b"\1" + leaves[0] + leaves[1]).digest()
    root = sha256(b"\1" + left + leaves[2]).digest()

    assert root_of(leaves) == root
    assert rank(b"r" * 32, root, leaves[1]) == sha256(b"boxoffice/draw/1" + b"r" * 32 + root + leaves[1]).digest()
    assert root_of([]) == sha256(b"").digest()


def test_the_lowest_rank_has_the_first_place() -> None:
    assert places([b"c", b"a", b"b"]) == [3, 1, 2]
    assert places([]) == []


def test_every_entry_has_the_same_chance_of_every_place() -> None:
    # Chi-square over 10 places of each of 10 entries, in 4,000 draws: 81 degrees of freedom, since the entries of a
    # place and the places of an entry sum up. 126.1 is exceeded once in 1,000 times, and the seed is fixed.
    chance = Random(20261201)
    draws, entries = 4_000, 10
    seen: Counter[tuple[int, int]] = Counter()
    for _ in range(draws):
        leaves = [chance.randbytes(32) for _ in range(entries)]
        randomness, root = chance.randbytes(32), root_of(leaves)
        seen.update(enumerate(places([rank(randomness, root, leaf) for leaf in leaves])))
    expected = draws / entries
    chi_square = sum(
        (seen[entry, place] - expected) ** 2 / expected for entry in range(entries) for place in range(1, entries + 1)
    )
    assert chi_square < 126.1


def test_neighbours_in_the_queue_are_not_neighbours_in_the_draw_more_often() -> None:
    # Two of n entries are next to each other with a chance of 2 / n; 3,000 draws give 600 of n = 10 and a standard
    # deviation of 21.9 for each pair.
    chance = Random(7)
    entries, together = 10, 0
    leaves = [chance.randbytes(32) for _ in range(entries)]
    root = root_of(leaves)
    for _ in range(3_000):
        randomness = chance.randbytes(32)
        drawn = places([rank(randomness, root, leaf) for leaf in leaves])
        together += sum(abs(one - other) == 1 for one, other in pairwise(drawn))
    assert abs(together / 9 - 600) < 22
