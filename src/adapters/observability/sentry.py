"""Error reports to Sentry, without data of requests. Needs the extra `sentry`."""

import asyncio
from typing import Any, Final

from sentry_sdk import Client
from sentry_sdk.utils import BadDsn, event_from_exception

__all__ = ["BadDsn", "SentryReports"]

CLOSING_SECONDS: Final = 2.0
"""Timeout for sending pending reports at shutdown."""

_KEPT: Final = frozenset({"event_id", "exception", "level", "platform", "release", "environment", "timestamp", "sdk"})
_KEPT_OF_EXCEPTION: Final = frozenset({"type", "module", "stacktrace", "mechanism"})
_KEPT_OF_FRAME: Final = frozenset(
    {"filename", "function", "module", "lineno", "in_app", "pre_context", "context_line", "post_context"}
)


class SentryReports:
    """Report the types and stack traces of exceptions.

    Messages (which may quote a request or a row), variables, headers, bodies, users and the host name are not sent.
    The log has the message under the same time.
    """

    def __init__(self, dsn: str, version: str) -> None:
        """Raises: BadDsn."""
        # A client without integrations, so nothing is patched and no data is collected.
        self._client = Client(
            dsn,
            release=f"boxoffice@{version}",
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            before_send=_without_request_data,
        )

    def report(self, error: BaseException) -> None:
        """Send a report in the background."""
        event, hint = event_from_exception(error, client_options=self._client.options)
        self._client.capture_event(event, hint)

    async def close(self) -> None:
        """Send pending reports."""
        await asyncio.to_thread(self._client.close, CLOSING_SECONDS)


def _without_request_data(event: Any, _hint: Any) -> Any:
    """Return the event with allowed fields only, so fields that a later library version adds are not sent."""
    kept = {name: value for name, value in event.items() if name in _KEPT}
    values = (event.get("exception") or {}).get("values") or []
    kept["exception"] = {"values": [_without_values(each) for each in values]}
    return kept


def _without_values(exception: Any) -> Any:
    kept = {name: value for name, value in exception.items() if name in _KEPT_OF_EXCEPTION}
    frames = (exception.get("stacktrace") or {}).get("frames") or []
    kept["stacktrace"] = {
        "frames": [{name: value for name, value in frame.items() if name in _KEPT_OF_FRAME} for frame in frames]
    }
    return kept
