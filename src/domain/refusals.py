"""Refusals: a rule does not allow a command.

The hierarchy is closed, and each refusal has a stable `code`. A refusal is raised only where nothing is recorded; an
outcome that is recorded, such as joining the waiting list, is a result.
"""

from typing import ClassVar

from msgspec import Struct

Member = str | int | None
FieldPath = tuple[str | int, ...]
"""The place of a value in the request, such as `("ticket_types", 0, "name")`. Empty: the whole request."""


class FieldError(Struct, frozen=True, gc=False):
    """One invalid value: its place and what it must be."""

    path: FieldPath
    detail: str


class Refusal(Exception):
    """A rule does not allow a command. `detail` is for people, `members` are for programs (another booking's id)."""

    code: ClassVar[str]
    default: ClassVar[str] = ""

    def __init__(self, detail: str = "", **members: Member) -> None:
        self.detail: str = detail or self.default
        self.members: dict[str, Member] = members
        super().__init__(self.detail)


class InvalidRequest(Refusal):
    """Invalid values, whatever the state. `errors` names every invalid field that was found."""

    code = "invalid-request"

    def __init__(self, *errors: FieldError) -> None:
        self.errors: tuple[FieldError, ...] = errors
        super().__init__("; ".join(f"{'.'.join(map(str, e.path)) or 'request'} {e.detail}" for e in errors))


def invalid(detail: str, *path: str | int) -> InvalidRequest:
    """Return the refusal of one invalid field."""
    return InvalidRequest(FieldError(path, detail))


class NotSignedIn(Refusal):
    """The command needs a signed-in user."""

    code = "not-signed-in"
    default = "Sign in, and send the access token with the request."


class InvalidToken(Refusal):
    """The access token, or with `is_refresh` the refresh token, is malformed, expired, revoked or forged."""

    code = "invalid-token"
    default = "The access token is no longer valid; sign in again."

    def __init__(self, detail: str = "", *, is_refresh: bool = False) -> None:
        super().__init__(detail)
        self.is_refresh: bool = is_refresh


class WrongCredentials(Refusal):
    """The e-mail address or the password is wrong; it is not revealed which."""

    code = "wrong-credentials"
    default = "The e-mail address or the password is wrong."


class TooManyRequests(Refusal):
    """A limit on requests or failed sign-ins is exceeded. Retry after `retry_after` seconds."""

    code = "too-many-requests"
    default = "Too many requests; try again in a moment."

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after: int = retry_after


class NotAllowed(Refusal):
    """The caller may see the object, but may not do this to it."""

    code = "not-allowed"
    default = "You may see this, but you may not do it."


class NotFound(Refusal):
    """The object is unknown or the caller may not see it; the two look alike on purpose."""

    code = "not-found"
    default = "There is nothing with this id that you may see; check the id."


class PaymentDeclined(Refusal):
    """The payment provider declined; nothing was charged and nothing changed."""

    code = "payment-declined"
    default = "The payment was declined and nothing was charged; try another card."


class PaymentActionRequired(Refusal):
    """The customer's bank wants to authenticate the payment at the member `next_action_url`.

    The same command continues the payment afterwards.
    """

    code = "payment-action-required"
    default = "Your bank wants you to confirm the payment: visit the address, then send the payment again."


class MailNotConfigured(Refusal):
    """The service sends no mails."""

    code = "mail-not-configured"
    default = "This service sends no mails; ask its operator."


class IdempotencyKeyReused(Refusal):
    """The idempotency key was used for another request."""

    code = "idempotency-key-reused"
    default = "This key was used with another request; choose a new key for a new request."


class StaleVersion(Refusal):
    """The caller edits a version that has been changed since."""

    code = "stale-version"
    default = "The event was edited since you read it; read it again and repeat your change."


class TicketsNotNumbered(Refusal):
    """The tickets of a booking that was confirmed long ago get their numbers in a moment."""

    code = "try-again"
    default = "The tickets of this booking are being numbered; try again in a moment."


class StateRefusal(Refusal):
    """The request is valid, but the current state does not allow it.

    `may_pass`: the same request may succeed later without any other action of its sender.
    """

    may_pass: ClassVar[bool] = False


class LinkExpired(StateRefusal):
    """The link is unknown, was used, is too old or was made invalid."""

    code = "link-expired"
    default = "This link is no longer valid; ask for a new mail."


class NotOnSale(StateRefusal):
    """The event takes no new bookings at present."""

    code = "not-on-sale"
    may_pass = True
    default = "The event is not on sale now; see its status and its sales window."


class EventStarted(StateRefusal):
    """The event has started, so it takes no bookings."""

    code = "event-started"
    default = "The event has started; its tickets can no longer be booked."


class EventClosed(StateRefusal):
    """The event is cancelled or completed and can no longer be edited."""

    code = "event-closed"
    default = "The event is cancelled or completed and can no longer be changed."


class IllegalStatusChange(StateRefusal):
    """The life cycle of an event does not allow this change."""

    code = "illegal-status-change"


class CancellationClosed(StateRefusal):
    """The time for cancelling is over."""

    code = "cancellation-closed"
    default = "The time for cancelling this booking is over; ask the organizer."


class AlreadyCancelled(StateRefusal):
    """The booking is no longer live."""

    code = "already-cancelled"
    default = "This booking is already cancelled or expired; nothing more has to be done."


class PaymentWindowClosed(StateRefusal):
    """The hold was not paid in time, and its tickets are no longer available."""

    code = "hold-expired"
    default = "The time to pay is over and the tickets are taken or awaited by others; nothing was charged. Book again."


class PaymentNotDue(StateRefusal):
    """No payment is due for this booking."""

    code = "payment-not-due"
    default = "Nothing is due for this booking now."


class ExceedsPaid(StateRefusal):
    """The refund exceeds what is left of the payment."""

    code = "exceeds-paid"


class AlreadySettled(StateRefusal):
    """The payment is no refund that is owed: a charge, or a refund that was paid."""

    code = "already-settled"
    default = "This payment is settled: it is a charge, or a refund that was paid."


class PaymentUnderWay(StateRefusal):
    """Another payment for the booking is in progress."""

    code = "payment-under-way"
    may_pass = True
    default = "A payment for this booking is under way; look at the booking in a moment."


class RequestInProgress(StateRefusal):
    """The first request with this idempotency key is still running."""

    code = "request-in-progress"
    may_pass = True
    default = "The first request with this key is still running; send it again in a moment."


class TicketVoid(StateRefusal):
    """The ticket was given back, or its booking was cancelled."""

    code = "ticket-void"
    default = "This ticket is void: it was given back, or its booking is cancelled."


class ExceedsCapacity(StateRefusal):
    """The quantity exceeds the total number of tickets."""

    code = "exceeds-capacity"


class AlreadyStaff(StateRefusal):
    """The person works for the event, or organizes it."""

    code = "already-staff"
    default = "This person works for the event already; change their role instead."


class TooManyStaff(StateRefusal):
    """The most people allowed work for the event."""

    code = "too-many-staff"


class AlreadyBooked(StateRefusal):
    """The customer has a live booking of this ticket type."""

    code = "already-booked"
    default = "You already have a live booking for this ticket type; cancel it first to book again."


class LimitExceeded(StateRefusal):
    """The customer would have more tickets than the event allows."""

    code = "limit-exceeded"


class SoldOut(StateRefusal):
    """The booking would have to join the waiting list, and its sender or the event wants none."""

    code = "sold-out"
    may_pass = True
    default = "Too few tickets are left for newcomers; ask for fewer, or try again when some have come back."


class ExceedsBooking(StateRefusal):
    """Not a part is given back, but the whole booking or more."""

    code = "exceeds-booking"


class TicketUsed(StateRefusal):
    """Somebody came in with a ticket that the customer wants to give back."""

    code = "ticket-used"
    default = "A ticket that was used at the door cannot be given back; ask the organizer."


class CapacityBelowTaken(StateRefusal):
    """The new total is below the tickets taken, or below the quantity of a waiting booking."""

    code = "capacity-below-taken"


class TooManyEvents(StateRefusal):
    """The organizer has the most events allowed that are drafts, on sale or paused."""

    code = "too-many-events"
    may_pass = True


class TooManyTicketTypes(StateRefusal):
    """The event has the most ticket types allowed."""

    code = "too-many-ticket-types"


class TooManyWebhooks(StateRefusal):
    """The organizer has the most webhooks allowed."""

    code = "too-many-webhooks"


class TooManyApiKeys(StateRefusal):
    """The user has the most live API keys allowed."""

    code = "too-many-api-keys"
    may_pass = True


class NameTaken(StateRefusal):
    """Another ticket type of the event has this name, apart from case and invisible characters."""

    code = "name-taken"


class EmailTaken(StateRefusal):
    """Another account has this e-mail address."""

    code = "email-taken"
    default = "An account with this e-mail address exists; sign in, or use another address."


class BookingsBind(StateRefusal):
    """The account has a booking that cannot be cancelled any more before its event is over."""

    code = "bookings-bind"
    may_pass = True
    default = "You have a booking that can no longer be cancelled: wait until its event is over, or ask its organizer."


class StillOrganizing(StateRefusal):
    """The account organizes an event that is on sale or paused."""

    code = "still-organizing"
    default = "You organize an event that is on sale or paused: complete or cancel it first."
