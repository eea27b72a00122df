"""An event loop in virtual time, in which one seed decides the order of callbacks."""

import asyncio
import contextvars
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextlib import suppress
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Asyncgen = AsyncGenerator[Any, Any]


class Owner:
    """The owner of callbacks, for example a process. A dead owner's callbacks are dropped, a stalled one's delayed."""

    def __init__(self) -> None:
        self.is_dead: bool = False
        self.wakes_at: float = 0.0
        """None of its callbacks run until then, like those of a process without processor time."""


OWNER: Final[contextvars.ContextVar[Owner | None]] = contextvars.ContextVar("OWNER", default=None)
"""The owner of the code that runs now, and of the tasks, callbacks and timers that it creates."""


class Stuck(Exception):
    """The work waits, and no callback or timer is left: it would wait forever."""


class Overrun(Exception):
    """The work did not end within its virtual time or number of turns."""


class _Scheduled(asyncio.TimerHandle):
    """A scheduled callback. It avoids the cost of the initializer of `asyncio.TimerHandle`."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "owner", "time")

    def __init__(
        self,
        time: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.time = time
        self.callback = callback
        self.args = args
        if context is None:
            self.context = contextvars.copy_context()
            self.owner = OWNER.get()
        else:
            self.context = context
            self.owner = context.get(OWNER)
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.time

    def __repr__(self) -> str:
        return f"<{self.callback!r} at {self.time}>"


class SimulationLoop(asyncio.AbstractEventLoop):
    """Run one callback at a time, a random one of those that are ready; without threads, files and sockets.

    Time is virtual, in seconds from 0. When no callback is ready, it advances to the next timer, so the order depends
    only on the random numbers. Unlike asyncio's own loops, it does not run callbacks in the order of scheduling.
    """

    def __init__(self, random: Random) -> None:
        self._random = random.random
        self._ready: list[_Scheduled] = []
        self._timers: list[tuple[float, int, _Scheduled]] = []
        self._scheduled = 0
        self._time = 0.0
        self._is_running = False
        self._is_closed = False
        self._asyncgens: list[Asyncgen] = []
        self._tasks: list[tuple[Owner | None, asyncio.Task[Any]]] = []
        self.choices: bytearray = bytearray()
        """The index of each callback that was chosen among several."""
        self.turns: int = 0
        """The number of callbacks that were run."""
        self.unhandled: list[str] = []
        """Exceptions that were not caught."""

    def time(self) -> float:
        """Return the virtual seconds since the beginning."""
        return self._time

    def run(self, work: Coroutine[Any, Any, Result], *, seconds: float, turns: int) -> Result:
        """Run until this work is done. Raises: what it raises, Stuck, Overrun."""
        # Another loop may be running in this thread.
        before, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001 - made for event loops
        asyncio._set_running_loop(self)  # noqa: SLF001
        # An unfinished generator is never resumed, as after a crash.
        sys.set_asyncgen_hooks(firstiter=self._asyncgens.append, finalizer=_abandon)
        self._is_running = True
        try:
            task = self.create_task(work)
            self._run_until(task, self._time + seconds, self.turns + turns)
            return task.result()
        finally:
            self._is_running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(before)  # noqa: SLF001

    def _run_until(self, task: "asyncio.Task[Any]", deadline: float, most_turns: int) -> None:  # noqa: C901 - calls cost too much for each callback
        ready, random, choices = self._ready, self._random, self.choices
        while not task.done():
            count = len(ready)
            if not count:
                self._jump(deadline)
                continue
            chosen = 0
            if count > 1:
                chosen = int(random() * count)
                choices.append(chosen & 0xFF)
            scheduled, ready[chosen] = ready[chosen], ready[-1]
            ready.pop()
            if scheduled.is_cancelled:
                continue
            owner = scheduled.owner
            if owner is not None:
                if owner.is_dead:
                    continue
                if owner.wakes_at > self._time:
                    self._put(owner.wakes_at, scheduled)
                    continue
            self.turns += 1
            if self.turns > most_turns:
                raise Overrun(f"not done after {most_turns} turns")
            try:
                scheduled.context.run(scheduled.callback, *scheduled.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - a loop survives its callbacks; the error is reported at the end
                self.call_exception_handler({"message": "a callback failed", "exception": error})

    def _jump(self, deadline: float) -> None:
        timers = self._timers
        while timers and (timers[0][2].is_cancelled or _is_dead(timers[0][2])):
            heappop(timers)
        if not timers:
            raise Stuck("no callback is left, and the work is not done")
        self._time = max(self._time, timers[0][0])
        if self._time > deadline:
            raise Overrun(f"not done after {deadline:g} seconds")
        while timers and timers[0][0] <= self._time:
            scheduled = heappop(timers)[2]
            if not scheduled.is_cancelled:
                self._ready.append(scheduled)

    def _put(self, when: float, scheduled: _Scheduled) -> None:
        self._scheduled += 1
        heappush(self._timers, (when, self._scheduled, scheduled))

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Run a callback as soon as it is chosen."""
        scheduled = _Scheduled(self._time, callback, args, context)
        self._ready.append(scheduled)
        return scheduled

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Do the same as `call_soon`: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback after this many virtual seconds."""
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at this virtual time."""
        scheduled = _Scheduled(when, callback, args, context)
        self._put(when, scheduled)
        return scheduled

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Result] | Generator[Any, None, Result],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> "asyncio.Task[Result]":
        """Return a task of this loop, which belongs to the current owner."""
        if not isinstance(coro, Coroutine):
            raise TypeError("a coroutine was expected")
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append((OWNER.get() if context is None else context.get(OWNER), task))
        return task

    def pending(self, owner: Owner | None) -> list[asyncio.Task[Any]]:
        """Return the unfinished tasks of an owner."""
        return [task for task_owner, task in self._tasks if task_owner is owner and not task.done()]

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - there is one thread
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> "asyncio.Future[Result]":
        """Run it at once, in the only thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Add an exception that was not caught to `unhandled`."""
        if not self._is_closed:
            error = context.get("exception")
            self.unhandled.append(f"{context.get('message')}: {error!r}" if error else str(context.get("message")))

    def get_debug(self) -> bool:
        """Return False: debugging would only be slower."""
        return False

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self._is_running

    def is_closed(self) -> bool:
        """Return whether it was closed."""
        return self._is_closed

    def close(self) -> None:
        """Drop all that still waits, as a power failure does."""
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()
        for _, task in self._tasks:
            coroutine = task.get_coro()
            if not task.done() and coroutine is not None:
                # Its cleanup has no effect on the result.
                with suppress(Exception):
                    coroutine.close()
        self._tasks.clear()
        self._asyncgens.clear()


def make_loop(random: Random) -> SimulationLoop:
    """Return a new loop."""
    # asyncio's class is abstract only for type checkers; the methods that are missing raise NotImplementedError.
    make: Any = SimulationLoop
    loop: SimulationLoop = make(random)
    return loop


def _is_dead(scheduled: _Scheduled) -> bool:
    return scheduled.owner is not None and scheduled.owner.is_dead


def _abandon(_: Asyncgen) -> None:
    """Leave an unfinished asynchronous generator as it is."""
