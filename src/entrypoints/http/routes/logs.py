"""Events' logs and receipts in C2SP's formats: /log/key, /events/{id}/log and /bookings/{id}/receipt."""

from typing import Final

from litestar import Router
from litestar.params import FromPath

from ....application.log.log_key import LogKey
from ....application.log.read_log import ReadLog, is_public
from ....application.log.read_receipt import ReadReceipt
from ....domain.event import Event
from ....domain.user import Actor
from ..reference.operations import PUBLIC, Subject
from ..reply import Reply
from ..request import AnyoneRequest, SignedInRequest, id_in_path

_TEXT: Final = "text/plain"
_PLAIN: Final = f"{_TEXT}; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_CHECKPOINT_SECONDS: Final = 1
_YEAR: Final = 31_536_000
_PERSONAL: Final = {
    "Cache-Control": "no-store",
    "Content-Disposition": 'attachment; filename="booking.tlog-proof"',
}


def router(log_key: LogKey, read_log: ReadLog, read_receipt: ReadReceipt) -> Router:
    """Return the routes of logs."""
    logs = Subject("Logs")

    @logs.get("/log/key", str, opt=PUBLIC, media_types=(_TEXT,))
    async def handle_read_log_key() -> Reply:
        """Read the public key of all logs (C2SP `signed-note`). It is one line, and never changes.

        Keep it, or have it from somebody else: whoever could exchange it could show another log.
        """
        return Reply(f"{(await log_key()).key_text}\n".encode(), media_type=_PLAIN)

    @logs.get(
        "/events/{event_id:str}/log/checkpoint",
        str,
        ("not-allowed",),
        opt=PUBLIC,
        media_types=(_TEXT,),
    )
    async def handle_read_log_checkpoint(event_id: FromPath[str], request: AnyoneRequest) -> Reply:
        """Read the newest signed size and root of an event's log (C2SP `tlog-checkpoint`).

        Everybody who may see the event may if its `log` is `public`; else its organizer, and admins. A fact is in the
        log within two seconds. `try-again` until the first one is, `not-found` where `log` is `off`.
        """
        event = await read_log.event(id_in_path(event_id), _actor(request))
        text = await read_log.checkpoint(event.id)
        return Reply(text.encode(), headers=_cached(event, _CHECKPOINT_SECONDS), media_type=_PLAIN)

    @logs.get(
        "/events/{event_id:str}/log/tile/{level:str}/{index:path}",
        bytes,
        ("not-allowed",),
        opt=PUBLIC,
        media_types=(_BYTES,),
    )
    async def handle_read_log_tile(
        event_id: FromPath[str], level: FromPath[str], index: FromPath[str], request: AnyoneRequest
    ) -> Reply:
        """Read hashes or entries of an event's log (C2SP `tlog-tiles`), for whom its checkpoint is.

        `level` is a number, or `entries`; `index` is one as in `000`, `x001/x234/067` or, before 256 are there,
        `000.p/5`. What is here never changes. An entry has the public values of a fact, and a commitment to all of it.
        """
        event = await read_log.event(id_in_path(event_id), _actor(request))
        # Litestar gives such a parameter with its slash.
        found = await read_log.file(event.id, f"tile/{level}{index}")
        return Reply(found, headers=_cached(event, _YEAR), media_type=_BYTES)

    @logs.get("/bookings/{booking_id:str}/receipt", str, ("not-allowed",), media_types=(_TEXT,))
    async def handle_read_receipt(booking_id: FromPath[str], request: SignedInRequest) -> Reply:
        """Read the proof that the latest fact of a booking is in its event's log (C2SP `tlog-proof`). For its customer.

        `extra` is JSON with the `entry`, and the `opening` of what the entry commits to. Keep the receipt, and check it
        with `boxoffice check-receipt` or any other tool. `try-again` until the log has the fact, within two seconds;
        `not-found` where the event's `log` is `off`.
        """
        text = await read_receipt(id_in_path(booking_id), request.user.actor)
        return Reply(text.encode(), headers=_PERSONAL, media_type=_PLAIN)

    return logs.router


def _actor(request: AnyoneRequest) -> Actor | None:
    return None if request.user is None else request.user.actor


def _cached(event: Event, seconds: int) -> dict[str, str]:
    kept = f"max-age={seconds}, immutable" if seconds == _YEAR else f"max-age={seconds}"
    return {"Cache-Control": f"{'public' if is_public(event) else 'private'}, {kept}"}
