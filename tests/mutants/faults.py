"""The faults. Each breaks one promise, or something that a promise depends on, as a simple mistake would."""

from typing import Final

from .api_keys import API_KEYS
from .checking import CHECKING
from .codes import CODES
from .door import DOOR
from .drawing import DRAWING
from .erasing import ERASING
from .explaining import EXPLAINING
from .grants import GRANTS
from .logs import LOGS
from .returning import RETURNING
from .staff import STAFF
from .trial import Change, Fault

_BOOKING: Final = ("tests/domain/test_booking.py",)
_CANCELLING: Final = ("tests/domain/test_cancelling.py",)
_WAITING: Final = ("tests/domain/test_waiting_list.py",)
_SUSPENDING: Final = ("tests/domain/test_suspending.py",)
_SUSPENDED: Final = "tests/contract/test_suspending.py"
_DISABLING: Final = ("tests/application/operators/test_disabling.py",)
_PAYING: Final = ("tests/domain/test_paying.py",)
_REFUNDING: Final = ("tests/domain/test_refunds.py",)
_NOTICES: Final = ("tests/domain/test_payment_notices.py",)
_TIMES: Final = ("tests/domain/test_times.py",)
_ORGANIZING: Final = ("tests/domain/test_organizing.py",)
_CUSTOMER_LIMITS: Final = ("tests/application/bookings/test_customer_limits.py",)
_BOOKING_FOR_OTHERS: Final = ("tests/application/bookings/test_book_for_other.py",)
_KEYS: Final = ("tests/application/turnstile/test_idempotency.py",)
_MONEY: Final = ("tests/application/bookings/test_pay_booking.py",)
_PRICES: Final = ("tests/application/events/test_prices.py",)
_STRIPE: Final = ("tests/adapters/payments/test_stripe.py",)
_WEBHOOK: Final = ("tests/entrypoints/http/test_stripe.py",)
_ACCOUNTS: Final = "tests/application/accounts/test_accounts.py"
_RESETTING: Final = ("tests/application/accounts/test_reset_password.py",)
_ERASING: Final = ("tests/application/personal_data/test_erase_account.py",)
_ERASED: Final = ("tests/domain/test_erasing.py",)
_PROTOCOL: Final = "tests/entrypoints/http/test_protocol.py"
_MESSAGES: Final = "tests/entrypoints/http/test_messages.py"
_EMBEDDING: Final = "tests/entrypoints/http/test_embedding.py"
_DEADLINES: Final = "tests/e2e/operation/test_deadlines.py"


def _of(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{file}::{name}" for name in names)


_TURNS: Final = _of(
    "tests/application/turnstile/test_turnstile.py",
    "test_commands_are_answered_after_the_commit",
    "test_an_unanswered_commit_is_looked_up_and_never_done_twice",
    "test_an_unanswered_commit_that_arrives_late_is_not_done_again",
    "test_a_transaction_that_was_undone_is_run_again",
    "test_a_command_whose_caller_is_cancelled_in_the_queue_is_not_executed",
    "test_commands_that_arrive_during_a_transaction_share_the_next_one_in_their_order",
)
_IN_MEMORY: Final = _of(
    "tests/contract/test_units_of_work.py",
    "test_a_lock_makes_the_next_one_wait_and_see[memory]",
    "test_locks_asked_for_in_any_order_do_not_deadlock[memory]",
    "test_what_was_not_committed_is_not_there[memory]",
    "test_a_second_live_booking_of_a_ticket_type_conflicts[memory]",
)
_SEVERAL_SAVES: Final = _of(
    "tests/contract/test_inventories.py",
    "test_what_several_saves_of_a_transaction_come_to[sqlite-book, book the other, edit]",
)
_ON_SQLITE: Final = (
    *_of(
        "tests/contract/test_inventories.py",
        "test_a_strict_waiting_list_shows_its_first[sqlite]",
        "test_a_waiting_list_is_whole_only_when_fewer_came_than_asked_for[sqlite]",
    ),
    "tests/contract/test_leases.py::test_one_process_holds_the_lease_until_it_ends[sqlite]",
    *_of(
        "tests/contract/test_units_of_work.py",
        "test_a_lock_makes_the_next_one_wait_and_see[sqlite]",
        "test_what_was_not_committed_is_not_there[sqlite]",
        "test_after_a_conflict_nothing_is_committed[sqlite]",
        "test_after_a_statement_that_failed_nothing_is_committed[sqlite]",
        "test_many_at_once_take_each_ticket_once[sqlite]",
        "test_a_second_live_booking_of_a_ticket_type_conflicts[sqlite]",
        "test_more_taken_than_there_are_conflicts[sqlite]",
    ),
)
_ON_MARIADB: Final = _of(
    "tests/contract/test_units_of_work.py",
    "test_a_lock_makes_the_next_one_wait_and_see[mariadb]",
    "test_looking_for_a_mark_waits_for_the_transaction_that_may_write_it[mariadb]",
)
_IN_TROUBLE: Final = _of(
    "tests/adapters/sql/test_troubles.py",
    "test_a_deadlock_is_to_be_retried",
    "test_a_connection_lost_during_commit_leaves_the_outcome_unknown",
    "test_waiting_too_long_for_a_lock_is_unavailable_and_rolled_back",
)
_COMMITS: Final = ("tests/adapters/sql/test_commit.py",)

DOMAIN: Final = (
    Fault(
        "One ticket more is sold than there are",
        (
            Change(
                "domain/tickets/ticket_type.py",
                "if quantity > self.available or",
                "if quantity > self.available + 1 or",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "A newcomer overtakes the waiting list",
        (Change("domain/tickets/ticket_type.py", "if self.waiting == 0:", "if self.waiting >= 0:"),),
        _BOOKING,
    ),
    Fault(
        "A newcomer takes tickets while the waiting list is still being served",
        (
            Change(
                "domain/tickets/ticket_type.py",
                "if event.is_unsettled or not self.allows_overtaking(event):",
                "if not self.allows_overtaking(event):",
            ),
        ),
        _WAITING,
    ),
    Fault(
        "A promoted booking costs more than when its customer joined",
        (Change("domain/values/money.py", "min(self.amount, other.amount)", "other.amount"),),
        _WAITING,
    ),
    Fault(
        "A price in another currency counts as the lower one",
        (
            Change(
                "domain/values/money.py", "other.currency == self.currency or other.amount == 0", "other.amount >= 0"
            ),
        ),
        _WAITING,
    ),
    Fault(
        "The fact of a promotion does not say what it costs",
        (Change("domain/decisions/settle.py", "            amount=promoted.amount,\n", ""),),
        _WAITING,
    ),
    Fault(
        "An event has prices in two currencies",
        (
            Change(
                "domain/decisions/organize.py",
                "not all(each.is_free for each in inventory.ticket_types)",
                "not any(each.is_free for each in inventory.ticket_types)",
            ),
        ),
        _ORGANIZING,
    ),
    Fault(
        "An event is over before its end",
        (Change("domain/event.py", "self.ends_at or self.starts_at", "self.starts_at"),),
        _TIMES,
    ),
    Fault(
        "The rules serve the waiting list from its end",
        (
            Change(
                "domain/decisions/settle.py",
                "first = next(fitting, None)",
                "first = next(reversed(tuple(fitting)), None)",
            ),
        ),
        _CANCELLING,
    ),
    Fault(
        "Under strict, a group that does not fit is overtaken",
        (
            Change(
                "domain/decisions/settle.py",
                "if is_strict or waiting.quantity <= ticket_type.available",
                "if waiting.quantity <= ticket_type.available",
            ),
        ),
        _WAITING,
    ),
    Fault(
        "A freed ticket promotes in a later decision",
        (
            Change(
                "domain/decisions/cancel.py",
                "    settle_event(builder, [each.id for each in inventory.ticket_types] "
                "if is_unsettled else [ticket_type_id])",
                "    builder.set_event(structs.replace(builder.event, is_unsettled=not is_unsettled))",
            ),
            Change(
                "domain/decisions/cancel.py", "from msgspec import Struct\n", "from msgspec import Struct, structs\n"
            ),
        ),
        _CANCELLING,
    ),
    Fault(
        "A cancelled booking gives its tickets back twice",
        (Change("domain/decisions/decision_builder.py", "self._count(before, -1)", "self._count(before, -2)"),),
        _CANCELLING,
    ),
    Fault(
        "A cancelled booking can be cancelled again",
        (
            Change(
                "domain/decisions/cancel.py",
                "    if not booking.as_of(now).status.is_live:\n        raise AlreadyCancelled\n",
                "",
            ),
        ),
        _CANCELLING,
    ),
    Fault(
        "A promotion does not move the counters",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "        self._count(after, 1)\n",
                "        if before.status is not WAITLISTED:\n            self._count(after, 1)\n",
            ),
        ),
        _CANCELLING,
    ),
    Fault(
        "Facts have gaps",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "        seq = self.event.last_seq + 1\n",
                "        seq = self.event.last_seq + 1 + bool(self._facts)\n",
            ),
        ),
        _CANCELLING,
    ),
    Fault(
        "Queue numbers are issued twice",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "        self.event = replace(self.event, last_queue_number=number)\n        return number\n",
                "        return number\n",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "A customer books the same tickets twice",
        (
            Change(
                "domain/decisions/book.py",
                "            if booking.ticket_type_id.int == ticket_type_number:\n",
                "            if False:\n",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "A customer may have any number of tickets",
        (
            Change(
                "domain/decisions/book.py",
                "if taken + command.quantity > most:",
                "if command.quantity > most:",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "Newcomers join a waiting list that is off",
        (
            Change(
                "domain/decisions/book.py",
                "if command.only_if_available or inventory.event.waiting_list is WaitingListMode.OFF:",
                "if command.only_if_available:",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "Who wants no place in the waiting list gets one",
        (
            Change(
                "domain/decisions/book.py",
                "if command.only_if_available or inventory.event.waiting_list is WaitingListMode.OFF:",
                "if inventory.event.waiting_list is WaitingListMode.OFF:",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "Everybody books for others",
        (
            Change(
                "domain/decisions/book.py",
                "    event.check_may(command.actor, right)\n",
                "",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "Who books for others has their limits",
        (
            Change(
                "domain/decisions/book.py",
                "customer_number, ticket_type_number = command.customer_id.int,",
                "customer_number, ticket_type_number = command.actor.user_id.int,",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "A booking for another person is the desk's",
        (
            Change(
                "domain/decisions/book.py",
                "        customer_id=command.customer_id,\n",
                "        customer_id=command.actor.user_id,\n",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "The facts do not say who booked for another person",
        (
            Change(
                "domain/decisions/book.py",
                "        return None if self.on_behalf_of is None else self.actor.user_id\n\n\n",
                "        return None\n\n\n",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "Something is booked for a disabled account",
        (Change("domain/decisions/book.py", "    if customer.is_disabled:\n", "    if False:\n"),),
        _BOOKING,
    ),
    Fault(
        "A refused booking for another person leaves an account",
        (
            Change(
                "application/turnstile/batch.py",
                "if entry.record_also is not None and isinstance(result, CommandResult):",
                "if entry.record_also is not None:",
            ),
        ),
        _BOOKING_FOR_OTHERS,
    ),
    Fault(
        "Two desks make two accounts",
        (
            Change(
                "application/bookings/book_for_other.py",
                "is not None:\n                raise Conflict\n",
                "is not None:\n                return\n",
            ),
        ),
        _BOOKING_FOR_OTHERS,
    ),
    Fault(
        "An account that a desk made loses its address to its own person",
        (
            Change(
                "domain/verification.py",
                "if is_claim and holder is not None and holder.password_hash is None:",
                "if False:",
            ),
        ),
        ("tests/domain/test_verification.py",),
    ),
    Fault(
        "Another one's booking may be cancelled",
        (
            Change(
                "domain/decisions/cancel.py",
                "    if not actor.is_customer(booking.customer_id):\n",
                "    if False:\n",
            ),
        ),
        _CANCELLING,
    ),
    Fault(
        "A draft is visible to everyone",
        (
            Change(
                "domain/event.py",
                "        if not self.is_visible_to(actor):\n",
                "        if False:\n",
            ),
        ),
        _BOOKING,
    ),
    Fault(
        "An edit ignores the expected version",
        (
            Change(
                "domain/decisions/organize.py",
                "    if expected_versions is not None and event.version not in expected_versions:\n"
                "        raise StaleVersion\n",
                "",
            ),
        ),
        _ORGANIZING,
    ),
    Fault(
        "A cancelled draft is visible to everyone",
        (
            Change(
                "domain/event.py",
                "        return self.was_published or (",
                "        return self.status is not EventStatus.DRAFT or (",
            ),
        ),
        _ORGANIZING,
    ),
    Fault(
        "An organizer has any number of live events",
        (Change("domain/event.py", "    if live_events >= most:\n", "    if False:\n"),),
        _ORGANIZING,
    ),
    Fault(
        "Moving the start releases no booking from the deadline",
        (Change("domain/decisions/organize.py", " + edited.is_rescheduled_from(event.starts_at)", ""),),
        _TIMES,
    ),
    Fault(
        "Moving the start releases later bookings, too",
        (Change("domain/decisions/book.py", "        reschedules=inventory.event.reschedules,\n", ""),),
        _TIMES,
    ),
    Fault(
        "A hold outlives the start",
        (
            Change(
                "domain/decisions/settle.py",
                "window_ends_at if event.starts_at is None else min(window_ends_at, event.starts_at)",
                "window_ends_at",
            ),
        ),
        _TIMES,
    ),
    Fault(
        "An earlier start shortens no hold",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "return before.is_unsettled or before.starts_at is None or event.starts_at < before.starts_at",
                "return False",
            ),
        ),
        _TIMES,
    ),
    Fault(
        "A promotion after the deadline gives no time to cancel",
        (Change("domain/decisions/settle.py", "    return min(now + GRACE, event.starts_at)\n", "    return None\n"),),
        _TIMES,
    ),
    Fault(
        "A completed event keeps its holds",
        (
            Change(
                "domain/event.py",
                "self.earliest_expiry <= now or self.status is _COMPLETED",
                "self.earliest_expiry <= now",
            ),
        ),
        _TIMES,
    ),
    Fault(
        "Names of ticket types differ in invisible characters only",
        (
            Change(
                "domain/values/characters.py",
                '    return folded(" ".join(seen.split()))\n',
                "    return folded(name)\n",
            ),
        ),
        _ORGANIZING,
    ),
    Fault(
        "A temporary refusal is stored under a key",
        (Change("application/ports/idempotency.py", " and not refusal.may_pass\n", "\n"),),
        ("tests/application/turnstile/test_idempotency.py",),
    ),
    Fault(
        "Fewer tickets than are taken",
        (Change("domain/decisions/organize.py", "    if total_tickets < ticket_type.taken:\n", "    if False:\n"),),
        _ORGANIZING,
    ),
    Fault(
        "A hold never lapses",
        (
            Change(
                "domain/event.py",
                "return self.earliest_expiry <= now or self.status is _COMPLETED",
                "return False",
            ),
        ),
        _PAYING,
    ),
    Fault(
        "A lapsed hold that is not yet settled can be paid",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "    if booking.has_lapsed(now):\n        raise PaymentWindowClosed\n",
                "",
            ),
        ),
        _PAYING,
    ),
    Fault(
        "An expired hold can be paid although its tickets are taken",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "return not inventory.ticket_type(booking.ticket_type_id).must_wait("
                "booking.quantity, inventory.event, now)",
                "return True",
            ),
        ),
        _PAYING,
    ),
    Fault(
        "Money that bought no tickets is kept",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "    if not gets_tickets:\n"
                "        owe_refund(builder, paid, payment.amount, charge_id=payment.id, method=payment.method)\n",
                "",
            ),
        ),
        _PAYING,
    ),
    Fault(
        "Cancelling a paid booking refunds nothing",
        (
            Change(
                "domain/decisions/settle.py",
                "    if refund is not None and booking.paid_by is not None and booking.paid_with is not None:\n",
                "    if False:\n",
            ),
        ),
        _PAYING,
    ),
    Fault(
        "A booking is charged twice while a charge is pending",
        (Change("domain/decisions/payments/pay.py", "    if pending is not None:\n", "    if False:\n"),),
        _PAYING,
    ),
    Fault(
        "A completed refund is owed again",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "    if refund.status is not ChargeStatus.PENDING:\n        return refund, booking\n",
                "",
            ),
        ),
        _PAYING,
    ),
)

REFUNDS: Final = (
    Fault(
        "The organizer's cancellation costs the customer the fee",
        (
            Change(
                "domain/decisions/cancel.py",
                'return Terms("organizer")',
                'return Terms("organizer", booking.refund_fee_percent)',
            ),
        ),
        _REFUNDING,
    ),
    Fault(
        "A customer of a moved event pays the fee",
        (
            Change(
                "domain/decisions/cancel.py",
                "0 if is_released(event, booking, now) else booking.refund_fee_percent",
                "booking.refund_fee_percent",
            ),
        ),
        _REFUNDING,
    ),
    Fault(
        "The fee is rounded up",
        (Change("domain/refunds.py", "amount.amount * fee_percent // 100", "-(-amount.amount * fee_percent // 100)"),),
        _REFUNDING,
    ),
    Fault(
        "A cancellation refunds again what was given back before",
        (
            Change(
                "domain/refunds.py", "min(amount.amount - amount.amount * fee_percent // 100, kept)", "amount.amount"
            ),
        ),
        _REFUNDING,
    ),
    Fault(
        "A partial refund may exceed what is left",
        (Change("domain/decisions/payments/refunds.py", "command.amount.amount > booking.kept or ", ""),),
        _REFUNDING,
    ),
    Fault(
        "A disputed payment is refunded",
        (
            Change(
                "domain/decisions/payments/refunds.py",
                "method is PaymentMethod.CASH or is_disputed",
                "method is PaymentMethod.CASH",
            ),
        ),
        _REFUNDING,
    ),
    Fault(
        "Cash is given back without anybody's word",
        (Change("domain/decisions/payments/refunds.py", "method is PaymentMethod.CASH or is_disputed", "is_disputed"),),
        _REFUNDING,
    ),
    Fault(
        "A refund that the provider still pays is paid by hand too",
        (
            Change(
                "domain/decisions/payments/refunds.py",
                "    if payment.method is PaymentMethod.CARD and payment.status is ChargeStatus.PENDING:\n",
                "    if False:\n",
            ),
        ),
        _REFUNDING,
    ),
    Fault(
        "A failed refund of a disputed payment is paid by hand",
        (
            Change(
                "domain/decisions/payments/refunds.py",
                "    if any(each.id == payment.charge_id and each.is_disputed for each in payments.values()):\n",
                "    if False:\n",
            ),
        ),
        _REFUNDING,
    ),
    Fault(
        "A refund is tried for ever after a final answer",
        (Change("domain/decisions/payments/pay.py", "command.answer is Answer.FAILED and", "False and"),),
        _REFUNDING,
    ),
    Fault(
        "An older notice that comes late counts",
        (
            Change(
                "domain/decisions/payments/notices.py",
                "    if payment.noticed_at is None:\n        return True\n",
                "    if True:\n        return True\n",
            ),
        ),
        _NOTICES,
    ),
    Fault(
        "A dispute that is won leaves its refunds unpaid",
        (Change("domain/decisions/payments/notices.py", "    if dispute is DisputeStatus.WON:\n", "    if False:\n"),),
        _NOTICES,
    ),
    Fault(
        "What a lost dispute took is refunded as well",
        (
            Change(
                "domain/refunds.py",
                "            if each.dispute is DisputeStatus.LOST:\n                return 0\n",
                "",
            ),
        ),
        _NOTICES,
    ),
    Fault(
        "The verification overlooks money that is neither kept for tickets nor given back",
        (Change("domain/balance.py", "        if missing > 0:\n", "        if False:\n"),),
        _REFUNDING,
    ),
    Fault(
        "A dispute is forgotten by the database",
        (
            Change(
                "adapters/sql/repositories/events.py",
                '    *("dispute", "noticed_at", "settled_by", "note"),\n',
                '    *("noticed_at", "settled_by", "note"),\n',
            ),
        ),
        _of("tests/contract/test_payments.py", "test_every_field_of_a_refund_comes_back[sqlite]"),
    ),
    Fault(
        "Nobody hears of cash that is owed back",
        (
            Change(
                "adapters/sql/queries/payments.py",
                "payments.c.method == PaymentMethod.CASH",
                "payments.c.method.is_(None)",
            ),
        ),
        _of("tests/contract/test_payments.py", "test_payments_that_need_a_person_are_found_and_counted[sqlite]"),
    ),
)

APPLICATION: Final = (
    Fault(
        "A retried charge has a new reference",
        (
            Change(
                "application/bookings/pay_booking.py",
                "self._gateway.charge(payment.id, payment.amount, token)",
                "self._gateway.charge(self._ids.new(), payment.amount, token)",
            ),
        ),
        _MONEY,
    ),
    Fault(
        "A retried charge whose COMMIT is not answered waits for itself",
        (Change("domain/decisions/payments/pay.py", "and not is_own):\n", "):\n"),),
        _MONEY,
    ),
    Fault(
        "A charge without an answer is retried before its outcome is looked up",
        (
            Change(
                "application/bookings/pay_booking.py",
                "            if not attempt.is_new:\n",
                "            if False:\n",
            ),
        ),
        _MONEY,
    ),
    Fault(
        "A retried refund is another refund",
        (
            Change(
                "application/background/sweep.py",
                "self._gateway.refund(payment.id, charge_id, payment.amount)",
                "self._gateway.refund(uuid4(), charge_id, payment.amount)",
            ),
            Change("application/background/sweep.py", "from uuid import UUID\n", "from uuid import UUID, uuid4\n"),
        ),
        _MONEY,
    ),
    Fault(
        "A failed refund counts as done",
        (
            Change(
                "application/background/sweep.py",
                "return ChargeReply(answer=await self._gateway.refund(payment.id, charge_id, payment.amount))",
                "await self._gateway.refund(payment.id, charge_id, payment.amount)\n"
                "        return ChargeReply(answer=Answer.DONE)",
            ),
            Change("application/background/sweep.py", "import CompletePayment,", "import Answer, CompletePayment,"),
        ),
        _MONEY,
    ),
    Fault(
        "Processes sweep without the lease",
        (
            Change(
                "application/background/sweep.py",
                "        if not await in_transaction(self._storage, self._acquire_lease, jitter=self._jitter):\n",
                "        if False:\n",
            ),
        ),
        _MONEY,
    ),
)

PROVIDER: Final = (
    Fault(
        "A charge whose customer never comes back outlives its hold",
        (
            Change(
                "application/bookings/pay_booking.py",
                "    if is_abandoned and reply.answer is Answer.ACTION_REQUIRED:\n",
                "    if False:\n",
            ),
        ),
        _MONEY,
    ),
    Fault(
        "A charge that waits for its customer ends while the tickets are held",
        (
            Change(
                "domain/decisions/payments/pay.py", "    if booking.status.takes_tickets:\n        return False\n", ""
            ),
        ),
        _PAYING,
    ),
    Fault(
        "A charge that was begun after the hold ends before its customer can authenticate it",
        (Change("domain/decisions/payments/pay.py", "or charge.created_at < lapsed_at or", "or True or"),),
        _PAYING,
    ),
    Fault(
        "A customer who comes back from the bank waits for nobody's attempt",
        (Change("domain/decisions/payments/pay.py", " and not pending.awaits_customer\n", "\n"),),
        _PAYING,
    ),
    Fault(
        "A customer who paid just before the hold ended loses the tickets",
        (Change("domain/decisions/payments/pay.py", "(ends_at - LAST_MOMENT, ends_at)", "(ends_at,)"),),
        _PAYING,
    ),
    Fault(
        "A customer whom the bank asks for is told that the outcome is unknown",
        (
            Change(
                "application/bookings/pay_booking.py",
                "            if reply.action_url is not None:\n",
                "            if False:\n",
            ),
        ),
        _MONEY,
    ),
    Fault(
        "The provider's id of a charge is not stored",
        (Change("adapters/sql/repositories/events.py", ', "provider_id"),\n', "),\n"),),
        _of(
            "tests/contract/test_payments.py",
            "test_a_charge_that_waits_for_its_customer_is_found_by_the_providers_id[sqlite]",
        ),
    ),
    Fault(
        "A price that the provider could never charge is taken by an edit",
        (Change("application/events/change_event.py", "        check_new_price(command, self._objection)\n", ""),),
        _PRICES,
    ),
    Fault(
        "A price that the provider could never charge is taken by a new event",
        (
            Change(
                "domain/decisions/organize.py",
                "        lambda: check_prices(_initial_prices(command), objection),\n",
                "",
            ),
        ),
        _PRICES,
    ),
    Fault(
        "Stripe charges a hundredth of a price in a currency without decimals",
        (Change("adapters/payments/stripe_units.py", '{"ISK": 100, "UGX": 100}', '{"UGX": 100}'),),
        _STRIPE,
    ),
    Fault(
        "Refunds are in other units than charges",
        (Change("adapters/payments/stripe.py", '"amount": units, "metadata"', '"amount": amount.amount, "metadata"'),),
        _STRIPE,
    ),
    Fault(
        "A refund that can never succeed is tried for ever",
        (
            Change(
                "adapters/payments/stripe.py",
                "Answer.FAILED if error.code in _NEVER_REFUNDED",
                "Answer.DECLINED if error.code in _NEVER_REFUNDED",
            ),
        ),
        _STRIPE,
    ),
    Fault(
        "Another refund is sent beside one that came back",
        (
            Change(
                "adapters/payments/stripe.py",
                "            if earlier is not None:\n",
                '            if earlier is not None and earlier.status != "failed":\n',
            ),
        ),
        _STRIPE,
    ),
    Fault(
        "A customer who acts as the charge is ended pays and is told of a decline",
        (
            Change(
                "adapters/payments/stripe.py",
                "                    intent = await self._find(reference) or intent\n",
                "                    return ChargeReply(answer=Answer.DECLINED)\n",
            ),
        ),
        _STRIPE,
    ),
    Fault(
        "Stripe's old messages are taken",
        (Change("adapters/payments/stripe_events.py", "signature, secret, TOLERANCE)", "signature, secret)"),),
        _WEBHOOK,
    ),
    Fault(
        "Anybody's messages are taken for Stripe's",
        (
            Change(
                "adapters/payments/stripe_events.py",
                "        return False\n    return True\n",
                "        return True\n    return True\n",
            ),
        ),
        _WEBHOOK,
    ),
    Fault(
        "Only one of several secrets counts",
        (
            Change(
                "adapters/payments/stripe_events.py", "for secret in self._secrets)", "for secret in self._secrets[:1])"
            ),
        ),
        _WEBHOOK,
    ),
    Fault(
        "A dispute of a charge whose id is not stored is lost",
        (
            Change(
                "application/payments/receive_notice.py",
                "            return await self._gateway.reference_of(notice.provider_id)\n",
                "            return None\n",
            ),
        ),
        ("tests/application/payments/test_receive_notice.py",),
    ),
    Fault(
        "A notice that was not recorded is not sent again",
        (
            Change(
                "application/payments/receive_notice.py",
                "        except GatewaySilent as silent:\n",
                "        except GatewaySilent as silent:\n            return None\n",
            ),
        ),
        ("tests/application/payments/test_receive_notice.py",),
    ),
)

TURNSTILE: Final = (
    Fault(
        "A repeated key has a second effect",
        (
            Change(
                "application/turnstile/batch.py",
                "before = None if request is None else self._stored.get(request.key)\n",
                "before = None\n",
            ),
        ),
        _KEYS,
    ),
    Fault(
        "A response is stored in a transaction after its effect",
        (
            Change(
                "application/turnstile/command_queue.py",
                "                    await unit_of_work.commit()\n",
                "                    await unit_of_work.commit()\n"
                "                if batch._to_store:\n"
                "                    async with self._storage.begin() as another:\n"
                "                        await another.events.store_responses(batch._to_store, batch._now())\n"
                "                        await another.commit()\n",
            ),
            Change("application/turnstile/batch.py", "        if self._to_store:\n", "        if False:\n"),
        ),
        _KEYS,
    ),
    Fault(
        "A key is valid for any request",
        (
            Change(
                "application/turnstile/batch.py", "if before.fingerprint == request.fingerprint else", "if True else"
            ),
        ),
        _KEYS,
    ),
    Fault(
        "Callers are answered before COMMIT",
        (
            Change(
                "application/turnstile/command_queue.py",
                "                    await unit_of_work.commit()\n",
                "                    self._finish(batch)\n                    await unit_of_work.commit()\n",
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A COMMIT without an answer counts as failed",
        (
            Change(
                "application/turnstile/command_queue.py",
                "                if await self._was_committed(batch):\n"
                "                    return self._finish(batch)\n"
                "                lost.append(batch)\n",
                "                pass\n",
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A COMMIT without an answer counts as committed",
        (
            Change(
                "application/turnstile/command_queue.py",
                "                if await self._was_committed(batch):\n",
                "                if True:\n",
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A COMMIT without an answer is looked up only once",
        (
            Change(
                "application/turnstile/command_queue.py",
                "                lost.append(batch)\n",
                "                pass\n",
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A transaction that the database rolled back is not retried",
        (
            Change(
                "application/turnstile/command_queue.py",
                "            except Retryable:\n                self._observer.failed(Trouble.UNDONE, len(entries))\n",
                "            except Retryable:\n"
                '                raise Unavailable("The database undid the transaction.") from None\n',
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A command is executed although its caller has gone",
        (
            Change(
                "application/turnstile/pending_command.py",
                "        return self.future is not None and self.future.done()\n",
                "        return False\n",
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A decision does not see earlier decisions of its batch",
        (
            Change(
                "application/turnstile/event_view.py",
                "        self.inventory = _without_loaded(decision.inventory)\n",
                "",
            ),
        ),
        _TURNS,
    ),
    Fault(
        "A customer's bookings of the same batch do not count",
        (
            Change(
                "application/turnstile/event_view.py",
                "            self.bookings[booking.id.int] = booking\n            self._add_live(booking)\n",
                "            self.bookings[booking.id.int] = booking\n",
            ),
        ),
        _CUSTOMER_LIMITS,
    ),
    Fault(
        "A customer's cancellations of the same batch still count as bookings",
        (
            Change(
                "application/turnstile/event_view.py",
                "                self._remove_live(after)\n",
                "                pass\n",
            ),
        ),
        _CUSTOMER_LIMITS,
    ),
    Fault(
        "Bookings revived by late payments of the same batch do not count",
        (
            Change(
                "application/turnstile/event_view.py",
                "                self._add_live(after)\n",
                "                pass\n",
            ),
        ),
        _CUSTOMER_LIMITS,
    ),
    Fault(
        "A process decides from cached events",
        (
            Change(
                "application/turnstile/batch.py",
                "            locked = await storage.lock(specs)\n",
                "            locked = await storage.lock(specs)\n"
                "            for event_id in locked.keys() & _REMEMBERED.keys():\n"
                "                known = _REMEMBERED[event_id]\n"
                "                locked[event_id] = replace(\n"
                "                    locked[event_id], event=known.event, ticket_types=known.ticket_types\n"
                "                )\n",
            ),
            Change(
                "application/turnstile/command_queue.py",
                "        self._on_unlocked(batch.locked)\n",
                "        self._on_unlocked(batch.locked)\n"
                "        _REMEMBERED.update(\n"
                "            {each.inventory.event.id: each.inventory for each in batch._views.values()}\n"
                "        )\n",
            ),
            Change(
                "application/turnstile/command_queue.py",
                "_log = logging.getLogger(__name__)\n",
                "_log = logging.getLogger(__name__)\n_REMEMBERED: dict[UUID, Inventory] = {}\n",
            ),
        ),
        (
            "tests/faults/concurrency/test_rush.py::test_as_many_are_confirmed_as_there_are_tickets[sqlite-one-by-one-50-25]",
        ),
    ),
)

MEMORY: Final = (
    Fault(
        "In memory locks do not block",
        (
            Change(
                "adapters/memory/transaction.py",
                "                if claim.granted is not None:\n",
                "                if False:\n",
            ),
        ),
        _IN_MEMORY,
    ),
    Fault(
        "In memory locks are taken in any order",
        (
            Change(
                "adapters/memory/transaction.py",
                "await self.lock_in_order(sorted(keys))",
                "await self.lock_in_order(list(keys))",
            ),
        ),
        _IN_MEMORY,
    ),
    Fault(
        "In memory nothing is rolled back",
        (
            Change(
                "adapters/memory/transaction.py",
                "        else:\n            self._end()\n\n    async def commit",
                "        else:\n            apply(self._draft)\n            self._end()\n\n    async def commit",
            ),
        ),
        _IN_MEMORY,
    ),
    Fault(
        "In memory a customer may have two live bookings of a ticket type",
        (
            Change(
                "adapters/memory/commit.py",
                '                raise Conflict("the customer has a live booking of this ticket type")\n',
                "                pass\n",
            ),
        ),
        _IN_MEMORY,
    ),
)

SQL: Final = (
    Fault(
        "A list leaves out an event that has run for long",
        (
            Change(
                "adapters/sql/schema/mappers.py",
                "return 1 + bisect_left(DURATIONS, ends_at - starts_at)",
                "return 1 + bisect_left(DURATIONS[:-2], ends_at - starts_at)",
            ),
        ),
        _of(
            "tests/adapters/sql/test_search.py",
            "test_events_that_are_over_or_are_not_are_found_as_by_a_look_at_every_event[sqlite]",
        ),
    ),
    Fault(
        "The amount of a promoted booking is not stored",
        (
            Change(
                "adapters/sql/repositories/combined_decisions.py", '    "amount": attrgetter("amount.amount"),\n', ""
            ),
        ),
        _of("tests/contract/test_inventories.py", "test_a_lower_price_of_a_promotion_is_stored[sqlite]"),
    ),
    Fault(
        "An event is read without its lock",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "order_by=(events.c.id,), for_update=True\n)",
                "order_by=(events.c.id,)\n)",
            ),
        ),
        _ON_MARIADB,
    ),
    Fault(
        "A locked event is skipped (SKIP LOCKED)",
        (
            Change(
                "adapters/sql/bulk/select.py",
                'lock = " FOR UPDATE" if',
                'lock = " FOR UPDATE SKIP LOCKED" if',
            ),
        ),
        _ON_MARIADB,
    ),
    Fault(
        "A promotion locks waiting bookings (SKIP LOCKED) instead of the event",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "order_by=(events.c.id,), for_update=True\n)",
                "order_by=(events.c.id,)\n)",
            ),
            Change(
                "adapters/sql/repositories/waiting_lists.py",
                "head.join(bookings, bookings.c.id == head.c.booking_id))\n",
                "head.join(bookings, bookings.c.id == head.c.booking_id)).with_for_update(skip_locked=True)\n",
            ),
        ),
        (
            "tests/faults/concurrency/test_rush.py::test_ten_cancels_confirm_the_first_ten_of_fifteen[mariadb-one-by-one]",
        ),
    ),
    Fault(
        "A read before the lock fixes what is read under it (REPEATABLE READ)",
        (
            Change(
                "adapters/sql/dialects/mysql.py",
                'max_overflow=4, isolation_level="READ COMMITTED"',
                'max_overflow=4, isolation_level="REPEATABLE READ"',
            ),
            Change(
                "adapters/sql/repositories/events.py",
                "            results = await self._transaction.send([select",
                '            await self._transaction.rows(_EXISTING, {"ids": list(event_ids)})\n'
                "            results = await self._transaction.send([select",
            ),
        ),
        _ON_MARIADB,
    ),
    Fault(
        "Each booking of a customer counts as one ticket",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "_Live(booking_id, each.id, customer_of[customer], quantity)",
                "_Live(booking_id, each.id, customer_of[customer], 1)",
            ),
        ),
        ("tests/contract/test_inventories.py::test_live_bookings_are_counted_for_each_customer[sqlite]",),
    ),
    Fault(
        "A log file that another process rotated is rotated again",
        (
            Change(
                "entrypoints/log_file.py",
                "            if (found.st_dev, found.st_ino) != self._opened:\n                return\n",
                "",
            ),
        ),
        ("tests/entrypoints/test_log_file.py",),
    ),
    Fault(
        "A log file is written to after it was renamed",
        (
            Change(
                "entrypoints/log_file.py",
                "        if (found.st_dev, found.st_ino) != self._opened:\n            return self._open()\n",
                "",
            ),
        ),
        ("tests/entrypoints/test_log_file.py",),
    ),
    Fault(
        "The locked event is not written",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "        self._transaction.enqueue(_UPDATE_EVENT_COUNTERS.statements("
                "list(counted_events.values()), self._dialect))\n",
                "",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "The counters of a ticket type are not written",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "        self._transaction.enqueue(_UPDATE_TYPE_COUNTERS.statements("
                "list(counted_types.values()), self._dialect))\n",
                "",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "An edit after a booking of the same batch is overwritten",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "                self._counted_events.pop(each.event.id.int, None)\n",
                "",
            ),
        ),
        _SEVERAL_SAVES,
    ),
    Fault(
        "A booking that leaves the waiting list stays counted in its block",
        (
            Change(
                "adapters/sql/indexes/places.py", "    yield from _COUNT_OUT.statements(_by_block(left), dialect)\n", ""
            ),
        ),
        _of("tests/adapters/sql/test_places.py", "test_a_promotion_counts_out_of_the_blocks[sqlite]"),
    ),
    Fault(
        "A place is returned for a booking that has left the waiting list",
        (Change("adapters/sql/indexes/places.py", "            if own:\n", "            if True:\n"),),
        _of(
            "tests/adapters/sql/test_places.py",
            "test_a_booking_that_leaves_before_its_place_is_read_is_read_again[sqlite]",
        ),
    ),
    Fault(
        "An edited event is still found by its old name",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "            yield from delete_keys(event_grams, sorted(before - after), self._dialect)\n",
                "",
            ),
        ),
        _of("tests/adapters/sql/test_search.py", "test_the_index_holds_no_more_than_the_events[sqlite]"),
    ),
    Fault(
        "A search that stops early reports the end of its list",
        (
            Change(
                "adapters/sql/queries/event_lists.py",
                "        return found, after\n",
                "        return found, None\n",
            ),
        ),
        _of("tests/adapters/sql/test_search.py", "test_a_search_finds_what_a_look_at_every_event_finds[sqlite]"),
    ),
    Fault(
        "Lists use the connections of all other reads",
        (
            Change(
                "adapters/sql/storage.py",
                "SqlEventQueries(self._reading, self._listing, ",
                "SqlEventQueries(self._reading, self._reading, ",
            ),
        ),
        _of(
            "tests/adapters/sql/test_listing.py",
            "test_what_a_list_needs_is_asked_by_its_own_connections[sqlite-events]",
        ),
    ),
    Fault(
        "A transaction is committed before its changed rows are counted",
        (
            Change(
                "adapters/sql/engine/transaction.py",
                "        if any(statement.expected is not None for statement in self._enqueued):\n",
                "        if False:\n",
            ),
        ),
        _of(
            "tests/adapters/sql/test_commit.py",
            "test_a_statement_that_changes_fewer_rows_than_it_should_is_not_committed[sqlite]",
        ),
    ),
    Fault(
        "A query does not see the pending writes of its transaction",
        (
            Change(
                "adapters/sql/engine/transaction.py",
                "        await self.send(())\n        return await self._run(self._connection.execute(",
                "        return await self._run(self._connection.execute(",
            ),
        ),
        _of(
            "tests/contract/test_inventories.py", "test_waiting_lists_include_what_the_transaction_saved_itself[sqlite]"
        ),
    ),
    Fault(
        "The database returns the waiting list from its end",
        (
            Change(
                "adapters/sql/repositories/waiting_lists.py",
                "first.order_by(waiting_list.c.queue_number)",
                "first.order_by(waiting_list.c.queue_number.desc())",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "An open transaction is committed when its connection is released",
        (
            Change(
                "adapters/sql/engine/transaction.py",
                "await driver_of(self._connection).rollback()",
                "await driver_of(self._connection).commit()",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "A transaction continues after a failed statement",
        (
            Change(
                "adapters/sql/engine/transaction.py",
                "            self._failure = self._translate(error, committing)\n",
                "            raise self._translate(error, committing) from error\n",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "The schema has no unique key of live bookings",
        (
            Change(
                "adapters/sql/schema/tables/events.py",
                '    UniqueConstraint("event_id", "live_customer_id", "ticket_type_id", '
                'name="uq_bookings_one_live"),\n',
                "",
            ),
            Change(
                "adapters/sql/migrations/versions/up_to_0010/0001_initial.py",
                '        sa.UniqueConstraint("event_id", "live_customer_id", "ticket_type_id", '
                'name="uq_bookings_one_live"),\n',
                "",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "A migration lacks the unique key of live bookings",
        (
            Change(
                "adapters/sql/migrations/versions/up_to_0010/0001_initial.py",
                '        sa.UniqueConstraint("event_id", "live_customer_id", "ticket_type_id", '
                'name="uq_bookings_one_live"),\n',
                "",
            ),
        ),
        ("tests/adapters/sql/test_migrations.py::test_the_migrations_lead_to_the_tables[sqlite]",),
    ),
    Fault(
        "The schema allows more taken tickets than exist",
        (
            Change(
                "adapters/sql/schema/tables/events.py",
                '"taken >= 0 AND taken <= total_tickets"',
                '"taken >= 0"',
            ),
            Change(
                "adapters/sql/migrations/versions/up_to_0010/0001_initial.py",
                '"taken >= 0 AND taken <= total_tickets"',
                '"taken >= 0"',
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "A lost COMMIT is looked up without waiting for its end",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "        _, found = await self._select_under_lock([(_LOCK, ids), ",
                "        (found,) = await self._select_under_lock([",
            ),
        ),
        _ON_MARIADB,
    ),
    Fault(
        "A lost COMMIT is looked up at the fact before its last",
        (
            Change(
                "application/turnstile/batch.py",
                "        return {event_id: self._views[event_id.int].inventory.event.last_seq for",
                "        return {event_id: self._views[event_id.int].inventory.event.last_seq - 1 for",
            ),
        ),
        ("tests/application/turnstile/test_turnstile.py",),
    ),
    Fault(
        "A connection lost during COMMIT counts as lost before it",
        (
            Change(
                "adapters/sql/engine/transaction.py",
                "        if committing and error_class is ErrorClass.CONNECTION_LOST:\n",
                "        if False:\n",
            ),
        ),
        _IN_TROUBLE,
    ),
    Fault(
        "A server that goes away during COMMIT counts as having refused it",
        (
            Change(
                "adapters/sql/dialects/mysql.py",
                "        if error_class is ErrorClass.UNAVAILABLE and committing and _code(error) not in _DENIED:\n",
                "        if False:\n",
            ),
        ),
        _COMMITS,
    ),
    Fault(
        "A transaction is not retried after a deadlock",
        (
            Change(
                "adapters/sql/dialects/mysql.py",
                "_ROLLED_BACK = frozenset({1020, 1213, 1305, 3101})",
                "_ROLLED_BACK = frozenset({1020, 1305, 3101})",
            ),
        ),
        _IN_TROUBLE,
    ),
    Fault(
        "The rest of a transaction that the server rolled back is committed",
        (
            Change(
                "adapters/sql/dialects/mysql.py",
                'Guard(Statement("SAVEPOINT whole"), Statement("RELEASE SAVEPOINT whole"))',
                "None",
            ),
        ),
        _of(*_COMMITS, "test_the_rest_of_a_transaction_that_the_server_rolled_back_is_not_committed"),
    ),
    Fault(
        "A lock timeout is an unexpected error",
        (
            Change(
                "adapters/sql/dialects/mysql.py",
                "_LOCK_TIMEOUT = frozenset({1205, 3572})",
                "_LOCK_TIMEOUT = frozenset({3572})",
            ),
        ),
        _IN_TROUBLE,
    ),
    Fault(
        "A lease is taken from its owner",
        (
            Change(
                "adapters/sql/repositories/leases.py",
                "        if holder != process_id and is_lease_active(ends_at, now, until):\n",
                "        if False:\n",
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "Writers of SQLite begin without the lock (BEGIN DEFERRED)",
        (
            Change(
                "adapters/sql/dialects/sqlite.py",
                'opening: Sequence[str] = ("BEGIN IMMEDIATE",)',
                'opening: Sequence[str] = ("BEGIN DEFERRED",)',
            ),
        ),
        _ON_SQLITE,
    ),
    Fault(
        "A disk failure in COMMIT counts as a refusal",
        (
            Change(
                "adapters/sql/dialects/sqlite.py",
                "        if committing and code == sqlite3.SQLITE_IOERR:\n",
                "        if False:\n",
            ),
        ),
        _COMMITS,
    ),
    Fault(
        "Of pairs only the first values are compared when there are many",
        (
            Change(
                "adapters/sql/bulk/select.py",
                "for ours, name in zip(self._names, names, strict=True)",
                "for ours, name in zip(self._names[:1], names, strict=False)",
            ),
        ),
        ("tests/adapters/sql/test_bulk_select.py",),
    ),
    Fault(
        "A value that the first and the last row share is written for all rows between",
        (Change("adapters/sql/bulk/insert.py", " and values.count(values[0]) == len(values)", ""),),
        ("tests/adapters/sql/test_bulk_insert.py",),
    ),
    Fault(
        "A value that the first of many changed rows has is written to all of them",
        (Change("adapters/sql/bulk/update.py", "if values.count(values[0]) == len(values):", "if values:"),),
        ("tests/adapters/sql/test_bulk_update.py",),
    ),
    Fault(
        "Statements sent ahead are not checked before COMMIT",
        (Change("adapters/sql/engine/transaction.py", "            await in_flight\n", "            del in_flight\n"),),
        ("tests/adapters/sql/test_sending_ahead.py",),
    ),
    Fault(
        "SQLite answers COMMIT before the data is on the disk",
        (Change("adapters/sql/dialects/sqlite.py", "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"),),
        _COMMITS,
    ),
)

SUSPENDING: Final = (
    Fault(
        "Tickets go to a disabled account",
        (
            Change(
                "domain/booking.py",
                "return self.status is WAITLISTED and not self.is_suspended",
                "return self.status is WAITLISTED",
            ),
        ),
        _SUSPENDING,
    ),
    Fault(
        "A resumed booking stands at the end of the waiting list",
        (
            Change(
                "domain/inventory.py",
                "replace(self, head=(*self.head[:place], booking, *self.head[place:]))",
                "replace(self, head=(*self.head, booking))",
            ),
        ),
        _SUSPENDING,
    ),
    Fault(
        "An enabled account's booking is not served",
        (Change("domain/decisions/suspend.py", "_settled(builder, resumed)", "builder.decision(None)"),),
        _SUSPENDING,
    ),
    Fault(
        "A suspended booking outlives its event",
        (
            Change(
                "domain/decisions/settle.py",
                "    if not builder.may_have_open_bookings:\n",
                "    if not builder.may_have_open_bookings or not builder.ticket_types[0].waiting:\n",
            ),
        ),
        _SUSPENDING,
    ),
    Fault(
        "The replay does not see that a resumed booking was overtaken",
        (
            Change(
                "domain/replay/event_replay.py",
                "        counts.resumed[self._booking_id] = (what.queue_number, what.quantity)\n",
                "",
            ),
        ),
        _SUSPENDING,
    ),
    Fault(
        "Blocks of waiting lists still count a suspended booking",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "left = [each.before for each in changed if each.before.is_waiting]",
                "left = [each.before for each in changed if each.before.is_waiting and not each.after.is_suspended]",
            ),
        ),
        _of(_SUSPENDED, "test_it_leaves_the_list_and_stands_at_its_number_again[sqlite]"),
    ),
    Fault(
        "A booking by an older token of a disabled account is served",
        (
            Change(
                "application/background/review_accounts.py",
                " if began_at < review.until else None",
                " if began_at < review.due_at else None",
            ),
        ),
        _DISABLING,
    ),
    Fault(
        "A review that ends forgets a newer one",
        (
            Change(
                "adapters/sql/repositories/accounts/users.py",
                '    account_reviews.c.until == bindparam("same_until", type_=account_reviews.c.until.type),\n',
                "",
            ),
        ),
        _of(_SUSPENDED, "test_reviews_come_when_they_are_due_and_end[sqlite]"),
    ),
)

HTTP: Final = (
    Fault(
        "An access token outlives its session",
        (
            Change(
                "application/accounts/authenticate.py",
                "        if claims.session_id.int in self._ended:\n            raise InvalidToken\n",
                "",
            ),
        ),
        _of(_ACCOUNTS, "test_a_revocation_holds_after_the_next_look"),
    ),
    Fault(
        "A revocation that took long is missed",
        (
            Change(
                "application/accounts/authenticate.py",
                "self._accounts.revocations(last - MARGIN)",
                "self._accounts.revocations(last)",
            ),
        ),
        _of(_ACCOUNTS, "test_a_revocation_that_took_long_is_found_however_the_clock_was_set"),
    ),
    Fault(
        "A revoked role stays valid",
        (
            Change(
                "application/operators/grant_role.py", "role=role, standing_changed_at=self._clock.now()", "role=role"
            ),
        ),
        _of(_ACCOUNTS, "test_a_new_role_holds_for_existing_tokens_after_the_next_look"),
    ),
    Fault(
        "If-Match is ignored",
        (
            Change(
                "entrypoints/http/etags.py",
                "    if tags is None:\n        return None\n",
                "    if True:\n        return None\n",
            ),
        ),
        ("tests/entrypoints/http/test_caching.py::test_every_edit_looks_at_if_match",),
    ),
    Fault(
        "A key is valid for the same body on another path",
        (
            Change(
                "entrypoints/http/idempotency.py",
                "    identity = f\"{scope['method']} {scope['path']}\\n\"",
                "    identity = f\"{scope['method']}\\n\"",
            ),
        ),
        ("tests/entrypoints/http/test_idempotency.py::test_the_path_belongs_to_the_request",),
    ),
    Fault(
        "A key is valid for another body",
        (Change("entrypoints/http/idempotency.py", "        identity += await request.body()\n", "        pass\n"),),
        ("tests/entrypoints/http/test_idempotency.py::test_another_request_with_the_same_key_is_refused",),
    ),
    Fault(
        "A body without a length may have any size",
        (Change("entrypoints/http/request.py", "            if size > most:\n", "            if False:\n"),),
        _of(_MESSAGES, "test_a_body_without_a_length_has_64_kib_at_most[1000]"),
    ),
    Fault(
        "A body whose length is too large is still read",
        (Change("entrypoints/http/request.py", "        if is_large:\n", "        if False:\n"),),
        _of(_DEADLINES, "test_a_refused_request_is_answered_before_its_body_arrives"),
    ),
    Fault(
        "A body may take any time",
        (Change("entrypoints/http/request.py", "call_later(BODY_SECONDS,", "call_later(3_600,"),),
        _of(_DEADLINES, "test_a_body_that_does_not_arrive_is_refused_in_time"),
    ),
    Fault(
        "Any media type is accepted as JSON",
        (
            Change(
                "entrypoints/http/request.py",
                '        if len(types) != 1 or not (types[0] == b"application/json" or self._is_json):\n',
                "        if False:\n",
            ),
        ),
        ("tests/entrypoints/http/test_bodies.py::test_other_media_types_are_refused",),
    ),
    Fault(
        "Unknown fields are ignored",
        (
            Change(
                "entrypoints/http/decoding.py", ', forbid_unknown_fields=True):\n    """The body', '):\n    """The body'
            ),
        ),
        ("tests/entrypoints/http/test_bodies.py::test_unknown_fields_are_named",),
    ),
    Fault(
        "Text is accepted as a number",
        (
            Change(
                "entrypoints/http/decoding.py",
                "msgspec.json.Decoder(kind).decode",
                "msgspec.json.Decoder(kind, strict=False).decode",
            ),
        ),
        ("tests/entrypoints/http/test_bodies.py::test_a_broken_value_is_named",),
    ),
    Fault(
        "Request bodies are not checked by the domain's rules",
        (Change("entrypoints/http/decoding.py", "    if shape.has_rules_for(found) and ", "    if False and "),),
        ("tests/entrypoints/http/test_bodies.py::test_all_that_is_broken_is_named_together",),
    ),
    Fault(
        "The first of two Authorization headers is used",
        (Change("entrypoints/http/authentication.py", "    if len(given) > 1:\n", "    if False:\n"),),
        _of(_PROTOCOL, "TestSigningIn"),
    ),
    Fault(
        "Requests without a token are let through",
        (
            Change(
                "entrypoints/http/authentication.py",
                "        if is_needed:\n            raise NotSignedIn\n",
                "",
            ),
        ),
        _of(_PROTOCOL, "TestSigningIn"),
    ),
    Fault(
        "Bad tokens may be tried without a limit",
        (
            Change(
                "entrypoints/http/authentication.py",
                "                self._limits[UNSIGNED](self._address_of(scope))\n            raise\n",
                "                pass\n            raise\n",
            ),
        ),
        ("tests/entrypoints/http/test_limits.py::test_bad_tokens_count_for_the_address",),
    ),
    Fault(
        "A path has several spellings",
        (Change("entrypoints/http/refusals.py", "    if not is_plain(scope):\n", "    if False:\n"),),
        _of(_PROTOCOL, "test_unknown_paths_are_a_404_for_every_caller"),
    ),
    Fault(
        "The reference has several paths",
        (
            Change(
                "entrypoints/http/reference/document.py",
                'Subject("Operations", middleware=[refusals])',
                'Subject("Operations")',
            ),
        ),
        _of(_PROTOCOL, "test_the_reference_has_one_path_as_well"),
    ),
    Fault(
        "Authentication is checked before the path exists",
        (
            Change(
                "entrypoints/http/app.py",
                "middleware=[refusals, authentication]",
                "middleware=[authentication, refusals]",
            ),
        ),
        _of(_PROTOCOL, "test_unknown_paths_are_a_404_for_every_caller"),
    ),
    Fault(
        "The body is checked before authentication",
        (
            Change(
                "entrypoints/http/authentication.py",
                "        opt = connection.route_handler.opt\n",
                "        opt = connection.route_handler.opt\n"
                '        if scope["method"] in {"POST", "PATCH"}:\n'
                "            JsonRequest(scope)._check_head()\n",
            ),
            Change(
                "entrypoints/http/authentication.py",
                "from .problems.problem import FieldProblem, Malformed\n",
                "from .problems.problem import FieldProblem, Malformed\nfrom .request import JsonRequest\n",
            ),
        ),
        _of(_PROTOCOL, "TestOrderOfChecks"),
    ),
    Fault(
        "A resource is looked up before the request body is read",
        (
            Change(
                "entrypoints/http/request.py",
                "        if raw is None:\n            self._check_head()\n",
                "        if raw is None:\n"
                '            for each in scope["path_params"].values():\n'
                "                id_in_path(each)\n"
                "            self._check_head()\n",
            ),
        ),
        _of(_PROTOCOL, "TestOrderOfChecks"),
    ),
    Fault(
        "A private response may be cached",
        (
            Change(
                "entrypoints/http/observation.py",
                "status in _PUBLIC and caller is None\n",
                "status in _PUBLIC\n",
            ),
        ),
        ("tests/entrypoints/http/test_security_headers.py::test_no_copy_of_a_private_answer_is_kept",),
    ),
    Fault(
        "A refusal may be cached",
        (
            Change(
                "entrypoints/http/observation.py",
                "method in _READING and status in _PUBLIC and caller",
                "method in _READING and caller",
            ),
        ),
        ("tests/entrypoints/http/test_security_headers.py::test_no_copy_of_a_refusal_is_kept",),
    ),
    Fault(
        "A request id may contain anything",
        (Change("entrypoints/http/observation.py", "if _PATTERN.fullmatch(given)", "if given"),),
        _of(_PROTOCOL, "TestRequestIds"),
    ),
    Fault(
        "A response to HEAD has a body",
        (Change("entrypoints/http/reply.py", 'b"" if request["method"] == "HEAD" else self.body', "self.body"),),
        _of(_MESSAGES, "test_an_answer_to_head_has_the_headers_of_get_and_no_body"),
    ),
    Fault(
        "A problem for HEAD has a body",
        (
            Change(
                "entrypoints/http/app.py",
                'b"" if request.method == "HEAD" else problem.body',
                "problem.body",
            ),
        ),
        _of(_MESSAGES, "test_an_answer_to_head_has_the_headers_of_get_and_no_body"),
    ),
    Fault(
        "A request refused before its handler bypasses an embedder's middleware",
        (
            Change(
                "entrypoints/http/app.py",
                "middleware=[refusals, authentication]",
                "middleware=[authentication]",
            ),
        ),
        _of(_EMBEDDING, "test_own_middleware_sees_every_request_to_a_path_that_exists"),
    ),
    Fault(
        "An unknown status of an embedder's handler is a server error",
        (
            Change(
                "entrypoints/http/problems/problem.py",
                "    if isinstance(error, HTTPException) and error.status_code not in _OF_LITESTAR:\n",
                "    if False:\n",
            ),
        ),
        _of(_EMBEDDING, "test_what_an_own_handler_refuses_is_a_problem_in_its_words"),
    ),
    Fault(
        "An embedder's users count as the service's users",
        (
            Change(
                "entrypoints/http/observation.py",
                "caller.actor.user_id if isinstance(caller, Caller) else",
                "caller.actor.user_id if caller else",
            ),
        ),
        _of(_EMBEDDING, "test_own_users_are_none_of_ours"),
    ),
    Fault(
        "An unexpected error is shown to the client",
        (
            Change(
                "entrypoints/http/problems/problem.py",
                "    entry = CATALOG[details.code]\n",
                '    details = _Details(details.code, f"{details.detail} {error}", details.headers, details.members)\n'
                "    entry = CATALOG[details.code]\n",
            ),
        ),
        _of(_PROTOCOL, "test_an_unexpected_error_is_logged_and_says_nothing"),
    ),
    Fault(
        "A process does not end if a background task fails at its cancellation",
        (Change("entrypoints/lifespan.py", "if task is not None and task.cancelling():", "if False:"),),
        _of(
            "tests/entrypoints/test_container.py",
            "test_a_chore_that_fails_when_it_is_cancelled_does_not_keep_the_process_alive",
        ),
    ),
)

FAIRNESS: Final = (
    Fault(
        "A webhook that was switched off receives what happens next",
        (
            Change(
                "application/background/deliver_webhooks.py",
                "            if webhook is None or not webhook.active:\n                return\n            for",
                "            if webhook is None:\n                return\n            for",
            ),
        ),
        ("tests/application/webhooks/test_webhooks.py",),
    ),
    Fault(
        "A webhook that is active again receives what it missed",
        (
            Change(
                "application/webhooks/change_webhook.py",
                "                await webhooks.skip_facts(after, self._clock.now())\n",
                "                pass\n",
            ),
        ),
        ("tests/application/webhooks/test_webhooks.py",),
    ),
    Fault(
        "A 410 is retried",
        (Change("adapters/notifications/webhook_sender.py", "if status == GONE:", "if status == -GONE:"),),
        ("tests/adapters/notifications/test_webhook_sender.py",),
    ),
    Fault(
        "Short pauses end the retries of a webhook",
        (
            Change(
                "domain/webhooks.py",
                "    return max(left[0] - age, asked or timedelta(0)) if left else None\n",
                "    return None\n",
            ),
        ),
        ("tests/domain/test_webhooks.py",),
    ),
    Fault(
        "Commands wait however slow the queue is",
        (
            Change(
                "application/turnstile/command_queue.py",
                "min(self._bounds.most_waiting, self._throughput.per_second * LONGEST_WAIT)",
                "self._bounds.most_waiting",
            ),
        ),
        ("tests/application/turnstile/test_overload.py",),
    ),
    Fault(
        "Commands wait behind a transaction that hangs",
        (
            Change(
                "application/turnstile/command_queue.py",
                "return self.loop.time() - self.queue[0].joined_at > LONGEST_WAIT",
                "return False",
            ),
        ),
        ("tests/application/turnstile/test_overload.py",),
    ),
    Fault(
        "A few commands are refused on a slow machine",
        (
            Change(
                "application/turnstile/command_queue.py",
                "        if waiting < self._bounds.least_waiting:\n",
                "        if not waiting:\n",
            ),
        ),
        ("tests/application/turnstile/test_overload.py",),
    ),
    Fault(
        "Small transactions make a queue look slow",
        (
            Change(
                "application/turnstile/throughput.py",
                "max(fixed + of_each * self._most_together, t / weight)",
                "self._most_together * t / n",
            ),
        ),
        ("tests/application/turnstile/test_overload.py",),
    ),
    Fault(
        "Commands refused by a full queue are not counted",
        (
            Change(
                "application/turnstile/turnstile.py", "            self._observer.overloaded(Overload.COMMANDS)\n", ""
            ),
        ),
        ("tests/application/turnstile/test_overload.py",),
    ),
    Fault(
        "The last of a burst is not logged",
        (
            Change(
                "adapters/observability/bursts.py",
                "        if self._count:\n            self._log()\n\n    def _flush",
                "        if False:\n            self._log()\n\n    def _flush",
            ),
        ),
        ("tests/adapters/observability/test_bursts.py",),
    ),
    Fault(
        "One user takes the whole queue of passwords",
        (Change("application/limits/fair_queue.py", "self._of_subject[subject] >= self._most_of_subject or ", ""),),
        ("tests/application/limits/test_fair_queue.py",),
    ),
    Fault(
        "The work of one origin runs until none is left",
        (
            Change(
                "application/limits/fair_queue.py",
                "                self._waiting.move_to_end(origin)\n",
                "                pass\n",
            ),
        ),
        ("tests/application/limits/test_fair_queue.py",),
    ),
    Fault(
        "A place is freed while its thread still works",
        (Change("application/limits/fair_queue.py", "await asyncio.shield(running)", "await running"),),
        ("tests/application/limits/test_fair_queue.py",),
    ),
    Fault(
        "A wrong current password is not counted",
        (
            Change(
                "application/accounts/prove_password.py",
                "judge(subjects, was_right=is_right)",
                "judge(subjects, was_right=True)",
            ),
        ),
        (_ACCOUNTS,),
    ),
    Fault(
        "Ten failures lock an account for every address",
        (
            Change(
                "application/accounts/login_throttle.py",
                'subject_key("account and address", account, network)',
                'subject_key("account and address", account, None)',
            ),
        ),
        ("tests/application/accounts/test_login_throttle.py",),
    ),
    Fault(
        "Each spelling of an address has failures of its own",
        (
            Change(
                "application/accounts/login_throttle.py",
                'subjects_of(kept["email"], address)',
                "subjects_of(credentials.email, address)",
            ),
        ),
        ("tests/application/accounts/test_login_throttle.py",),
    ),
    Fault(
        "A search shows cancelled drafts",
        (
            Change(
                "adapters/sql/queries/event_lists.py",
                "and_(events.c.status.in_(wanted), is_visible)",
                "events.c.status.in_(wanted)",
            ),
        ),
        ("tests/contract/test_reads.py",),
    ),
    Fault(
        "The search index folds texts differently from queries",
        (
            Change(
                "adapters/sql/schema/mappers.py",
                '    return folded(f"{event.name}\\n{event.venue}")\n',
                '    return f"{event.name}\\n{event.venue}".casefold()\n',
            ),
        ),
        ("tests/contract/test_reads.py",),
    ),
    Fault(
        "Each address of an IPv6 network is counted separately",
        (
            Change(
                "application/limits/networks.py",
                "IPv6Network((int(found) >> 64 << 64, 64))",
                "IPv6Network((int(found), 128))",
            ),
        ),
        ("tests/application/accounts/test_login_throttle.py",),
    ),
    Fault(
        "A clock that is behind adds to the failures",
        (
            Change(
                "application/accounts/login_throttle.py",
                "_minute(now) <= _minute(failures[-1].at)",
                "_minute(now) == _minute(failures[-1].at)",
            ),
        ),
        ("tests/application/accounts/test_login_throttle.py",),
    ),
    Fault(
        "Slow receivers of one owner take every place",
        (
            Change(
                "application/background/deliver_webhooks.py",
                "        while waiting and waiting[0][0] < self._free:\n",
                "        while waiting and self._free > 0:\n",
            ),
        ),
        ("tests/application/webhooks/test_webhooks.py",),
    ),
    Fault(
        "A long delivery keeps its place while others wait",
        (
            Change(
                "application/background/deliver_webhooks.py",
                "return self._free <= 0 and self._clock.now() - started >= CROWDED_RUN",
                "return False",
            ),
        ),
        ("tests/application/webhooks/test_webhooks.py",),
    ),
    Fault(
        "Owners are not served in rotation",
        (
            Change(
                "application/background/deliver_webhooks.py",
                "            number = self._last_allocations[owner] = next(self._allocations)\n",
                "            number = self._last_allocations[owner] = 0\n",
            ),
        ),
        ("tests/application/webhooks/test_webhooks.py",),
    ),
    Fault(
        "Many webhooks of one organizer fill a page of deliveries",
        (
            Change(
                "adapters/sql/queries/notifications.py",
                "        .order_by(shared.c.turn, shared.c.tried_at,",
                "        .order_by(shared.c.tried_at,",
            ),
        ),
        _of("tests/contract/test_notifications.py", "test_organizers_come_in_rotation[sqlite]"),
    ),
    Fault(
        "Slow names of one owner take every resolver thread",
        (Change("adapters/notifications/webhook_sender.py", "spares=True", "spares=False"),),
        (
            "tests/adapters/notifications/test_webhook_sender.py::test_names_that_are_resolved_for_ever_delay_no_other_owner",
        ),
    ),
)

_GROUP: Final = "tests/faults/group_replication/test_cluster.py"

GROUP_REPLICATION: Final = (
    Fault(
        "A COMMIT that a leaving member refused is repeated without a look",
        (
            Change("adapters/sql/dialects/mysql.py", "*(3100, 3796, ", "*(3796, "),
            Change(
                "adapters/sql/dialects/mysql.py",
                "frozenset({1020, 1213, 1305, 3101})",
                "frozenset({1020, 1213, 1305, 3100, 3101})",
            ),
        ),
        _of(*_COMMITS, "test_a_server_that_goes_away_in_a_commit_leaves_the_outcome_unknown[3100]"),
    ),
    Fault(
        "A member that leaves its group or recovers is an error of the program",
        (Change("adapters/sql/dialects/mysql.py", "*(3100, 3796, 3797, 3798, 3799)", "*(3100,)"),),
        _of(*_COMMITS, "test_a_server_that_goes_away_in_a_commit_leaves_the_outcome_unknown"),
    ),
    Fault(
        "A transaction that was not certified is not retried",
        (
            Change(
                "adapters/sql/dialects/mysql.py", "frozenset({1020, 1213, 1305, 3101})", "frozenset({1020, 1213, 1305})"
            ),
        ),
        (
            *_of(*_COMMITS, "test_a_transaction_that_a_group_did_not_certify_was_rolled_back"),
            *_of(_GROUP, "test_of_two_members_that_write_one_event_one_must_repeat"),
        ),
        server="mysql",
    ),
    Fault(
        "A member without a majority hangs instead of not being ready",
        (Change("adapters/sql/dialects/mysql.py", "if states and 2 * states", "if False and 2 * states"),),
        _of(_GROUP, "test_a_majority_is_lost_and_forced_back"),
        server="mysql",
    ),
    Fault(
        "A read on another member is older than an acknowledged outcome",
        (Change("adapters/sql/dialects/mysql.py", 'else "BEFORE"\n', 'else "EVENTUAL"\n'),),
        _of(_GROUP, "test_what_one_member_acknowledged_is_there_on_every_other"),
        server="mysql",
    ),
    Fault(
        "Connections to the former primary are used again",
        (
            Change(
                "adapters/sql/engine/transaction.py",
                "                self._connections.discard_idle()\n                await self._discard()\n",
                "                pass\n",
            ),
        ),
        _of("tests/adapters/sql/test_troubles.py", "test_a_connection_to_a_server_that_refused_is_not_used_again"),
    ),
)

SESSIONS: Final = (
    Fault(
        "A used refresh token gives the next one again for ever",
        (Change("application/accounts/refresh_session.py", " or abs(now - replaced.replaced_at) >= GRACE", ""),),
        _of(_ACCOUNTS, "test_a_used_refresh_token_ends_its_session_and_no_other"),
    ),
    Fault(
        "A refresh token that was used long before gives a token again",
        (Change("application/accounts/refresh_session.py", " or replaced.digest != used.digests.token", ""),),
        _of(_ACCOUNTS, "test_a_used_refresh_token_ends_its_session_and_no_other"),
    ),
    Fault(
        "A lost answer of a refresh ends the session",
        (
            Change(
                "application/accounts/refresh_session.py",
                "elif again := self._again(used, sign_in, now):",
                "elif again := None:",
            ),
        ),
        _of(_ACCOUNTS, "test_a_lost_answer_is_given_again_for_some_seconds"),
    ),
    Fault(
        "The next refresh token can be derived without the one before",
        (Change("adapters/security/refresh.py", "hmac.digest(raw, salt,", "hmac.digest(raw[:_BYTES], salt,"),),
        _of(
            "tests/adapters/security/test_refresh_tokens.py",
            "test_a_token_and_its_salt_give_the_next_one_again_and_nothing_else_does",
        ),
    ),
)

_ROWS_READ: Final = "tests/adapters/sql/test_rows_read.py"

MYSQL: Final = (
    Fault(
        "MySQL is given pairs for IN, and reads a whole index by statistics that are old",
        (Change("adapters/sql/dialects/mysql.py", "min_joined_values=2", "min_joined_values=16"),),
        _of(_ROWS_READ, "test_a_statement_reads_what_it_is_about[few rows]"),
        server="mysql",
    ),
    Fault(
        "MySQL sorts a whole waiting list to find its smallest quantity",
        (Change("adapters/sql/indexes/waiting_quantities.py", "_first(_TYPE, _QUANTITY)", "_first(_QUANTITY)"),),
        _of(_ROWS_READ, "test_a_statement_reads_what_it_is_about[few rows]"),
        server="mysql",
    ),
    Fault(
        "MySQL warns of VALUES() in an assignment",
        (
            Change("adapters/sql/dialects/mysql.py", '"AS new ON DUPLICATE KEY UPDATE"', '"ON DUPLICATE KEY UPDATE"'),
            Change("adapters/sql/dialects/mysql.py", '"new.{column}"', '"VALUES({column})"'),
        ),
        _of(_ROWS_READ, "test_a_statement_reads_what_it_is_about[few rows]"),
        server="mysql",
    ),
    Fault(
        "A password is sent in another encoding than other programs use",
        (Change("adapters/sql/dialects/mysql.py", '(url.password or "").encode()', 'url.password or ""'),),
        _of("tests/e2e/operation/test_database_passwords.py", "test_any_password_signs_in"),
    ),
)

_VERIFICATION: Final = ("tests/application/accounts/test_verification.py",)
_RULES_OF_ADDRESSES: Final = ("tests/domain/test_verification.py",)
_LINKS: Final = ("tests/application/background/test_send_links.py",)
_MAILS: Final = ("tests/application/background/test_send_mails.py",)

ADDRESSES: Final = (
    Fault(
        "A verified address is taken",
        (Change("domain/verification.py", "not is_own and holder.is_verified:", "False:"),),
        _RULES_OF_ADDRESSES,
    ),
    Fault(
        "Whoever registers an unverified address later signs in with it",
        (
            Change(
                "domain/verification.py",
                "        raise EmailTaken\n    return False",
                "        raise EmailTaken\n    return True",
            ),
        ),
        _VERIFICATION,
    ),
    Fault(
        "Without mails an unverified address is registered twice",
        (Change("domain/verification.py", "if holder.is_verified or not can_verify:", "if holder.is_verified:"),),
        _RULES_OF_ADDRESSES,
    ),
    Fault(
        "A link works for ever",
        (Change("domain/verification.py", " is not purpose or not link.works(now):", " is not purpose:"),),
        _RULES_OF_ADDRESSES,
    ),
    Fault(
        "A link verifies an address that it was not sent to",
        (
            Change(
                "domain/verification.py",
                "if user is None or address not in (user.email, user.pending_email):",
                "if user is None:",
            ),
        ),
        _RULES_OF_ADDRESSES,
    ),
    Fault(
        "A link works twice",
        (
            Change(
                "application/accounts/verify_email.py", "            await unit_of_work.links.remove(found.id)\n", ""
            ),
        ),
        _VERIFICATION,
    ),
    Fault(
        "The links of an account that lost its address stay",
        (
            Change(
                "application/accounts/verify_email.py",
                "                await unit_of_work.links.remove_of(verification.loser.id, email=found.email)\n",
                "",
            ),
        ),
        ("tests/contract/test_links.py",),
    ),
    Fault(
        "Registrations of an address do not wait for each other",
        (
            Change(
                "application/accounts/create_user.py",
                '            await self._mails.lock(unit_of_work, kept["email"])\n',
                "",
            ),
        ),
        _of("tests/contract/test_links.py", "test_a_registration_waits_for_others_of_its_address"),
    ),
    Fault(
        "Verifications of an address do not wait for each other",
        (
            Change(
                "application/accounts/verify_email.py",
                "            await self._mails.lock(unit_of_work, found.email)\n",
                "",
            ),
        ),
        _of("tests/contract/test_links.py", "test_a_verification_waits_for_others_of_its_address"),
    ),
    Fault(
        "A forgotten password of an unknown address makes less work",
        (
            Change(
                "application/accounts/reset_password.py",
                "                await self._mails.queue(unit_of_work, replace(link, user_id=user_id))\n",
                "                if user_id != link.user_id:\n"
                "                    await self._mails.queue(unit_of_work, replace(link, user_id=user_id))\n",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A new password leaves the sessions",
        (
            Change(
                "application/accounts/reset_password.py",
                "            await unit_of_work.users.end_sessions(changed.id, now, but=None)\n",
                "",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A new password leaves the other links",
        (
            Change(
                "application/accounts/reset_password.py",
                "            await unit_of_work.links.remove_of(changed.id)\n",
                "            await unit_of_work.links.remove(found.id)\n",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A link to verify an address sets a password",
        (
            Change(
                "domain/verification.py",
                "link.purpose is not purpose",
                "False",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A reset leaves a pending change of address",
        (
            Change(
                "domain/verification.py",
                "password_hash=password_hash, pending_email=None)",
                "password_hash=password_hash)",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A disabled account gets a new password",
        (
            Change(
                "domain/verification.py",
                "user.email != address or not user.may_sign_in",
                "user.email != address",
            ),
        ),
        ("tests/domain/test_verification.py",),
    ),
    Fault(
        "Reset mails use up the limit of verification mails",
        (
            Change(
                "application/limits/recipients.py",
                'LinkPurpose.RESET: "reset mails"',
                'LinkPurpose.RESET: "verification mails"',
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A change of address needs no password",
        (
            Change(
                "application/accounts/change_profile.py",
                "(new_password is not None or email is not None)",
                "new_password is not None",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "The link to an earlier pending address stays",
        (
            Change(
                "application/accounts/change_profile.py",
                "            await unit_of_work.links.remove_of(user.id, email=user.pending_email)\n",
                "            pass\n",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "A new address counts before it is verified",
        (
            Change(
                "domain/verification.py",
                "return replace(user, pending_email=None if address == user.email else address)",
                "return replace(user, email=address)",
            ),
        ),
        ("tests/domain/test_verification.py",),
    ),
    Fault(
        "The former address is not told",
        (
            Change(
                "application/accounts/verify_email.py",
                "                await self._mails.queue(unit_of_work, told)\n",
                "                pass\n",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "An address without an account is kept after a forgotten password",
        (
            Change(
                "domain/verification.py",
                "or not self.has_account)",
                ")",
            ),
        ),
        _RESETTING,
    ),
    Fault(
        "Bookings that bind are looked for before events",
        (
            Change(
                "application/personal_data/erase_account.py",
                "            raise StillOrganizing\n",
                "            pass\n",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "An account is erased with a booking that binds",
        (
            Change(
                "application/personal_data/erase_account.py",
                "            if binds(found.event, found.booking, now):",
                "            if False:",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "An erased account keeps its API keys",
        (
            Change(
                "application/personal_data/erase_account.py",
                "            await unit_of_work.api_keys.remove_of(user_id)\n",
                "",
            ),
            Change(
                "application/personal_data/finish_erasure.py",
                "        await unit_of_work.api_keys.remove_of(erasure.user_id)\n",
                "",
            ),
        ),
        ("tests/entrypoints/http/test_erasure.py",),
    ),
    Fault(
        "An API key erases its owner",
        (
            Change(
                "application/personal_data/erase_account.py",
                "        actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)\n",
                "",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "An erasure after an unknown outcome is refused",
        (
            Change(
                "application/personal_data/erase_account.py",
                "if user == erased(proven, now):",
                "if False:",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "A failure after an account was erased is told as one",
        (
            Change(
                "application/personal_data/finish_erasure.py",
                "        except StorageFailure as failure:",
                "        except ZeroDivisionError as failure:",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "What an erased account does at the last moment stays",
        (
            Change(
                "domain/decisions/erase.py",
                "return None if self.is_last_look(now) else replace(",
                "return None if True else replace(",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "Many bookings of an erased account are forgotten",
        (
            Change(
                "application/personal_data/finish_erasure.py",
                "        return len(ending) <= AT_ONCE",
                "        return True",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "A booking binds after its event",
        (
            Change(
                "domain/decisions/erase.py",
                "or event.is_over(now)",
                "",
            ),
        ),
        _ERASED,
    ),
    Fault(
        "The rules of an erasure are those of a later time",
        (
            Change(
                "domain/decisions/cancel.py",
                "        _check_customer_may_cancel(event, booking, command.erased_at)",
                "        _check_customer_may_cancel(event, booking, now)",
            ),
        ),
        _ERASED,
    ),
    Fault(
        "An erased account pays no fee",
        (
            Change(
                "domain/decisions/cancel.py",
                "_fee_percent(event, booking, command.erased_at)",
                "0",
            ),
        ),
        _ERASED,
    ),
    Fault(
        "A name outlives its account",
        (
            Change(
                "domain/decisions/erase.py",
                '        name="",',
                "        name=user.name,",
            ),
        ),
        _ERASED,
    ),
    Fault(
        "Tokens of an erased account go on",
        (
            Change(
                "domain/decisions/erase.py",
                "        standing_changed_at=now,\n",
                "",
            ),
        ),
        _ERASED,
    ),
    Fault(
        "Claims of an address outlive the account that had verified it",
        (
            Change(
                "adapters/memory/repositories.py",
                "dict.fromkeys(each.id for each in claims if each.email == address)",
                "{}",
            ),
        ),
        _ERASING,
    ),
    Fault(
        "The log of SQLite keeps what is erased",
        (
            Change(
                "application/personal_data/finish_erasure.py",
                "        await self._storage.purge()\n",
                "",
            ),
        ),
        ("tests/entrypoints/http/test_erasure.py",),
    ),
    Fault(
        "An export leaves out all but the first page",
        (
            Change(
                "application/personal_data/export_account.py",
                "            last = page[-1].id\n",
                "            return\n",
            ),
        ),
        ("tests/application/personal_data/test_export_account.py",),
    ),
    Fault(
        "A verification after an unknown outcome is an expired link",
        (
            Change(
                "application/accounts/verify_email.py",
                "if each is not None and each in tried:",
                "if False:",
            ),
        ),
        _VERIFICATION,
    ),
    Fault(
        "A claim whose mail is dropped is kept",
        (
            Change(
                "application/accounts/create_user.py",
                "            elif await self._mails.queue(unit_of_work, link):\n",
                "            elif await self._mails.queue(unit_of_work, link) or True:\n",
            ),
        ),
        _VERIFICATION,
    ),
    Fault(
        "A stranger's words are mailed to an address that nobody verified",
        (
            Change(
                "application/background/send_mails.py",
                "recipient is None or not account.user.is_verified",
                "recipient is None",
            ),
        ),
        _MAILS,
    ),
    Fault(
        "A recipient gets any number of mails",
        (Change("application/background/send_mails.py", "if delayed_until is not None:", "if False:"),),
        _MAILS,
    ),
    Fault(
        "A mail beyond the limit is lost",
        (
            Change(
                "application/background/send_mails.py",
                "await self._note(mail, replace(mail, due_at=delayed_until))",
                "await self._note(mail, None)",
            ),
        ),
        _MAILS,
    ),
    Fault(
        "One organizer uses up what a recipient may get",
        (
            Change(
                "application/limits/recipients.py",
                '        subject_key("mails", address, organizer_id): MOST_OF_ORGANIZER,\n',
                "",
            ),
        ),
        _MAILS,
    ),
    Fault(
        "A link that could not be mailed is lost",
        (
            Change(
                "application/background/send_links.py",
                "after = link.has_failed(self._clock.now(), self._jitter())",
                "after = link.has_left()",
            ),
        ),
        _LINKS,
    ),
    Fault(
        "Anybody can make a link's token",
        (
            Change(
                "adapters/security/links.py", 'hmac.digest(secret.encode(), b"boxoffice/links/1", "sha256")', 'b"key"'
            ),
        ),
        ("tests/adapters/security/test_link_tokens.py",),
    ),
    Fault(
        "Old links and claims are kept for ever",
        (
            Change(
                "application/background/send_links.py",
                "            await unit_of_work.links.forget(now - LONGEST_LIFETIME)\n",
                "",
            ),
        ),
        _VERIFICATION,
    ),
    Fault(
        "An address is changed although another account has it",
        (Change("adapters/sql/migrations/addresses.py", "        if collisions:\n", "        if False:\n"),),
        ("tests/adapters/sql/test_migrations.py",),
    ),
    Fault(
        "A link that is due is missing from the backlog",
        (
            Change(
                "adapters/memory/statistics.py",
                ", *(each.due_at for each in tables.links.values())]",
                "]",
            ),
        ),
        _of("tests/contract/test_statistics.py", "test_mails_that_are_due_are_counted[memory]"),
    ),
)

_TRUTH: Final = ("tests/domain/test_mails.py",)
_TEXTS: Final = "tests/adapters/notifications/test_email_texts.py"
_SAID: Final = _of(_TEXTS, "test_each_mail_is_true_in_each_state")

MAILS: Final = (
    Fault(
        "A move to another day is judged in UTC",
        (Change("domain/event.py", "local_time(moment, self.time_zone)", 'local_time(moment, "UTC")'),),
        _TIMES,
    ),
    Fault(
        "The last day of all time has no date in zones ahead of UTC",
        (Change("domain/values/time_zones.py", "    except OverflowError:\n", "    except ZeroDivisionError:\n"),),
        _TIMES,
    ),
    Fault(
        "The system's own time zone is taken for a name",
        (Change("domain/values/time_zones.py", 'frozenset(names) - {"Factory"}', 'frozenset([*names, "localtime"])'),),
        ("tests/domain/test_fields.py",),
    ),
    Fault(
        "A promotion is mailed after its hold is over",
        (Change("domain/mails.py", "        current = booking.as_of(now)\n", "        current = booking\n"),),
        _TRUTH,
    ),
    Fault(
        "A paid booking is told that it is due",
        (Change("domain/mails.py", "status is BookingStatus.CONFIRMED and not payment.has_charge", "True"),),
        _TRUTH,
    ),
    Fault(
        "An expired hold is told of although its payment came late",
        (
            Change(
                "domain/mails.py",
                "status is BookingStatus.EXPIRED and payment is PaymentStatus.NONE",
                "status is BookingStatus.EXPIRED",
            ),
        ),
        _TRUTH,
    ),
    Fault(
        "A date that was changed again is still told",
        (
            Change(
                "domain/mails.py",
                'return event.starts_at == convert(changes["startsAt"], datetime | None)',
                "return True",
            ),
        ),
        _TRUTH,
    ),
    Fault(
        "Organizers are mailed what they did",
        (Change("domain/mails.py", "booking.customer_id == event.organizer_id", "False"),),
        _TRUTH,
    ),
    Fault(
        "Every edit is mailed to every customer",
        (
            Change(
                "domain/mails.py", '"venue": MailKind.CHANGED}', '"venue": MailKind.CHANGED, "name": MailKind.CHANGED}'
            ),
        ),
        _TRUTH,
    ),
    Fault(
        "A step of an announcement starts from the beginning again",
        (
            Change(
                "application/background/send_mails.py",
                "step.event_id, None, step.below, PIECE",
                "step.event_id, None, None, PIECE",
            ),
        ),
        _of(*_MAILS, "test_a_change_for_many_is_told_of_in_steps"),
    ),
    Fault(
        "Announcements push ahead of other mails",
        (Change("application/background/send_mails.py", "AT_ONCE)) == AT_ONCE:", "AT_ONCE)) > AT_ONCE:"),),
        _of(*_MAILS, "test_announcements_wait_for_the_other_mails"),
    ),
    Fault(
        "A step of an announcement is made twice",
        (Change("adapters/sql/repositories/mails.py", "not rows or rows[0][0] != step.below", "not rows"),),
        _of(
            "tests/contract/test_notifications.py",
            "test_an_announcement_goes_on_step_by_step[sqlite]",
        ),
    ),
    Fault(
        "The words of users become links",
        (Change("adapters/notifications/wording.py", "sign.group() + _ZERO_WIDTH_SPACE", "sign.group()"),),
        _of(_TEXTS, "test_the_words_of_users_never_become_a_link"),
    ),
    Fault(
        "HTML is not escaped",
        (Change("adapters/notifications/email_templates.py", 'select_autoescape(["html"])', "False"),),
        _of(_TEXTS, "test_html_is_escaped"),
    ),
    Fault(
        "Mails tell times in UTC",
        (Change("adapters/notifications/email_templates.py", "time(event.local_time(moment), ", "time(moment, "),),
        _of(_TEXTS, "test_times_are_told_in_the_events_time_zone"),
    ),
    Fault(
        "Mails tell yen in hundredths",
        (Change("domain/values/money.py", "_MINOR_DIGITS.get(currency, 2)", "2"),),
        _SAID,
    ),
    Fault(
        "Who paid nothing is told of a refund",
        (
            Change(
                "adapters/notifications/templates/money_back.txt",
                '{% if payment == "refund_pending" %}',
                '{% if payment != "refunded" %}',
            ),
        ),
        _SAID,
    ),
    Fault(
        "One ticket are yours",
        (Change("adapters/notifications/wording.py", "singular if number == 1 else plural", "plural"),),
        _SAID,
    ),
)

_TICKETS: Final = ("tests/domain/test_tickets.py",)
_ATTENDEES: Final = ("tests/application/bookings/test_attendees.py",)
_ATTENDEES_OVER_HTTP: Final = "tests/entrypoints/http/test_attendees.py"
_NUMBERING: Final = ("tests/application/background/test_number_tickets.py",)
_STORED_ATTENDEES: Final = "tests/contract/test_attendees.py"

WHO_COMES: Final = (
    Fault(
        "Two bookings share ticket numbers",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "last_ticket_number=last + booking.quantity",
                "last_ticket_number=last + 1",
            ),
        ),
        _TICKETS,
    ),
    Fault(
        "A booking gets other ticket numbers when it is paid",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "is CONFIRMED and booking.first_ticket_number is None",
                "is CONFIRMED",
            ),
        ),
        _TICKETS,
    ),
    Fault(
        "A booking gets ticket numbers before earlier ones have theirs",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "if is_new and self.event.numbered_to is None else",
                "if is_new else",
            ),
        ),
        _TICKETS,
    ),
    Fault(
        "Numbering earlier tickets ends with its first step",
        (Change("domain/decisions/number_tickets.py", "reached == event.last_seq", "reached <= event.last_seq"),),
        _TICKETS,
    ),
    Fault(
        "A step of numbering earlier tickets reads facts again",
        (Change("application/background/number_tickets.py", "numbered_to, self._step", "0, self._step"),),
        _NUMBERING,
    ),
    Fault(
        "The verification does not compare ticket numbers",
        (
            Change(
                "application/background/verify_promises.py",
                "(number, fact.booking_id) == await anext(stored, None)",
                "await anext(stored, None) is not None",
            ),
        ),
        ("tests/application/background/test_verify_promises.py",),
    ),
    Fault(
        "The storage in memory lets a ticket number begin two bookings",
        (
            Change(
                "adapters/memory/commit.py",
                "number in seen or (holder is not None and holder != booking.id)",
                "number in seen",
            ),
        ),
        ("tests/contract/test_tickets.py::test_a_number_that_begins_two_bookings_conflicts[memory]",),
    ),
    Fault(
        "The door sees addresses",
        (
            Change(
                "domain/policy.py",
                "Right.SEE_ADDRESSES: Rule(Standing.DESK",
                "Right.SEE_ADDRESSES: Rule(Standing.DOOR",
            ),
        ),
        _ATTENDEES,
    ),
    Fault(
        "One's own bookings tell who booked",
        (Change("application/bookings/queries.py", "found.customer_id == actor.user_id", "found.id == actor.user_id"),),
        _ATTENDEES,
    ),
    Fault(
        "An export goes on while tickets are confirmed",
        (Change("application/bookings/attendees.py", "if each.first_ticket_number <= last", "if each.quantity"),),
        _ATTENDEES,
    ),
    Fault(
        "A page of attendees leaves out the rest of a booking",
        (
            Change(
                "adapters/sql/queries/bookings.py",
                "bookings.c.first_ticket_number <= _after + 1",
                "bookings.c.first_ticket_number < _after + 1",
            ),
        ),
        _of(
            _STORED_ATTENDEES,
            "test_attending_bookings_come_in_the_order_of_their_tickets_from_any_of_these[sqlite]",
        ),
    ),
    Fault(
        "Erased accounts are shown as customers",
        (
            Change(
                "adapters/sql/queries/accounts.py",
                'bindparam("ids", expanding=True)), users.c.erased_at.is_(None)',
                'bindparam("ids", expanding=True))',
            ),
        ),
        _of(_STORED_ATTENDEES, "test_customers_are_those_accounts_that_are_not_erased[sqlite]"),
    ),
    Fault(
        "A search of customers knows the case of letters",
        (Change("adapters/sql/queries/bookings.py", "text in folded(each)", "q in each"),),
        (f"{_STORED_ATTENDEES}::test_a_search_of_customers_is_literal_and_ignores_case",),
    ),
    Fault(
        "A search of customers forgets where it stopped",
        (
            Change(
                "adapters/sql/queries/bookings.py",
                "before = rows[-1][0] if len(rows) == size else None",
                "before = None",
            ),
        ),
        _of(_STORED_ATTENDEES, "test_a_search_reads_so_many_bookings_and_says_where_it_goes_on[sqlite]"),
    ),
    Fault(
        "Others' events are listed as one's own",
        (
            Change(
                "adapters/sql/queries/event_lists.py",
                "event_staff.c.user_id == member,",
                "event_staff.c.user_id != member,",
            ),
        ),
        _of("tests/contract/test_reads.py", "test_events_that_a_person_organizes_or_works_for[sqlite]"),
    ),
    Fault(
        "A spreadsheet calculates what customers wrote",
        (Change("entrypoints/http/schemas/csv_files.py", '("=", "+", "-", "@",', '("=", "+", "-",'),),
        (_ATTENDEES_OVER_HTTP,),
    ),
    Fault(
        "A file of attendees is made as a whole before it is sent",
        (Change("entrypoints/http/schemas/csv_files.py", "if len(group) == ROWS:", "if not group:"),),
        _of(_ATTENDEES_OVER_HTTP, "test_a_file_of_any_size_takes_the_same_memory_and_begins_at_once"),
    ),
)

FAULTS: Final = (
    *DOMAIN,
    *SUSPENDING,
    *WHO_COMES,
    *MAILS,
    *REFUNDS,
    *APPLICATION,
    *PROVIDER,
    *TURNSTILE,
    *MEMORY,
    *SQL,
    *HTTP,
    *FAIRNESS,
    *GROUP_REPLICATION,
    *SESSIONS,
    *MYSQL,
    *ADDRESSES,
    *CODES,
    *DOOR,
    *EXPLAINING,
    *CHECKING,
    *DRAWING,
    *GRANTS,
    *LOGS,
    *RETURNING,
    *STAFF,
    *ERASING,
    *API_KEYS,
)
