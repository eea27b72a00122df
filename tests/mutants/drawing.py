"""Faults of draws: in holding them, and in what strangers check them with."""

from typing import Final

from .trial import Change, Fault

_DRAWING: Final = ("tests/domain/test_drawing.py",)
_RANKING: Final = ("tests/domain/test_ranking.py",)
_DOCUMENT: Final = ("tests/entrypoints/checkers/test_check_draw.py",)
_LINE: Final = ("tests/entrypoints/checkers/test_drawn_line.py",)
_BEACONS: Final = ("tests/adapters/randomness/test_signatures.py",)


def _fault(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Fault:
    return Fault(name, (Change(file, old, new),), tests)


DRAWING: Final = (
    _fault(
        "A newcomer gets tickets before the draw",
        "domain/tickets/ticket_type.py",
        " or event.awaits_draw:",
        ":",
        _DRAWING,
    ),
    _fault(
        "The waiting list is served between the closing and the draw",
        "domain/event.py",
        " and not self.awaits_draw\n",
        "\n",
        _DRAWING,
    ),
    _fault(
        "A late entry is ranked with the others",
        "domain/replay/draw_entries.py",
        "if each.queue_number <= last_entry]",
        "if True]",
        _DRAWING,
    ),
    _fault(
        "Who left before the closing is an entry",
        "domain/replay/draw_entries.py",
        "                del self._waiting[booking_id]\n",
        "                pass\n",
        _DRAWING,
    ),
    _fault(
        "Who comes after the closing gets the number of an entry's place",
        "domain/decisions/draw.py",
        "last_queue_number=2 * last)",
        "last_queue_number=last)",
        _DRAWING,
    ),
    _fault(
        "The operator chooses the secret after the closing",
        "domain/decisions/draw.py",
        "if beacon is not None or sha256(randomness).hexdigest() != event.draw_commitment:",
        "if beacon is not None:",
        _DRAWING,
    ),
    _fault(
        "A beacon of another round is taken",
        "domain/decisions/draw.py",
        "if beacon is None or beacon.round != number:",
        "if beacon is None:",
        _DRAWING,
    ),
    _fault(
        "A draw is held twice",
        "domain/decisions/draw.py",
        "    if event.was_drawn:\n",
        "    if False:\n",
        _DRAWING,
    ),
    _fault(
        "An unfinished draw counts as settled",
        "domain/decisions/settle.py",
        " and not event.is_drawing\n",
        "\n",
        _DRAWING,
    ),
    _fault(
        "Equal chances are not given: the first byte of a rank is the entry's",
        "domain/draws/ranking.py",
        "return sha256(_DOMAIN + randomness + root + leaf).digest()",
        "return leaf[:1] + sha256(_DOMAIN + randomness + root + leaf).digest()[1:]",
        _RANKING,
    ),
    _fault(
        "A draw takes a round that may be known at its closing",
        "domain/draws/beacons.py",
        "MARGIN = timedelta(seconds=60)",
        "MARGIN = timedelta(seconds=0)",
        _RANKING,
    ),
    _fault(
        "A forged beacon is authentic",
        "adapters/randomness/signatures.py",
        "GT.pairing(message, public_key) == GT.pairing(signature, G2Point())",
        "bool(message)",
        _BEACONS,
    ),
    _fault(
        "A draw with a chosen seed is not seen in its document",
        "entrypoints/checkers/check_draw.py",
        'is_committed = compare_digest(sha256(secret).digest(), _hex(drawn.commitment, "commitment"))',
        "is_committed = bool(compare_digest(secret, secret) and sha256(secret))",
        _DOCUMENT,
    ),
    _fault(
        "An entry that was left out is not seen in its document",
        "entrypoints/checkers/check_draw.py",
        '    _check(_base64(drawn.root) == root, "The root is not that of the entries.")\n',
        "    root = _base64(drawn.root)\n",
        _DOCUMENT,
    ),
    _fault(
        "A wrong place is not seen in a draw's document",
        "entrypoints/checkers/check_draw.py",
        "        _check(entry.place == place,",
        "        _check(place > 0,",
        _DOCUMENT,
    ),
    _fault(
        "A draw with a chosen seed is not seen in the log",
        "entrypoints/checkers/drawn_line.py",
        "            if sha256(randomness).hexdigest() != self._commitment:\n",
        "            if False:\n",
        _LINE,
    ),
    _fault(
        "A draw without one of its entries, or with a late one, is not seen in the log",
        "entrypoints/checkers/drawn_line.py",
        "        if root.hex() != entry.root or len(leaves) != entry.entries:\n",
        "        if False:\n",
        _LINE,
    ),
    _fault(
        "Another place than follows is not seen in the log",
        "entrypoints/checkers/drawn_line.py",
        "        if number != self._last_entry + place:\n",
        "        if False:\n",
        _LINE,
    ),
    _fault(
        "Who is served before the draw is not seen in the log",
        "entrypoints/checkers/replay.py",
        '            self._find("draw", f"number {number} was served before every entry of the draw had its place")\n',
        "            pass\n",
        _LINE,
    ),
)
