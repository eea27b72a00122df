"""Inject faults of the database, the payment provider, the network and processes, as the seed decides."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from random import Random
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from ....application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from ....application.ports.payments import ChargeReply, GatewaySilent, PaymentGateway
from ....application.ports.storage import Storage
from ....domain.decisions.payments.pay import Answer
from ....domain.values.money import Money
from .scenario import Scenario, random_stream
from .trace import Trace

Result = TypeVar("Result")

LONGEST_DETECTION: Final = 6.0
"""Maximum seconds until the database notices a lost connection: longer than the lock timeout."""

_STEPS_OF_FAULT: Final = {
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
"""The steps of a transaction at which a fault may occur."""


class FaultyStorage(Storage, Protocol):
    """An in-memory storage that can fail on demand; the adapter documents the guarantees."""

    fault: Callable[[str], Awaitable[None]] | None

    @property
    def locked(self) -> int:
        """The number of taken locks."""

    def another(self) -> "FaultyStorage":
        """Return a storage with the same rows and locks, for another process."""

    def cut(self) -> None:
        """Break every connection of this process."""

    def lost(self, seconds: float) -> Exception:
        """Return what to raise when the connection breaks before COMMIT."""

    def lost_in_commit(self, seconds: float, *, commits: bool) -> Exception:
        """Return what to raise when the answer to COMMIT is lost."""


class LedgerEntry(Protocol):
    """An entry of the provider's ledger."""

    @property
    def reference(self) -> UUID:
        """The id of our payment."""

    @property
    def amount(self) -> Money:
        """The amount."""

    @property
    def taken(self) -> bool:
        """Whether money was transferred."""


class Sandbox(PaymentGateway, Protocol):
    """A provider whose ledger can be read."""

    async def entries(self) -> Sequence[LedgerEntry]:
        """Return every entry."""


class FaultInjector:
    """Decide which fault occurs at each step. `is_off` ends the faults, so that open work can be completed."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.random: Random = random_stream(scenario.seed, "faults")
        self.trace = trace
        self.is_off: bool = False
        self.away_until: float = 0.0
        self.latency: float = scenario.latency
        self.yields: float = scenario.yields
        self.troubles: dict[str, float] = scenario.troubles
        self._at = {
            step: [
                (name, scenario.troubles[name])
                for name in _STEPS_OF_FAULT
                if name in scenario.troubles and step in _STEPS_OF_FAULT[name]
            ]
            for step in ("begin", "lock", "load", "save", "commit", "committed", "read")
        }

    def occurs(self, fault: str) -> bool:
        """Return whether this fault occurs now."""
        rate = self.troubles.get(fault)
        return rate is not None and not self.is_off and self.random.random() < rate

    def at(self, step: str) -> str | None:
        """Return the fault that occurs at this step of a transaction, if any."""
        if not self.is_off:
            for name, rate in self._at[step]:
                if self.random.random() < rate:
                    return name
        return None

    def detection_delay(self) -> float:
        """Return the seconds until the database notices a lost connection: mostly none, sometimes many."""
        random = self.random.random
        return 0.0 if random() < 0.5 else LONGEST_DETECTION * random() ** 3

    async def pass_time(self) -> None:
        """Wait for the latency of a step, or not at all."""
        if self.random.random() < self.yields:
            await asyncio.sleep(self.random.random() * 2 * self.latency)


class StorageFaults:
    """Inject faults into the connections of one process."""

    def __init__(self, injector: FaultInjector, storage: FaultyStorage, crash: Callable[[str], None]) -> None:
        self._injector = injector
        self._storage = storage
        self._crash = crash

    async def __call__(self, step: str) -> None:
        injector = self._injector
        await injector.pass_time()
        if injector.away_until > asyncio.get_running_loop().time() and step in ("begin", "read"):
            raise Unavailable("The database is down.")
        fault = injector.at(step)
        if fault is not None:
            await self._inject(fault, step)

    async def _inject(self, fault: str, step: str) -> None:
        injector = self._injector
        random = injector.random.random
        injector.trace.fault(f"crash:{step}" if fault == "crash-at-a-step" else fault, f"at {step}")
        match fault:
            case "deadlock":
                raise Retryable("deadlock")
            case "lock-timeout":
                await asyncio.sleep(3.0 * random())
                raise Unavailable("The lock timeout has expired; try again.")
            case "lost-before-commit":
                raise self._storage.lost(injector.detection_delay())
            case "commit-undone":
                raise self._storage.lost_in_commit(0.0, commits=False)
            case "commit-undone-later":
                raise self._storage.lost_in_commit(0.001 + injector.detection_delay(), commits=False)
            case "commit-done-later":
                raise self._storage.lost_in_commit(0.001 + injector.detection_delay(), commits=True)
            case "commit-done-unanswered":
                raise OutcomeUnknown("the connection was lost after COMMIT")
            case "slow-database":
                await asyncio.sleep(6.0 * random())
            case "read-failed":
                raise Unavailable("The connection to the database was lost several times; try again in a moment.")
            case _:
                self._crash(step)
                await asyncio.get_running_loop().create_future()


class Provider:
    """A payment provider behind a network: a sent request arrives even when its sender has crashed."""

    def __init__(self, gateway: PaymentGateway, injector: FaultInjector) -> None:
        self._gateway = gateway
        self._injector = injector

    def objection(self, price: Money) -> str | None:
        """See the port."""
        return self._gateway.objection(price)

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        """See the port."""
        return await self._call("charge", lambda: self._gateway.charge(reference, amount, token))

    async def find_charge(self, reference: UUID) -> ChargeReply:
        """See the port."""
        return await self._call("find", lambda: self._gateway.find_charge(reference))

    async def cancel_charge(self, reference: UUID) -> ChargeReply:
        """See the port."""
        return await self._call("cancel", lambda: self._gateway.cancel_charge(reference))

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """See the port."""
        return await self._call("refund", lambda: self._gateway.refund(reference, charge_reference, amount))

    async def reference_of(self, provider_id: str) -> UUID | None:
        """See the port."""
        return await self._call("reference", lambda: self._gateway.reference_of(provider_id))

    async def close(self) -> None:
        """See the port. Other processes still use the provider, so it stays open."""

    async def _call(self, what: str, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        injector = self._injector
        if injector.occurs("provider-unheard"):
            injector.trace.fault("provider-unheard", what)
            await asyncio.sleep(2.0)
            raise GatewaySilent
        is_unanswered = injector.occurs("provider-unanswered")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        loop.create_task(self._work(work, answer), context=Context())  # noqa: RUF006 - this loop keeps its tasks
        result = await answer
        if is_unanswered:
            injector.trace.fault("provider-unanswered", what)
            raise GatewaySilent
        return result

    async def _work(self, work: Callable[[], Coroutine[Any, Any, Result]], answer: "asyncio.Future[Result]") -> None:
        injector = self._injector
        await injector.pass_time()
        if injector.occurs("provider-slow"):
            injector.trace.fault("provider-slow")
            await asyncio.sleep(20.0 * injector.random.random())
        try:
            result = await work()
        except GatewaySilent as silent:
            if not answer.done():
                answer.set_exception(silent)
                # Read it, because the caller may have crashed.
                answer.exception()
        else:
            await injector.pass_time()
            if not answer.done():
                answer.set_result(result)
