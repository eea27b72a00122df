"""An event loop in which one seed decides what runs next, and time stands still until nothing is left to run."""

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
    """Whoever callbacks run for, a process for instance: once it is dead they are dropped, and it may be stalled."""

    def __init__(self) -> None:
        self.is_dead = False
        self.wakes_at = 0.0
        """Until then nothing of it runs, as in a process that got no processor."""


OWNER: Final[contextvars.ContextVar[Owner | None]] = contextvars.ContextVar("OWNER", default=None)
"""For whom the code that runs now runs; its tasks, callbacks and timers are its too."""


class Stuck(Exception):
    """Nothing can run any more and something is still waited for: it would wait forever."""


class Overrun(Exception):
    """What is waited for has not come within the virtual time or the turns that it was given."""


class _Scheduled(asyncio.TimerHandle):
    """A callback in line. `asyncio.TimerHandle` by name only: it is as small as it can be."""

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

    def __del__(self) -> None:
        """There is nothing to let go of."""


class SimulationLoop(asyncio.AbstractEventLoop):
    """Runs callbacks one by one, each time a random one of those that are ready; no threads, no files, no sockets.

    Time is virtual, in seconds from 0. When nothing is ready it jumps to the next timer, so that a day passes in no
    time, and the order of things depends on nothing but the random numbers. What is promised of an event loop is kept,
    and nothing more: that callbacks run in the order in which they were scheduled is not.
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
        self.choices = bytearray()
        """Which of those that were ready was taken, each time when there were several."""
        self.turns = 0
        """How many callbacks were run."""
        self.unhandled: list[str] = []
        """What nobody caught."""

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._time

    def run(self, work: Coroutine[Any, Any, Result], *, seconds: float, turns: int) -> Result:
        """Run until this work is done. Raises: what it raises, Stuck, Overrun."""
        # Taken back by whoever ran before in this thread, if anybody did.
        before, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001 - made for event loops
        asyncio._set_running_loop(self)  # noqa: SLF001
        # What a process leaves behind in the middle of something is never run on, as after a crash.
        sys.set_asyncgen_hooks(firstiter=self._asyncgens.append, finalizer=_let_be)
        self._is_running = True
        try:
            task = self.create_task(work)
            self._run_until(task, self._time + seconds, self.turns + turns)
            return task.result()
        finally:
            self._is_running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(before)  # noqa: SLF001

    def _run_until(self, task: "asyncio.Task[Any]", deadline: float, most_turns: int) -> None:  # noqa: C901 - all of it runs for each callback
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
                raise Overrun(f"{most_turns} turns, and it goes on")
            try:
                scheduled.context.run(scheduled.callback, *scheduled.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - a loop survives what it runs; it is told at the end
                self.call_exception_handler({"message": "a callback failed", "exception": error})

    def _jump(self, deadline: float) -> None:
        timers = self._timers
        while timers and (timers[0][2].is_cancelled or _is_dead(timers[0][2])):
            heappop(timers)
        if not timers:
            raise Stuck("nothing is left to run, and something waits")
        self._time = max(self._time, timers[0][0])
        if self._time > deadline:
            raise Overrun(f"{deadline:g} seconds have passed, and it is not done")
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
        """Run it as one of the next."""
        scheduled = _Scheduled(self._time, callback, args, context)
        self._ready.append(scheduled)
        return scheduled

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """The same: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it after so many virtual seconds."""
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it at that virtual time."""
        scheduled = _Scheduled(when, callback, args, context)
        self._put(when, scheduled)
        return scheduled

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Result] | Generator[Any, None, Result],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> "asyncio.Task[Result]":
        """A task of this loop."""
        if not isinstance(coro, Coroutine):
            raise TypeError("a coroutine was expected")
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append((OWNER.get() if context is None else context.get(OWNER), task))
        return task

    def pending(self, owner: Owner | None) -> "list[asyncio.Task[Any]]":
        """The tasks that run for somebody and have not ended."""
        return [task for whose, task in self._tasks if whose is owner and not task.done()]

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - there is one thread
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> "asyncio.Future[Result]":
        """Done at once, in the one thread there is."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - told to whoever awaits it
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is kept for the verdict."""
        if not self._is_closed:
            error = context.get("exception")
            self.unhandled.append(f"{context.get('message')}: {error!r}" if error else str(context.get("message")))

    def get_debug(self) -> bool:
        """Never: it would only be slower."""
        return False

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._is_running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def close(self) -> None:
        """Throw away what still waits, as a machine does that is switched off."""
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()
        for _, task in self._tasks:
            coroutine = task.get_coro()
            if not task.done() and coroutine is not None:
                # Whatever it clears up now changes nothing that anybody looks at.
                with suppress(Exception):
                    coroutine.close()
        self._tasks.clear()
        self._asyncgens.clear()


def make_loop(random: Random) -> SimulationLoop:
    """A loop that has not run yet."""
    # asyncio's own class only says that it is abstract; what this one leaves out raises NotImplementedError.
    make: Any = SimulationLoop
    loop: SimulationLoop = make(random)
    return loop


def _is_dead(scheduled: _Scheduled) -> bool:
    return scheduled.owner is not None and scheduled.owner.is_dead


def _let_be(_: Asyncgen) -> None:
    """An asynchronous generator that nobody goes on with is forgotten as it stands."""
