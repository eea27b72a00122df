"""What goes wrong: the database, the payment provider, the network, whole processes, each by the seed's numbers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from ....application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from ....application.ports.payments import GatewaySilent, PaymentGateway
from ....application.ports.storage import Storage
from ....domain.values.money import Money
from .scenario import Scenario, stream
from .trace import Trace

Result = TypeVar("Result")

LONGEST_LINGERING: Final = 6.0
"""Seconds that the database may need to notice that a connection is gone: longer than a lock is waited for."""

_AT: Final = {
    "deadlock": ("lock", "load", "save", "commit"),
    "lock-timeout": ("lock",),
    "lost-before-commit": ("begin", "lock", "load", "save"),
    "commit-undone": ("commit",),
    "commit-undone-later": ("commit",),
    "commit-done-later": ("commit",),
    "commit-done-unanswered": ("committed",),
    "slow-database": ("begin", "lock", "load", "save", "commit", "committed", "read"),
    "read-failed": ("read",),
    "crash-at-a-step": ("begin", "lock", "load", "save", "commit", "committed", "read"),
}
"""At which steps of a transaction a trouble may come."""


class FaultyStorage(Storage, Protocol):
    """A storage in memory that can be told to fail; what each of this promises stands with the adapter."""

    fault: Callable[[str], Awaitable[None]] | None

    @property
    def locked(self) -> int:
        """How many locks are held."""

    def another(self) -> "FaultyStorage":
        """The same rows and locks for another process."""

    def cut(self) -> None:
        """Break every connection of this process."""

    def lost(self, seconds: float) -> Exception:
        """What to raise when the connection breaks before COMMIT."""

    def lost_in_commit(self, seconds: float, *, commits: bool) -> Exception:
        """What to raise when the answer of COMMIT never comes."""


class LedgerEntry(Protocol):
    """A line of the provider's books."""

    @property
    def reference(self) -> UUID:
        """Of what."""

    @property
    def amount(self) -> Money:
        """How much."""

    @property
    def taken(self) -> bool:
        """Whether money moved."""


class Sandbox(PaymentGateway, Protocol):
    """A provider whose books can be looked into."""

    async def entries(self) -> Sequence[LedgerEntry]:
        """Every line."""


class Weather:
    """What goes wrong at each single step. `is_calm` ends it, so that what is left can be finished and judged."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.random = stream(scenario.seed, "faults")
        self.trace = trace
        self.is_calm = False
        self.away_until = 0.0
        self.latency = scenario.latency
        self.yields = scenario.yields
        self.troubles = scenario.troubles
        self._at = {
            step: [(name, scenario.troubles[name]) for name in _AT if name in scenario.troubles and step in _AT[name]]
            for step in ("begin", "lock", "load", "save", "commit", "committed", "read")
        }

    def strikes(self, trouble: str) -> bool:
        """Whether this trouble comes now."""
        rate = self.troubles.get(trouble)
        return rate is not None and not self.is_calm and self.random.random() < rate

    def at(self, step: str) -> str | None:
        """Which trouble comes at this step of a transaction, if any."""
        if not self.is_calm:
            for name, rate in self._at[step]:
                if self.random.random() < rate:
                    return name
        return None

    def lingering(self) -> float:
        """Seconds until the database notices that somebody is gone: mostly none, sometimes many."""
        random = self.random.random
        return 0.0 if random() < 0.5 else LONGEST_LINGERING * random() ** 3

    async def pass_time(self) -> None:
        """A step takes its time: others run meanwhile, or do not."""
        if self.random.random() < self.yields:
            await asyncio.sleep(self.random.random() * 2 * self.latency)


class StorageFaults:
    """The fault of one process' connections."""

    def __init__(self, weather: Weather, storage: FaultyStorage, crash: Callable[[str], None]) -> None:
        self._weather = weather
        self._storage = storage
        self._crash = crash

    async def __call__(self, step: str) -> None:
        weather = self._weather
        await weather.pass_time()
        if weather.away_until > asyncio.get_running_loop().time() and step in ("begin", "read"):
            raise Unavailable("The database is away.")
        trouble = weather.at(step)
        if trouble is not None:
            await self._bring(trouble, step)

    async def _bring(self, trouble: str, step: str) -> None:
        weather = self._weather
        random = weather.random.random
        weather.trace.fault(f"crash:{step}" if trouble == "crash-at-a-step" else trouble, f"at {step}")
        match trouble:
            case "deadlock":
                raise Retryable("deadlock")
            case "lock-timeout":
                await asyncio.sleep(3.0 * random())
                raise Unavailable("A lock was waited for too long; try again.")
            case "lost-before-commit":
                raise self._storage.lost(weather.lingering())
            case "commit-undone":
                raise self._storage.lost_in_commit(0.0, commits=False)
            case "commit-undone-later":
                raise self._storage.lost_in_commit(0.001 + weather.lingering(), commits=False)
            case "commit-done-later":
                raise self._storage.lost_in_commit(0.001 + weather.lingering(), commits=True)
            case "commit-done-unanswered":
                raise OutcomeUnknown("the connection was lost after COMMIT")
            case "slow-database":
                await asyncio.sleep(6.0 * random())
            case "read-failed":
                raise Unavailable("The database lost the connection again and again; try again in a moment.")
            case _:
                self._crash(step)
                await asyncio.get_running_loop().create_future()


class Provider:
    """A payment provider at the other end of a network: what was sent arrives even when the sender is gone."""

    def __init__(self, gateway: PaymentGateway, weather: Weather) -> None:
        self._gateway = gateway
        self._weather = weather

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """See the port."""
        return await self._ask("charge", lambda: self._gateway.charge(reference, amount, token))

    async def find_charge(self, reference: UUID) -> bool | None:
        """See the port."""
        return await self._ask("find", lambda: self._gateway.find_charge(reference))

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See the port."""
        return await self._ask("refund", lambda: self._gateway.refund(reference, charge_reference, amount))

    async def close(self) -> None:
        """See the port; the provider goes on for the others."""

    async def _ask(self, what: str, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        weather = self._weather
        if weather.strikes("provider-unheard"):
            weather.trace.fault("provider-unheard", what)
            await asyncio.sleep(2.0)
            raise GatewaySilent
        is_unanswered = weather.strikes("provider-unanswered")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        loop.create_task(self._work(work, answer), context=Context())  # noqa: RUF006 - this loop keeps its tasks
        result = await answer
        if is_unanswered:
            weather.trace.fault("provider-unanswered", what)
            raise GatewaySilent
        return result

    async def _work(self, work: Callable[[], Coroutine[Any, Any, Result]], answer: "asyncio.Future[Result]") -> None:
        weather = self._weather
        await weather.pass_time()
        if weather.strikes("provider-slow"):
            weather.trace.fault("provider-slow")
            await asyncio.sleep(20.0 * weather.random.random())
        try:
            result = await work()
        except GatewaySilent as silent:
            if not answer.done():
                answer.set_exception(silent)
                # Nobody may be there any more to hear it.
                answer.exception()
        else:
            await weather.pass_time()
            if not answer.done():
                answer.set_result(result)
