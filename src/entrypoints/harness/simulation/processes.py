"""Processes of the service, each with its own container and turnstile, over one shared storage."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from dependency_injector.providers import Callable as Called
from dependency_injector.providers import Singleton

from ....application.log.new_facts import NewFacts
from ....application.ports.log.formats import LogFormats
from ....application.ports.observability import Unobserved
from ....application.turnstile.command_queue import Bounds
from ....application.turnstile.turnstile import Turnstile
from ...container import Container, make_container
from ...lifespan import running
from ...settings import Settings
from .faults import FaultInjector, FaultyStorage, Provider, Sandbox, StorageFaults
from .loop import OWNER, Owner, SimulationLoop
from .scenario import Scenario, random_stream

START: Final = datetime(2030, 1, 1, tzinfo=UTC)

LONGEST_DRAIN: Final = 10.0
"""Maximum seconds that a stopped process waits for its requests."""

Work = Callable[[Container], Coroutine[Any, Any, Any]]


class Gone(Exception):
    """The connection to the service broke or was refused: the outcome of the request is unknown."""


class VirtualClock:
    """A clock with the loop's time."""

    def now(self) -> datetime:
        """Return the time in UTC, to the microsecond."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class CountedIds:
    """Sequential ids, shared by all processes."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> UUID:
        """Return the next number as a UUID of version 7."""
        self._last += 1
        return UUID(int=(self._last << 80) | (0x7 << 76) | (0x2 << 62) | self._last)


class NoTokens:
    """A token issuer for a simulation without sign-in."""

    lifetime: ClassVar[int] = 0


class Parts:
    """The parts that the processes of one simulation share."""

    def __init__(self, scenario: Scenario, injector: FaultInjector, loop: SimulationLoop) -> None:
        self.scenario = scenario
        self.loop = loop
        self.injector = injector
        self.clock: VirtualClock = VirtualClock()
        self.ids: CountedIds = CountedIds()
        self.jitter: Callable[[], float] = random_stream(scenario.seed, "jitter").random
        _BASE.reset_singletons()
        # Only the container knows the adapters; the in-memory storage and gateway have these additional methods.
        self.storage: FaultyStorage = cast("FaultyStorage", _BASE.storage())
        self.sandbox: Sandbox = cast("Sandbox", _BASE.payment_gateway())
        self.log_formats: LogFormats = _BASE.log_formats()
        self.provider: Provider = Provider(self.sandbox, injector)


class _Wiring:
    """A container that is reused, because creating one is slow.

    Its singletons are created again for each life of a process, from `parts` and `storage`.
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
        container.new_facts.override(Singleton(NewFacts, Unobserved()))
        container.turnstile.override(Singleton(self._turnstile))

    def _turnstile(self) -> Turnstile:
        scenario = self.parts.scenario
        return Turnstile(
            self.storage,
            self.parts.clock,
            self.parts.ids,
            bounds=Bounds(most_waiting=scenario.most_waiting, most_together=scenario.most_together),
            jitter=self.parts.jitter,
            observer=self.container.new_facts(),
        )


# All processes seal the keys of codes with the same secret.
_IN_MEMORY: Final = Settings(database_url="memory://", rate_limits=False, jwt_secret=token_hex(32))
_BASE: Final = make_container(_IN_MEMORY)
_WIRINGS: Final[dict[int, _Wiring]] = {}


class Process:
    """A process that can be started, stopped, stalled and crashed repeatedly."""

    def __init__(self, number: int, parts: Parts) -> None:
        self.number = number
        self._parts = parts
        if number not in _WIRINGS:
            _WIRINGS[number] = _Wiring()
        self._wiring = _WIRINGS[number]
        self._wiring.parts = parts
        self.life: Owner = Owner()
        """Its current or last life."""
        self.is_up: bool = False
        """Whether it accepts requests."""
        self.is_down: bool = True
        """Whether it has ended and may be started."""
        self._replies: dict[asyncio.Future[Any], None] = {}
        self._requests: list[asyncio.Task[None]] = []
        self._running: AbstractAsyncContextManager[Container]
        self._context: Context
        self._storage: FaultyStorage

    async def start(self, *, sweep_every: float | None = None) -> None:
        """Begin a new life, and return once it serves. Raises: Gone."""
        self.is_down = False
        self.life = Owner()
        self._requests = []
        storage = self._parts.storage.another()
        storage.fault = StorageFaults(self._parts.injector, storage, self._crash_at)
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
            seal_every=scenario.sweep_every,
            # There are no notifications here.
            notify_every=None,
        )
        await self._run_inside(self._running.__aenter__)
        # Its background tasks may have crashed it already.
        self.is_up = not self.life.is_dead

    async def stop(self) -> list[asyncio.Task[Any]]:
        """Stop after the requests under way are answered, or at the latest after `LONGEST_DRAIN`.

        Return the tasks that are left, if all requests were answered. Raises: Gone when it crashes meanwhile.
        """
        self.is_up = False
        life, loop = self.life, self._parts.loop
        deadline = loop.time() + LONGEST_DRAIN
        while not self._has_drained and not life.is_dead and loop.time() < deadline:  # noqa: ASYNC110 - polling is free in virtual time
            await asyncio.sleep(0.05)
        if life.is_dead:
            raise Gone
        has_drained = self._has_drained
        await self._run_inside(lambda: self._running.__aexit__(None, None, None))
        # Stopped tasks need some turns to end.
        await asyncio.sleep(0.05)
        left = loop.pending(life) if has_drained and not life.is_dead else []
        if not life.is_dead:
            life.is_dead = True
            self._break_connections()
            self._storage.cut()
            self.is_down = True
        return left

    def crash(self, where: str) -> None:
        """End at once: no callback of it runs again, and only committed changes are left."""
        self.is_up = False
        self.life.is_dead = True
        self.is_down = True
        self._parts.injector.trace.note(f"process {self.number} crashed {where}")
        self._parts.loop.call_later(self._parts.injector.detection_delay(), self._storage.cut, context=Context())
        self._break_connections()

    def break_database_connections(self) -> None:
        """Break its connections, as a restart of the database does."""
        self._storage.cut()

    def stall(self, seconds: float) -> None:
        """Suspend it for this time."""
        self.life.wakes_at = self._parts.loop.time() + seconds

    async def serve(self, work: Work) -> Any:
        """Do work for a client in this process. Raises: what it raises, Gone when the process ends first."""
        if not self.is_up:
            raise Gone
        return await self._run_inside(lambda: work(self._wiring.container))

    @property
    def _has_drained(self) -> bool:
        """Whether no request is under way, including those whose clients have gone."""
        self._requests = [task for task in self._requests if not task.done()]
        return not self._requests

    def _crash_at(self, step: str) -> None:
        self.crash(f"at {step}")

    def _break_connections(self) -> None:
        replies, self._replies = self._replies, {}
        for reply in replies:
            _fail(reply, Gone())

    async def _run_inside(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run work within this process, until it is done or the process has ended."""
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
    except Exception as error:  # noqa: BLE001 - raised for the caller
        _fail(reply, error)
    else:
        if not reply.done():
            reply.set_result(result)


def _fail(reply: "asyncio.Future[Any]", error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)
        # Read it, because the caller may have gone.
        reply.exception()
