"""Let a person work for an event."""

from uuid import UUID

from msgspec import Struct

from ...domain.decisions.staff import STAFF_RULES, StaffMember, check_may_join
from ...domain.event import Event
from ...domain.policy import Right, StaffRole
from ...domain.refusals import StateRefusal
from ...domain.user import Actor, User
from ...domain.values.fields import checked
from ..duties import Duties, event_for
from ..idempotent_transaction import check_is_first, store_response
from ..ports.accounts.staff import Colleague
from ..ports.errors import Conflict
from ..ports.idempotency import IdempotentRequest
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction


class NewMember(Struct, frozen=True, kw_only=True):
    """The values of an appointment: the address of the person's account, and what they shall do."""

    event_id: UUID
    actor: Actor
    email: str
    role: StaffRole


class AppointMember:
    """Let a person work for an event; with `only_verified`, one whose address is verified."""

    def __init__(self, storage: Storage, duties: Duties, clock: Clock, ids: Ids, *, only_verified: bool) -> None:
        self._storage = storage
        self._duties = duties
        self._clock = clock
        self._ids = ids
        self._only_verified = only_verified

    async def __call__(self, command: NewMember, idempotent: IdempotentRequest[Colleague] | None = None) -> Colleague:
        """Return the new member of the staff.

        Raises: InvalidRequest, NotFound, NotAllowed, AlreadyStaff, TooManyStaff, Unavailable; with `idempotent` also
        Replayed, IdempotencyKeyReused.
        """
        address = checked({"email": command.email}, STAFF_RULES)["email"]
        storage = self._storage
        right = Right.APPOINT_STAFF
        state = await event_for(storage.event_queries, self._duties, command.event_id, command.actor, right)
        found = await storage.account_queries.user_by_email(address)
        new_id, now = self._ids.new(), self._clock.now()

        async def appoint(unit_of_work: UnitOfWork) -> Colleague | StateRefusal:
            person = await _lock(unit_of_work, state.event, found)
            if idempotent is not None:
                await check_is_first(unit_of_work, idempotent)
            staff = unit_of_work.staff
            known = None if person is None else await staff.member(state.event.id, person.id)
            if person is not None and known is not None and known.id == new_id:
                # After an unknown outcome the row may exist already.
                return Colleague(known, person)
            outcome: Colleague | StateRefusal
            try:
                joining = check_may_join(
                    state.event, self._findable(person, address), known, await staff.count(state.event.id)
                )
                member = StaffMember(
                    id=new_id, event_id=state.event.id, user_id=joining.id, role=command.role, appointed_at=now
                )
                await staff.add(member)
                outcome = Colleague(member, joining)
            except StateRefusal as refusal:
                outcome = refusal
            if idempotent is not None:
                await store_response(unit_of_work, idempotent, outcome, now)
            return outcome

        try:
            outcome = await in_transaction(storage, appoint)
        except Conflict:
            # A concurrent request has appointed the person, or had the same key.
            outcome = await in_transaction(storage, appoint)
        if isinstance(outcome, StateRefusal):
            raise outcome
        return outcome

    def _findable(self, person: User | None, address: str) -> User | None:
        """Return the person if they can still be found by the address."""
        if person is None or person.email != address or (self._only_verified and not person.is_verified):
            return None
        return person


async def _lock(unit_of_work: UnitOfWork, event: Event, person: User | None) -> User | None:
    """Lock the organizer's account and the person's, in id order. Changes of one organizer continue one by one."""
    ids = {event.organizer_id} | (set() if person is None else {person.id})
    locked = {user_id: await unit_of_work.users.lock(user_id) for user_id in sorted(ids)}
    return None if person is None else locked[person.id]
