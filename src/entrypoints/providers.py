"""How the container makes adapters and use cases that depend on the settings."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ..adapters.notifications import HttpWebhookSender
from ..adapters.observability import CompositeObserver, Counters, Metrics, SharedCounters, UnhandledErrors
from ..adapters.payments import MemoryLedger, SandboxGateway
from ..adapters.security import (
    Ed25519CodeSigner,
    HmacLinkTokens,
    JwtTokens,
    RandomApiKeyTexts,
)
from ..application.accounts.link_mails import LinkMails
from ..application.accounts.login_throttle import FailedLogins
from ..application.background.seal_code_keys import SealCodeKeys
from ..application.duties import Duties
from ..application.events.commit_to_draw import CommitToDraw
from ..application.events.initialize_event import InitializeEvent
from ..application.limits.allowances import NEW_EVENTS, Allowance
from ..application.log.log_key import LogKey
from ..application.log.new_facts import NewFacts
from ..application.payments.receive_notice import ReceiveNotice
from ..application.payments.record_notice import RecordPaymentNotice
from ..application.ports.accounts.api_keys import ApiKeyTexts
from ..application.ports.draws.beacons import Beacons
from ..application.ports.log.formats import LogFormats
from ..application.ports.notifications import EmailSender, WebhookSender
from ..application.ports.payments import PaymentGateway
from ..application.ports.queries import PaymentQueries
from ..application.ports.security import LinkTokens, Tokens
from ..application.ports.storage import Storage
from ..application.ports.system import Clock, Ids
from ..application.ports.ticket_codes import CodeSigner
from ..application.staff.appoint_member import AppointMember
from ..application.turnstile.turnstile import Turnstile
from ..domain.event import MOST_LIVE_EVENTS
from ..version import VERSION
from .database_files import create_files, ledger_url
from .private_files import make_private_folder
from .settings import Payments, Settings, SettingsError
from .signing_secret import signing_secret

if TYPE_CHECKING:
    from ..adapters.observability.sentry import SentryReports
    from ..adapters.observability.tracing import Tracing


def make_storage(settings: Settings, tracing: "Tracing | None" = None) -> Storage:
    # Imported on demand, so that an embedder of the core in memory loads no database driver.
    if settings.is_in_memory:
        from ..adapters.memory import MemoryStorage  # noqa: PLC0415

        return MemoryStorage()
    from ..adapters.sql.storage import SqlStorage  # noqa: PLC0415

    create_files(settings)
    storage = SqlStorage(settings.database_url)
    if tracing is not None:
        for engine in storage.engines:
            tracing.watch(engine)
        storage.wrap_send(tracing.around_sending)
    return storage


def make_tracing(settings: Settings) -> "Tracing | None":
    if settings.otel_endpoint is None:
        return None
    try:
        from ..adapters.observability.tracing import Tracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "BOXOFFICE_OTEL_ENDPOINT is set, but OpenTelemetry is not installed: pip install 'boxoffice[otel]'"
        ) from error
    return Tracing.exporting_to(settings.otel_endpoint, VERSION)


def make_sentry(settings: Settings) -> "SentryReports | None":
    if settings.sentry_dsn is None:
        return None
    try:
        from ..adapters.observability.sentry import BadDsn, SentryReports  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "BOXOFFICE_SENTRY_DSN is set, but Sentry's library is not installed: pip install 'boxoffice[sentry]'"
        ) from error
    try:
        return SentryReports(settings.sentry_dsn, VERSION)
    except BadDsn:
        raise SettingsError("BOXOFFICE_SENTRY_DSN must be a DSN of Sentry: https://key@host/project") from None


def make_unhandled_errors(metrics: Metrics, reports: "SentryReports | None") -> UnhandledErrors:
    return UnhandledErrors(metrics.count_unhandled, *([] if reports is None else [reports.report]))


DEFAULT_LOG_HOST: Final = "boxoffice"
"""The name of the logs of an installation without a public address."""


def make_new_facts(metrics: Metrics, tracing: "Tracing | None") -> NewFacts:
    return NewFacts(metrics if tracing is None else CompositeObserver(metrics, tracing))


def make_metrics(settings: Settings, storage: Storage) -> Metrics:
    return Metrics(make_counters(settings), storage.statistics, VERSION)


def make_counters(settings: Settings) -> Counters:
    if settings.metrics_directory is None:
        return Counters()
    try:
        make_private_folder(settings.metrics_directory)
        return SharedCounters(settings.metrics_directory)
    except OSError as error:
        raise SettingsError(f"BOXOFFICE_METRICS_DIRECTORY must name a writable directory: {error.strerror}") from error


def make_secrets(settings: Settings) -> tuple[str, ...]:
    return (signing_secret(settings), *settings.jwt_older_secrets)


def make_tokens(secrets: tuple[str, ...]) -> Tokens:
    return JwtTokens(*secrets)


def make_link_tokens(secrets: tuple[str, ...]) -> LinkTokens:
    return HmacLinkTokens(*secrets)


def make_api_key_texts(secrets: tuple[str, ...]) -> ApiKeyTexts:
    return RandomApiKeyTexts(*secrets)


def make_code_signer(secrets: tuple[str, ...]) -> CodeSigner:
    return Ed25519CodeSigner(*secrets)


def make_log_key(
    settings: Settings,
    storage: Storage,
    code_signer: CodeSigner,
    log_formats: LogFormats,
    jitter: Callable[[], float],
) -> LogKey:
    host = DEFAULT_LOG_HOST if settings.public_url is None else urlsplit(settings.public_url).netloc
    return LogKey(storage, code_signer, log_formats, host, jitter=jitter)


def make_seal_code_keys(
    settings: Settings, storage: Storage, code_signer: Callable[[], CodeSigner], jitter: Callable[[], float]
) -> SealCodeKeys | None:
    """Return the task if there are older secrets. Without, nothing has to be sealed anew, and no secret is needed."""
    return SealCodeKeys(storage, code_signer(), jitter=jitter) if settings.jwt_older_secrets else None


def make_link_mails(settings: Settings, ids: Ids) -> LinkMails:
    return LinkMails(ids, are_sent=settings.smtp_url is not None)


def make_appoint_member(settings: Settings, storage: Storage, duties: Duties, clock: Clock, ids: Ids) -> AppointMember:
    # Without a mail server no address can be verified.
    return AppointMember(storage, duties, clock, ids, only_verified=settings.smtp_url is not None)


def make_payment_gateway(settings: Settings) -> PaymentGateway:
    if settings.payments is Payments.SANDBOX:
        return make_sandbox(settings)
    if settings.stripe_key is None:
        raise SettingsError("BOXOFFICE_STRIPE_KEY must be set with BOXOFFICE_PAYMENTS=stripe")
    try:
        from ..adapters.payments.stripe import StripeGateway  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "BOXOFFICE_PAYMENTS is stripe, but Stripe's library is not installed: pip install 'boxoffice[stripe]'"
        ) from error
    return_url = settings.public_url or f"http://{settings.host}:{settings.port}"
    return StripeGateway(settings.stripe_key, return_url=f"{return_url}/", url=settings.stripe_url)


def make_receive_notice(
    settings: Settings, payments: PaymentQueries, gateway: PaymentGateway, record: RecordPaymentNotice
) -> ReceiveNotice | None:
    """Return the receiver of Stripe's events, or None without a secret to check their signatures with."""
    if not settings.stripe_webhook_secret:
        return None
    try:
        from ..adapters.payments.stripe_events import StripeEvents  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "BOXOFFICE_STRIPE_WEBHOOK_SECRET is set, but Stripe's library is not installed: "
            "pip install 'boxoffice[stripe]'"
        ) from error
    return ReceiveNotice(StripeEvents(settings.stripe_webhook_secret), payments, gateway, record)


def make_sandbox(settings: Settings) -> SandboxGateway:
    """Return the sandbox. All processes of the service share its ledger."""
    if settings.is_in_memory:
        return SandboxGateway(MemoryLedger())
    from ..adapters.payments.ledger import SqlLedger  # noqa: PLC0415

    create_files(settings)
    return SandboxGateway(SqlLedger(ledger_url(settings)))


def make_webhook_sender(settings: Settings) -> WebhookSender:
    return HttpWebhookSender(allows_private=settings.webhooks_private)


def make_email_sender(settings: Settings) -> EmailSender:
    if settings.smtp_url is None or settings.mail_from is None:
        raise SettingsError("BOXOFFICE_SMTP_URL and BOXOFFICE_MAIL_FROM must be set to send mails")
    from ..adapters.notifications.smtp_sender import Encryption, MailServer, SmtpSender  # noqa: PLC0415

    url = settings.smtp_url
    server = MailServer(
        host=url.host,
        port=url.port,
        user=url.user,
        password=url.password,
        encryption=Encryption(url.encryption),
        ca=url.ca,
    )
    return SmtpSender(server, settings.mail_from, public_url=settings.public_url)


def make_beacons(settings: Settings) -> Beacons:
    from ..adapters.randomness.relays import DrandBeacons  # noqa: PLC0415 - only draws need it

    return DrandBeacons(settings.drand_relays)


def make_initialize_event(
    turnstile: Turnstile,
    code_signer: Callable[[], CodeSigner],
    settings: Settings,
    gateway: PaymentGateway,
    most_live_events: int = MOST_LIVE_EVENTS,
) -> InitializeEvent:
    return InitializeEvent(
        turnstile,
        CommitToDraw(code_signer),
        settings.organizers,
        most_live_events=most_live_events,
        allowance=make_allowance(settings, NEW_EVENTS),
        objection=gateway.objection,
    )


def make_allowance(settings: Settings, most: int) -> Allowance | None:
    return Allowance(most) if settings.rate_limits else None


def make_counted_failures(settings: Settings, failed_logins: FailedLogins) -> FailedLogins | None:
    """Return the counts of failed sign-ins, or None when limits are disabled."""
    return failed_logins if settings.rate_limits else None
