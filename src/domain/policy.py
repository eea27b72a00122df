"""Who may do what (promise 9): one table of the rights towards events, and one of those that API keys lack.

Towards an event each right needs a least standing. What is one's own needs no standing, but an API key may not do all
that its owner may do.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct


class StaffRole(StrEnum):
    """What a person does for an event. A manager may do what the desk does, the desk what the door does."""

    MANAGER = "manager"
    DESK = "desk"
    DOOR = "door"

    @property
    def standing(self) -> "Standing":
        """The standing that the role gives in its event."""
        return Standing[self.name]


class Standing(IntEnum):
    """Where someone stands towards an event. A higher one may do all that a lower one may."""

    NONE = 0
    DOOR = 1
    DESK = 2
    MANAGER = 3
    ORGANIZER = 4
    """The organizer. An admin stands as the organizer of every event."""


class Right(StrEnum):
    """A kind of act on an event or on what belongs to it."""

    SEE_UNPUBLISHED = "see-unpublished"
    """See the event before it was ever on sale."""
    SEE_BOOKINGS = "see-bookings"
    """See the bookings of others and the waiting list."""
    SEE_ATTENDEES = "see-attendees"
    """See who has which ticket."""
    SEE_ADDRESSES = "see-addresses"
    """See the addresses of those who have tickets."""
    SEE_DOOR = "see-door"
    """See what a scanner needs, and which tickets were let in more than once."""
    CHECK_IN = "check-in"
    """Let the holders of tickets in, and undo that."""
    SEE_TICKETS = "see-tickets"
    """See the tickets of the bookings of others, with their codes."""
    NAME_TICKETS = "name-tickets"
    """Name the holders of others' tickets, and give them new codes."""
    SEE_PAYMENTS = "see-payments"
    """See the charges and refunds of the event."""
    BOOK_FOR_OTHERS = "book-for-others"
    """Book for a person who need not have an account."""
    CANCEL_BOOKINGS = "cancel-bookings"
    """Cancel the bookings of others."""
    TAKE_CASH = "take-cash"
    """Record that a booking was paid in cash."""
    SETTLE_REFUNDS = "settle-refunds"
    """Say that a refund was paid by hand."""
    GRANT_TICKETS = "grant-tickets"
    """Give tickets away, past those who wait."""
    SEE_CHANGES = "see-changes"
    """See the facts of the event."""
    EDIT_EVENT = "edit-event"
    """Change the event and its ticket types; publish, pause and resume it."""
    GRANT_REFUNDS = "grant-refunds"
    """Give a part of a payment back."""
    END_EVENT = "end-event"
    """Complete or cancel the event."""
    SEE_STAFF = "see-staff"
    """See who works for the event."""
    SEE_LOG = "see-log"
    """Read the event's log where it is not public."""
    APPOINT_STAFF = "appoint-staff"
    """Say who works for the event, and as what."""
    RECEIVE_FACTS = "receive-facts"
    """Have the event's facts sent to a webhook."""


class Rule(Struct, frozen=True, gc=False):
    """The least standing that a right needs.

    `only_reads`: it changes nothing. `in_person`: the organizer's alone, not an admin's.
    """

    least: Standing
    only_reads: bool = False
    in_person: bool = False


RULES: Final[Mapping[Right, Rule]] = {
    Right.SEE_UNPUBLISHED: Rule(Standing.DOOR, only_reads=True),
    Right.SEE_BOOKINGS: Rule(Standing.DESK, only_reads=True),
    Right.SEE_ATTENDEES: Rule(Standing.DOOR, only_reads=True),
    Right.SEE_ADDRESSES: Rule(Standing.DESK, only_reads=True),
    Right.SEE_DOOR: Rule(Standing.DOOR, only_reads=True),
    Right.CHECK_IN: Rule(Standing.DOOR),
    Right.SEE_TICKETS: Rule(Standing.DOOR, only_reads=True),
    Right.NAME_TICKETS: Rule(Standing.DESK),
    Right.SEE_PAYMENTS: Rule(Standing.DESK, only_reads=True),
    Right.BOOK_FOR_OTHERS: Rule(Standing.DESK),
    Right.CANCEL_BOOKINGS: Rule(Standing.DESK),
    Right.TAKE_CASH: Rule(Standing.DESK),
    Right.SETTLE_REFUNDS: Rule(Standing.DESK),
    Right.GRANT_TICKETS: Rule(Standing.MANAGER),
    Right.SEE_CHANGES: Rule(Standing.MANAGER, only_reads=True),
    Right.EDIT_EVENT: Rule(Standing.MANAGER),
    Right.GRANT_REFUNDS: Rule(Standing.MANAGER),
    Right.END_EVENT: Rule(Standing.ORGANIZER),
    Right.SEE_STAFF: Rule(Standing.ORGANIZER, only_reads=True),
    Right.SEE_LOG: Rule(Standing.ORGANIZER, only_reads=True),
    Right.APPOINT_STAFF: Rule(Standing.ORGANIZER),
    Right.RECEIVE_FACTS: Rule(Standing.ORGANIZER, in_person=True),
}


class KeyRole(StrEnum):
    """What an API key may do at most. `READ`: whatever its owner may read."""

    READ = "read"
    DOOR = "door"
    DESK = "desk"
    MANAGER = "manager"
    ORGANIZER = "organizer"


class PersonalRight(StrEnum):
    """A kind of act on what is one's own. Who is signed in has all of them, an API key those of its role."""

    SEE_OWN_BOOKINGS = "see-own-bookings"
    """See one's own booking of an event, and its payments."""
    ACT_AS_CUSTOMER = "act-as-customer"
    """Book for oneself, pay, and cancel one's own booking."""
    LIST_OWN_BOOKINGS = "list-own-bookings"
    """List one's own bookings of all events."""
    LIST_OWN_EVENTS = "list-own-events"
    """Find one's own unpublished events in lists."""
    SEE_WEBHOOKS = "see-webhooks"
    """See one's own webhooks and their deliveries."""
    CHANGE_WEBHOOKS = "change-webhooks"
    """Register, change and delete webhooks, and repeat deliveries."""
    INITIALIZE_EVENTS = "initialize-events"
    """Initialize events."""
    MANAGE_ACCOUNT = "manage-account"
    """Change, export and delete the account; make, see and revoke its API keys."""


class KeyRule(Struct, frozen=True, gc=False):
    """The roles of API keys that have a personal right. `in_event`: also those of one event, there."""

    roles: frozenset[KeyRole]
    in_event: bool = False


_AS_OWNER: Final = frozenset({KeyRole.ORGANIZER})
_READING: Final = frozenset({KeyRole.READ, KeyRole.ORGANIZER})

KEY_RULES: Final[Mapping[PersonalRight, KeyRule]] = {
    PersonalRight.SEE_OWN_BOOKINGS: KeyRule(_READING, in_event=True),
    PersonalRight.ACT_AS_CUSTOMER: KeyRule(_AS_OWNER, in_event=True),
    PersonalRight.LIST_OWN_BOOKINGS: KeyRule(_READING),
    PersonalRight.LIST_OWN_EVENTS: KeyRule(frozenset(KeyRole)),
    PersonalRight.SEE_WEBHOOKS: KeyRule(_READING),
    PersonalRight.CHANGE_WEBHOOKS: KeyRule(_AS_OWNER),
    PersonalRight.INITIALIZE_EVENTS: KeyRule(_AS_OWNER),
    PersonalRight.MANAGE_ACCOUNT: KeyRule(frozenset()),
}


class KeyScope(Struct, frozen=True, gc=False):
    """The bounds of an API key: a role, and an event if it is for one only. Its owner's standing bounds it too."""

    role: KeyRole
    event_id: UUID | None = None

    def bounds(self, standing: Standing, event_id: UUID) -> Standing:
        """Return the key's standing towards an event, given its owner's."""
        if self.event_id not in (None, event_id):
            return Standing.NONE
        return standing if self.role is KeyRole.READ else min(standing, Standing[self.role.name])

    def allows(self, right: Right) -> bool:
        """Return whether a key of this role may use the right at all."""
        return self.role is not KeyRole.READ or RULES[right].only_reads

    @property
    def is_whole(self) -> bool:
        """Whether its acts on events and for its owner have no bounds of its own."""
        return self.role is KeyRole.ORGANIZER and self.event_id is None

    def allows_personally(self, right: PersonalRight, event_id: UUID | None = None) -> bool:
        """Return whether the key may do this for its owner, in an event if it concerns one."""
        rule = KEY_RULES[right]
        if self.event_id is not None and not (rule.in_event and self.event_id == event_id):
            return False
        return self.role in rule.roles


_WHO: Final[Mapping[Standing, str]] = {
    Standing.DOOR: "those who work for the event",
    Standing.DESK: "its desk, its managers, its organizer or an admin",
    Standing.MANAGER: "its managers, its organizer or an admin",
    Standing.ORGANIZER: "its organizer or an admin",
}


def who_may(right: Right) -> str:
    """Return in words who has the right."""
    rule = RULES[right]
    return "its organizer" if rule.in_person else _WHO[rule.least]
