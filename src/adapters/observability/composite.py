"""Several observers as one."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ...application.ports.observability import BatchStats, Observer, Overload, Trouble


class CompositeObserver:
    """Call each observer, in the given order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def arriving(self) -> object:
        """See `Observer`: a tuple of each observer's result."""
        return tuple(each.arriving() for each in self._observers)

    @contextmanager
    def batch(self, marks: Sequence[object]) -> Iterator[None]:
        """See `Observer`: each gets its own part of the marks."""
        with ExitStack() as stack:
            for index, each in enumerate(self._observers):
                own = [mark[index] if isinstance(mark, tuple) else None for mark in marks]
                stack.enter_context(each.batch(own))
            yield

    def passed(self, stats: BatchStats) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.passed(stats)

    def failed(self, trouble: Trouble, commands: int) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.failed(trouble, commands)

    def overloaded(self, queue: Overload) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.overloaded(queue)
