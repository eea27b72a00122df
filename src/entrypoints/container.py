"""The composition root: with `providers` the only module that chooses the adapters of the ports."""

import random
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from uuid import UUID

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import AttributeGetter, Dependency, Object, Singleton

from ..adapters.log.formats import C2spLogFormats
from ..adapters.observability import Metrics, UnhandledErrors
from ..adapters.security import (
    Argon2PasswordHasher,
    RandomRefreshTokens,
    ZxcvbnKnownPasswords,
)
from ..adapters.system import SystemClock, Uuid7Ids
from ..application.accounts.authenticate import Authenticate
from ..application.accounts.change_profile import ChangeProfile, ReadProfile
from ..application.accounts.create_user import CreateUser
from ..application.accounts.link_mails import LinkMails
from ..application.accounts.log_in import LogIn
from ..application.accounts.log_out import LogOut
from ..application.accounts.login_throttle import FailedLogins, LogInWithinLimits
from ..application.accounts.prove_password import ProvePassword
from ..application.accounts.refresh_session import RefreshSession
from ..application.accounts.reset_password import MakeResetLink, RequestPasswordReset, ResetPassword
from ..application.accounts.verify_email import MarkVerified, RequestVerification, VerifyEmail
from ..application.api_keys.create_api_key import CreateApiKey
from ..application.api_keys.key_uses import KeyUses
from ..application.api_keys.known_keys import KnownKeys
from ..application.api_keys.list_api_keys import ListApiKeys
from ..application.api_keys.revoke_api_key import RevokeApiKey
from ..application.api_keys.use_api_key import UseApiKey
from ..application.background.deliver_webhooks import DeliverWebhooks
from ..application.background.number_tickets import NumberTickets
from ..application.background.review_accounts import ReviewAccounts
from ..application.background.seal_code_keys import SealCodeKeys
from ..application.background.seal_logs import SealLogs
from ..application.background.send_links import ForgetLinks, SendLinks
from ..application.background.send_mails import SendMails
from ..application.background.sweep import CompletePayments, ContinueErasures, ExpireHolds, Sweep
from ..application.background.verify_promises import NoteVerdict, VerifyPromises
from ..application.bookings.attendees import ExportAttendees, ListAttendees
from ..application.bookings.book_for_other import BookForOther
from ..application.bookings.book_ticket import BookTicket
from ..application.bookings.cancel_booking import CancelBooking
from ..application.bookings.explain_booking import ExplainBooking
from ..application.bookings.give_back_tickets import GiveBackTickets
from ..application.bookings.line_histories import LineHistories
from ..application.bookings.pay_booking import PayBooking
from ..application.bookings.promote_from_waitlist import PromoteFromWaitlist, ResumeUnsettled
from ..application.bookings.queries import (
    ListBookings,
    ListEventBookings,
    ListPayments,
    ReadBooking,
    ReadWaitingList,
)
from ..application.bookings.review_account import ReviewAccount
from ..application.door.queries import ListConflicts, ReadDoorList
from ..application.door.record_check_ins import RecordCheckIns
from ..application.door.undo_check_in import UndoCheckIn
from ..application.draws.collected_draw import LogLeaves
from ..application.draws.finish_draws import FinishDraws
from ..application.draws.hold_draw import HoldEventDraw, PlaceEntries
from ..application.draws.read_draw import ReadDraw
from ..application.duties import Duties
from ..application.events.change_event import ChangeEvent
from ..application.events.initialize_event import InitializeEvent
from ..application.events.queries import ListEvents, ListOwnEvents, ReadChanges, ReadEvent
from ..application.limits.allowances import NEW_CUSTOMERS, STORED_RESPONSE_BYTES, Allowance
from ..application.limits.rate_limits import RequestLimits, ShareCounts
from ..application.log.log_key import LogKey
from ..application.log.new_facts import NewFacts
from ..application.log.read_log import ReadLog
from ..application.log.read_receipt import ReadReceipt
from ..application.log.seal_log import SealLog
from ..application.operators.disable_user import DisableUser, EnableUser
from ..application.operators.grant_role import GrantRole
from ..application.operators.list_users import ListUsers
from ..application.payments.grant_refund import GrantPartialRefund
from ..application.payments.queries import ListDuePayments, ListEventPayments
from ..application.payments.receive_notice import ReceiveNotice
from ..application.payments.record_notice import RecordPaymentNotice
from ..application.payments.settle_refund import SettleRefundByHand
from ..application.personal_data.erase_account import EraseAccount
from ..application.personal_data.export_account import ExportAccount
from ..application.personal_data.finish_erasure import FinishErasure
from ..application.ports.accounts.api_keys import ApiKeyTexts
from ..application.ports.draws.beacons import Beacons
from ..application.ports.errors import Unavailable
from ..application.ports.log.formats import LogFormats
from ..application.ports.notifications import EmailSender, WebhookSender
from ..application.ports.payments import GatewaySilent, PaymentGateway
from ..application.ports.security import KnownPasswords, LinkTokens, PasswordHasher, RefreshTokens, Tokens
from ..application.ports.storage import Storage
from ..application.ports.system import Clock, Ids
from ..application.ports.ticket_codes import CodeSigner
from ..application.staff.appoint_member import AppointMember
from ..application.staff.change_member import ChangeMember
from ..application.staff.dismiss_member import DismissMember
from ..application.staff.queries import ListStaff
from ..application.tickets.list_tickets import ListTickets, ReadBookedEvent, ShowTickets
from ..application.tickets.name_ticket import NameTicket
from ..application.tickets.ticket_codes import TicketCodes
from ..application.turnstile.turnstile import Turnstile
from ..application.webhooks.change_webhook import ChangeWebhook
from ..application.webhooks.create_webhook import CreateWebhook
from ..application.webhooks.delete_webhook import DeleteWebhook
from ..application.webhooks.read_webhooks import ListDeliveries, ListWebhooks, ReadWebhook
from ..application.webhooks.resend_delivery import ResendDelivery
from .database_files import create_files
from .providers import (
    make_allowance,
    make_api_key_texts,
    make_appoint_member,
    make_beacons,
    make_code_signer,
    make_counted_failures,
    make_email_sender,
    make_initialize_event,
    make_link_mails,
    make_link_tokens,
    make_log_key,
    make_metrics,
    make_new_facts,
    make_payment_gateway,
    make_receive_notice,
    make_sandbox,
    make_seal_code_keys,
    make_secrets,
    make_sentry,
    make_storage,
    make_tokens,
    make_tracing,
    make_unhandled_errors,
    make_webhook_sender,
)
from .readiness import Draining, Readiness
from .settings import Payments, Settings

if TYPE_CHECKING:
    from ..adapters.observability.sentry import SentryReports
    from ..adapters.observability.tracing import Tracing


class Container(DeclarativeContainer):
    """Everything that a process needs. Each object is created once, on first use."""

    settings: Dependency[Settings] = Dependency(instance_of=Settings)

    tracing: "Singleton[Tracing | None]" = Singleton(make_tracing, settings)
    reports: "Singleton[SentryReports | None]" = Singleton(make_sentry, settings)
    storage: Singleton[Storage] = Singleton(make_storage, settings, tracing)
    clock: Singleton[Clock] = Singleton(SystemClock)
    ids: Singleton[Ids] = Singleton(Uuid7Ids)
    jitter: Object[Callable[[], float]] = Object(random.random)
    known_passwords: Singleton[KnownPasswords] = Singleton(ZxcvbnKnownPasswords)
    # The newest secret and the older ones.
    secrets: Singleton[tuple[str, ...]] = Singleton(make_secrets, settings)
    tokens: Singleton[Tokens] = Singleton(make_tokens, secrets)
    link_tokens: Singleton[LinkTokens] = Singleton(make_link_tokens, secrets)
    api_key_texts: Singleton[ApiKeyTexts] = Singleton(make_api_key_texts, secrets)
    code_signer: Singleton[CodeSigner] = Singleton(make_code_signer, secrets)
    log_formats: Singleton[LogFormats] = Singleton(C2spLogFormats)
    refresh_tokens: Singleton[RefreshTokens] = Singleton(RandomRefreshTokens)
    payment_gateway: Singleton[PaymentGateway] = Singleton(make_payment_gateway, settings)
    event_queries: AttributeGetter = storage.provided.event_queries
    booking_queries: AttributeGetter = storage.provided.booking_queries
    explanation_queries: AttributeGetter = storage.provided.explanation_queries
    payment_queries: AttributeGetter = storage.provided.payment_queries
    account_queries: AttributeGetter = storage.provided.account_queries
    api_key_queries: AttributeGetter = storage.provided.api_key_queries
    staff_queries: AttributeGetter = storage.provided.staff_queries
    log_queries: AttributeGetter = storage.provided.log_queries
    ticket_queries: AttributeGetter = storage.provided.ticket_queries
    check_in_queries: AttributeGetter = storage.provided.check_in_queries
    duties: Singleton[Duties] = Singleton(Duties, staff_queries)
    metrics: Singleton[Metrics] = Singleton(make_metrics, settings, storage)
    unhandled_errors: Singleton[UnhandledErrors] = Singleton(make_unhandled_errors, metrics, reports)
    new_facts: Singleton[NewFacts] = Singleton(make_new_facts, metrics, tracing)
    password_hasher: Singleton[PasswordHasher] = Singleton(Argon2PasswordHasher, observer=new_facts)
    response_allowance: Singleton[Allowance | None] = Singleton(make_allowance, settings, STORED_RESPONSE_BYTES)
    new_customers: Singleton[Allowance | None] = Singleton(make_allowance, settings, NEW_CUSTOMERS)
    turnstile: Singleton[Turnstile] = Singleton(
        Turnstile, storage, clock, ids, jitter=jitter, observer=new_facts, response_allowance=response_allowance
    )
    link_mails: Singleton[LinkMails] = Singleton(make_link_mails, settings, ids)
    draining: Singleton[Draining] = Singleton(Draining)
    readiness: Singleton[Readiness] = Singleton(Readiness, storage.provider, draining)
    # Read for every request; a float is much cheaper than the clock's datetime.
    seconds: Object[Callable[[], float]] = Object(time.time)
    request_limits: Singleton[RequestLimits] = Singleton(RequestLimits, seconds)
    share_counts: Singleton[ShareCounts] = Singleton(ShareCounts, request_limits, storage, ids)
    failed_logins: Singleton[FailedLogins] = Singleton(FailedLogins, storage, clock)
    counted_failures: Singleton[FailedLogins | None] = Singleton(make_counted_failures, settings, failed_logins)

    book_ticket: Singleton[BookTicket] = Singleton(BookTicket, turnstile, duties)
    book_for_other: Singleton[BookForOther] = Singleton(
        BookForOther, turnstile, account_queries, duties, link_mails, clock, ids, new_customers
    )
    cancel_booking: Singleton[CancelBooking] = Singleton(CancelBooking, turnstile, booking_queries, duties)
    give_back_tickets: Singleton[GiveBackTickets] = Singleton(GiveBackTickets, turnstile, booking_queries, duties, ids)
    promote_from_waitlist: Singleton[PromoteFromWaitlist] = Singleton(PromoteFromWaitlist, turnstile)
    resume_unsettled: Singleton[ResumeUnsettled] = Singleton(ResumeUnsettled, turnstile, event_queries)
    initialize_event: Singleton[InitializeEvent] = Singleton(
        make_initialize_event, turnstile, code_signer.provider, settings, payment_gateway
    )
    change_event: Singleton[ChangeEvent] = Singleton(ChangeEvent, turnstile, duties, payment_gateway.provided.objection)

    pay_booking: Singleton[PayBooking] = Singleton(
        PayBooking, turnstile, booking_queries, payment_queries, payment_gateway, duties, ids
    )
    list_payments: Singleton[ListPayments] = Singleton(ListPayments, booking_queries, payment_queries, duties)
    grant_refund: Singleton[GrantPartialRefund] = Singleton(GrantPartialRefund, turnstile, booking_queries, duties, ids)
    settle_refund: Singleton[SettleRefundByHand] = Singleton(SettleRefundByHand, turnstile, booking_queries, duties)
    list_event_payments: Singleton[ListEventPayments] = Singleton(
        ListEventPayments, event_queries, payment_queries, duties
    )
    list_due_payments: Singleton[ListDuePayments] = Singleton(ListDuePayments, payment_queries, clock)
    record_payment_notice: Singleton[RecordPaymentNotice] = Singleton(
        RecordPaymentNotice, turnstile, booking_queries, payment_queries
    )
    receive_notice: Singleton[ReceiveNotice | None] = Singleton(
        make_receive_notice, settings, payment_queries, payment_gateway, record_payment_notice
    )
    expire_holds: Singleton[ExpireHolds] = Singleton(ExpireHolds, promote_from_waitlist, event_queries, clock)
    complete_payments: Singleton[CompletePayments] = Singleton(
        CompletePayments, turnstile, booking_queries, payment_queries, payment_gateway, clock
    )
    number_tickets: Singleton[NumberTickets] = Singleton(NumberTickets, storage, clock, ids, jitter=jitter)
    review_account: Singleton[ReviewAccount] = Singleton(ReviewAccount, turnstile, account_queries, booking_queries)
    review_accounts: Singleton[ReviewAccounts] = Singleton(
        ReviewAccounts, review_account, storage, clock, jitter=jitter
    )

    ticket_codes: Singleton[TicketCodes] = Singleton(TicketCodes, storage, code_signer, jitter=jitter)
    record_check_ins: Singleton[RecordCheckIns] = Singleton(
        RecordCheckIns, turnstile, event_queries, check_in_queries, duties, ticket_codes
    )
    undo_check_in: Singleton[UndoCheckIn] = Singleton(UndoCheckIn, turnstile, event_queries, check_in_queries, duties)
    read_door_list: Singleton[ReadDoorList] = Singleton(
        ReadDoorList, event_queries, check_in_queries, ticket_queries, duties, ticket_codes, clock
    )
    list_conflicts: Singleton[ListConflicts] = Singleton(ListConflicts, event_queries, check_in_queries, duties)
    show_tickets: Singleton[ShowTickets] = Singleton(ShowTickets, account_queries, ticket_codes)
    list_tickets: Singleton[ListTickets] = Singleton(ListTickets, booking_queries, ticket_queries, duties, show_tickets)
    name_ticket: Singleton[NameTicket] = Singleton(NameTicket, turnstile, booking_queries, duties, show_tickets)
    read_booked_event: Singleton[ReadBookedEvent] = Singleton(ReadBookedEvent, booking_queries, duties)
    seal_code_keys: Singleton[SealCodeKeys | None] = Singleton(
        make_seal_code_keys, settings, storage, code_signer.provider, jitter
    )

    log_key: Singleton[LogKey] = Singleton(make_log_key, settings, storage, code_signer, log_formats, jitter)
    seal_log: Singleton[SealLog] = Singleton(SealLog, storage, log_formats, log_key, jitter=jitter)
    seal_logs: Singleton[SealLogs] = Singleton(SealLogs, storage, seal_log, new_facts, clock, ids, jitter=jitter)

    create_user: Singleton[CreateUser] = Singleton(
        CreateUser, storage, password_hasher, known_passwords, clock, ids, link_mails
    )
    verify_email: Singleton[VerifyEmail] = Singleton(VerifyEmail, storage, link_tokens, link_mails, clock)
    request_verification: Singleton[RequestVerification] = Singleton(RequestVerification, storage, link_mails, clock)
    request_password_reset: Singleton[RequestPasswordReset] = Singleton(
        RequestPasswordReset, storage, link_mails, clock
    )
    reset_password: Singleton[ResetPassword] = Singleton(
        ResetPassword, storage, password_hasher, known_passwords, link_tokens, link_mails, clock
    )
    make_reset_link: Singleton[MakeResetLink] = Singleton(MakeResetLink, storage, link_tokens, link_mails, clock)
    mark_verified: Singleton[MarkVerified] = Singleton(MarkVerified, storage, clock)
    forget_links: Singleton[ForgetLinks] = Singleton(ForgetLinks, storage, clock, jitter=jitter)
    log_in: Singleton[LogIn] = Singleton(LogIn, storage, password_hasher, tokens, refresh_tokens, clock, ids)
    limited_log_in: Singleton[LogInWithinLimits] = Singleton(LogInWithinLimits, log_in, counted_failures)
    refresh_session: Singleton[RefreshSession] = Singleton(RefreshSession, storage, tokens, refresh_tokens, clock)
    log_out: Singleton[LogOut] = Singleton(LogOut, storage, refresh_tokens, clock)
    known_keys: Singleton[KnownKeys] = Singleton(KnownKeys, api_key_queries)
    key_uses: Singleton[KeyUses] = Singleton(KeyUses, storage, jitter=jitter)
    use_api_key: Singleton[UseApiKey] = Singleton(UseApiKey, api_key_texts, known_keys, key_uses, clock)
    create_api_key: Singleton[CreateApiKey] = Singleton(CreateApiKey, storage, api_key_texts, duties, clock, ids)
    list_api_keys: Singleton[ListApiKeys] = Singleton(ListApiKeys, api_key_queries)
    revoke_api_key: Singleton[RevokeApiKey] = Singleton(RevokeApiKey, storage)
    authenticate: Singleton[Authenticate] = Singleton(Authenticate, tokens, account_queries, clock, use_api_key)
    read_profile: Singleton[ReadProfile] = Singleton(ReadProfile, account_queries)
    prove_password: Singleton[ProvePassword] = Singleton(
        ProvePassword, account_queries, password_hasher, counted_failures
    )
    change_profile: Singleton[ChangeProfile] = Singleton(
        ChangeProfile, storage, password_hasher, known_passwords, link_mails, clock, counted_failures
    )
    grant_role: Singleton[GrantRole] = Singleton(GrantRole, storage, clock)
    disable_user: Singleton[DisableUser] = Singleton(DisableUser, storage, clock, review_account, jitter=jitter)
    enable_user: Singleton[EnableUser] = Singleton(EnableUser, storage, clock, review_account, jitter=jitter)
    list_users: Singleton[ListUsers] = Singleton(ListUsers, account_queries)

    webhook_sender: Singleton[WebhookSender] = Singleton(make_webhook_sender, settings)
    create_webhook: Singleton[CreateWebhook] = Singleton(CreateWebhook, storage, webhook_sender, duties, clock, ids)
    change_webhook: Singleton[ChangeWebhook] = Singleton(ChangeWebhook, storage, webhook_sender, clock)
    delete_webhook: Singleton[DeleteWebhook] = Singleton(DeleteWebhook, storage)
    list_webhooks: Singleton[ListWebhooks] = Singleton(ListWebhooks, storage)
    read_webhook: Singleton[ReadWebhook] = Singleton(ReadWebhook, storage)
    list_deliveries: Singleton[ListDeliveries] = Singleton(ListDeliveries, storage)
    finish_erasure: Singleton[FinishErasure] = Singleton(
        FinishErasure, storage, turnstile, change_event, delete_webhook, clock
    )
    erase_account: Singleton[EraseAccount] = Singleton(
        EraseAccount, storage, prove_password, link_mails, finish_erasure, clock
    )
    export_account: Singleton[ExportAccount] = Singleton(ExportAccount, storage, read_profile, clock)
    continue_erasures: Singleton[ContinueErasures] = Singleton(ContinueErasures, finish_erasure, account_queries, clock)
    sweep: Singleton[Sweep] = Singleton(
        Sweep,
        expire_holds,
        complete_payments,
        number_tickets,
        review_accounts,
        continue_erasures,
        storage,
        clock,
        ids,
        seal_code_keys=seal_code_keys,
        jitter=jitter,
    )
    resend_delivery: Singleton[ResendDelivery] = Singleton(ResendDelivery, storage, clock)
    deliver_webhooks: Singleton[DeliverWebhooks] = Singleton(
        DeliverWebhooks, storage, webhook_sender, clock, ids, jitter=jitter
    )
    email_sender: Singleton[EmailSender] = Singleton(make_email_sender, settings)
    send_links: Singleton[SendLinks] = Singleton(SendLinks, storage, email_sender, link_tokens, clock, jitter=jitter)
    send_mails: Singleton[SendMails] = Singleton(
        SendMails, storage, email_sender, send_links, clock, ids, jitter=jitter
    )

    read_event: Singleton[ReadEvent] = Singleton(ReadEvent, event_queries, duties)
    read_log: Singleton[ReadLog] = Singleton(ReadLog, read_event, log_queries, log_formats)
    read_receipt: Singleton[ReadReceipt] = Singleton(ReadReceipt, booking_queries, log_queries, duties, log_formats)
    list_events: Singleton[ListEvents] = Singleton(ListEvents, event_queries, clock)
    list_own_events: Singleton[ListOwnEvents] = Singleton(ListOwnEvents, event_queries, clock)
    read_booking: Singleton[ReadBooking] = Singleton(ReadBooking, booking_queries, account_queries, duties)
    line_histories: Singleton[LineHistories] = Singleton(LineHistories, explanation_queries)
    explain_booking: Singleton[ExplainBooking] = Singleton(
        ExplainBooking, explanation_queries, line_histories, duties, clock
    )
    list_bookings: Singleton[ListBookings] = Singleton(ListBookings, booking_queries)
    list_event_bookings: Singleton[ListEventBookings] = Singleton(
        ListEventBookings, event_queries, booking_queries, account_queries, duties
    )
    read_waiting_list: Singleton[ReadWaitingList] = Singleton(
        ReadWaitingList, event_queries, booking_queries, account_queries, duties
    )
    list_attendees: Singleton[ListAttendees] = Singleton(
        ListAttendees, event_queries, booking_queries, ticket_queries, duties
    )
    export_attendees: Singleton[ExportAttendees] = Singleton(
        ExportAttendees, event_queries, booking_queries, ticket_queries, duties
    )
    read_changes: Singleton[ReadChanges] = Singleton(ReadChanges, event_queries, duties)
    appoint_member: Singleton[AppointMember] = Singleton(make_appoint_member, settings, storage, duties, clock, ids)
    change_member: Singleton[ChangeMember] = Singleton(ChangeMember, storage, duties)
    dismiss_member: Singleton[DismissMember] = Singleton(DismissMember, storage, duties)
    list_staff: Singleton[ListStaff] = Singleton(ListStaff, event_queries, staff_queries, duties)
    log_leaves: Singleton[LogLeaves] = Singleton(LogLeaves, storage)
    beacons: Singleton[Beacons] = Singleton(make_beacons, settings)
    place_entries: Singleton[PlaceEntries] = Singleton(
        PlaceEntries, storage, log_leaves, turnstile, clock, ids, jitter=jitter
    )
    hold_draw: Singleton[HoldEventDraw] = Singleton(
        HoldEventDraw, storage, log_leaves, code_signer, beacons, place_entries, clock, ids, jitter=jitter
    )
    finish_draws: Singleton[FinishDraws] = Singleton(FinishDraws, event_queries, place_entries)
    read_draw: Singleton[ReadDraw] = Singleton(ReadDraw, storage, log_leaves, read_event, clock)
    verify_promises: Singleton[VerifyPromises] = Singleton(VerifyPromises, storage, clock)
    note_verdict: Singleton[NoteVerdict] = Singleton(NoteVerdict, storage, clock)


def make_container(settings: Settings) -> Container:
    """Return a new container. Two containers share only the database."""
    return Container(settings=settings)


async def migrate(
    settings: Settings, progress: Callable[[str], None] | None = None, dropped_addresses: Collection[UUID] = ()
) -> None:
    """Bring the database's schema up to date; safe to run twice and in parallel.

    The accounts of `dropped_addresses` lose their e-mail address where the addresses get one spelling. Call `progress`
    with each version that it reaches. Raises: Unavailable.
    """
    if settings.is_in_memory:
        return
    from ..adapters.sql.migrate import upgrade  # noqa: PLC0415

    create_files(settings)
    try:
        await upgrade(settings.database_url, progress, dropped_addresses)
    except Unavailable as failure:
        raise Unavailable(f"The database at {settings.database_place} cannot be migrated: {failure}") from failure
    if settings.payments is Payments.SANDBOX:
        await _prepare_sandbox(settings)


async def _prepare_sandbox(settings: Settings) -> None:
    """Create the sandbox's ledger, because only the migrating user may change the schema. Raises: Unavailable."""
    sandbox = make_sandbox(settings)
    try:
        await sandbox.prepare()
    except GatewaySilent as error:
        raise Unavailable(f"The sandbox's ledger at {settings.database_place} cannot be created.") from error
    finally:
        await sandbox.close()
