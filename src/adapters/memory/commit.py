"""Commit a draft: check what a schema would enforce, then apply it to the committed rows."""

from collections.abc import Mapping
from itertools import groupby
from uuid import UUID

from msgspec.structs import replace

from ...application.ports.errors import Conflict
from ...domain.booking import Booking
from .draft import Draft
from .tables import NO_BOOKINGS, Tables


def check(draft: Draft) -> None:
    """Check what a schema would enforce. Raises: Conflict."""
    _check_events(draft)
    _check_bookings(draft)
    _check_numbers(draft)
    _check_users(draft)
    draft.notifications.check(draft.tables.notifications)
    draft.logs.check(draft.tables.logs)
    for payment_id in draft.new_payments:
        if payment_id in draft.tables.payments.get(draft.payments[payment_id].booking_id, {}):
            raise Conflict("a payment with this id exists")
    if any(user_id in draft.tables.staff.get(event_id, {}) for event_id, user_id in draft.new_staff):
        raise Conflict("the person works for the event")
    if any(key in draft.tables.responses and key not in draft.deleted_responses for key in draft.responses):
        raise Conflict("the key already has a stored response")


def _check_events(draft: Draft) -> None:
    for event_id in draft.new_events:
        if event_id in draft.tables.events:
            raise Conflict("an event with this id exists")
    for types in draft.ticket_types.values():
        for each in types.values():
            if not 0 <= each.taken <= each.total_tickets or each.waiting < 0 or each.waiting_tickets < 0:
                raise Conflict("a counter of a ticket type is out of range")
    # Keyed by integers, which hash faster than UUIDs.
    last_seqs = {event_id.int: len(facts) for event_id, facts in draft.tables.facts.items()}
    for fact in draft.facts:
        if fact.seq <= last_seqs.get(fact.event_id.int, 0):
            raise Conflict("a fact with this number exists")


def _check_bookings(draft: Draft) -> None:
    committed, live = draft.tables.bookings, draft.tables.live
    for new in draft.new_bookings:
        if new.id in committed:
            raise Conflict("a booking with this id exists")
    # Keyed by integers, which hash faster than UUIDs.
    seen: dict[int, tuple[Mapping[UUID, UUID], set[int]]] = {}
    for booking in draft.bookings.values():
        if booking.status.is_live:
            of_type = seen.get(booking.ticket_type_id.int)
            if of_type is None:
                of_type = live.get(booking.ticket_type_id, NO_BOOKINGS), set()
                seen[booking.ticket_type_id.int] = of_type
            before, customers = of_type
            customer = booking.customer_id.int
            other = before.get(booking.customer_id)
            # The other booking may end in this transaction.
            is_duplicate = other is not None and other != booking.id and _stays_live(draft, other)
            if is_duplicate or customer in customers:
                raise Conflict("the customer has a live booking of this ticket type")
            customers.add(customer)


def _check_numbers(draft: Draft) -> None:
    of_events: dict[int, tuple[Mapping[int, UUID], set[int]]] = {}
    for booking in draft.bookings.values():
        number = booking.first_ticket_number
        if number is not None:
            of_event = of_events.get(booking.event_id.int)
            if of_event is None:
                of_event = draft.tables.numbered.get(booking.event_id, {}), set()
                of_events[booking.event_id.int] = of_event
            before, seen = of_event
            holder = before.get(number)
            if number in seen or (holder is not None and holder != booking.id):
                raise Conflict("another booking has this first ticket number")
            seen.add(number)


def _stays_live(draft: Draft, booking_id: UUID) -> bool:
    booking = draft.booking(booking_id)
    return booking is not None and booking.status.is_live


def _check_users(draft: Draft) -> None:
    for user in draft.users.values():
        if user.id in draft.new_users and user.id in draft.tables.users:
            raise Conflict("an account with this id exists")
        if user.email is not None and _holder_of(draft, user.email) not in (None, user.id):
            raise Conflict("an account with this e-mail exists")
    for session_id, digests in draft.digests.items():
        if draft.tables.families.get(digests.family, session_id) != session_id:
            raise Conflict("a session with this family of refresh tokens exists")
    for digest, key_id in draft.new_key_digests.items():
        if key_id in draft.tables.api_keys or digest in draft.tables.key_digests:
            raise Conflict("an API key with this id or digest exists")


def _holder_of(draft: Draft, email: str) -> UUID | None:
    """Return the account that holds an address after this unit of work; it may lose it in this one."""
    holder = draft.tables.emails.get(email)
    if holder is not None and draft.users.get(holder, draft.tables.users[holder]).email == email:
        return holder
    return next((each.id for each in draft.users.values() if each.email == email), None)


def apply(draft: Draft) -> None:
    """Apply the changes to the committed rows."""
    tables = draft.tables
    tables.events.update(draft.events)
    for event_id, types in draft.ticket_types.items():
        tables.ticket_types.setdefault(event_id, {}).update(types)
    for event in draft.events.values():
        if event.is_unsettled:
            tables.unsettled[event.id] = None
        else:
            tables.unsettled.pop(event.id, None)
    _put_bookings(draft)
    _put_numbers(draft)
    for event_id, facts in groupby(draft.facts, key=lambda fact: fact.event_id):
        tables.facts.setdefault(event_id, []).extend(facts)
    tables.batch_ids |= draft.batch_ids
    _put_users(draft)
    _put_staff(draft)
    _put_code_keys(draft)
    for payment in draft.payments.values():
        tables.payments.setdefault(payment.booking_id, {})[payment.id] = payment
    for ticket in draft.tickets:
        tables.tickets.setdefault(ticket.booking_id, {})[ticket.number] = ticket
    for event_id, entries in draft.check_ins.items():
        tables.check_ins.setdefault(event_id, {}).update(entries)
    for key in draft.deleted_responses:
        tables.responses.pop(key, None)
    tables.responses.update(draft.responses)
    tables.leases.update(draft.leases)
    draft.notifications.apply(tables.notifications)
    draft.logs.apply(tables.logs)
    _put_limits(draft)


def _put_staff(draft: Draft) -> None:
    for (event_id, user_id), member in draft.staff.items():
        members = draft.tables.staff.setdefault(event_id, {})
        if member is None:
            members.pop(user_id, None)
        else:
            members[user_id] = member


def _put_code_keys(draft: Draft) -> None:
    keys = draft.tables.code_keys
    for event_id, key in draft.new_code_keys.items():
        keys.setdefault(event_id, key)
    for event_id, key in draft.sealed_code_keys.items():
        keys[event_id] = replace(keys[event_id], sealed=key.sealed, sealed_by=key.sealed_by)


def _put_limits(draft: Draft) -> None:
    counts, failures = draft.tables.counts, draft.tables.failures
    if draft.deletes_counts_before is not None:
        for key in [key for key in counts if key[0] < draft.deletes_counts_before]:
            del counts[key]
    if draft.deletes_failures_before is not None:
        for subject in [each for each, times in failures.items() if times[-1].at < draft.deletes_failures_before]:
            del failures[subject]
    counts.update(draft.counts)
    failures.update(draft.failures)


def _put_users(draft: Draft) -> None:
    tables = draft.tables
    # First, because another account may get an address in the same unit of work.
    for user in draft.users.values():
        before = tables.users.get(user.id)
        if before is not None and before.email is not None:
            del tables.emails[before.email]
    for user in draft.users.values():
        tables.users[user.id] = user
        if user.email is not None:
            tables.emails[user.email] = user.id
        if user.standing_changed_at is not None:
            tables.standings_changed[user.id] = user.standing_changed_at
    for user_id, review in draft.reviews.items():
        if review is None:
            tables.reviews.pop(user_id, None)
        else:
            tables.reviews[user_id] = review
    for user_id, erasure in draft.erasures.items():
        if erasure is None:
            tables.erasures.pop(user_id, None)
        else:
            tables.erasures[user_id] = erasure
    _put_sessions(draft)
    _put_api_keys(draft)


def _put_sessions(draft: Draft) -> None:
    tables = draft.tables
    for session_id, session in draft.sessions.items():
        if session is not None:
            tables.sessions[session_id] = session
            tables.sessions_of.setdefault(session.user_id, {})[session_id] = None
            if session.ended_at is not None:
                tables.ended[session_id] = session.ended_at
        elif (removed := tables.sessions.pop(session_id, None)) is not None:
            del tables.sessions_of[removed.user_id][session_id]
            tables.ended.pop(session_id, None)
            del tables.families[tables.digests.pop(session_id).family]
            tables.replaced.pop(session_id, None)
    for session_id, digests in draft.digests.items():
        tables.digests[session_id] = digests
        tables.families[digests.family] = session_id
    tables.replaced.update(draft.replaced)


def _put_api_keys(draft: Draft) -> None:
    tables = draft.tables
    new = set(draft.new_key_digests.values())
    for key_id, key in draft.api_keys.items():
        # A key that another unit of work has removed meanwhile does not come back.
        if key is not None and (key_id in new or key_id in tables.api_keys):
            tables.api_keys[key_id] = key
        elif key is None:
            tables.api_keys.pop(key_id, None)
    if draft.api_keys:
        digests = {**tables.key_digests, **draft.new_key_digests}
        tables.key_digests = {digest: key_id for digest, key_id in digests.items() if key_id in tables.api_keys}


def _put_bookings(draft: Draft) -> None:
    tables = draft.tables
    # Keyed by integers, which hash faster than UUIDs: most bookings belong to few events.
    of_events: dict[int, list[UUID]] = {}
    live_of_types: dict[int, dict[UUID, UUID]] = {}
    for booking in draft.bookings.values():
        before = tables.bookings.get(booking.id)
        tables.bookings[booking.id] = booking
        if before is None:
            of_event = of_events.get(booking.event_id.int)
            if of_event is None:
                of_event = of_events[booking.event_id.int] = tables.of_event.setdefault(booking.event_id, [])
            of_event.append(booking.id)
            tables.of_customer.setdefault(booking.customer_id, []).append(booking.id)
        live = live_of_types.get(booking.ticket_type_id.int)
        if live is None:
            live = tables.live.setdefault(booking.ticket_type_id, {})
            live_of_types[booking.ticket_type_id.int] = live
        if booking.status.is_live:
            live[booking.customer_id] = booking.id
        elif live.get(booking.customer_id) == booking.id:
            del live[booking.customer_id]
        if booking.queue_number is not None:
            _put_waiting(tables, before, booking, booking.queue_number)


def _put_waiting(tables: Tables, before: Booking | None, booking: Booking, number: int) -> None:
    waiting_list = tables.waiting_lists.setdefault(booking.ticket_type_id, {})
    if before is not None and before.queue_number is not None and before.queue_number != number:
        waiting_list.pop(before.queue_number, None)
    if booking.is_waiting:
        is_last = number >= next(reversed(waiting_list), 0)
        waiting_list[number] = booking.id
        if not is_last:
            tables.waiting_lists[booking.ticket_type_id] = dict(sorted(waiting_list.items()))
    else:
        waiting_list.pop(number, None)


def _put_numbers(draft: Draft) -> None:
    of_events: dict[int, dict[int, UUID]] = {}
    for booking in draft.bookings.values():
        if booking.first_ticket_number is not None:
            of_event = of_events.get(booking.event_id.int)
            if of_event is None:
                of_event = of_events[booking.event_id.int] = draft.tables.numbered.setdefault(booking.event_id, {})
            of_event[booking.first_ticket_number] = booking.id
