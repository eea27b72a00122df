"""Histories: what clients asked for and were told, so that what a system did can be judged by what was seen of it.

Simulated runs and real ones are judged alike, by rules that share no code with the domain's decisions:

    history = History()

    async def client(number: int, customer: UUID) -> None:
        operation = history.invoke(number, Call(name="book", event_id=event_id, customer_id=customer, quantity=2))
        try:
            booking = await book(customer, 2)
        except Refusal as refusal:
            history.fail(operation, refusal.code)
        except Unavailable:
            history.unknown(operation)
        else:
            history.ok(operation, Outcome(status=booking.status, booking_id=booking.id))

    await asyncio.gather(*(client(number, customer) for number, customer in enumerate(customers)))
    final = await Stored.load(storage, history)
    assert check_promises(history, final) == []
    assert check_linearizable(history, Sale.of(state), final=final).is_linearizable  # `state`: before anybody booked

Histories of several processes of one machine are put together by `History.merged`; `to_lines` and `from_lines` keep
them. `check_promises` is linear and may judge millions of operations; `check_linearizable` needs neither facts nor
storage and is for a few hundred operations of one event.
"""

from .fact_projection import Breach
from .history import Call, Entry, History, Operation, Outcome
from .linearizability import Verdict, check_linearizable
from .promises import check_promises
from .sequential import Sale
from .stored import Stored

__all__ = [
    "Breach",
    "Call",
    "Entry",
    "History",
    "Operation",
    "Outcome",
    "Sale",
    "Stored",
    "Verdict",
    "check_linearizable",
    "check_promises",
]
