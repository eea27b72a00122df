"""Signed notes, checkpoints, tiles' paths, bundles and proofs, with the vectors of others."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice.adapters.log import (
    Checkpoint,
    LogProof,
    Malformed,
    NoteRefused,
    NoteSigner,
    SignedNote,
    VerifierKey,
    bundle_path,
    entries_in,
    parse_path,
    tile_path,
    to_bundle,
)
from boxoffice.domain.log.merkle import EMPTY_ROOT, Edge, leaf_hash
from boxoffice.domain.log.tiles import Tile, inclusion_proof

# The example of c2sp.org/signed-note.
EXAMPLE_KEY: Final = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE: Final = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# A checkpoint that Go's checksum database has signed.
SUMDB_KEY: Final = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE: Final = (
    "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n"
    "— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n"
)

SIGNER: Final = NoteSigner("box.example/log", bytes(range(32)))
ENTRIES: Final = [b"entry %d" % each for each in range(5)]
LEAVES: Final = [leaf_hash(each) for each in ENTRIES]
CHECKPOINT: Final = Checkpoint("box.example/log", 5, Edge().extended(LEAVES).root)
PROOF: Final = LogProof(
    3, tuple(inclusion_proof(3, 5, {Tile(0, 0, 5): b"".join(LEAVES)})), SIGNER.signed(CHECKPOINT.text), b"\xff extra"
)


def test_notes_of_others_are_verified() -> None:
    for key, note in ((EXAMPLE_KEY, EXAMPLE_NOTE), (SUMDB_KEY, SUMDB_NOTE)):
        parsed = VerifierKey.parse(key)
        assert parsed.text == key
        assert SignedNote.parse(note).check([parsed]) == (parsed,)
        with pytest.raises(NoteRefused, match="does not hold"):
            SignedNote.parse("X" + note).check([parsed])


def test_a_checkpoint_of_others_is_read() -> None:
    checkpoint = Checkpoint.opened(SUMDB_NOTE, [VerifierKey.parse(SUMDB_KEY)])
    assert (checkpoint.origin, checkpoint.size) == ("go.sum database tree", 35225469)
    assert checkpoint.text == SUMDB_NOTE.partition("\n\n")[0] + "\n"


def test_the_example_of_a_proof_has_the_format() -> None:
    """The example of c2sp.org/tlog-proof, whose signatures are shortened there."""
    text = (
        "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n"
        "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\n"
        "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n"
        "— example.com/fancylog hI2DJwAA\n"
    )
    proof = LogProof.parse(text)
    assert (proof.index, len(proof.hashes), proof.extra) == (73894, 2, b"age-v1.2.1-darwin-arm64.tar.gz")
    assert Checkpoint.parse(SignedNote.parse(proof.checkpoint).text).size == 109482
    assert proof.text == text


def test_unknown_signatures_are_ignored_and_a_known_one_has_to_hold() -> None:
    text = CHECKPOINT.text
    other = NoteSigner("witness.example", bytes(32))
    note = SignedNote.parse(SIGNER.signed(text) + other.signature_line(text))
    assert note.check([SIGNER.key]) == (SIGNER.key,)
    assert note.check([SIGNER.key, other.key]) == (SIGNER.key, other.key)
    same_name = VerifierKey("witness.example", SIGNER.key.public)
    with pytest.raises(NoteRefused, match="no known key"):
        note.check([same_name])
    bad = SignedNote.parse(SIGNER.signed(text) + other.signature_line("another text\n"))
    with pytest.raises(NoteRefused, match=r"witness\.example"):
        bad.check([SIGNER.key, other.key])


def test_a_text_with_empty_lines_ends_at_the_last_one() -> None:
    note = SignedNote.parse(SIGNER.signed("one\n\ntwo\n"))
    assert note.text == "one\n\ntwo\n"
    note.check([SIGNER.key])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name Uw2QOkn8\r\n",
        "te\txt\n\n— name Uw2QOkn8\n",
        "text\n\n— name Uw2QOkn8",
        "text\n\n- name Uw2QOkn8\n",
        "text\n\n—  Uw2QOkn8\n",
        "text\n\n— a+b Uw2QOkn8\n",
        "text\n\n— a b Uw2QOkn8\n",
        "text\n\n— name Uw2Q\n",
        "text\n\n— name Uw2QOkn8=\n",
        "text\n\n— name Uw2QOkn_\n",
        "text\n\n— name Uw2QOkn8\n\n",
        "text\n\n" + 65 * "— name Uw2QOkn8\n",
        "text" * 20_000 + "\n\n— name Uw2QOkn8\n",
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(Malformed):
        SignedNote.parse(note)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "name",
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        EXAMPLE_KEY.replace("+Aeky", "+Beky"),
        EXAMPLE_KEY.replace("foo", "bar"),
        EXAMPLE_KEY.replace("foo", "f o"),
        EXAMPLE_KEY.removeprefix("example.com/foo"),
        EXAMPLE_KEY[:-4],
        EXAMPLE_KEY + "\n",
        "example.com/foo+530d903a+AQ==",
    ],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(Malformed):
        VerifierKey.parse(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n5\n",
        "\n5\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "origin\n05\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "origin\n-5\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "origin\n\u0665\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "origin\n99999999999999999999\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "origin\n0\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n",
        "origin\n5\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCR=\n",
        "origin\n5\nvt5T\n",
        "origin\n5\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=",
        "origin\n5\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


def test_a_checkpoint_keeps_its_text_and_may_have_extension_lines() -> None:
    assert Checkpoint.parse(CHECKPOINT.text) == CHECKPOINT
    assert Checkpoint.parse(CHECKPOINT.text + "extension\n") == CHECKPOINT
    assert Checkpoint.parse(Checkpoint("o", 0, EMPTY_ROOT).text).size == 0


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = SIGNER.signed(CHECKPOINT.text)
    assert Checkpoint.opened(note, [SIGNER.key], "box.example/log") == CHECKPOINT
    with pytest.raises(NoteRefused, match="a checkpoint of"):
        Checkpoint.opened(note, [SIGNER.key], "box.example/other")


def test_a_proof_is_checked() -> None:
    assert LogProof.parse(PROOF.text) == PROOF
    assert PROOF.check(LEAVES[3], [SIGNER.key]) == CHECKPOINT
    other_key = NoteSigner("box.example/log", bytes(32)).key
    for index, leaf, hashes, keys in (
        (3, LEAVES[2], PROOF.hashes, [SIGNER.key]),
        (2, LEAVES[3], PROOF.hashes, [SIGNER.key]),
        (5, LEAVES[3], PROOF.hashes, [SIGNER.key]),
        (3, LEAVES[3], PROOF.hashes[1:], [SIGNER.key]),
        (3, LEAVES[3], PROOF.hashes[::-1], [SIGNER.key]),
        (3, LEAVES[3], PROOF.hashes, [other_key]),
    ):
        with pytest.raises(NoteRefused):
            LogProof(index, hashes, PROOF.checkpoint).check(leaf, keys)


@given(st.integers(0, len(PROOF.text) - 1), st.characters(codec="ascii"))
def test_a_proof_with_another_character_is_refused(at: int, character: str) -> None:
    """Of one key, checked in full: all but `extra`, which is not signed, is bound."""
    altered = PROOF.text[:at] + character + PROOF.text[at + 1 :]
    if altered != PROOF.text:
        with pytest.raises(Malformed):  # noqa: PT012 - where it is refused does not matter
            proof = LogProof.parse(altered)
            proof.check(LEAVES[3], [SIGNER.key])
            if proof.extra != PROOF.extra:
                raise Malformed


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROOF.text.replace("@v1", "@v2"),
        PROOF.text.replace("index 3", "index 03"),
        PROOF.text.replace("index 3", "index"),
        PROOF.text.replace("index 3\n", ""),
        PROOF.text.replace("extra ", "extra  "),
        PROOF.text.replace("\n", "\r\n"),
        PROOF.text.partition("\n\n")[0],
        PROOF.text.replace("index 3\n", "index 3\n" + 64 * "vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n"),
        PROOF.text.replace("index 3\n", "index 3\nvt5T\n"),
        PROOF.text + "x" * 300_000,
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        LogProof.parse(text)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999, 1), "tile/0/999.p/1"),
        (Tile(63, 1234), "tile/63/x001/234"),
        (Tile(1, 1234067, 255), "tile/1/x001/x234/067.p/255"),
    ],
)
def test_tiles_have_the_paths_of_the_specification(tile: Tile, path: str) -> None:
    assert tile_path(tile) == path
    assert parse_path(path) == (tile, False)


@given(st.integers(0, 10**12), st.integers(1, 256))
def test_paths_can_be_read_back(index: int, width: int) -> None:
    tile = Tile(0, index, width)
    assert parse_path(bundle_path(tile)) == (tile, True)
    assert parse_path(tile_path(tile)) == (tile, False)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/001/001",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/",
        "tile/0/000.p/-1",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/Entries/000",
        "tile/0/x1/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/000\n",
        "/tile/0/000",
        "checkpoint",
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_path(path)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_can_be_read_back(entries: list[bytes]) -> None:
    assert entries_in(to_bundle(entries)) == entries


def test_broken_bundles_are_refused() -> None:
    assert to_bundle([b"ab", b""]) == b"\0\2ab\0\0"
    for bundle in (b"\0", b"\0\2a", b"\0\1a\0", b"\xff\xff"):
        with pytest.raises(Malformed):
            entries_in(bundle)
    assert len(to_bundle([b"x" * 65_535])) == 65_537
    with pytest.raises(Malformed):
        to_bundle([b"x" * 65_536])
