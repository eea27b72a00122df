"""Follow the draw of an event in its public log: who entered, from what it was made, and who got which place."""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Final

from ...adapters.randomness.signatures import is_authentic
from ...domain.draws.beacons import QUICKNET, Beacon
from ...domain.draws.ranking import places, rank, root_of
from .entry import Entry
from .line import Line

_SECONDS: Final = len("2027-03-01T18:00:00")


class DrawnLine:
    """Takes what the entries of one log say of its draw. `find` takes a code and a sentence, `excuse` a sentence.

    Until every entry has its place the waiting lists are not served.
    """

    def __init__(self, find: Callable[[str, str], None], excuse: Callable[[str], None]) -> None:
        self._find = find
        self._excuse = excuse
        self.is_drawn: bool = True
        """Whether the waiting lists are served, as they always are without a draw."""
        self.held_by: int = 0
        """The number of the entry that says that it was held."""
        self._closes_at: datetime | None = None
        self._commitment: str | None = None
        self._joined: dict[int, bytes] = {}
        self._last_entry: int | None = None
        self._places: dict[int, int] = {}
        self._unplaced = 0
        self._is_vague = False

    def begins(self, entry: Entry) -> None:
        """Take the event's first entry."""
        if entry.admission != "draw":
            return
        self.is_drawn = False
        self._commitment = entry.draw_commitment
        try:
            self._closes_at = datetime.fromisoformat(entry.draw_closes_at or "")
        except ValueError:
            self._find("broken", "it does not say when the draw closes")

    def next_number(self, entry: Entry, last_number: int) -> int:
        """Return the queue number that somebody who joins has to have, and note that they entered."""
        if self.is_drawn:
            return last_number + 1
        number = last_number + 1
        if not self.held_by and self._last_entry is None and entry.queue_number == 2 * last_number + 1 and last_number:
            self._last_entry, number = last_number, 2 * last_number + 1
        if self._last_entry is None:
            self._joined[number] = entry.leaf
            self._is_vague = self._is_vague or self._is_at_closing(entry)
        if self._closes_at is not None and self._compared(entry) == (1 if self._last_entry is None else -1):
            self._find(
                "draw",
                f"it joined {'after' if self._last_entry is None else 'before'} the closing, and is told as other",
            )
        return number

    def leaves(self, entry: Entry) -> None:
        """Take that a waiting booking left."""
        number = entry.queue_number or 0
        if self.is_drawn:
            return
        if self.held_by:
            self._unplaced -= number in self._places
        elif self._compared(entry) < 0:
            self._joined.pop(number, None)
        else:
            self._is_vague = self._is_vague or self._is_at_closing(entry)

    def held(self, entry: Entry, last_number: int, lines: Iterable[Line]) -> int:
        """Take that the draw was held, and return the last queue number that is used up by it."""
        if self.is_drawn or self.held_by:
            self._find("draw", "a draw was held that there is not, or once more")
            return last_number
        self.held_by = entry.seq
        last_entry = last_number if self._last_entry is None else self._last_entry
        if entry.last_entry != last_entry:
            self._find("draw", f"it says that the entries end at {entry.last_entry}, and they end at {last_entry}")
        if self._compared(entry) < 0:
            self._find("draw", "it was held before its closing")
        self._check_source(entry)
        self._rank(entry, {number: leaf for number, leaf in self._joined.items() if number <= last_entry})
        self._last_entry = last_entry
        waiting = [number for line in lines for number in (*line.waiting, *line.suspended)]
        self._unplaced = sum(number <= last_entry for number in waiting)
        self._finish()
        return max(last_number, 2 * last_entry)

    def placed(self, entry: Entry, line: Line) -> None:
        """Take that an entry got its place."""
        number, entered_as = entry.queue_number or 0, entry.entered_as or 0
        place = self._places.pop(entered_as, None)
        waits = line.waiting if entered_as in line.waiting else line.suspended
        if self._last_entry is None or place is None or waits.get(entered_as) != entry.quantity:
            self._find("draw", f"number {entered_as} is no entry that waits for its place")
            return
        if number != self._last_entry + place:
            self._find("draw", f"entry {entered_as} got place {number - self._last_entry}, and has place {place}")
        if waits is line.suspended:
            line.suspended[number] = line.suspended.pop(entered_as)
        else:
            line.leave(entered_as)
            line.join(number, entry.quantity or 0)
        self._unplaced -= 1
        self._finish()

    def _check_source(self, entry: Entry) -> None:
        try:
            randomness, signature = bytes.fromhex(entry.randomness or ""), bytes.fromhex(entry.signature or "")
        except ValueError:
            randomness = signature = b""
        if self._commitment is not None:
            if sha256(randomness).hexdigest() != self._commitment:
                self._find("draw", "its secret is not the one that was committed to")
        elif self._closes_at is None or entry.round != QUICKNET.round_after(self._closes_at):
            self._find("draw", f"round {entry.round} is not the one of the closing")
        elif not is_authentic(Beacon(entry.round, signature, randomness), QUICKNET):
            self._find("draw", "its beacon was not made by drand")

    def _rank(self, entry: Entry, joined: dict[int, bytes]) -> None:
        leaves = list(joined.values())
        root = root_of(leaves)
        if root.hex() != entry.root or len(leaves) != entry.entries:
            told = f"its {entry.entries} entries are not the {len(leaves)} who had joined and not left"
            if not self._is_vague:
                self._find("draw", told)
            else:
                self._excuse(f"entry {entry.seq}: {told}. That is right only if somebody came or left in its second.")
        try:
            randomness = bytes.fromhex(entry.randomness or "")
        except ValueError:
            randomness = b""
        ranks = [rank(randomness, root, leaf) for leaf in leaves]
        self._places = dict(zip(joined, places(ranks), strict=True))

    def _finish(self) -> None:
        self.is_drawn = self._unplaced <= 0

    def _compared(self, entry: Entry) -> int:
        """Return whether an entry is before (-1) or after (1) the closing, as far as its second tells (0)."""
        if self._closes_at is None:
            return 0
        closing = self._closes_at.isoformat()[:_SECONDS]
        second = entry.at[:_SECONDS]
        if second == closing and self._closes_at.microsecond == 0:
            return 1
        return (second > closing) - (second < closing)

    def _is_at_closing(self, entry: Entry) -> bool:
        return self._compared(entry) == 0
