"""Faults of who may do what: the policy, the staff of events, and where it is asked."""

from typing import Final

from .trial import Change, Fault

_POLICY: Final = ("tests/domain/test_policy.py",)
_STAFF: Final = ("tests/application/staff/test_staff.py",)
_STORED: Final = ("tests/contract/test_staff.py",)

STAFF: Final = (
    Fault(
        "The desk may edit an event",
        (
            Change(
                "domain/policy.py",
                "Right.EDIT_EVENT: Rule(Standing.MANAGER)",
                "Right.EDIT_EVENT: Rule(Standing.DESK)",
            ),
        ),
        ("tests/entrypoints/http/test_matrix.py",),
    ),
    Fault(
        "The door sees the bookings of others",
        (
            Change(
                "domain/policy.py",
                "Right.SEE_BOOKINGS: Rule(Standing.DESK, only_reads=True)",
                "Right.SEE_BOOKINGS: Rule(Standing.DOOR, only_reads=True)",
            ),
        ),
        _POLICY,
    ),
    Fault(
        "A manager may end an event",
        (Change("domain/decisions/organize.py", '    if changes.get("status") in _ENDS:\n', "    if False:\n"),),
        _POLICY,
    ),
    Fault(
        "A role in one event counts in every other",
        (
            Change(
                "domain/event.py",
                "            duty = actor.duties.get(self.id)\n",
                "            duty = next(iter(actor.duties.values()), None)\n",
            ),
        ),
        _POLICY,
    ),
    Fault(
        "Admins receive the facts of others",
        (
            Change(
                "domain/event.py",
                "        if rule.in_person and actor.user_id != self.organizer_id:\n",
                "        if False:\n",
            ),
        ),
        _POLICY,
    ),
    Fault(
        "Staff cancel their own bookings by the organizer's rules",
        (
            Change(
                "domain/event.py",
                "        if actor.user_id == customer_id and self.standing_of(actor) < Standing.ORGANIZER:\n",
                "        if False:\n",
            ),
        ),
        _POLICY,
    ),
    Fault(
        "Whoever lacks a right towards an event that they see finds nothing",
        (
            Change(
                "domain/event.py",
                "        self.check_visible_to(actor)\n        if not self.may(actor, right):\n"
                "            raise _not_allowed(right)\n",
                "        if not self.may(actor, right):\n            raise NotFound\n",
            ),
        ),
        _POLICY,
    ),
    Fault(
        "The organizer is appointed",
        (
            Change(
                "domain/decisions/staff.py",
                "known is not None or person.id == event.organizer_id",
                "known is not None",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "A staff has no bound",
        (Change("domain/decisions/staff.py", "    if staff >= MOST_STAFF:\n", "    if False:\n"),),
        _STAFF,
    ),
    Fault(
        "An unverified address is found where mails are sent",
        (
            Change(
                "application/staff/appoint_member.py",
                " or (self._only_verified and not person.is_verified)",
                "",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "An address that was given up still finds its former owner",
        (Change("application/staff/appoint_member.py", " or person.email != address", ""),),
        _STAFF,
    ),
    Fault(
        "A refused appointment is not kept for its key",
        (
            Change(
                "application/staff/appoint_member.py",
                "            except StateRefusal as refusal:\n                outcome = refusal\n",
                "            except StateRefusal:\n                raise\n",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "Any of the staff says who works for an event",
        (
            Change(
                "application/staff/dismiss_member.py",
                "Right.APPOINT_STAFF",
                "Right.SEE_UNPUBLISHED",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "The role of a customer is looked up for their own booking",
        (
            Change(
                "application/duties.py",
                "        return actor if actor.user_id == owner.customer_id else await self(actor, owner.event_id)\n",
                "        return await self(actor, owner.event_id)\n",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "Staff do not see their drafts",
        (
            Change(
                "application/duties.py",
                "    known = actor if actor is None or event.is_visible_to(actor) else await duties(actor, event.id)\n"
                "    event.check_visible_to(known)\n",
                "    event.check_visible_to(actor)\n",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "Staff find no event where they book a draft",
        (
            Change(
                "application/bookings/book_ticket.py",
                "            if known is command.actor:\n                raise\n",
                "            raise\n",
            ),
        ),
        _STAFF,
    ),
    Fault(
        "A dismissal in memory leaves the member",
        (Change("adapters/memory/commit.py", "            members.pop(user_id, None)\n", "            pass\n"),),
        _STORED,
    ),
    Fault(
        "A staff is read from every event",
        (
            Change(
                "adapters/sql/queries/staff.py",
                '    .where(event_staff.c.event_id == bindparam("event_id"))\n    .order_by',
                "    .order_by",
            ),
        ),
        _STORED,
    ),
    Fault(
        "A new role does not reach the database",
        (
            Change(
                "adapters/sql/repositories/accounts/staff.py",
                "        await self._transaction.change(_SAVE, values)\n",
                "",
            ),
        ),
        _STORED,
    ),
)
