"""The tables. Keys and checks enforce the promises once more, below the rules.

Columns have the names of the domain's fields. A test compares the migrations with these tables.
"""

from .accounts import (
    account_claims,
    account_links,
    account_reviews,
    api_keys,
    erasures,
    event_staff,
    mail_times,
    sessions,
    users,
)
from .door import check_ins
from .events import bookings, event_grams, events, facts, payments, ticket_types, tickets, waiting_blocks, waiting_list
from .logs import customer_log_keys, event_logs, log_bundles, log_hosts, log_tiles, unsealed_events
from .metadata import metadata
from .notifications import announcements, mail_cursors, mails, webhook_cursors, webhook_deliveries, webhooks
from .operations import chances, code_keys, leases, login_failures, request_counts, stored_responses, verifications

__all__ = [
    "account_claims",
    "account_links",
    "account_reviews",
    "announcements",
    "api_keys",
    "bookings",
    "chances",
    "check_ins",
    "code_keys",
    "customer_log_keys",
    "erasures",
    "event_grams",
    "event_logs",
    "event_staff",
    "events",
    "facts",
    "leases",
    "log_bundles",
    "log_hosts",
    "log_tiles",
    "login_failures",
    "mail_cursors",
    "mail_times",
    "mails",
    "metadata",
    "payments",
    "request_counts",
    "sessions",
    "stored_responses",
    "ticket_types",
    "tickets",
    "unsealed_events",
    "users",
    "verifications",
    "waiting_blocks",
    "waiting_list",
    "webhook_cursors",
    "webhook_deliveries",
    "webhooks",
]
