"""The door of an event: /events/{id}/door and /events/{id}/check-ins."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from litestar import Router
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec.structs import replace

from ....application.door.queries import ListConflicts, ReadDoorList
from ....application.door.record_check_ins import RecordCheckIns, ScanSeen
from ....application.door.undo_check_in import UndoCheckIn
from ....domain.decisions.check_in import UndoneCheckIn
from ..authentication import SIGNED_IN
from ..etags import tagged
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import Cursor, Limit, check_parameters, number_cursors
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.door import (
    MOST_BYTES,
    CheckInsRequest,
    CheckInsView,
    ConflictPageView,
    ConflictView,
    DoorView,
    UndoneView,
)


class Conflicts(StrEnum):
    """The only value of the parameter `conflicts`."""

    TRUE = "true"


_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)
_LARGE: Final = {**SIGNED_IN, "most_bytes": MOST_BYTES}


def router(
    read_door_list: ReadDoorList,
    record_check_ins: RecordCheckIns,
    undo_check_in: UndoCheckIn,
    list_conflicts: ListConflicts,
) -> Router:
    """Return the routes of the door."""
    door = Subject("Door")

    @door.get("/events/{event_id:str}/door", DoorView, ("not-allowed",), ("If-None-Match",))
    async def handle_read_door(event_id: FromPath[str], request: SignedInRequest) -> Reply:
        """Read what a scanner needs without a network. For everyone who works for the event.

        A code is signed with the event's key, so a scanner checks it by `publicKey` alone, and then looks for its
        ticket in `void`, `reissued` and `used`. Read it again from time to time, with `If-None-Match`.
        """
        view = DoorView.at(await read_door_list(id_in_path(event_id), request.user.actor))
        # The time is another one with each reading.
        return tagged(request, view, compared=replace(view, as_of=_NO_TIME))

    @door.post("/events/{event_id:str}/check-ins", CheckInsView, ("not-allowed",), ("Idempotency-Key",), opt=_LARGE)
    async def handle_check_in(
        event_id: FromPath[str], data: JSONBody[CheckInsRequest], request: SignedInRequest
    ) -> Reply:
        """Check tickets in: one scan or up to 500, also late ones. For everyone who works for the event.

        All scans are recorded, or none. Of several entries of a ticket the earliest `at` counts, in whatever order they
        arrive; answers that were given do not change. What is no code of the event is not recorded.
        """
        scanned_at = id_in_path(event_id)

        def respond(answers: list[ScanSeen]) -> RepeatableResponse:
            return response_of(CheckInsView.at(answers), scanned_at)

        scans = [each.to_scan() for each in data.items]
        idempotent = await idempotent_request(request, respond, scanned_at)
        return reply_of(respond(await record_check_ins(scanned_at, scans, request.user.actor, idempotent)))

    @door.get("/events/{event_id:str}/check-ins", ConflictPageView, ("not-allowed",))
    async def handle_list_conflicts(
        event_id: FromPath[str],
        request: SignedInRequest,
        conflicts: Annotated[  # noqa: ARG001 - required, so that later there may be other lists
            Conflicts, QueryParameter(description="Always `true`: only such tickets are listed.")
        ],
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """List the tickets that were let in more than once, with every entry. For everyone who works for the event.

        An entry counts if its answer was `admitted` or it was `offline`, and it was not undone. A page may have fewer
        items than `limit` before the list ends.
        """
        check_parameters(request, "conflicts", "cursor", "limit")
        cursors = number_cursors("conflicts", event_id.lower())
        page = await list_conflicts(
            id_in_path(event_id), request.user.actor, after=cursors.read(cursor) or 0, limit=limit
        )
        views = [ConflictView.at(each) for each in page.items]
        return Reply(ConflictPageView(items=views, next_cursor=cursors.write(page.next)))

    @door.post(
        "/events/{event_id:str}/check-ins/{check_in_id:str}/undo", UndoneView, ("not-allowed",), ("Idempotency-Key",)
    )
    async def handle_undo_check_in(
        event_id: FromPath[str], check_in_id: FromPath[str], request: SignedInRequest
    ) -> Reply:
        """Undo a check-in. For everyone who works for the event.

        Undoing it once more changes nothing. The earliest other entry of the ticket counts then, if there is one.
        """
        undone_at = id_in_path(event_id)

        def respond(undone: UndoneCheckIn) -> RepeatableResponse:
            return response_of(UndoneView.at(undone), undone_at)

        idempotent = await idempotent_request(request, respond, undone_at, has_body=False)
        entry_id = id_in_path(check_in_id)
        return reply_of(respond(await undo_check_in(undone_at, entry_id, request.user.actor, idempotent)))

    return door.router
