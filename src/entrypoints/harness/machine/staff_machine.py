"""The rules of the state machine that are about the staff of events: who works for which, and what each may see."""

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ....domain.policy import StaffRole
from .box_office import Order
from .commands import Appoint, ChangeDuty, Dismiss
from .comparing_machine import ComparingMachine
from .model.event import ModelEvent
from .strategies import ADMIN, CUSTOMERS, HELPERS, LEAVERS, ORGANIZERS, BookingRequest, gifts, picks, roles

_bosses = st.sampled_from([None, None, None, ADMIN, HELPERS[0], CUSTOMERS[0]])
"""Who says who works for an event; None: its organizer."""
_people = st.sampled_from([*HELPERS, *HELPERS, CUSTOMERS[1], ORGANIZERS[0], LEAVERS[0]])


class StaffMachine(ComparingMachine):
    """The rules about staff (promise 9). What helpers do with events and bookings is among the other rules."""

    def appoint_all(self, event: ModelEvent, staff: dict[UUID, StaffRole | None]) -> None:
        """Let the organizer appoint people."""
        for user_id, role in staff.items():
            if role is not None:
                self.appoint_one(event, event.organizer_id, user_id, role)

    def appoint_one(self, event: ModelEvent, boss_id: UUID, user_id: UUID, role: StaffRole) -> None:
        """Let a user appoint another one, and check the answer."""
        found = self.execute(Appoint(event.id, self.actor(boss_id), user_id, role))
        self.check_equal(found, self.model.appoint(event, boss_id, user_id, role.value))

    @rule(event=picks, boss=_bosses, user_id=_people, role=roles)
    def appoint(self, event: int, boss: UUID | None, user_id: UUID, role: StaffRole) -> None:
        """A user lets another one work for an event, who may do so already, or organize it."""
        model_event = self.event(event)
        self.appoint_one(model_event, boss or model_event.organizer_id, user_id, role)

    @rule(event=picks, boss=_bosses, user_id=_people, role=roles)
    def change_duty(self, event: int, boss: UUID | None, user_id: UUID, role: StaffRole) -> None:
        """A user gives another one, who may not work for the event, another role."""
        model_event = self.event(event)
        boss_id = boss or model_event.organizer_id
        found = self.execute(ChangeDuty(model_event.id, self.actor(boss_id), user_id, role))
        self.check_equal(found, self.model.change_duty(model_event, boss_id, user_id, role.value))

    @rule(event=picks, boss=_bosses, user_id=_people)
    def dismiss(self, event: int, boss: UUID | None, user_id: UUID) -> None:
        """A user ends the work of another one, who may not work for the event."""
        model_event = self.event(event)
        boss_id = boss or model_event.organizer_id
        found = self.execute(Dismiss(model_event.id, self.actor(boss_id), user_id))
        self.check_equal(found, self.model.dismiss(model_event, boss_id, user_id))

    @rule(event=picks, request=gifts, has_key=st.booleans())
    def grant_tickets(self, event: int, request: BookingRequest, has_key: bool) -> None:
        """A user gives tickets away, past those who wait; only managers and above may (promises 1, 5 and 9)."""
        model_event = self.event(event)
        command = self.booking_command(model_event, request)
        expected = self.expected_booking(model_event, command.booking_id, request)
        if has_key:
            # The account is read before the command is queued, so of two at once either may be the first.
            self.check_twice(model_event, Order(command, key=f"give-{command.booking_id}"), expected, at_once=False)
        else:
            self.check_equal(self.execute(command), expected)

    @rule(event=picks, actor_id=st.sampled_from([*HELPERS, *HELPERS, CUSTOMERS[0]]))
    def read_lists(self, event: int, actor_id: UUID) -> None:
        """A user reads the bookings and the waiting list of an event, which is for the desk and up."""
        model_event, now = self.event(event), self.clock.time
        found = self.run(self.box_office.lists(model_event.id, self.actor(actor_id)))
        refused = self.model.role_refuses(model_event, actor_id, "desk")
        waiting = [booking for ticket_type in model_event.types for booking in ticket_type.waiting_list]
        shown = [*reversed(model_event.bookings), *waiting]
        self.check_equal(found, refused or [model_event.seen_booking(each, now) for each in shown])
