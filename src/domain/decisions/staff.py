"""The staff of an event: who works for it, and as what. It is no part of the inventory, so no fact records it."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from ..event import Event
from ..policy import StaffRole
from ..refusals import AlreadyStaff, NotFound, TooManyStaff
from ..user import User
from ..values.addresses import tried_email
from ..values.fields import Rules

MOST_STAFF = 100
"""Most people who work for one event."""

STAFF_RULES: Rules = {"email": tried_email}


class StaffMember(Struct, frozen=True, gc=False, kw_only=True):
    """A person who works for an event, and since when. `id` names the appointment; another role keeps it."""

    id: UUID
    event_id: UUID
    user_id: UUID
    role: StaffRole
    appointed_at: datetime


def check_may_join(event: Event, person: User | None, known: StaffMember | None, staff: int) -> User:
    """Return the person, who may join the staff. `known` is their membership, `staff` the number of all members.

    Raises: NotFound if there is no such person, AlreadyStaff, TooManyStaff.
    """
    if person is None:
        raise NotFound("No account can be found by this address; its owner creates one, and verifies the address.")
    if known is not None or person.id == event.organizer_id:
        raise AlreadyStaff
    if staff >= MOST_STAFF:
        raise TooManyStaff(f"{MOST_STAFF} people work for this event, which is the most; dismiss one first.")
    return person
