"""A queue for slow work with few places, of which everyone who asks has a fair share."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)


class TooManyWait(Exception):
    """The work was refused. `is_share`: others would still be served."""

    def __init__(self, *, is_share: bool) -> None:
        self.is_share = is_share
        super().__init__("too many of the same one wait" if is_share else "too many wait")


class _Waiting:
    """The work of one caller that waits for a place."""

    __slots__ = ("is_queued", "origin", "subject", "turn")

    def __init__(self, origin: Hashable, subject: Hashable, turn: "asyncio.Future[None]") -> None:
        self.origin = origin
        self.subject = subject
        self.turn = turn
        self.is_queued = True


class FairQueue:
    """Lets a few pieces of work run at the same time and bounds how many wait, for all and for each.

    Work comes from an origin (an address, an owner) and is about a subject within it (an account). A free place goes to
    the next origin in rotation, and of that one to the next subject, so a caller with little work waits for one piece
    of each other's at most. A place is taken until its work has ended, even if the caller has gone.
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
        """`start` begins a piece of work, in a thread for instance. `most…` count work under way or waiting.

        With `spares` an origin has no more places than it leaves free, so that slow work of some does not keep others
        waiting.
        """
        self._start_work = start
        self._free = places
        self._most = most
        self._most_of_origin = most_of_origin
        self._most_of_subject = most_of_subject
        self._spares = spares
        self._waiting: OrderedDict[Hashable, OrderedDict[Hashable, deque[_Waiting]]] = OrderedDict()
        self._here = 0
        self._of_origin: Counter[Hashable] = Counter()
        self._of_subject: Counter[tuple[Hashable, Hashable]] = Counter()
        self._running: Counter[Hashable] = Counter()

    async def run(self, work: Callable[[], Result], *, origin: Hashable, subject: Hashable) -> Result:
        """Run it as soon as its turn has come. Raises: TooManyWait at once, what the work raises."""
        waiting = _Waiting(origin, subject, asyncio.get_running_loop().create_future())
        self._enter(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            self._give_up(waiting)
            raise
        running = self._start_work(work)
        running.add_done_callback(lambda _: self._has_ended(waiting))
        # A thread does not end when its caller is cancelled.
        result: Result = await asyncio.shield(running)
        return result

    def _enter(self, waiting: _Waiting) -> None:
        origin, subject = waiting.origin, (waiting.origin, waiting.subject)
        if self._of_subject[subject] >= self._most_of_subject or self._of_origin[origin] >= self._most_of_origin:
            raise TooManyWait(is_share=True)
        if self._here >= self._most:
            raise TooManyWait(is_share=False)
        self._here += 1
        self._of_origin[origin] += 1
        self._of_subject[subject] += 1
        of_origin = self._waiting.setdefault(origin, OrderedDict())
        of_origin.setdefault(waiting.subject, deque()).append(waiting)
        self._start()

    def _give_up(self, waiting: _Waiting) -> None:
        if not waiting.turn.cancelled():
            # Its turn had come, and it was cancelled before it began.
            self._has_ended(waiting)
            return
        if waiting.is_queued:
            self._take(waiting)
        self._leave(waiting)

    def _has_ended(self, waiting: _Waiting) -> None:
        self._free += 1
        _subtract(self._running, waiting.origin)
        self._leave(waiting)
        self._start()

    def _leave(self, waiting: _Waiting) -> None:
        self._here -= 1
        _subtract(self._of_origin, waiting.origin)
        _subtract(self._of_subject, (waiting.origin, waiting.subject))

    def _start(self) -> None:
        while self._free:
            origin = next((each for each in self._waiting if self._may_run(each)), _NOBODY)
            if origin is _NOBODY:
                return
            subject, of_subject = next(iter(self._waiting[origin].items()))
            waiting = of_subject[0]
            self._take(waiting)
            if waiting.turn.cancelled():
                # Its caller was cancelled a moment ago, and leaves when it runs next.
                continue
            if origin in self._waiting:
                self._waiting.move_to_end(origin)
                if subject in self._waiting[origin]:
                    self._waiting[origin].move_to_end(subject)
            self._free -= 1
            self._running[origin] += 1
            waiting.turn.set_result(None)

    def _may_run(self, origin: Hashable) -> bool:
        return not self._spares or self._running[origin] < self._free

    def _take(self, waiting: _Waiting) -> None:
        waiting.is_queued = False
        of_origin = self._waiting[waiting.origin]
        of_origin[waiting.subject].remove(waiting)
        if not of_origin[waiting.subject]:
            del of_origin[waiting.subject]
        if not of_origin:
            del self._waiting[waiting.origin]


_NOBODY = object()


def _subtract(counter: "Counter[Key]", key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
