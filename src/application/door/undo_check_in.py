"""Undo a check-in that let in the wrong person, or nobody."""

from uuid import UUID

from ...domain.decisions.check_in import UndoCheckIn as Undo
from ...domain.decisions.check_in import UndoneCheckIn, undo_check_in
from ...domain.policy import Right
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..duties import Duties, known_for
from ..ports.check_ins import CheckInQueries
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import DoorSpec, LoadSpec
from ..ports.queries import EventQueries
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile


class UndoCheckIn:
    """Undo a check-in. The earliest of its ticket's other entries that count gives the time then."""

    def __init__(self, turnstile: Turnstile, events: EventQueries, check_ins: CheckInQueries, duties: Duties) -> None:
        self._turnstile = turnstile
        self._events = events
        self._check_ins = check_ins
        self._duties = duties

    async def __call__(
        self,
        event_id: UUID,
        check_in_id: UUID,
        actor: Actor,
        idempotent: IdempotentRequest[UndoneCheckIn] | None = None,
    ) -> UndoneCheckIn:
        """Return the undone entry; undoing it once more has no effect.

        Raises: NotFound, NotAllowed, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        _, known = await known_for(self._events, self._duties, event_id, actor, Right.CHECK_IN)
        found = (await self._check_ins.check_ins(event_id, [check_in_id])).get(check_in_id)
        if found is None:
            raise NotFound
        command = Undo(event_id=event_id, actor=known, check_in_id=check_in_id)
        door = DoorSpec(tickets=((found.booking_id, found.number),), check_in_ids=(check_in_id,), undoes=True)
        request = idempotent.bind(outcome) if idempotent else None
        needs = LoadSpec(event_id=event_id, door=door)
        return outcome(await self._turnstile.admit(command, needs, undo_check_in, request))
