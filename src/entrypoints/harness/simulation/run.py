"""One seed from beginning to end: set up, let clients and faults loose, let everything come to rest, judge."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from msgspec import Struct

from ....application.background.verify_promises import VerifyPromises
from ....application.ports.storage import Storage
from ....application.turnstile import command_queue as turnstile_module
from ....domain.decisions import settle as settle_module
from ....domain.decisions.organize import Initialize
from ....domain.event import EventDetails, TicketTypeSpec, WaitingListPolicy
from ....domain.payment import ChargeStatus, Payment, PaymentKind, PaymentMethod
from ....domain.values.money import Money
from ..history import Call, History
from ..history.linearizability import check_linearizable
from ..history.promises import check_promises
from ..history.sequential import Sale
from ..history.stored import Stored
from .clients import LONGEST_ANSWER, ORGANIZER, Crowd, SimulatedEvent
from .faults import LONGEST_LINGERING, Weather
from .loop import Overrun, SimulationLoop, Stuck, make_loop
from .processes import START, Gone, Parts, Process
from .scenario import Scenario, scenario_of, stream
from .trace import Trace

LONGEST: Final = 4 * 3_600.0
"""Virtual seconds in which everything has come to rest."""

LONGEST_REST: Final = 3_600.0
"""Virtual seconds without faults in which all that is owed is done; a lost charge is given up after ten minutes."""

MOST_TURNS_EACH: Final = 4_000
"""Callbacks per operation: far beyond what is needed, so that running in circles is noticed."""

MOST_STATES: Final = 400
"""How far the search for an order of one event goes: most are found at once, and some never."""

_LOGGERS: Final = ("boxoffice.application", "boxoffice.entrypoints.lifespan")


class Report(Struct, frozen=True, kw_only=True):
    """What became of a seed. `problems` is empty where every promise held."""

    seed: int
    operations: int
    digest: str
    problems: list[str]
    faults: dict[str, int]
    outcomes: dict[str, int]
    verdicts: dict[str, int]
    bookings: int
    facts: int
    seconds: float
    turns: int
    scenario: Scenario
    history: bytes
    trace: list[str]


def simulate(seed: int, operations: int) -> Report:
    """Run one seed; the same one gives the same report, on any machine and in any process."""
    scenario = scenario_of(seed, operations)
    loop = make_loop(stream(seed, "loop"))
    simulation = _Simulation(scenario, loop)
    problems: list[str] = []
    with _steps_of(scenario.step), _overheard() as overheard:
        try:
            loop.run(simulation.run(), seconds=LONGEST, turns=MOST_TURNS_EACH * (operations + 100))
        except (Stuck, Overrun) as error:
            problems.append(f"somebody waits forever: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this seed has to tell
            problems.append(f"the simulation failed: {error!r}\n{''.join(traceback.format_exception(error))}")
        finally:
            loop.close()
    problems += simulation.problems
    problems += [f"nobody caught: {each}" for each in loop.unhandled]
    problems += [f"logged as an error: {each}" for each in overheard]
    history = simulation.history.to_lines()
    return Report(
        seed=seed,
        operations=operations,
        digest=simulation.trace.digest(bytes(loop.choices), history),
        problems=problems,
        faults=dict(simulation.trace.faults),
        outcomes=dict(simulation.trace.outcomes),
        verdicts=dict(simulation.verdicts),
        bookings=simulation.bookings,
        facts=simulation.facts,
        seconds=loop.time(),
        turns=loop.turns,
        scenario=scenario,
        history=history,
        trace=simulation.trace.lines,
    )


class _Simulation:
    def __init__(self, scenario: Scenario, loop: SimulationLoop) -> None:
        self.scenario = scenario
        self.problems: list[str] = []
        self.bookings = 0
        self.facts = 0
        self.verdicts: Counter[str] = Counter()
        self.loop = loop
        self.trace = Trace(lambda: int(loop.time() * 1_000_000))
        self.history = History(now=lambda: int(loop.time() * 1_000_000))
        self.weather = Weather(scenario, self.trace)
        self.weather.is_calm = True
        self.parts = Parts(scenario, self.weather, loop)
        self.processes = [Process(number, self.parts) for number in range(scenario.processes)]
        self.random = stream(scenario.seed, "disasters")
        self.to_come = self._disasters_by_operation()
        self.disasters: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        for process in self.processes:
            await process.start()
        events = [await self._initialize(number) for number in range(len(self.scenario.events))]
        before = await self._stored(events)
        self.weather.is_calm = False
        crowd = Crowd(
            self.scenario, self.weather, self.processes, events, self.history, self.parts.ids, self._after_operation
        )
        keeper = asyncio.ensure_future(self._start_again())
        await asyncio.gather(*(crowd.client(number) for number in range(self.scenario.clients)))
        self.weather.is_calm = True
        await asyncio.gather(*self.disasters)
        await keeper
        await self._come_to_rest()
        self.problems += crowd.unexpected
        await self._judge(before)

    async def _initialize(self, number: int) -> SimulatedEvent:
        plan = self.scenario.events[number]
        new = self.parts.ids.new
        types = tuple(
            (
                new(),
                TicketTypeSpec(
                    name=f"Kind {index}",
                    total_tickets=each.total,
                    price=Money(each.price, "EUR") if each.price else None,
                ),
            )
            for index, each in enumerate(plan.types)
        )
        command = Initialize(
            event_id=new(),
            actor=ORGANIZER,
            details=EventDetails(
                name=f"Evening {number}",
                max_tickets_per_customer=plan.limit,
                payment_window_minutes=plan.window,
                waiting_list_policy=WaitingListPolicy(plan.policy),
            ),
            ticket_types=types,
            currency="EUR",
        )
        await self.processes[0].serve(lambda container: container.initialize_event()(command))
        return SimulatedEvent(
            command.event_id, tuple(type_id for type_id, _ in types), has_price=any(each.price for each in plan.types)
        )

    # What befalls whole processes.

    def _disasters_by_operation(self) -> dict[int, list[str]]:
        """After how many operations which of them comes."""
        found: dict[int, list[str]] = {}
        for kind, count in self.scenario.disasters.items():
            for _ in range(count):
                found.setdefault(int(self.random.random() * self.scenario.operations), []).append(kind)
        return found

    def _after_operation(self, left: int) -> None:
        for kind in self.to_come.pop(left, ()):
            self.disasters.append(self.loop.create_task(self._strike(kind)))

    async def _strike(self, kind: str) -> None:
        """Some moment later, so that it may come in the middle of anything."""
        for _ in range(int(self.random.random() * 20)):
            await asyncio.sleep(0)
        await asyncio.sleep(self.random.random() * 2 * self.scenario.latency)
        process = self.processes[int(self.random.random() * len(self.processes))]
        match kind:
            case "database-restart":
                self.trace.fault(kind)
                for each in self.processes:
                    if each.is_up:
                        each.break_database_connections()
            case "database-away":
                self.trace.fault(kind)
                self.weather.away_until = self.loop.time() + 8.0 * self.random.random()
            case "stall" if process.is_up:
                self.trace.fault(kind, f"of process {process.number}")
                process.stall(8.0 * self.random.random())
            case "crash" if not process.is_down:
                self.trace.fault("crash:anywhere" if process.is_up else "crash:ending")
                process.crash("anywhere")
            case "stop" if process.is_up:
                self.trace.fault(kind, f"of process {process.number}")
                await self._stop(process)

    async def _stop(self, process: Process) -> None:
        try:
            left = await process.stop()
        except Gone:
            return
        if left:
            self.problems.append(f"{len(left)} tasks are left behind: {left[0].get_coro()}")

    async def _start_again(self) -> None:
        """Start again whatever process is down, after a moment."""
        while not self.weather.is_calm:
            await asyncio.sleep(0.2 + self.random.random())
            for process in self.processes:
                if process.is_down:
                    with suppress(Gone):
                        await process.start()

    # The end.

    async def _come_to_rest(self) -> None:
        """No faults any more: whatever is left to do is done by processes that nobody disturbs."""
        await asyncio.sleep(LONGEST_LINGERING + 2)
        for process in self.processes:
            if process.is_up:
                await self._stop(process)
        last = self.processes[0]
        await last.start(sweep_every=10.0)
        deadline = self.loop.time() + LONGEST_REST
        while await self._is_left_over():
            if self.loop.time() > deadline:
                self.problems.append(f"after {LONGEST_REST:g} seconds without faults something is left to be done")
                break
            await asyncio.sleep(20.0)
        await self._stop(last)
        await asyncio.sleep(LONGEST_ANSWER)
        if self.parts.storage.locked:
            self.problems.append(f"{self.parts.storage.locked} locks are held although nobody is there")
        left = self.loop.pending(None)
        if len(left) > 1:
            self.problems.append(f"{len(left) - 1} tasks are left behind: {left[1].get_coro()}")

    async def _is_left_over(self) -> bool:
        storage = self.parts.storage
        events = storage.event_queries
        if await events.unsettled_events(None, 1) or await events.lapsing_events(self.parts.clock.now(), 1):
            return True
        end_of_time = START.replace(year=9_000)
        return bool(await storage.payment_queries.open_payments(end_of_time, 1))

    async def _stored(self, events: Sequence[SimulatedEvent]) -> Stored:
        """What is there before anybody asks for anything."""
        asked = History()
        for event in events:
            asked.invoke(0, Call(name="status", event_id=event.event_id))
        return await Stored.load(self.parts.storage, asked)

    async def _judge(self, before: Stored) -> None:
        storage = self.parts.storage
        verdict = await VerifyPromises(storage, self.parts.clock)()
        self.bookings, self.facts = verdict.bookings, verdict.facts
        self.problems += [f"promise {breach.promise}: {breach.what}" for breach in verdict.breaches]
        final = await Stored.load(storage, self.history)
        step = self.scenario.step
        self.problems += [str(each) for each in check_promises(self.history, final, before=before, step=step)]
        await self._judge_money(storage, final)
        if self.scenario.is_specified:
            self._judge_order(before, final)

    def _judge_order(self, before: Stored, final: Stored) -> None:
        """What clients saw could have come of one after the other, event by event."""
        for state in before.events.values():
            verdict = check_linearizable(
                self.history,
                Sale.of(state, may_lapse=bool(state.event.payment_window_minutes)),
                final=final,
                most_states=MOST_STATES,
            )
            self.verdicts[verdict.answer] += 1
            if verdict.answer == "not linearizable":
                self.problems.append(f"event {state.event.id}: {verdict}")

    async def _judge_money(self, storage: Storage, final: Stored) -> None:
        """Our payments and the provider's ledger tell the same (promise 8)."""
        ours: dict[UUID, Payment] = {}
        for booking_id in final.bookings:
            for payment in await storage.payment_queries.payments(booking_id):
                if payment.method is PaymentMethod.CARD:
                    ours[payment.id] = payment
        entries = await self.parts.sandbox.entries()
        for entry in entries:
            known = ours.pop(entry.reference, None)
            is_taken = known is not None and known.status is ChargeStatus.SUCCEEDED
            if known is None or is_taken is not entry.taken or known.amount != entry.amount:
                self.problems.append(f"promise 8: the provider has {entry}, we have {known}")
        for payment in ours.values():
            # One that never came to the provider was given up.
            if payment.kind is PaymentKind.REFUND or payment.status is not ChargeStatus.FAILED:
                self.problems.append(f"promise 8: the provider never heard of {payment}")


@contextmanager
def _steps_of(most: int) -> Iterator[None]:
    """Bound the steps of an event more narrowly, so that few bookings already take several."""
    before = settle_module.STEP
    for module in (settle_module, turnstile_module):
        vars(module)["STEP"] = most
    try:
        yield
    finally:
        for module in (settle_module, turnstile_module):
            vars(module)["STEP"] = before


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.said.append(f"{record.getMessage()} {error!r}")


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What is logged as an error, and nothing of it anywhere else: warnings are what faults lead to."""
    errors = _Errors()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(errors)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
    try:
        yield errors.said
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(errors)
            logger.setLevel(level)
            logger.propagate = propagate
