"""Histories of requests and answers, and their checks, for simulated and real runs.

The checks share no code with the domain's decisions:

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
    assert check_linearizable(history, Sale.of(state), final=final).is_linearizable  # `state`: before the first booking

`History.merged` merges the histories of several processes of one machine; `to_lines` and `from_lines` encode and decode
them. `check_promises` is linear and is suitable for millions of operations; `check_linearizable` needs neither facts
nor storage and is for a few hundred operations of one event.
"""

from .breach import Breach
from .history import Call, Entry, History, Operation, Outcome
from .linearizability import Verdict, check_linearizable
from .promises import check_promises
from .sale import Sale
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
