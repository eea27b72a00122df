"""The staff of an event: /events/{id}/staff."""

from litestar import Router
from litestar.params import FromPath, JSONBody

from ....application.ports.accounts.staff import Colleague
from ....application.staff.appoint_member import AppointMember, NewMember
from ....application.staff.change_member import ChangeMember
from ....application.staff.dismiss_member import DismissMember
from ....application.staff.queries import ListStaff
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import Cursor, Limit, check_parameters, id_cursors
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.staff import StaffChangesRequest, StaffPage, StaffRequest, StaffView


def router(
    appoint_member: AppointMember, list_staff: ListStaff, change_member: ChangeMember, dismiss_member: DismissMember
) -> Router:
    """Return the routes of an event's staff."""
    staff = Subject("Staff")

    @staff.post(
        "/events/{event_id:str}/staff",
        StaffView,
        ("not-allowed", "already-staff", "too-many-staff"),
        ("Idempotency-Key",),
        status=201,
    )
    async def handle_appoint_member(
        event_id: FromPath[str], data: JSONBody[StaffRequest], request: SignedInRequest
    ) -> Reply:
        """Let a person with an account work for an event. For its organizer and admins.

        The role holds for the person's next call. Without an account with this address, or where mails are sent with
        one that has not verified it, the answer is `not-found`.
        """

        def respond(colleague: Colleague) -> RepeatableResponse:
            member = colleague.member
            location = f"/events/{member.event_id}/staff/{member.user_id}"
            return response_of(StaffView.of_colleague(colleague), member.event_id, status=201, location=location)

        command = data.to(NewMember, event_id=id_in_path(event_id), actor=request.user.actor)
        idempotent = await idempotent_request(request, respond, command.event_id)
        return reply_of(respond(await appoint_member(command, idempotent)))

    @staff.get("/events/{event_id:str}/staff", StaffPage, ("not-allowed",))
    async def handle_list_staff(
        event_id: FromPath[str], request: SignedInRequest, cursor: Cursor = None, limit: Limit = 50
    ) -> Reply:
        """List who works for an event, by the ids of their accounts. For its organizer and admins."""
        check_parameters(request, "cursor", "limit")
        cursors = id_cursors("staff", event_id.lower())
        page = await list_staff(id_in_path(event_id), request.user.actor, after=cursors.read(cursor), limit=limit)
        views = [StaffView.of_colleague(each) for each in page.items]
        return Reply(StaffPage(items=views, next_cursor=cursors.write(page.next)))

    @staff.patch("/events/{event_id:str}/staff/{user_id:str}", StaffView, ("not-allowed",))
    async def handle_change_member(
        event_id: FromPath[str], user_id: FromPath[str], data: JSONBody[StaffChangesRequest], request: SignedInRequest
    ) -> Reply:
        """Give a person who works for an event another role. For its organizer and admins."""
        changed = await change_member(id_in_path(event_id), id_in_path(user_id), data.role, request.user.actor)
        return Reply(StaffView.of_colleague(changed))

    @staff.delete("/events/{event_id:str}/staff/{user_id:str}", None, ("not-allowed",), status=204)
    async def handle_dismiss_member(event_id: FromPath[str], user_id: FromPath[str], request: SignedInRequest) -> None:
        """End a person's work for an event. What they did stays. For its organizer and admins."""
        await dismiss_member(id_in_path(event_id), id_in_path(user_id), request.user.actor)

    return staff.router
