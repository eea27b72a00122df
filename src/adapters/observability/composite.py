"""Several who watch one turnstile."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ...application.ports.observability import BatchStats, Observer, Overload, Trouble


class CompositeObserver:
    """Tells each of them, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def arriving(self) -> object:
        """The marks of each."""
        return tuple(each.arriving() for each in self._observers)

    @contextmanager
    def batch(self, marks: Sequence[object]) -> Iterator[None]:
        """Each with its own marks."""
        with ExitStack() as stack:
            for number, each in enumerate(self._observers):
                own = [mark[number] if isinstance(mark, tuple) else None for mark in marks]
                stack.enter_context(each.batch(own))
            yield

    def passed(self, passage: BatchStats) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.passed(passage)

    def failed(self, trouble: Trouble, commands: int) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.failed(trouble, commands)

    def overloaded(self, queue: Overload) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.overloaded(queue)
