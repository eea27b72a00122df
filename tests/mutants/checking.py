"""Faults of what strangers check with: receipts, logs and the replay of a line."""

from typing import Final

from .trial import Change, Fault

_MERKLE: Final = ("tests/domain/log/test_merkle.py",)
_FORMATS: Final = ("tests/adapters/log/test_formats.py",)
_RECEIPT: Final = ("tests/entrypoints/checkers/test_receipt.py",)
_LOG: Final = ("tests/entrypoints/checkers/test_log_reader.py",)
_REPLAY: Final = ("tests/entrypoints/checkers/test_replay.py",)

CHECKING: Final = (
    Fault(
        "An entry and a node of the tree are hashed alike",
        (Change("domain/log/merkle.py", 'sha256(b"\\0" + entry)', 'sha256(b"\\1" + entry)'),),
        _MERKLE,
    ),
    Fault(
        "A proof of another length is taken",
        (
            Change(
                "domain/log/merkle.py",
                "    if len(proof) != len(ranges):\n        raise InvalidProof("
                'f"the proof has {len(proof)} hashes instead of {len(ranges)}")\n    root = leaf\n',
                "    ranges = ranges[: len(proof)]\n    proof = proof[: len(ranges)]\n    root = leaf\n",
            ),
        ),
        _MERKLE,
    ),
    Fault(
        "A checkpoint counts whoever has signed it",
        (Change("adapters/log/signed_note.py", "        if not signed_by:\n", "        if False:\n"),),
        _FORMATS,
    ),
    Fault(
        "A receipt need not be of the place that it names",
        (
            Change(
                "entrypoints/checkers/receipt.py",
                "    if entry.seq != proof.index + 1:\n",
                "    if False:\n",
            ),
        ),
        _RECEIPT,
    ),
    Fault(
        "A receipt opens what the log never committed to",
        (
            Change(
                "entrypoints/checkers/receipt.py",
                "    if b64encode(sha256(salt + private).digest()).decode() != commitment:\n",
                "    if False:\n",
            ),
        ),
        _RECEIPT,
    ),
    Fault(
        "A shrunk log is not seen",
        (
            Change(
                "entrypoints/checkers/log_reader.py",
                "        if each.checkpoint.size > checkpoint.size:\n",
                "        if False:\n",
            ),
        ),
        _LOG,
    ),
    Fault(
        "A rewritten log is not seen",
        (
            Change(
                "entrypoints/checkers/log_reader.py",
                "each.checkpoint.size == last and each.checkpoint.root != self._edge.root",
                "False",
            ),
        ),
        _LOG,
    ),
    Fault(
        "A log's root is not compared",
        (
            Change(
                "entrypoints/checkers/log_reader.py",
                "        if self._edge.root != self._checkpoint.root:\n",
                "        if False:\n",
            ),
        ),
        _LOG,
    ),
    Fault(
        "A skipped entry is not seen",
        (Change("entrypoints/checkers/replay.py", "        if entry.seq != self._seq:\n", "        if False:\n"),),
        _REPLAY,
    ),
    Fault(
        "A reordered line is not seen",
        (Change("entrypoints/checkers/replay.py", "        if number != expected:\n", "        if False:\n"),),
        _REPLAY,
    ),
    Fault(
        "A forged promotion is not seen",
        (
            Change(
                "entrypoints/checkers/replay.py",
                "idle and idle.seq <= cause < entry.seq and self._may_cause(cause, entry)",
                "cause < entry.seq",
            ),
        ),
        _REPLAY,
    ),
    Fault(
        "Tickets that idle are not seen",
        (
            Change(
                "entrypoints/checkers/replay.py",
                "            if idle.has_not_begun or _shows_not_begun(entry):\n",
                "            if False:\n",
            ),
        ),
        _REPLAY,
    ),
    Fault(
        "A bound that was passed is not seen",
        (
            Change(
                "entrypoints/checkers/replay.py",
                "        elif before and self._bound is not None and len(line.overtakes) >= self._bound:\n",
                "        elif False:\n",
            ),
        ),
        _REPLAY,
    ),
)
