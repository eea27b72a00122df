"""Processes of the service: each with a container and a turnstile of its own, over the one storage that they share."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from dependency_injector.providers import Callable as Called
from dependency_injector.providers import Singleton

from ....application.turnstile.command_queue import Bounds
from ....application.turnstile.turnstile import Turnstile
from ...container import Container, make_container
from ...lifespan import running
from ...settings import Settings
from .faults import FaultyStorage, Provider, Sandbox, StorageFaults, Weather
from .loop import OWNER, Owner, SimulationLoop
from .scenario import Scenario, stream

START: Final = datetime(2030, 1, 1, tzinfo=UTC)

LONGEST_DRAIN: Final = 10.0
"""Seconds that a process that is told to end waits for its requests."""

Work = Callable[[Container], Coroutine[Any, Any, Any]]


class Gone(Exception):
    """The connection to the service broke, or nobody was there: what was asked may have happened or not."""


class VirtualClock:
    """The loop's time."""

    def now(self) -> datetime:
        """The time in UTC, to the microsecond."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class CountedIds:
    """Ids that count upwards, for all processes together."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> UUID:
        """The next number, dressed as a UUID of version 7."""
        self._last += 1
        return UUID(int=(self._last << 80) | (0x7 << 76) | (0x2 << 62) | self._last)


class NoTokens:
    """Nobody signs in here."""

    lifetime = 0


class Parts:
    """What the processes of one simulation share."""

    def __init__(self, scenario: Scenario, weather: Weather, loop: SimulationLoop) -> None:
        self.scenario = scenario
        self.loop = loop
        self.weather = weather
        self.clock = VirtualClock()
        self.ids = CountedIds()
        self.jitter = stream(scenario.seed, "jitter").random
        _BASE.reset_singletons()
        # The container says which storage is kept in memory; that it can be told to fail is that one's own promise.
        self.storage = cast("FaultyStorage", _BASE.storage())
        self.sandbox = cast("Sandbox", _BASE.payment_gateway())
        self.provider = Provider(self.sandbox, weather)


class _Wiring:
    """A container that is used again and again: making one takes longer than a hundred operations.

    All that it holds is made anew for each life of a process, out of `parts` and `storage`.
    """

    def __init__(self) -> None:
        self.parts: Parts
        self.storage: FaultyStorage
        self.container = container = make_container(_IN_MEMORY)
        container.storage.override(Called(lambda: self.storage))
        container.clock.override(Called(lambda: self.parts.clock))
        container.ids.override(Called(lambda: self.parts.ids))
        container.payment_gateway.override(Called(lambda: self.parts.provider))
        container.tokens.override(Called(NoTokens))
        container.jitter.override(Called(lambda: self.parts.jitter))
        container.turnstile.override(Singleton(self._turnstile))

    def _turnstile(self) -> Turnstile:
        scenario = self.parts.scenario
        return Turnstile(
            self.storage,
            self.parts.clock,
            self.parts.ids,
            bounds=Bounds(most_waiting=scenario.most_waiting, most_together=scenario.most_together),
            jitter=self.parts.jitter,
        )


_IN_MEMORY: Final = Settings(database_url="memory://", rate_limits=False)
_BASE: Final = make_container(_IN_MEMORY)
_WIRINGS: Final[dict[int, _Wiring]] = {}


class Process:
    """A process that serves, crashes, stalls, is stopped, and starts again."""

    def __init__(self, number: int, parts: Parts) -> None:
        self.number = number
        self._parts = parts
        if number not in _WIRINGS:
            _WIRINGS[number] = _Wiring()
        self._wiring = _WIRINGS[number]
        self._wiring.parts = parts
        self.life = Owner()
        """Its present life, or its last one."""
        self.is_up = False
        """Whether it takes requests."""
        self.is_down = True
        """Whether it has ended and may be started."""
        self._replies: dict[asyncio.Future[Any], None] = {}
        self._requests: list[asyncio.Task[None]] = []
        self._running: AbstractAsyncContextManager[Container]
        self._context: Context
        self._storage: FaultyStorage

    async def start(self, *, sweep_every: float | None = None) -> None:
        """Begin a new life; returns once it serves. Raises: Gone."""
        self.is_down = False
        self.life = Owner()
        self._requests = []
        storage = self._parts.storage.another()
        storage.fault = StorageFaults(self._parts.weather, storage, self._crash_at)
        self._storage = storage
        self._wiring.storage = storage
        self._wiring.container.reset_singletons()
        self._context = Context()
        self._context.run(OWNER.set, self.life)
        scenario = self._parts.scenario
        self._running = running(
            self._wiring.container,
            resume_every=scenario.resume_every,
            sweep_every=sweep_every or scenario.sweep_every,
            # Nobody listens here.
            tell_every=None,
        )
        await self._as_its_own(self._running.__aenter__)
        # What it does in the background may have killed it already.
        self.is_up = not self.life.is_dead

    async def stop(self) -> "list[asyncio.Task[Any]]":
        """End as a process does that is told to: first whoever is being served is answered, as far as it takes no time.

        Returns: the tasks that are left when everybody was answered. Raises: Gone when it crashes meanwhile.
        """
        self.is_up = False
        life, loop = self.life, self._parts.loop
        deadline = loop.time() + LONGEST_DRAIN
        while not self._has_drained and not life.is_dead and loop.time() < deadline:  # noqa: ASYNC110 - a look costs no time in virtual time
            await asyncio.sleep(0.05)
        if life.is_dead:
            raise Gone
        has_drained = self._has_drained
        await self._as_its_own(lambda: self._running.__aexit__(None, None, None))
        # What was told to end needs some turns for it.
        await asyncio.sleep(0.05)
        left = loop.pending(life) if has_drained and not life.is_dead else []
        if not life.is_dead:
            life.is_dead = True
            self._break_connections()
            self._storage.cut()
            self.is_down = True
        return left

    def crash(self, where: str) -> None:
        """End at once: nothing of it runs any more, and of all it did only what was committed is left."""
        self.is_up = False
        self.life.is_dead = True
        self.is_down = True
        self._parts.weather.trace.note(f"process {self.number} crashed {where}")
        self._parts.loop.call_later(self._parts.weather.lingering(), self._storage.cut, context=Context())
        self._break_connections()

    def break_database_connections(self) -> None:
        """The database ended and is there again."""
        self._storage.cut()

    def stall(self, seconds: float) -> None:
        """It gets no processor for so long."""
        self.life.wakes_at = self._parts.loop.time() + seconds

    async def serve(self, work: Work) -> Any:
        """Do some work for a client, in this process. Raises: what it raises, Gone when the process ends before."""
        if not self.is_up:
            raise Gone
        return await self._as_its_own(lambda: work(self._wiring.container))

    @property
    def _has_drained(self) -> bool:
        """Whether nothing is done for clients, those included who have gone away meanwhile."""
        self._requests = [task for task in self._requests if not task.done()]
        return not self._requests

    def _crash_at(self, step: str) -> None:
        self.crash(f"at {step}")

    def _break_connections(self) -> None:
        replies, self._replies = self._replies, {}
        for reply in replies:
            _give(reply, Gone())

    async def _as_its_own(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run something within this process, and come back when it is done or the process is gone."""
        reply: asyncio.Future[Any] = self._parts.loop.create_future()
        self._replies[reply] = None
        self._requests.append(self._parts.loop.create_task(_answer(work, reply), context=self._context))
        try:
            return await reply
        finally:
            self._replies.pop(reply, None)


async def _answer(work: Callable[[], Coroutine[Any, Any, Any]], reply: "asyncio.Future[Any]") -> None:
    try:
        result = await work()
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        _give(reply, error)
    else:
        if not reply.done():
            reply.set_result(result)


def _give(reply: "asyncio.Future[Any]", error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)
        # Whoever asked may have gone.
        reply.exception()
