"""The catalogue of problem codes, and what each means."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Entry(Struct, frozen=True):
    """What one code means."""

    status: int
    title: str
    explanation: str


CATALOG: Final[Mapping[str, Entry]] = {
    "invalid-request": Entry(
        400,
        "The request is not valid",
        "The request can never be right as it is: broken JSON, invalid UTF-8, a byte order mark, a value that breaks a "
        "rule, a malformed id in the body, or two Authorization headers. Each member of `errors` points at a broken "
        "value (a JSON pointer into the body, or `/` and the name of a query parameter) and says what it must be. "
        "Correct them and send the request again.",
    ),
    "not-signed-in": Entry(
        401,
        "Nobody is signed in",
        "The call needs to know who you are. Sign in with POST /login and send the access token it answers: "
        "`Authorization: Bearer <token>`. Any other scheme counts as none.",
    ),
    "invalid-token": Entry(
        401,
        "The token is not valid",
        "The bearer token is malformed, expired, revoked or not ours: get a new one with POST /refresh, or leave the "
        "header away where no sign-in is needed. At POST /refresh itself it is the refresh token that is unknown, "
        "expired, used before or its session ended: sign in again with POST /login.",
    ),
    "wrong-credentials": Entry(
        401,
        "Wrong e-mail address or password",
        "No account has this e-mail address with this password. Which of the two is wrong is never said.",
    ),
    "payment-declined": Entry(
        402,
        "The payment was declined",
        "The payment provider said no. Nothing was charged and the booking is as it was: a hold still lapses at its "
        "`expiresAt`. Pay with another card, and with a new idempotency key.",
    ),
    "not-allowed": Entry(
        403,
        "Not allowed",
        "You may see this thing, but not do this to it: only its organizer or an admin may. For a payment: customers "
        "pay by card, organizers and admins record cash. For /me: the current password is wrong.",
    ),
    "not-found": Entry(
        404,
        "Not found",
        "There is no such path, nothing has this id, or what has it is not yours to see: another customer's booking, "
        "another organizer's draft. These look alike on purpose.",
    ),
    "method-not-allowed": Entry(
        405, "Method not allowed", "The path exists, but not with this method. The Allow header says which ones it has."
    ),
    "request-in-progress": Entry(
        409,
        "The first request is still running",
        "The first request with this idempotency key has no outcome yet. Send it again in a moment, with the same key.",
    ),
    "not-on-sale": Entry(
        409,
        "Not on sale",
        "The event takes no new bookings now: it is a draft, paused, completed or cancelled, or outside its sales "
        "window.",
    ),
    "event-started": Entry(409, "The event has started", "Tickets are booked before `startsAt` only."),
    "event-closed": Entry(
        409, "The event is closed", "The event is cancelled or completed; nothing about it can be edited any more."
    ),
    "illegal-status-change": Entry(
        409,
        "No such step",
        "An event goes from draft to on_sale, between on_sale and paused, from these two to completed, and from any "
        "but completed to cancelled. There is no other step.",
    ),
    "cancellation-closed": Entry(
        409,
        "Too late to cancel",
        "Customers cancel a confirmed booking until `cancellationDeadlineHours` before `startsAt`, and leave the "
        "waiting list until the start. The organizer may cancel any booking until the event is closed.",
    ),
    "already-cancelled": Entry(
        409, "Already cancelled", "The booking is cancelled or expired by now; nothing more has to be done."
    ),
    "hold-expired": Entry(
        409,
        "The time to pay is over",
        "The booking was not paid until its `expiresAt`, and its tickets are taken or awaited by others. Nothing was "
        "charged; money that was on its way already goes back. Book again.",
    ),
    "payment-not-due": Entry(
        409,
        "Nothing is due",
        "The booking is paid, free, in the waiting list, or ended. Money that was on its way already goes back.",
    ),
    "payment-under-way": Entry(
        409,
        "A payment is under way",
        "Another payment for the booking has no outcome yet. Look at the booking in a moment; if it is still due by "
        "then, pay again.",
    ),
    "exceeds-capacity": Entry(
        409,
        "More than there are",
        "More tickets were asked for than the ticket type has in all; waiting would not help.",
    ),
    "already-booked": Entry(
        409,
        "Already booked",
        "One live booking (waitlisted, held or confirmed) per customer and ticket type: `bookingId` names it. Cancel "
        "it first to book anew, at the end of the line.",
    ),
    "limit-exceeded": Entry(
        409,
        "More than a customer may have",
        "With this booking you would have more live tickets in the event than its `maxTicketsPerCustomer`.",
    ),
    "capacity-below-taken": Entry(
        409,
        "Fewer than are taken",
        "A ticket type cannot have fewer tickets than are taken, nor fewer than one waiting booking asks for.",
    ),
    "too-many-ticket-types": Entry(409, "Too many ticket types", "An event has 50 ticket types at most."),
    "too-many-webhooks": Entry(409, "Too many webhooks", "An organizer has 20 webhooks at most. Delete one first."),
    "name-taken": Entry(
        409,
        "The name is taken",
        "Another ticket type of the event has this name, upper and lower case being the same.",
    ),
    "email-taken": Entry(409, "The e-mail address is taken", "An account with this e-mail address exists."),
    "stale-version": Entry(
        412,
        "The event was edited since",
        "`If-Match` names no version that the event has now. Read the event again, look at what changed, and repeat "
        "the edit with the new ETag. Bookings in between do not matter.",
    ),
    "body-too-large": Entry(413, "The body is too large", "A body may have 64 KiB (65,536 bytes) at most."),
    "unsupported-media-type": Entry(
        415,
        "Unsupported media type",
        "Bodies are `Content-Type: application/json` in UTF-8, without a Content-Encoding.",
    ),
    "idempotency-key-reused": Entry(
        422,
        "The idempotency key was used before",
        "The key came with another request within the last 24 hours: another path or another body. Choose a new key "
        "for a new request.",
    ),
    "too-many-requests": Entry(
        429,
        "Too many requests",
        "More was sent in a minute than is let through for one user or one address, or somebody failed to sign in too "
        "often: then nobody signs in to that account, or from that address, with the right password neither. Wait as "
        "many seconds as Retry-After says.",
    ),
    "internal-error": Entry(
        500,
        "Internal error",
        "Something broke that should not. It has been written to the log with the request id; nothing is known of the "
        "request's outcome, so look before you repeat it.",
    ),
    "try-again": Entry(
        503,
        "Try again in a moment",
        "The service is overloaded or shutting down, or its database is away. Nothing is known of the request's "
        "outcome. Try again after as many seconds as Retry-After says.",
    ),
    "payment-unknown": Entry(
        503,
        "Nobody knows whether it is paid",
        "The payment provider did not answer. Send the payment again after as many seconds as Retry-After says: the "
        "provider is asked about the same charge, so you pay once at most. The service asks by itself, too.",
    ),
}
