"""Refusals: a rule said no.

The hierarchy is closed: every refusal that a caller can meet is here, each with one stable `code`. A refusal is raised
only where there is nothing to record; an outcome that has to be recorded (joining the waiting list, say) is a result.
"""

from typing import ClassVar

from msgspec import Struct

Member = str | int | None
FieldPath = tuple[str | int, ...]
"""Where a value stands in what was asked: `("ticket_types", 0, "name")`. Empty: the request as a whole."""


class FieldError(Struct, frozen=True, gc=False):
    """One broken value: where it stands, and what it must be."""

    path: FieldPath
    detail: str


class Refusal(Exception):
    """A rule said no. `detail` tells a person what to do; `members` help a program (another booking's id)."""

    code: ClassVar[str]
    default: ClassVar[str] = ""

    def __init__(self, detail: str = "", **members: Member) -> None:
        self.detail = detail or self.default
        self.members = members
        super().__init__(self.detail)


class InvalidRequest(Refusal):
    """Values that can never be right, whatever the state. `errors` names every broken field that is known."""

    code = "invalid-request"

    def __init__(self, *errors: FieldError) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{'.'.join(map(str, e.path)) or 'request'} {e.detail}" for e in errors))


def invalid(detail: str, *path: str | int) -> InvalidRequest:
    """The refusal of one broken field."""
    return InvalidRequest(FieldError(path, detail))


class NotSignedIn(Refusal):
    """Nobody said who they are."""

    code = "not-signed-in"
    default = "Sign in, and send the access token as a bearer token."


class InvalidToken(Refusal):
    """The access token is malformed, expired, revoked or not ours; or, with `is_refresh`, the refresh token is."""

    code = "invalid-token"
    default = "The access token is no longer valid; sign in again."

    def __init__(self, detail: str = "", *, is_refresh: bool = False) -> None:
        super().__init__(detail)
        self.is_refresh = is_refresh


class WrongCredentials(Refusal):
    """E-mail or password is wrong; which of the two is never said."""

    code = "wrong-credentials"
    default = "The e-mail address or the password is wrong."


class TooManyRequests(Refusal):
    """More requests, or failures to sign in, than are let through. After `retry_after` seconds there is room again."""

    code = "too-many-requests"
    default = "Too many requests; try again in a moment."

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotAllowed(Refusal):
    """The caller may see the thing, but may not do this to it."""

    code = "not-allowed"
    default = "You may see this, but only its organizer or an admin may do it."


class NotFound(Refusal):
    """Unknown, or not the caller's to see: the two look alike on purpose."""

    code = "not-found"
    default = "There is nothing with this id that you may see; check the id."


class PaymentDeclined(Refusal):
    """The payment provider said no; nothing was charged and nothing changed."""

    code = "payment-declined"
    default = "The payment was declined and nothing was charged; try another card."


class IdempotencyKeyReused(Refusal):
    """The idempotency key was used for another request."""

    code = "idempotency-key-reused"
    default = "This key came with another request before; choose a new key for a new request."


class StaleVersion(Refusal):
    """The caller edits a version that somebody else has changed since."""

    code = "stale-version"
    default = "The event was edited since you read it; read it again and repeat your change."


class StateRefusal(Refusal):
    """The request is right, but the state of things refuses it.

    `may_pass`: the same request may be taken later, without anything else that its sender does.
    """

    may_pass: ClassVar[bool] = False


class NotOnSale(StateRefusal):
    """The event takes no new bookings now."""

    code = "not-on-sale"
    may_pass = True
    default = "The event is not on sale now; see its status and its sales window."


class EventStarted(StateRefusal):
    """The event has begun, so nobody books any more."""

    code = "event-started"
    default = "The event has started; its tickets can no longer be booked."


class EventClosed(StateRefusal):
    """The event is cancelled or completed; nothing about it can be edited any more."""

    code = "event-closed"
    default = "The event is cancelled or completed and can no longer be changed."


class IllegalStatusChange(StateRefusal):
    """The life cycle of an event has no such step."""

    code = "illegal-status-change"


class CancellationClosed(StateRefusal):
    """The time for cancelling is over."""

    code = "cancellation-closed"
    default = "The time for cancelling this booking is over; ask the organizer."


class AlreadyCancelled(StateRefusal):
    """The booking is not live any more."""

    code = "already-cancelled"
    default = "This booking is already cancelled or expired; nothing more has to be done."


class PaymentWindowClosed(StateRefusal):
    """The hold was not paid in time, and its tickets are gone."""

    code = "hold-expired"
    default = "The time to pay is over and the tickets are taken or awaited by others; nothing was charged. Book again."


class PaymentNotDue(StateRefusal):
    """Nothing has to be paid for this booking."""

    code = "payment-not-due"
    default = "Nothing is due for this booking now."


class PaymentUnderWay(StateRefusal):
    """Another payment for the booking is being made."""

    code = "payment-under-way"
    may_pass = True
    default = "A payment for this booking is under way; look at the booking in a moment."


class RequestInProgress(StateRefusal):
    """The first request with this idempotency key is still running."""

    code = "request-in-progress"
    may_pass = True
    default = "The first request with this key is still running; send it again in a moment."


class ExceedsCapacity(StateRefusal):
    """More tickets were asked for than there will ever be."""

    code = "exceeds-capacity"


class AlreadyBooked(StateRefusal):
    """One live booking per customer and ticket type."""

    code = "already-booked"
    default = "You already have a live booking for this ticket type; cancel it first to book anew."


class LimitExceeded(StateRefusal):
    """More tickets than the event grants to one customer."""

    code = "limit-exceeded"


class CapacityBelowTaken(StateRefusal):
    """Fewer tickets than are already taken, or than one waiting booking asks for."""

    code = "capacity-below-taken"


class TooManyEvents(StateRefusal):
    """An organizer has 200 events at a time that are drafts, on sale or paused."""

    code = "too-many-events"
    may_pass = True


class TooManyTicketTypes(StateRefusal):
    """An event has 50 ticket types at most."""

    code = "too-many-ticket-types"


class TooManyWebhooks(StateRefusal):
    """An organizer has 20 webhooks at most."""

    code = "too-many-webhooks"


class NameTaken(StateRefusal):
    """Another ticket type of the event has this name, but for case and characters that cannot be seen."""

    code = "name-taken"


class EmailTaken(StateRefusal):
    """Another account has this e-mail address."""

    code = "email-taken"
    default = "An account with this e-mail address exists; sign in, or use another address."
