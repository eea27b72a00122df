"""A draw is recomputed from its document alone, and every lie in that document is found."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from boxoffice.entrypoints.checkers.check_draw import DrawRefused, check_draw
from tests.adapters.randomness.recorded_beacons import ROUND_1000

from .drawn_documents import as_file, by_drand, by_operator, leaves_of, with_entries

Document = dict[str, Any]


def refusal(document: Document) -> str:
    with pytest.raises(DrawRefused) as refused:
        check_draw(as_file(document))
    return str(refused.value)


@pytest.mark.parametrize("number", [0, 1, 7, 256, 300])
@pytest.mark.parametrize("made", [by_operator, by_drand])
def test_a_right_draw_passes(made: Callable[[int], Document], number: int) -> None:
    checked = check_draw(as_file(made(number)))
    assert checked.entries == number
    assert f"{number} entries" in checked.sentences[0]


def test_it_says_whose_chance_it_was_and_what_is_not_shown() -> None:
    assert "operator" in check_draw(as_file(by_operator())).sentences[0]
    assert "round 657413 of drand" in check_draw(as_file(by_drand())).sentences[0]
    assert "Not shown" in check_draw(as_file(by_drand())).sentences[1]


def test_a_withheld_secret_is_named() -> None:
    for state in ("open", "closed", "drawn"):
        assert "secret" in refusal(by_operator() | {"state": state, "secret": None, "randomness": None})


def test_a_chosen_secret_is_found() -> None:
    chosen = bytes(32).hex()
    document = with_entries(by_operator() | {"secret": chosen, "randomness": chosen}, leaves_of(7))
    assert "committed" in refusal(document)


def test_randomness_that_is_not_the_source_s_is_found() -> None:
    for made in (by_operator, by_drand):
        document = with_entries(made() | {"randomness": bytes(32).hex()}, leaves_of(7))
        assert "randomness" in refusal(document)


def test_a_draw_that_was_not_held_is_none() -> None:
    for change in ({"state": "open", "entries": None}, {"state": "closed"}, {"entries": None}):
        assert "was not held" in refusal(by_drand() | change)


def test_another_round_is_found() -> None:
    earlier = {"round": 1000, "beacon": ROUND_1000, "randomness": ROUND_1000["randomness"]}
    assert "round" in refusal(with_entries(by_drand() | earlier, leaves_of(7)))
    assert "another round" in refusal(with_entries(by_drand() | earlier | {"round": 657_413}, leaves_of(7)))
    assert "no beacon" in refusal(by_drand() | {"beacon": None})


def test_a_forged_beacon_is_found() -> None:
    signature = ROUND_1000["signature"]
    forged = {
        "round": 657_413,
        "signature": signature,
        "randomness": sha256(bytes.fromhex(signature)).hexdigest(),
    }
    document = with_entries(by_drand() | {"beacon": forged, "randomness": forged["randomness"]}, leaves_of(7))
    assert "signature" in refusal(document)


@pytest.mark.parametrize("field", ["hash", "scheme", "period", "genesisTime", "publicKey"])
def test_another_chain_is_found(field: str) -> None:
    value = by_drand()["chain"][field]
    other = value + 1 if isinstance(value, int) else f"00{value[2:]}"
    assert "quicknet" in refusal(by_drand() | {"chain": by_drand()["chain"] | {field: other}})


def test_no_chain_is_another_one() -> None:
    assert "quicknet" in refusal(by_drand() | {"chain": None})


def test_two_sources_are_one_too_many() -> None:
    assert "two" in refusal(by_operator() | {"round": 657_413})
    assert "two" in refusal(by_operator() | {"beacon": by_drand()["beacon"]})
    assert "two" in refusal(by_drand() | {"secret": bytes(32).hex()})


def test_an_entry_left_out_is_found() -> None:
    document = by_operator()
    without = document["entries"][:3] + [each | {"index": each["index"] - 1} for each in document["entries"][4:]]
    assert "root" in refusal(document | {"entries": without})
    # Also if it was left out before the draw, by who has the right root.
    assert "root" in refusal(with_entries(document, leaves_of(6)) | {"root": document["root"]})


def test_an_entry_added_later_is_found() -> None:
    document = by_operator()
    late = document["entries"][-1] | {"index": 7, "queueNumber": 99, "leaf": leaf_of(8), "place": 8}
    assert "root" in refusal(document | {"entries": [*document["entries"], late]})


def leaf_of(number: int) -> str:
    leaf: str = by_operator(number)["entries"][-1]["leaf"]
    return leaf


def changed(document: Document, index: int, **values: Any) -> Document:
    entries = [each | values if each["index"] == index else each for each in document["entries"]]
    return document | {"entries": entries}


def test_a_place_or_a_rank_that_does_not_follow_is_found() -> None:
    document = by_operator()
    place = document["entries"][2]["place"]
    assert "place" in refusal(changed(document, 2, place=place % 7 + 1))
    assert "place" in refusal(changed(document, 2, place=None))
    assert "rank" in refusal(changed(document, 2, rank=document["entries"][3]["rank"]))
    assert "rank" in refusal(changed(document, 2, rank=None))
    one, other = (document["entries"][each]["place"] for each in (0, 1))
    assert "place" in refusal(changed(changed(document, 0, place=other), 1, place=one))


def test_entries_in_another_order_are_found() -> None:
    document = by_operator()
    assert "index" in refusal(document | {"entries": document["entries"][::-1]})
    assert "order" in refusal(changed(document, 2, queueNumber=1))
    assert "tickets" in refusal(changed(document, 2, quantity=0))


def test_one_entry_that_stands_twice_is_found() -> None:
    leaves = leaves_of(6)
    assert "same hash" in refusal(with_entries(by_operator(), [*leaves, leaves[2]]))


@pytest.mark.parametrize(
    "change",
    [
        {"root": None},
        {"root": "AAAA="},
        {"root": "not base64"},
        {"secret": "00"},
        {"secret": "A" * 64},
        {"secret": "zz" * 32},
        {"commitment": None},
        {"randomness": None},
        {"closesAt": "2026-12-01T20:00:00"},
        {"state": "held"},
        {"source": "dice"},
        {"round": "1"},
        {"entries": {}},
        {"entries": [{"index": 0}]},
    ],
    ids=str,
)
def test_a_broken_document_is_refused_in_a_sentence(change: Document) -> None:
    assert refusal(by_operator() | change).endswith(".")


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"{", b"null", b'{"eventId": 1}'])
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(DrawRefused, match="not the document"):
        check_draw(text)


def test_a_leaf_has_32_bytes() -> None:
    assert "32 bytes" in refusal(changed(by_operator(), 1, leaf="AAAA"))
