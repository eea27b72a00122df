"""Clients that book, cancel wholly or in part, pay, read, repeat unanswered requests, and record the answers."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec

from ....application.bookings.pay_booking import PaymentUnknown
from ....application.ports.errors import Unavailable
from ....application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from ....domain.refusals import PaymentActionRequired, Refusal
from ..history import Call, History, Outcome
from .faults import FaultInjector
from .processes import CountedIds, Gone, Process, Work
from .requests import Request, Requests, SimulatedEvent
from .scenario import Scenario, random_stream
from .trace import Trace

LONGEST_ANSWER: Final = 120.0
"""Maximum seconds until a request is answered that was not lost."""

TRIES: Final = 4
"""Maximum times that a request with a key is sent."""


class Clients:
    """All the clients of one simulation."""

    def __init__(
        self,
        scenario: Scenario,
        injector: FaultInjector,
        processes: Sequence[Process],
        events: Sequence[SimulatedEvent],
        history: History,
        ids: CountedIds,
        after_operation: Callable[[int], None],
    ) -> None:
        self.random: Random = random_stream(scenario.seed, "clients")
        self.left: int = scenario.operations
        self.unexpected: list[str] = []
        """Answers that no client may get."""
        self._scenario = scenario
        self._injector = injector
        self._trace: Trace = injector.trace
        self._processes = processes
        self._history = history
        self._after_operation = after_operation
        self._names = list(scenario.weights)
        self._weights = list(scenario.weights.values())
        self._requests = Requests(scenario, events, ids, self.random)
        self._keys = 0

    async def client(self, number: int) -> None:
        """Run one client until all operations are done, one operation at a time."""
        random = self.random
        pace = self._scenario.pace
        while self.left > 0:
            await asyncio.sleep(random.expovariate(1 / pace) if pace else 0)
            name = random.choices(self._names, self._weights)[0]
            request = self._requests.make(name)
            if self.left > 0:
                await self._execute(number, request)

    async def _execute(self, number: int, request: Request) -> None:
        """Send a request; with a key, repeat it while its outcome is unknown, and sometimes send it twice at once."""
        call = request.call
        # A key belongs to a customer or a desk.
        may_have_key = call.name in _KEYED and call.customer_id is not None and not call.complimentary
        if not may_have_key or self.random.random() >= self._scenario.keyed:
            await self._send(number, request, None)
            return
        self._keys += 1
        key = f"key {self._keys}"
        for _ in range(TRIES):
            if self.random.random() < 0.1:
                # Repeated while the first one is under way, perhaps in another process.
                await asyncio.gather(self._send(number, request, key), self._send(number, request, key))
                return
            if await self._send(number, request, key) or self.left <= 0:
                return

    async def _send(self, number: int, request: Request, key: str | None) -> bool:
        """Send it once and return whether it was answered."""
        while not any(process.is_up for process in self._processes):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.3)
        self.left -= 1
        self._after_operation(self.left)
        call = request.call
        if key is not None:
            # With a key the server generates the booking id, a new one for each repetition.
            booking_id = None if call.name == "book" else call.booking_id
            call = msgspec.structs.replace(call, key=key, booking_id=booking_id)
        idempotent = None if call.owned_key is None else _idempotent_request(Key(*call.owned_key), request)
        history = self._history
        operation = history.invoke(number, call)
        try:
            outcome = request.to_outcome(await self.call(lambda container: request.work(container, idempotent)))
        except Replayed as replayed:
            payload = replayed.response.payload
            if payload.startswith(_REFUSED):
                return self._fail(operation, call, payload.removeprefix(_REFUSED).decode(), "again")
            outcome = msgspec.json.decode(payload, type=Outcome)
            return self._ok(operation, call, outcome, "again")
        except (Unavailable, PaymentUnknown, PaymentActionRequired, Gone, TimeoutError) as failure:
            # Also after the bank has asked for its customer, the payment may take effect later.
            history.unknown(operation)
            self._trace.outcomes[f"{_kind_of(call)} unknown ({type(failure).__name__})"] += 1
            await asyncio.sleep(2.0 * self.random.random() ** 2)
            return False
        except Refusal as refusal:
            return self._fail(operation, call, refusal.code)
        return self._ok(operation, call, outcome)

    def _ok(self, operation: int, call: Call, outcome: Outcome, how: str = "") -> bool:
        self._history.ok(operation, outcome)
        self._trace.outcomes[" ".join(filter(None, (_kind_of(call), outcome.status or "ok", how)))] += 1
        self._requests.note(call, outcome)
        return True

    def _fail(self, operation: int, call: Call, code: str, how: str = "") -> bool:
        self._history.fail(operation, code)
        self._trace.outcomes[" ".join(filter(None, (_kind_of(call), code, how)))] += 1
        return True

    async def call(self, work: Work) -> Any:
        """Call one of the processes. Raises: what the work raises, Gone, TimeoutError when the client gives up."""
        serving = [process for process in self._processes if process.is_up]
        if not serving:
            raise Gone
        process = serving[int(self.random.random() * len(serving))]
        loop = asyncio.get_running_loop()
        is_impatient = not self._injector.is_off and self.random.random() < 0.02
        began = loop.time()
        try:
            async with asyncio.timeout(self._scenario.patience if is_impatient else LONGEST_ANSWER):
                answer = await process.serve(work)
        except TimeoutError:
            if not is_impatient:
                self.unexpected.append(f"no answer within {LONGEST_ANSWER:g} seconds, from {began:g} s on")
            self._trace.fault("client-gone")
            raise
        except (Refusal, Replayed, Unavailable, PaymentUnknown, Gone):
            raise
        except Exception as error:
            self.unexpected.append(f"a client got {error!r}")
            raise Gone from error
        if self._injector.occurs("answer-lost"):
            self._trace.fault("answer-lost")
            raise Gone
        return answer


_KEYED: Final = frozenset({"book", "cancel", "give_back", "pay"})

_REFUSED: Final = b"!"
"""Precedes the code of a refusal in a payload."""


def _kind_of(call: Call) -> str:
    return call.name if call.booked_by is None else "desk"


def _idempotent_request(key: Key, request: Request) -> IdempotentRequest[Any]:
    def render(result: Any) -> Response:
        if isinstance(result, Refusal):
            return Response(_REFUSED + result.code.encode())
        outcome = request.to_outcome(result)
        return Response(msgspec.json.encode(outcome), outcome.booking_id)

    fingerprint = msgspec.json.encode(msgspec.structs.replace(request.call, booking_id=None))
    return IdempotentRequest(key=key, fingerprint=fingerprint, render=render)
