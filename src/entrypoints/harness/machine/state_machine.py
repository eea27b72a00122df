"""The state machine: random commands to an application, whose answers and state are compared with the model."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from ....application.ports.idempotency import KEPT_FOR
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.erase import LAST_LOOK_AFTER
from ....domain.decisions.organize import AddTicketType, EventChanges, Initialize
from ....domain.event import EventDetails, EventStatus, LogMode, WaitingListMode, WaitingListPolicy
from ....domain.policy import StaffRole
from ....domain.tickets.ticket_type import TicketTypeChanges, TicketTypeSpec
from ....domain.values.money import Money
from .box_office import Answer, Order, Replay
from .container.troubled import Trouble
from .key_machine import KeyMachine
from .model.booking import LIVE
from .model.event import ModelEvent, ModelType
from .money_machine import MoneyMachine
from .returning_machine import ReturningMachine
from .strategies import (
    ADMIN,
    CUSTOMERS,
    FIELDS,
    HELPERS,
    LEAVERS,
    ORGANIZERS,
    USERS,
    BookingRequest,
    booking_requests,
    customers_requests,
    deeds,
    edits,
    hours,
    new_events,
    new_totals,
    picks,
    prices,
    requests_for_others,
    roles,
    sides,
    totals,
)


class BoxOfficeMachine(KeyMachine, MoneyMachine, ReturningMachine):
    """A state machine for an application: subclass it, override `make_box_office`, and run its `TestCase`."""

    # Commands.

    @initialize(event=new_events, first=booking_requests)
    def open(self, event: dict[str, Any], first: list[BookingRequest]) -> None:
        """Start with an event on sale and some bookings."""
        self.initialize_event(**{**event, "is_draft": False, "sales": (None, event["sales"][1])})
        self.book_tickets(0, first)

    @rule(event=new_events)
    @precondition(lambda self: len(self.model.events) < 5)
    def initialize_another(self, event: dict[str, Any]) -> None:
        """Initialize another event."""
        self.initialize_event(**event)

    def initialize_event(  # noqa: PLR0913 - all that is drawn
        self,
        *,
        types: list[tuple[int, Money | None]],
        window: int | None,
        policy: WaitingListPolicy,
        bound: int | None,
        mode: WaitingListMode,
        log: LogMode,
        limit: int,
        starts_in: int | None,
        zone: str,
        sales: tuple[int | None, int | None],
        deadline_hours: int,
        fee: int,
        is_draft: bool,
        organizer: UUID,
        staff: dict[UUID, StaffRole | None],
    ) -> None:
        """Initialize an event and compare it."""
        starts_at = None if starts_in is None else self.clock.time + timedelta(hours=starts_in)
        opens_at, closes_at = (None if each is None else self.clock.time + timedelta(hours=each) for each in sales)
        if opens_at and starts_at and starts_at <= opens_at:
            opens_at = None
        status = EventStatus.DRAFT if is_draft else EventStatus.ON_SALE
        model_event = ModelEvent(
            id=self.ids.new(),
            organizer_id=organizer,
            status=status.value,
            policy=policy.value,
            bound=bound,
            mode=mode.value,
            log=log.value,
            limit=limit,
            starts_at=starts_at,
            zone=zone,
            sales_open_at=opens_at,
            sales_close_at=closes_at,
            deadline_hours=deadline_hours,
            fee=fee,
            window=window,
            types=[ModelType(self.ids.new(), f"Kind {index}", *each) for index, each in enumerate(types)],
        )
        command = Initialize(
            event_id=model_event.id,
            actor=self.actor(organizer),
            details=EventDetails(
                name="An evening",
                starts_at=starts_at,
                sales_open_at=opens_at,
                sales_close_at=closes_at,
                time_zone=zone,
                max_tickets_per_customer=limit,
                cancellation_deadline_hours=deadline_hours,
                refund_fee_percent=fee,
                payment_window_minutes=window,
                waiting_list_policy=policy,
                max_overtakes=bound,
                waiting_list=mode,
                log=log,
            ),
            ticket_types=tuple(
                (
                    each.id,
                    TicketTypeSpec(name=each.name, total_tickets=each.total, price=each.price),
                )
                for each in model_event.types
            ),
            currency="EUR",
            status=status,
        )
        self.check_equal(self.execute(command), self.model.initialize(model_event))
        if model_event.id in self.model.events:
            self.appoint_all(model_event, staff)

    @rule(event=picks, requests=booking_requests)
    def book(self, event: int, requests: list[BookingRequest]) -> None:
        """Several users book concurrently; the commands are decided in their order."""
        self.book_tickets(event, requests)

    def book_tickets(self, event: int, requests: list[BookingRequest]) -> None:
        """Send bookings concurrently and compare the outcomes."""
        model_event = self.event(event)
        sent: list[Order] = []
        expected: list[Answer] = []
        for request in requests:
            command = self.booking_command(model_event, request)
            sent.append(Order(command))
            expected.append(self.expected_booking(model_event, command.booking_id, request))
        self.check_equal(self.run(self.box_office.give(sent)), expected)

    @rule(event=picks, cancels=st.lists(st.tuples(picks, picks), min_size=1, max_size=4))
    @precondition(lambda self: self.has_bookings())
    def cancel(self, event: int, cancels: list[tuple[int, int]]) -> None:
        """Customers, organizers and others cancel bookings concurrently, sometimes the same one."""
        model_event = self.event(event)
        if not model_event.bookings:
            return
        sent: list[Order] = []
        expected: list[Answer] = []
        for which, who in cancels:
            booking = model_event.bookings[which % len(model_event.bookings)]
            others = [model_event.organizer_id, ADMIN, CUSTOMERS[0], *HELPERS]
            actor_id = ([self.acting_customer(model_event, booking)] * 3 + others)[who % 8]
            sent.append(Order(Cancel(event_id=model_event.id, actor=self.actor(actor_id), booking_id=booking.id)))
            expected.append(self.model.cancel(model_event, booking, actor_id, self.clock.time))
        self.check_equal(self.run(self.box_office.give(sent)), expected)

    @rule(event=picks, customer_id=st.sampled_from(CUSTOMERS))
    def cancel_own(self, event: int, customer_id: UUID) -> None:
        """A customer cancels without naming the booking."""
        model_event = self.event(event)
        found = self.execute(Cancel(event_id=model_event.id, actor=self.actor(customer_id)))
        self.check_equal(found, self.model.cancel_own(model_event, customer_id, self.clock.time))

    @rule(
        event=picks,
        status=st.sampled_from(["on_sale"] * 4 + ["paused"] * 3 + ["draft", "completed", "cancelled"]),
        actor_id=st.sampled_from([*ORGANIZERS, ADMIN, *CUSTOMERS[:1], *HELPERS]),
    )
    def set_status(self, event: int, status: str, actor_id: UUID) -> None:
        """A user changes the status of an event."""
        self.change_status(self.event(event), status, actor_id)

    def change_status(self, model_event: ModelEvent, status: str, actor_id: UUID) -> None:
        """Change the status of an event and compare it."""
        found = self.execute_edit(model_event, actor_id, EventChanges(status=EventStatus(status)))
        self.check_equal(found, self.model.set_status(model_event, status, actor_id, self.clock.time))

    @rule(event=picks, change=edits, who=picks)
    def edit(self, event: int, change: tuple[str, Any], who: int) -> None:
        """The organizer, or who works for the event, changes a field of an event."""
        model_event = self.event(event)
        field, value = change
        if field == "starts_in":
            field, value = "starts_at", self.clock.time + timedelta(hours=value)
        if field in ("sales_open_in", "sales_close_in"):
            field = field.replace("_in", "_at")
            value = None if value is None else self.clock.time + timedelta(hours=value)
        if field == "starts_later":
            moved_to = model_event.starts_at and model_event.starts_at + timedelta(hours=value)
            if moved_to is None or moved_to <= self.clock.time:
                return
            field, value = "starts_at", moved_to
        actor_id = [model_event.organizer_id, model_event.organizer_id, *HELPERS][who % 4]
        found = self.execute_edit(model_event, actor_id, EventChanges(**{FIELDS[field]: value}))
        self.check_equal(found, self.model.edit(model_event, field, value, actor_id, self.clock.time))

    @rule(event=picks, which=picks, total=new_totals)
    def set_total(self, event: int, which: int, total: int) -> None:
        """The organizer changes the total of a ticket type."""
        model_event = self.event(event)
        ticket_type = model_event.types[which % len(model_event.types)]
        found = self.execute_type_edit(model_event, ticket_type, TicketTypeChanges(total_tickets=total))
        self.check_equal(
            found, self.model.set_total(model_event, ticket_type, total, model_event.organizer_id, self.clock.time)
        )

    @rule(event=picks, which=picks, price=prices)
    def set_price(self, event: int, which: int, price: Money | None) -> None:
        """The organizer changes the price of a ticket type, of a free event to any currency."""
        model_event = self.event(event)
        ticket_type = model_event.types[which % len(model_event.types)]
        found = self.execute_type_edit(model_event, ticket_type, TicketTypeChanges(price=price))
        self.check_equal(
            found, self.model.set_price(model_event, ticket_type, price, model_event.organizer_id, self.clock.time)
        )

    @rule(event=picks, number=st.integers(0, 4), total=totals)
    def add_type(self, event: int, number: int, total: int) -> None:
        """The organizer adds a ticket type, sometimes with a name that is taken."""
        model_event = self.event(event)
        command = AddTicketType(
            event_id=model_event.id,
            actor=self.actor(model_event.organizer_id),
            ticket_type_id=self.ids.new(),
            spec=TicketTypeSpec(name=f"KIND {number}", total_tickets=total),
        )
        found = self.execute(command)
        expected = self.model.add_type(
            model_event, command.ticket_type_id, command.spec.name, total, model_event.organizer_id, self.clock.time
        )
        self.check_equal(found, expected)

    @rule(event=picks, request=customers_requests)
    def book_with_a_key(self, event: int, request: BookingRequest) -> None:
        """A customer sends a booking with a key twice concurrently: one effect, the same answer (promise 3)."""
        model_event = self.event(event)
        command = self.booking_command(model_event, request)
        expected = self.expected_booking(model_event, command.booking_id, request)
        self.check_twice(model_event, Order(command, key=f"book-{command.booking_id}"), expected)

    @rule(event=picks, request=requests_for_others, has_key=st.booleans())
    def book_for_another(self, event: int, request: BookingRequest, has_key: bool) -> None:
        """A user books for another person, who has an account or gets one; others may not do that (promise 9)."""
        model_event = self.event(event)
        command = self.booking_command(model_event, request)
        expected = self.expected_booking(model_event, command.booking_id, request)
        if not has_key:
            self.check_equal(self.execute(command), expected)
            return
        # The account is read before the command is queued, so of two at once either may be the first.
        order = Order(command, key=f"book-{command.booking_id}")
        self.check_twice(model_event, order, expected, at_once=False)

    @rule(event=picks, which=picks)
    @precondition(lambda self: self.has_bookings())
    def cancel_with_a_key(self, event: int, which: int) -> None:
        """A customer sends a cancellation with a key twice concurrently: one effect (promises 3 and 4)."""
        model_event = self.event(event)
        if not model_event.bookings:
            return
        booking = model_event.bookings[which % len(model_event.bookings)]
        actor_id = self.acting_customer(model_event, booking)
        command = Cancel(event_id=model_event.id, actor=self.actor(actor_id), booking_id=booking.id)
        expected = self.model.cancel(model_event, booking, actor_id, self.clock.time)
        self.check_twice(model_event, Order(command, key=f"cancel-{self.ids.new()}"), expected)

    @rule(which=picks)
    @precondition(lambda self: self.answered_orders)
    def send_again(self, which: int) -> None:
        """A repeated request with a key has no effect within a day (promise 3)."""
        answered_at, event_id, order, answer = self.answered_orders[which % len(self.answered_orders)]
        if self.clock.time > answered_at + KEPT_FOR:
            return
        (found,) = self.run(self.box_office.give([order]))
        self.check_equal(found, Replay(answer))
        self.model.events[event_id].expire_holds(self.clock.time)

    @rule()
    def sweep(self) -> None:
        """Run the background work: expired holds, open payments, due refunds (promise 8)."""
        self.run(self.box_office.sweep())
        self.model.sweep(self.clock.time)
        while self.run(self.box_office.sweep()):
            pass
        self.model.complete_refunds(refused=self.refuses_refunds)

    @rule(event=picks)
    def promote(self, event: int) -> None:
        """Promote by command; only tickets of holds that have just expired can be left for it (promise 6)."""
        model_event = self.event(event)
        self.run(self.box_office.promote(model_event.id))
        model_event.expire_holds(self.clock.time)
        self.check_equal(self.run(self.box_office.promote(model_event.id)), 0)

    @rule(event=picks, crowd=booking_requests, which=picks, done=st.lists(deeds, min_size=1, max_size=5))
    def while_an_account_is_disabled(
        self, event: int, crowd: list[BookingRequest], which: int, done: list[tuple[str, Any]]
    ) -> None:
        """Waiting bookings of a disabled account are passed over, and take their places again (promises 5 and 6)."""
        self.book_tickets(event, crowd)
        types = self.event(event).types
        waiting = [each for ticket_type in types for each in ticket_type.waiting_list if each.customer_id in CUSTOMERS]
        if not waiting:
            return
        chosen = waiting[which % len(waiting)]
        customer_id, ticket_type = chosen.customer_id, self.event(event).type_of(chosen.ticket_type_id)
        self.set_disabled(customer_id, disabled=True)
        self.book_for_disabled(event, customer_id)
        for deed, value in done:
            match deed:
                case "book" if value.customer_id != customer_id:
                    self.book_tickets(event, [value])
                case "cancel":
                    self.cancel_as_organizer(event, ticket_type, value)
                case "total":
                    self.set_total(event, *value)
                case "status":
                    self.set_status(event, value, self.event(event).organizer_id)
                case "time":
                    self.clock.time += timedelta(hours=value)
            self.everything_is_as_the_model_says()
        self.check_api_keys_are_refused(customer_id)
        self.set_disabled(customer_id, disabled=False)

    def book_for_disabled(self, event: int, customer_id: UUID) -> None:
        """The organizer finds that nothing can be booked for a disabled account."""
        model_event = self.event(event)
        request = BookingRequest(customer_id, 0, 1, only_if_available=False, booked_by=model_event.organizer_id)
        model_event.expire_holds(self.clock.time)
        self.check_equal(self.execute(self.booking_command(model_event, request)), "not-allowed")

    @rule(
        leaver=st.sampled_from(LEAVERS),
        organized=st.none() | new_events,
        is_bound=st.booleans(),
        duty=st.none() | st.tuples(picks, roles),
        booked=st.lists(st.tuples(picks, customers_requests), max_size=4),
        by=st.sampled_from([0, 0, 1, 20]),
        end=st.sampled_from(["cancelled", "completed"]),
    )
    def erase(
        self,
        leaver: UUID,
        organized: dict[str, Any] | None,
        is_bound: bool,
        duty: tuple[int, StaffRole] | None,
        booked: list[tuple[int, BookingRequest]],
        by: int,
        end: str,
    ) -> None:
        """A user organizes, works for an event, books, and has their account erased some hours later.

        Their bookings end as if they cancelled, and their drafts too (promises 4 to 7). Events on sale refuse it.
        """
        if leaver in self.model.erased:
            return
        if organized is not None and len(self.model.events) < 6:
            self.initialize_event(**{**organized, "organizer": leaver})
        if duty is not None:
            event_of_duty = self.event(duty[0])
            self.appoint_one(event_of_duty, event_of_duty.organizer_id, leaver, duty[1])
        for event, request in booked:
            if is_bound:
                self.edit(event, ("starts_in", 30), 0)
                self.edit(event, ("deadline_hours", 48), 0)
            self.book_tickets(event, [request._replace(customer_id=leaver)])
        self.clock.time += timedelta(hours=by)
        if self.erase_account(leaver) == "still-organizing":
            for each in self.model.events.values():
                if each.organizer_id == leaver and each.status in ("on_sale", "paused"):
                    self.change_status(each, end, leaver)
            self.erase_account(leaver)

    def erase_account(self, leaver: UUID) -> str | None:
        """Let a user have their account erased, compare the answer and return it."""
        found = self.run(self.box_office.erase(leaver))
        self.check_equal(found, self.model.erase(leaver, self.clock.time))
        if found is None:
            self.end_api_keys(leaver)
            # Its last look ends by the rules of the erasure what an event that is moved until then would allow.
            self.clock.time += LAST_LOOK_AFTER
            self.sweep()
            event = self.event(0)
            self.appoint_one(event, event.organizer_id, leaver, StaffRole.DOOR)
        return found

    def set_disabled(self, customer_id: UUID, *, disabled: bool) -> None:
        """Disable or enable an account, and compare everything."""
        self.run(self.box_office.set_disabled(customer_id, disabled))
        self.model.set_disabled(customer_id, disabled, self.clock.time)
        self.everything_is_as_the_model_says()

    def cancel_as_organizer(self, event: int, ticket_type: ModelType, which: int) -> None:
        """The organizer cancels a live booking of a ticket type."""
        model_event = self.event(event)
        of_type = [each for each in model_event.bookings if each.ticket_type_id == ticket_type.id]
        live = [each for each in of_type if each.status in LIVE]
        if live:
            booking, actor = live[which % len(live)], self.actor(model_event.organizer_id)
            found = self.execute(Cancel(event_id=model_event.id, actor=actor, booking_id=booking.id))
            self.check_equal(found, self.model.cancel(model_event, booking, actor.user_id, self.clock.time))

    @rule()
    def an_hour_passes(self) -> None:
        """Advance the clock by the most frequent payment window."""
        self.clock.time += timedelta(hours=1)

    @rule(by=hours)
    def time_passes(self, by: int) -> None:
        """Advance the clock."""
        self.clock.time += timedelta(hours=by)

    @rule(which=picks, offset=sides)
    def until_something_ends(self, which: int, offset: int) -> None:
        """Advance the clock to just before, at, or just after a boundary.

        Boundaries are the ends of holds, of grace periods and deadlines, starts, and both ends of a sales window.
        """
        microsecond = timedelta(microseconds=offset)
        moments = {each + microsecond for event in self.model.events.values() for each in event.boundaries()}
        coming = sorted(each for each in moments if each > self.clock.time)
        if coming:
            self.clock.time = coming[which % min(len(coming), 3)]

    @rule(event=picks, which=picks, of=picks, request=customers_requests, at=sides)
    @precondition(lambda self: self.has_bookings())
    def walk_over_a_boundary(self, event: int, which: int, of: int, request: BookingRequest, at: int) -> None:
        """A customer books just before a boundary of the event, at it, and just after; at one another one cancels."""
        model_event = self.event(event)
        coming = sorted(each for each in model_event.boundaries() if each > self.clock.time)
        booking = model_event.bookings[of % len(model_event.bookings)] if model_event.bookings else None
        for microseconds in (-1, 0, 1) if coming and booking else ():
            self.clock.time = max(self.clock.time, coming[which % len(coming)] + timedelta(microseconds=microseconds))
            if booking and microseconds == at:
                actor_id = self.acting_customer(model_event, booking)
                expected = self.model.cancel(model_event, booking, actor_id, self.clock.time)
                cancel = Cancel(event_id=model_event.id, actor=self.actor(actor_id), booking_id=booking.id)
                self.check_equal(self.execute(cancel), expected)
            self.book_tickets(event, [request])

    @rule(trouble=st.sampled_from(Trouble))
    def trouble(self, trouble: Trouble) -> None:
        """Let a later commit be rolled back, or its answer be lost; no outcome may change (promise 2)."""
        self.fail_commit(trouble)

    # Reads.

    @rule(event=picks, which=picks, actor_id=st.sampled_from(USERS))
    def read(self, event: int, which: int, actor_id: UUID) -> None:
        """A user reads their own bookings, any booking, and an event's details (promise 9)."""
        model_event, actor, now = self.event(event), self.actor(actor_id), self.clock.time
        self.check_equal(self.run(self.box_office.bookings_of(actor)), self.model.bookings_of(actor_id, now))
        refused = self.model.reading_is_refused(model_event, actor_id)
        if refused:
            self.check_equal(self.run(self.box_office.event(model_event.id, actor)), refused)
        if model_event.bookings:
            self.check_booking(model_event, model_event.bookings[which % len(model_event.bookings)], actor)

    # Invariants.

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Counters, bookings and the order of the waiting list equal the model's (promises 1 to 6)."""
        for event in self.model.events.values():
            found = self.run(self.box_office.event(event.id, self.actor(event.organizer_id)))
            assert not isinstance(found, str), f"its organizer may read {event}: {found}"
            now = self.clock.time
            self.check_equal(found.event, event.seen())
            self.check_equal(found.bookings, [event.seen_booking(each, now) for each in reversed(event.bookings)])
            self.check_equal(
                found.waiting_list,
                [event.seen_booking(each, now) for ticket_type in event.types for each in ticket_type.waiting_list],
            )
            self.check_attendees(event, found)
            self.check_uses(event, found)
            self.check_facts(event, found)

    @invariant()
    def the_provider_keeps_what_was_paid(self) -> None:
        """The provider's ledger equals our payments (promise 8)."""
        by_card = sum(each.kept_by_provider for event in self.model.events.values() for each in event.bookings)
        self.check_equal(self.run(self.box_office.money_kept()), by_card)
