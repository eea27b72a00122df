"""A bounded queue for slow work that is shared fairly."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)


class TooManyWait(Exception):
    """The work was refused. `is_share`: only for this origin or subject."""

    def __init__(self, *, is_share: bool) -> None:
        self.is_share: bool = is_share
        super().__init__("too many of the same origin or subject are waiting" if is_share else "too many are waiting")


class _PendingWork:
    """The work of one caller that waits for a free place."""

    __slots__ = ("is_queued", "origin", "subject", "turn")

    def __init__(self, origin: Hashable, subject: Hashable, turn: "asyncio.Future[None]") -> None:
        self.origin = origin
        self.subject = subject
        self.turn = turn
        self.is_queued = True


class FairQueue:
    """Runs a few pieces of work at the same time and bounds how many wait, in total and for each caller.

    Work belongs to an origin (an address, an owner) and a subject within it (an account). A free place is given to
    origins in rotation, and within an origin to subjects in rotation, so a caller with little work waits for at most
    one piece of each other caller. A place stays in use until its work has ended, even if the caller was cancelled.
    """

    def __init__(
        self,
        places: int,
        start: Callable[[Callable[[], Any]], "asyncio.Future[Any]"],
        *,
        most: int,
        most_of_origin: int,
        most_of_subject: int,
        spares: bool = False,
    ) -> None:
        """`start` starts a piece of work, for instance in a thread. `most…` count running and waiting work.

        With `spares` an origin uses no more places than it leaves free, so slow origins do not block others.
        """
        self._start_work = start
        self._free = places
        self._most = most
        self._most_of_origin = most_of_origin
        self._most_of_subject = most_of_subject
        self._spares = spares
        self._waiting: OrderedDict[Hashable, OrderedDict[Hashable, deque[_PendingWork]]] = OrderedDict()
        self._count = 0
        self._of_origin: Counter[Hashable] = Counter()
        self._of_subject: Counter[tuple[Hashable, Hashable]] = Counter()
        self._running: Counter[Hashable] = Counter()

    async def run(self, work: Callable[[], Result], *, origin: Hashable, subject: Hashable) -> Result:
        """Run the work when a place is free. Raises: TooManyWait at once, what the work raises."""
        pending = _PendingWork(origin, subject, asyncio.get_running_loop().create_future())
        self._enter(pending)
        try:
            await pending.turn
        except asyncio.CancelledError:
            self._cancel(pending)
            raise
        running = self._start_work(work)
        running.add_done_callback(lambda _: self._finish(pending))
        # A thread does not end when its caller is cancelled.
        result: Result = await asyncio.shield(running)
        return result

    def _enter(self, pending: _PendingWork) -> None:
        origin, subject = pending.origin, (pending.origin, pending.subject)
        if self._of_subject[subject] >= self._most_of_subject or self._of_origin[origin] >= self._most_of_origin:
            raise TooManyWait(is_share=True)
        if self._count >= self._most:
            raise TooManyWait(is_share=False)
        self._count += 1
        self._of_origin[origin] += 1
        self._of_subject[subject] += 1
        of_origin = self._waiting.setdefault(origin, OrderedDict())
        of_origin.setdefault(pending.subject, deque()).append(pending)
        self._start()

    def _cancel(self, pending: _PendingWork) -> None:
        if not pending.turn.cancelled():
            # It had a place and was cancelled before it started.
            self._finish(pending)
            return
        if pending.is_queued:
            self._remove(pending)
        self._uncount(pending)

    def _finish(self, pending: _PendingWork) -> None:
        self._free += 1
        _subtract(self._running, pending.origin)
        self._uncount(pending)
        self._start()

    def _uncount(self, pending: _PendingWork) -> None:
        self._count -= 1
        _subtract(self._of_origin, pending.origin)
        _subtract(self._of_subject, (pending.origin, pending.subject))

    def _start(self) -> None:
        while self._free:
            origin = next((each for each in self._waiting if self._may_run(each)), _NO_ORIGIN)
            if origin is _NO_ORIGIN:
                return
            subject, of_subject = next(iter(self._waiting[origin].items()))
            pending = of_subject[0]
            self._remove(pending)
            if pending.turn.cancelled():
                # Its caller was cancelled and has not run since; it cleans up itself.
                continue
            if origin in self._waiting:
                self._waiting.move_to_end(origin)
                if subject in self._waiting[origin]:
                    self._waiting[origin].move_to_end(subject)
            self._free -= 1
            self._running[origin] += 1
            pending.turn.set_result(None)

    def _may_run(self, origin: Hashable) -> bool:
        return not self._spares or self._running[origin] < self._free

    def _remove(self, pending: _PendingWork) -> None:
        pending.is_queued = False
        of_origin = self._waiting[pending.origin]
        of_origin[pending.subject].remove(pending)
        if not of_origin[pending.subject]:
            del of_origin[pending.subject]
        if not of_origin:
            del self._waiting[pending.origin]


_NO_ORIGIN = object()


def _subtract(counter: "Counter[Key]", key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
