"""Which events have new facts, as this process has committed them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from uuid import UUID

from ...domain.event import LogMode
from ..ports.observability import BatchStats, Observer, Overload, Trouble


class NewFacts:
    """Notes the events with new facts of the transactions that it observes, in memory, for the process that seals.

    It observes before another observer, whose methods it hands on as they are, so commands cost nothing more. What a
    process has not passed on when it ends is found by looking through all events.
    """

    def __init__(self, observer: Observer) -> None:
        self.arriving: Callable[[], object] = observer.arriving
        self.batch: Callable[[Sequence[object]], AbstractContextManager[object]] = observer.batch
        self.failed: Callable[[Trouble, int], None] = observer.failed
        self.overloaded: Callable[[Overload], None] = observer.overloaded
        self._observer = observer
        self._last_seqs: dict[UUID, int] = {}

    def passed(self, stats: BatchStats) -> None:
        """See the port."""
        for decision in stats.decisions:
            event = decision.inventory.event
            if decision.facts and event.log is not LogMode.OFF:
                self._last_seqs[event.id] = event.last_seq
        self._observer.passed(stats)

    def take(self) -> dict[UUID, int]:
        """Return the number of the newest fact of each event, and forget them."""
        taken, self._last_seqs = self._last_seqs, {}
        return taken

    def put_back(self, last_seqs: Mapping[UUID, int]) -> None:
        """Note them again, because they could not be passed on."""
        self._last_seqs = {**last_seqs, **self._last_seqs}
