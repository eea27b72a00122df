"""Error reports to Sentry, without anything that a request brought. Needs the extra `sentry`."""

import asyncio
from typing import Any, Final

from sentry_sdk import Client
from sentry_sdk.utils import BadDsn, event_from_exception

__all__ = ["BadDsn", "SentryReports"]

CLOSING_SECONDS: Final = 2.0
"""What there is at the end to send what is left."""

_KEPT: Final = frozenset({"event_id", "exception", "level", "platform", "release", "environment", "timestamp", "sdk"})
_KEPT_OF_EXCEPTION: Final = frozenset({"type", "module", "stacktrace", "mechanism"})
_KEPT_OF_FRAME: Final = frozenset(
    {"filename", "function", "module", "lineno", "in_app", "pre_context", "context_line", "post_context"}
)


class SentryReports:
    """Tells of an exception its types and where in the program it was raised.

    What it says stays here (it may quote a request or a row), as do variables, headers, bodies, users and the
    machine's name. The log, by its time, tells the rest.
    """

    def __init__(self, dsn: str, version: str) -> None:
        """Raises: BadDsn."""
        # A client of its own: nothing hooks itself into libraries, and nothing is collected on the way.
        self._client = Client(
            dsn,
            release=f"boxoffice@{version}",
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            before_send=_without_what_a_request_brought,
        )

    def report(self, error: BaseException) -> None:
        """Send it by and by, in the background."""
        event, hint = event_from_exception(error, client_options=self._client.options)
        self._client.capture_event(event, hint)

    async def close(self) -> None:
        """Send what is left."""
        await asyncio.to_thread(self._client.close, CLOSING_SECONDS)


def _without_what_a_request_brought(event: Any, _hint: Any) -> Any:
    """Only what is named here goes, whatever a later version of the library may add."""
    kept = {name: value for name, value in event.items() if name in _KEPT}
    values = (event.get("exception") or {}).get("values") or []
    kept["exception"] = {"values": [_cut(each) for each in values]}
    return kept


def _cut(exception: Any) -> Any:
    kept = {name: value for name, value in exception.items() if name in _KEPT_OF_EXCEPTION}
    frames = (exception.get("stacktrace") or {}).get("frames") or []
    kept["stacktrace"] = {
        "frames": [{name: value for name, value in frame.items() if name in _KEPT_OF_FRAME} for frame in frames]
    }
    return kept
