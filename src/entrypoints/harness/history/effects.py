"""The effects of operations: what one request, or all with the same idempotency key, may have done."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec import Struct

from .history import Call, Operation


class Effect(Struct):
    """The operations that have at most one effect: one, or all with the same key. `seq` is the effect's fact."""

    operations: list[Operation]
    key: tuple[UUID, str] | None = None
    seq: int | None = None

    @property
    def began(self) -> int:
        return self.operations[0].began

    @property
    def call(self) -> Call:
        return self.operations[0].call

    @property
    def done(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.outcome is not None]

    @property
    def may_have_happened(self) -> bool:
        return any(operation.is_unknown or operation.outcome is not None for operation in self.operations)

    def booking_ids(self) -> list[UUID]:
        """Return the bookings in its acknowledgements; without any, those in its requests."""
        answered = [operation.outcome.booking_id for operation in self.done if operation.outcome]
        requested = [operation.call.booking_id for operation in self.operations]
        return _distinct(answered) or _distinct(requested)


def _distinct(ids: Iterable[UUID | None]) -> list[UUID]:
    return list(dict.fromkeys(each for each in ids if each))


def effects_of(operations: Sequence[Operation]) -> list[Effect]:
    """Return one effect for each operation, but only one for all equal requests with the same key."""
    effects: list[Effect] = []
    by_request: dict[tuple[object, ...], Effect] = {}
    for operation in operations:
        call = operation.call
        if call.owned_key is None:
            effects.append(Effect([operation]))
            continue
        request = (*call.owned_key, *_fingerprint(call))
        if request not in by_request:
            by_request[request] = Effect([], call.owned_key)
            effects.append(by_request[request])
        by_request[request].operations.append(operation)
    return effects


def _fingerprint(call: Call) -> tuple[object, ...]:
    """Return what makes two requests equal; the id of a booking to create is not part of it."""
    booking_id = None if call.name == "book" else call.booking_id
    return (
        *(call.name, call.event_id, call.customer_id, call.ticket_type_id, call.quantity or 1, call.policy),
        *(call.waiting_list, call.only_if_available, call.complimentary, booking_id),
    )
