"""The rules of the state machine that are about API keys: who has one, and what it may do for its owner."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from hypothesis.strategies import SearchStrategy
from msgspec import Struct

from ....application.api_keys.create_api_key import NewApiKey
from ....application.bookings.pay_booking import Bill
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import Edit, EventChanges
from ....domain.event import EventStatus
from ....domain.payment import PaymentMethod
from ....domain.policy import KeyRole
from .box_office import Answer, Order, Outcome, has_account
from .commands import Command
from .comparing_machine import ComparingMachine
from .model.booking import TAKES, ModelBooking
from .model.event import ModelEvent
from .model.model import ROLES, Model
from .strategies import ADMIN, CUSTOMERS, BookingRequest, picks

_STATUSES: Final = ("on_sale", "paused", "completed", "cancelled")
_calls: SearchStrategy[list[tuple[str, int]]] = st.lists(
    st.tuples(st.sampled_from(["book", "cancel", "pay", "read", "set status"]), picks), min_size=1, max_size=4
)
"""What a program does, one after the other, each with a number that chooses a booking, a quantity or a status."""


class ModelKey(Struct, kw_only=True):
    """An API key."""

    id: UUID
    owner_id: UUID
    role: str
    event_id: UUID | None
    expires_at: datetime | None
    is_revoked: bool = False

    def is_dead(self, now: datetime) -> bool:
        """Return whether it identifies no caller."""
        return self.is_revoked or (self.expires_at is not None and now >= self.expires_at)

    def is_owner_here(self, event: ModelEvent) -> bool:
        """Return whether it may do in this event what its owner may."""
        return self.role == "organizer" and self.event_id in (None, event.id)

    def rank(self, model: Model, event: ModelEvent) -> int:
        """Return its standing towards an event, from 0 to 4."""
        if self.event_id not in (None, event.id):
            return 0
        of_owner = max(rank for rank, role in enumerate(ROLES) if model.may(event, self.owner_id, role))
        return of_owner if self.role == "read" else min(of_owner, ROLES.index(self.role))

    def seeing_is_refused(self, model: Model, event: ModelEvent) -> str | None:
        """Return the code that refuses to show the event, if any."""
        return None if event.was_on_sale or self.rank(model, event) else "not-found"

    def look_is_refused(self, model: Model, event: ModelEvent) -> str | None:
        """Return the code that refuses to show the details of an event, its facts included, if any."""
        hidden = self.seeing_is_refused(model, event)
        return hidden or (None if self.rank(model, event) >= ROLES.index("manager") else "not-allowed")

    def booking_is_refused(self, model: Model, event: ModelEvent) -> str | None:
        """Return the code that refuses to book for the owner, if any."""
        hidden = self.seeing_is_refused(model, event)
        return hidden or (None if self.is_owner_here(event) else "not-allowed")

    def status_is_refused(self, model: Model, event: ModelEvent, status: str) -> str | None:
        """Return the code that refuses to change the status of an event, if any."""
        needed = ROLES.index("organizer" if status in ("completed", "cancelled") else "manager")
        hidden = self.seeing_is_refused(model, event)
        return hidden or (None if self.role != "read" and self.rank(model, event) >= needed else "not-allowed")

    def reading_is_refused(self, model: Model, event: ModelEvent, booking: ModelBooking) -> str | None:
        """Return the code that refuses to show a booking, if any."""
        if self.rank(model, event) >= ROLES.index("desk"):
            return None
        if booking.customer_id != self.owner_id:
            return "not-found"
        return None if self.role in ("read", "organizer") and self.event_id in (None, event.id) else "not-allowed"

    def cancelling_is_refused(self, model: Model, event: ModelEvent, booking: ModelBooking) -> str | None:
        """Return the code that refuses to cancel a booking, if any. Helpers' keys leave their owner's own alone."""
        if self.is_owner_here(event) and booking.customer_id == self.owner_id:
            return None
        if (
            self.role != "read"
            and booking.customer_id != self.owner_id
            and self.rank(model, event) >= ROLES.index("desk")
        ):
            return None
        return self.reading_is_refused(model, event, booking) or "not-allowed"

    def paying_is_refused(self, model: Model, event: ModelEvent, booking: ModelBooking) -> str | None:
        """Return the code that refuses to pay for a booking by card, if any."""
        if self.is_owner_here(event) and booking.customer_id == self.owner_id:
            return None
        return self.reading_is_refused(model, event, booking) or "not-allowed"


class KeyMachine(ComparingMachine):
    """The rules about API keys (promise 9)."""

    def __init__(self) -> None:
        self.api_keys: list[ModelKey] = []
        super().__init__()

    @rule(
        event=picks,
        who=picks,
        role=st.sampled_from(KeyRole),
        scope=st.sampled_from(["any", "any", "this", "this", "another"]),
        lasts=st.sampled_from([None, None, None, 0, 5]),
        calls=_calls,
    )
    def call_with_a_new_api_key(
        self, event: int, who: int, role: KeyRole, scope: str, lasts: int | None, calls: list[tuple[str, int]]
    ) -> None:
        """A user makes an API key, for one event or any, that may expire, and a program calls with it."""
        here, named = self.event(event), self.event(event + (scope == "another"))
        customers = [each.customer_id for each in here.bookings if self.can_sign_in(each.customer_id)] or CUSTOMERS
        staff = [each for each in here.staff if has_account(each)] or [ADMIN]
        likely = [here.organizer_id, customers[who % len(customers)], staff[who % len(staff)], here.organizer_id, ADMIN]
        owner_id = likely[who % len(likely)]
        key = ModelKey(
            id=self.ids.new(),
            owner_id=owner_id,
            role=role.value,
            event_id=None if scope == "any" else named.id,
            expires_at=None if lasts is None else self.clock.time + timedelta(hours=lasts),
        )
        command = NewApiKey(
            actor=self.actor(owner_id), name="A program", role=role, event_id=key.event_id, expires_at=key.expires_at
        )
        found = self.run(self.box_office.make_api_key(key.id, command))
        is_hidden = scope != "any" and not named.was_on_sale and not self.model.may(named, owner_id, "door")
        self.check_equal(found, "invalid-request" if lasts == 0 else "not-found" if is_hidden else None)
        if found is None:
            self.delete_expired_keys(owner_id)
            self.api_keys.append(key)
            self.call_with(key, here, calls)

    def delete_expired_keys(self, owner_id: UUID) -> None:
        """Let the model delete the expired keys of a user who makes another one."""
        for key in self.api_keys:
            if key.owner_id == owner_id:
                key.is_revoked = key.is_dead(self.clock.time)

    @rule(which=picks, event=picks, calls=_calls)
    @precondition(lambda self: self.api_keys)
    def call_with_an_old_api_key(self, which: int, event: int, calls: list[tuple[str, int]]) -> None:
        """A program calls with an API key that may have expired or been revoked."""
        self.call_with(self.api_key(which), self.event(event), calls)

    @rule(which=picks, is_owner=st.sampled_from([True, True, True, False]))
    @precondition(lambda self: self.api_keys)
    def revoke_api_key(self, which: int, is_owner: bool) -> None:
        """Its owner revokes an API key, sometimes again; another user cannot."""
        key = self.api_key(which)
        others = [each for each in CUSTOMERS if each != key.owner_id]
        actor = self.actor(key.owner_id if is_owner else others[0])
        found = self.run(self.box_office.revoke_api_key(key.id, actor))
        self.check_equal(found, "not-found" if key.is_revoked or not is_owner else None)
        key.is_revoked = key.is_revoked or is_owner

    def end_api_keys(self, owner_id: UUID) -> None:
        """Check that the keys of an erased account are refused, and forget them."""
        self.check_api_keys_are_refused(owner_id)
        self.api_keys = [each for each in self.api_keys if each.owner_id != owner_id]

    def api_key(self, number: int) -> ModelKey:
        """Return the API key that a drawn number chooses."""
        return self.api_keys[number % len(self.api_keys)]

    def call_with(self, key: ModelKey, event: ModelEvent, calls: list[tuple[str, int]]) -> None:
        """Let a program call, and compare each answer."""
        for call, number in calls:
            booking = event.bookings[number % len(event.bookings)] if event.bookings else None
            if call == "book":
                self.book_with(key, event, number)
            elif call == "set status":
                self.set_status_with(key, event, _STATUSES[number % len(_STATUSES)])
            elif call == "read":
                self.read_with(key, event, booking)
            elif booking is not None:
                self.change_with(key, event, booking, pays=call == "pay")

    def book_with(self, key: ModelKey, event: ModelEvent, number: int) -> None:
        """Book for the owner."""
        request = BookingRequest(key.owner_id, number, 1 + number % 3, only_if_available=False)
        command = self.booking_command(event, request)
        found = self.execute_with(key, command)
        refused = self.refusal(key, event, key.booking_is_refused(self.model, event))
        self.check_equal(found, refused or self.expected_booking(event, command.booking_id, request))

    def change_with(self, key: ModelKey, event: ModelEvent, booking: ModelBooking, *, pays: bool) -> None:
        """Cancel a booking, or pay for it by card."""
        actor, now = self.actor(key.owner_id), self.clock.time
        if pays:
            bill = Bill(booking_id=booking.id, actor=actor, method=PaymentMethod.CARD, token=TAKES)
            found = self.execute_with(key, bill)
            refused = self.refusal(key, event, key.paying_is_refused(self.model, event, booking))
            expected: Answer = refused or self.model.pay(event, booking, key.owner_id, TAKES, now)
        else:
            found = self.execute_with(key, Cancel(event_id=event.id, actor=actor, booking_id=booking.id))
            refused = self.refusal(key, event, key.cancelling_is_refused(self.model, event, booking))
            expected = refused or self.model.cancel(event, booking, key.owner_id, now)
        self.check_equal(found, expected)

    def set_status_with(self, key: ModelKey, event: ModelEvent, status: str) -> None:
        """Change the status of an event."""
        changes = EventChanges(status=EventStatus(status))
        found = self.execute_with(key, Edit(event_id=event.id, actor=self.actor(key.owner_id), changes=changes))
        refused = self.refusal(key, event, key.status_is_refused(self.model, event, status))
        self.check_equal(found, refused or self.model.set_status(event, status, key.owner_id, self.clock.time))

    def read_with(self, key: ModelKey, event: ModelEvent, booking: ModelBooking | None) -> None:
        """Read the details of an event and a booking."""
        actor, now = self.actor(key.owner_id), self.clock.time
        dead = "invalid-token" if key.is_dead(now) else None
        refused = dead or key.look_is_refused(self.model, event)
        look = self.run(self.box_office.event(event.id, actor, api_key=key.id))
        if refused:
            self.check_equal(look, refused)
        else:
            assert not isinstance(look, str), f"{key} may read {event}: {look}"
            self.check_equal(look.event, event.seen())
            self.check_facts(event, look)
        if booking is not None:
            found = self.run(self.box_office.booking(booking.id, actor, api_key=key.id))
            refused = dead or key.reading_is_refused(self.model, event, booking)
            shown = found if isinstance(found, str) else found.booking
            self.check_equal(shown, refused or event.seen_booking(booking, now))

    def check_api_keys_are_refused(self, owner_id: UUID) -> None:
        """Check that the API keys of a user whose account is disabled identify no caller."""
        for key in self.api_keys:
            if key.owner_id == owner_id:
                found = self.run(self.box_office.event(self.event(0).id, self.actor(owner_id), api_key=key.id))
                self.check_equal(found, "invalid-token")

    def refusal(self, key: ModelKey, event: ModelEvent, code: str | None) -> str | None:
        """Return the code that refuses a command with the key, if any: it identifies no caller, or may not do this."""
        if key.is_dead(self.clock.time):
            return "invalid-token"
        # Before every decision, also one that refuses.
        event.expire_holds(self.clock.time)
        return code

    def execute_with(self, key: ModelKey, command: Command) -> Outcome:
        """Send one command with an API key and return its outcome."""
        (outcome,) = self.run(self.box_office.give([Order(command, api_key=key.id)]))
        return outcome
