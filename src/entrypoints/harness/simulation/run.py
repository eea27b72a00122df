"""Run one seed: set up, run clients and faults, complete the open work, check the result."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ....application.background.verify_promises import VerifyPromises
from ....application.ports.errors import Unavailable
from ....application.ports.storage import Storage
from ....application.turnstile import command_queue as turnstile_module
from ....domain.decisions import settle as settle_module
from ....domain.decisions.organize import Initialize
from ....domain.decisions.payments.pay import is_abandoned
from ....domain.decisions.staff import StaffMember
from ....domain.event import EventDetails, WaitingListPolicy
from ....domain.payment import ChargeStatus, Payment, PaymentKind, PaymentMethod
from ....domain.policy import StaffRole
from ....domain.tickets.ticket_type import TicketTypeSpec
from ....domain.user import User
from ....domain.values.money import Money
from ..history import Call, History
from ..history.linearizability import check_linearizable
from ..history.promises import check_promises
from ..history.sale import Sale
from ..history.stored import Stored
from .clients import LONGEST_ANSWER, Clients
from .faults import LONGEST_DETECTION, FaultInjector
from .logs import LogWatch
from .loop import Overrun, SimulationLoop, Stuck, make_loop
from .processes import START, Gone, Parts, Process, Work
from .requests import DESKS, ORGANIZER, WITHOUT_ACCOUNT, SimulatedEvent, address_of, customer_of
from .scanners import Scanners
from .scenario import Scenario, random_stream, scenario_of
from .trace import Trace

LONGEST: Final = 4 * 3_600.0
"""Maximum virtual seconds of a simulation."""

LONGEST_COMPLETION: Final = 7_200.0
"""Maximum virtual seconds without faults until the open work is done.

A lost charge is given up after ten minutes, and a charge that waits for its customer is asked about every hour.
"""

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the logs of the events."""

LONGEST_DISABLED: Final = 60.0
"""Maximum seconds that an account is disabled: less than it is reviewed for, because its customer goes on."""

MOST_OPEN: Final = 1_000
"""Maximum open payments at the end."""

MOST_TURNS_EACH: Final = 4_000
"""Maximum callbacks per operation: far more than needed, to detect an endless loop."""

MOST_STATES: Final = 400
"""Visited states of the search for one event: most orders are found at once, and some never."""

_LOGGERS: Final = ("boxoffice.application", "boxoffice.entrypoints.lifespan")


class Report(Struct, frozen=True, kw_only=True):
    """The result of a seed. `problems` is empty if every promise was kept."""

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
    """Run one seed. The same seed gives the same report, on any machine and in any process."""
    scenario = scenario_of(seed, operations)
    loop = make_loop(random_stream(seed, "loop"))
    simulation = _Simulation(scenario, loop)
    problems: list[str] = []
    with _steps_of(scenario.step), _logged_errors() as logged:
        try:
            loop.run(simulation.run(), seconds=LONGEST, turns=MOST_TURNS_EACH * (operations + 100))
        except (Stuck, Overrun) as error:
            problems.append(f"the simulation does not end: {error}")
        except Exception as error:  # noqa: BLE001 - any error is a result of the seed
            problems.append(f"the simulation failed: {error!r}\n{''.join(traceback.format_exception(error))}")
        finally:
            loop.close()
    problems += simulation.problems
    problems += [f"not caught: {each}" for each in loop.unhandled]
    problems += [f"logged as an error: {each}" for each in logged]
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
        self.injector = FaultInjector(scenario, self.trace)
        self.injector.is_off = True
        self.parts = Parts(scenario, self.injector, loop)
        self.processes = [Process(number, self.parts) for number in range(scenario.processes)]
        self.random = random_stream(scenario.seed, "disasters")
        self.pending_disasters = self._disasters_by_operation()
        self.disablings = random_stream(scenario.seed, "disabled accounts")
        for _ in range(scenario.disablings):
            left = int(self.disablings.random() * scenario.operations)
            self.pending_disasters.setdefault(left, []).append("disable")
        self.disasters: list[asyncio.Task[None]] = []
        self.scanners: Scanners | None = None

    async def run(self) -> None:
        for process in self.processes:
            await process.start()
        events = [await self._initialize(number) for number in range(len(self.scenario.events))]
        await self._add_accounts(events)
        before = await self._stored(events)
        self.injector.is_off = False
        clients = Clients(
            self.scenario, self.injector, self.processes, events, self.history, self.parts.ids, self._after_operation
        )
        self.scanners = Scanners(self.scenario, events, self.parts.clock, clients.call)
        restarts = asyncio.ensure_future(self._restart_processes())
        logs = LogWatch(self.parts.storage, self.parts.log_formats)
        watching = asyncio.ensure_future(logs.watch([event.event_id for event in events], LOOK_EVERY))
        await asyncio.gather(
            *(clients.client(number) for number in range(self.scenario.clients)),
            *(self.scanners.scanner(lambda: clients.left > 0) for _ in range(self.scenario.scanners)),
        )
        self.injector.is_off = True
        await asyncio.gather(*self.disasters)
        await restarts
        watching.cancel()
        await self._complete()
        for event in events:
            await logs.check_complete(event.event_id)
        self.problems += [*clients.unexpected, *logs.problems]
        await self._check(before)

    async def _add_accounts(self, events: Sequence[SimulatedEvent]) -> None:
        """Add the customers' accounts, which their sessions do without, and let the desks work for the events."""
        async with self.parts.storage.another().begin() as unit_of_work:
            for number in range(self.scenario.customers):
                customer_id = customer_of(number)
                await unit_of_work.users.add(
                    User(
                        id=customer_id,
                        name="A customer",
                        email=address_of(customer_id),
                        password_hash=None,
                        created_at=START,
                    )
                )
            for event in events:
                for desk in DESKS:
                    await unit_of_work.staff.add(
                        StaffMember(
                            id=self.parts.ids.new(),
                            event_id=event.event_id,
                            user_id=desk.user_id,
                            role=StaffRole.DESK,
                            appointed_at=START,
                        )
                    )
            await unit_of_work.commit()

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
                refund_fee_percent=plan.fee,
                waiting_list_policy=WaitingListPolicy(plan.policy),
                max_overtakes=plan.bound,
            ),
            ticket_types=types,
            currency="EUR",
        )
        await self.processes[0].serve(lambda container: container.initialize_event()(command))
        return SimulatedEvent(
            command.event_id, tuple(type_id for type_id, _ in types), has_price=any(each.price for each in plan.types)
        )

    # Disasters.

    def _disasters_by_operation(self) -> dict[int, list[str]]:
        """Return the disasters by the number of operations that are left."""
        found: dict[int, list[str]] = {}
        for kind, count in self.scenario.disasters.items():
            for _ in range(count):
                found.setdefault(int(self.random.random() * self.scenario.operations), []).append(kind)
        return found

    def _after_operation(self, left: int) -> None:
        for kind in self.pending_disasters.pop(left, ()):
            self.disasters.append(self.loop.create_task(self._strike(kind)))

    async def _strike(self, kind: str) -> None:
        """Cause a disaster after a short random time, so that it may interrupt any step."""
        if kind == "disable":
            await self._disable_an_account()
            return
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
                self.injector.away_until = self.loop.time() + 8.0 * self.random.random()
            case "stall" if process.is_up:
                self.trace.fault(kind, f"of process {process.number}")
                process.stall(8.0 * self.random.random())
            case "crash" if not process.is_down:
                self.trace.fault("crash:anywhere" if process.is_up else "crash:ending")
                process.crash("anywhere")
            case "stop" if process.is_up:
                self.trace.fault(kind, f"of process {process.number}")
                await self._stop(process)

    async def _disable_an_account(self) -> None:
        """Disable an account and enable it again, while its customer's earlier sessions still book and cancel."""
        customer_id = customer_of(int(self.disablings.random() * self.scenario.customers))
        self.trace.fault("disable", f"account {customer_id.int}")
        await self._operate(lambda container: container.disable_user()(str(customer_id)))
        await asyncio.sleep(self.disablings.random() * LONGEST_DISABLED)
        await self._operate(lambda container: container.enable_user()(str(customer_id)))

    async def _operate(self, work: Work) -> None:
        """Let an operator do this in any process, and again until it is done."""
        while True:
            process = self.processes[int(self.disablings.random() * len(self.processes))]
            try:
                await process.serve(work)
            except (Gone, Unavailable):
                await asyncio.sleep(1.0)
            else:
                return

    async def _stop(self, process: Process) -> None:
        try:
            left = await process.stop()
        except Gone:
            return
        if left:
            self.problems.append(f"{len(left)} tasks are left: {left[0].get_coro()}")

    async def _restart_processes(self) -> None:
        """Restart processes that are down, after a short time."""
        while not self.injector.is_off:
            await asyncio.sleep(0.2 + self.random.random())
            for process in self.processes:
                if process.is_down:
                    with suppress(Gone):
                        await process.start()

    # The end.

    async def _complete(self) -> None:
        """Complete the open work in one process, without faults."""
        await asyncio.sleep(LONGEST_DETECTION + 2)
        for process in self.processes:
            if process.is_up:
                await self._stop(process)
        last = self.processes[0]
        await last.start(sweep_every=10.0)
        if self.scanners is not None:
            await self.scanners.finish(last.serve)
        deadline = self.loop.time() + LONGEST_COMPLETION
        while await self._has_open_work():
            if self.loop.time() > deadline:
                self.problems.append(f"work is left after {LONGEST_COMPLETION:g} seconds without faults")
                break
            await asyncio.sleep(20.0)
        await self._stop(last)
        await asyncio.sleep(LONGEST_ANSWER)
        if self.parts.storage.locked:
            self.problems.append(f"{self.parts.storage.locked} locks are left")
        left = self.loop.pending(None)
        if len(left) > 1:
            self.problems.append(f"{len(left) - 1} tasks are left: {left[1].get_coro()}")

    async def _has_open_work(self) -> bool:
        storage = self.parts.storage
        events = storage.event_queries
        if await events.unsettled_events(None, 1) or await events.lapsing_events(self.parts.clock.now(), 1):
            return True
        if any(log.is_behind for log in await storage.log_queries.logs(None, len(self.scenario.events))):
            return True
        if await storage.account_queries.due_reviews(START.replace(year=9_000), 1):
            return True
        for payment in await storage.payment_queries.open_payments(START.replace(year=9_000), MOST_OPEN):
            found = await storage.booking_queries.booking(payment.booking_id)
            if not payment.awaits_customer or found is None:
                return True
            # A charge of a booking that still has its tickets may wait for its customer as long as it likes.
            if is_abandoned(payment, found.booking, self.parts.clock.now()):
                return True
        return False

    async def _stored(self, events: Sequence[SimulatedEvent]) -> Stored:
        """Return what is stored before the first request."""
        reads = History()
        for event in events:
            reads.invoke(0, Call(name="status", event_id=event.event_id))
        return await Stored.load(self.parts.storage, reads)

    async def _check(self, before: Stored) -> None:
        storage = self.parts.storage
        verdict = await VerifyPromises(storage, self.parts.clock)()
        self.bookings, self.facts = verdict.bookings, verdict.facts
        self.problems += [f"promise {breach.promise}: {breach.what}" for breach in verdict.breaches]
        history = await self._with_accounts()
        final = await Stored.load(storage, history)
        step = self.scenario.step
        self.problems += [str(each) for each in check_promises(history, final, before=before, step=step)]
        await self._check_payments(storage, final)
        if self.scanners is not None:
            self.problems += await self.scanners.check(storage)
        if self.scenario.is_specified:
            self._check_order(history, before, final)

    async def _with_accounts(self) -> History:
        """Return the history with the accounts that desks made, by whose addresses it calls their customers."""
        accounts = self.parts.storage.account_queries
        made: dict[UUID | None, UUID] = {}
        for number in range(self.scenario.customers, self.scenario.customers + WITHOUT_ACCOUNT):
            user = await accounts.user_by_email(address_of(customer_of(number)))
            if user is not None:
                made[customer_of(number)] = user.id
        return History(
            entry
            if entry.call is None or entry.call.customer_id not in made
            else replace(entry, call=replace(entry.call, customer_id=made[entry.call.customer_id]))
            for entry in self.history.entries
        )

    def _check_order(self, history: History, before: Stored, final: Stored) -> None:
        """Check that the history of each event is linearizable."""
        for state in before.events.values():
            verdict = check_linearizable(
                history,
                Sale.of(state, may_lapse=bool(state.event.payment_window_minutes)),
                final=final,
                most_states=MOST_STATES,
            )
            self.verdicts[verdict.answer] += 1
            if verdict.answer == "not linearizable":
                self.problems.append(f"event {state.event.id}: {verdict}")

    async def _check_payments(self, storage: Storage, final: Stored) -> None:
        """Compare our payments with the provider's ledger (promise 8)."""
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
            # A charge that never reached the provider was given up.
            if payment.kind is PaymentKind.REFUND or payment.status is not ChargeStatus.FAILED:
                self.problems.append(f"promise 8: the provider has no entry for {payment}")


@contextmanager
def _steps_of(most: int) -> Iterator[None]:
    """Limit the steps of settling, so that few bookings already need several."""
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
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.messages.append(f"{record.getMessage()} {error!r}")


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect logged errors instead of passing them on. Warnings are dropped, because faults cause them."""
    errors = _Errors()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(errors)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
    try:
        yield errors.messages
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(errors)
            logger.setLevel(level)
            logger.propagate = propagate
