"""Accounts: /create-user, /login, /refresh, /logout, /me."""

from litestar import Router, patch, post
from litestar.params import JSONBody

from ....application.change_profile import ChangeProfile, ReadProfile
from ....application.create_user import CreateUser
from ....application.limits import SIGN_INS, SIGN_UPS
from ....application.limits_on_login import LogInWithinLimits
from ....application.log_out import LogOut
from ....application.refresh_session import RefreshSession
from ..authentication import SIGNED_IN, limited_by
from ..client_address import ClientAddress
from ..reference.operations import answers, operation, readable
from ..reply import Reply
from ..request import AnyoneRequest, SignedInRequest
from ..schemas.accounts import (
    CredentialsRequest,
    ProfileRequest,
    RefreshRequest,
    RegistrationRequest,
    TokenView,
    UserView,
)

_BODY = ("invalid-request", "body-too-large", "unsupported-media-type")


def router(
    create_user: CreateUser,
    log_in: LogInWithinLimits,
    refresh_session: RefreshSession,
    log_out: LogOut,
    read_profile: ReadProfile,
    change_profile: ChangeProfile,
    address_of: ClientAddress,
) -> Router:
    """Return the routes of accounts and sessions."""

    @post(
        "/create-user",
        operation_id="CreateUser",
        summary="Create an account",
        opt=limited_by(SIGN_UPS),
        responses=answers(201, UserView, "The account.", *_BODY, "email-taken"),
        operation_class=operation(),
    )
    async def handle_create_user(data: JSONBody[RegistrationRequest], request: AnyoneRequest) -> Reply:
        """Create an account; everyone starts as a customer."""
        user = await create_user(data.to_registration(), address_of(request.scope))
        return Reply(UserView.of(user), status=201, headers={"Location": "/me"})

    @post(
        "/login",
        status_code=200,
        operation_id="LogIn",
        summary="Sign in",
        opt=limited_by(SIGN_INS),
        responses=answers(200, TokenView, "The tokens of a new session.", *_BODY, "wrong-credentials"),
        operation_class=operation(),
    )
    async def handle_log_in(data: JSONBody[CredentialsRequest], request: AnyoneRequest) -> Reply:
        """Get an access token and a refresh token. A wrong password and an unknown address look the same."""
        return Reply(TokenView.of(await log_in(data.to_credentials(), address_of(request.scope))))

    @post(
        "/refresh",
        status_code=200,
        operation_id="RefreshSession",
        summary="Go on with a session",
        opt=limited_by(SIGN_INS),
        responses=answers(200, TokenView, "The next tokens of the session.", *_BODY, "invalid-token"),
        operation_class=operation(),
    )
    async def handle_refresh_session(data: JSONBody[RefreshRequest], request: AnyoneRequest) -> Reply:
        """Get the next access token and refresh token. Each refresh token serves once; a used one ends the session."""
        return Reply(TokenView.of(await refresh_session(data.refresh_token)))

    @post(
        "/logout",
        status_code=204,
        operation_id="LogOut",
        summary="Sign out",
        opt=limited_by(SIGN_INS),
        responses=answers(204, None, "The session has ended.", *_BODY),
        operation_class=operation(),
    )
    async def handle_log_out(data: JSONBody[RefreshRequest], request: AnyoneRequest) -> None:
        """End a session with all its tokens. An unknown refresh token changes nothing."""
        await log_out(data.refresh_token)

    @readable(
        "/me",
        operation_id="ReadProfile",
        summary="Read one's own account",
        opt=SIGNED_IN,
        responses=answers(200, UserView, "The account.", "not-signed-in", "invalid-token"),
        operation_class=operation(signed_in=True),
    )
    async def handle_read_profile(request: SignedInRequest) -> Reply:
        """Read the account of the caller."""
        return Reply(UserView.of(await read_profile(request.user.actor.user_id)))

    @patch(
        "/me",
        operation_id="ChangeProfile",
        summary="Change one's own name or password",
        opt=SIGNED_IN,
        responses=answers(200, UserView, "The account.", *_BODY, "not-signed-in", "invalid-token", "not-allowed"),
        operation_class=operation(signed_in=True),
    )
    async def handle_change_profile(data: JSONBody[ProfileRequest], request: SignedInRequest) -> Reply:
        """Change the account of the caller. A new password ends every other session."""
        return Reply(UserView.of(await change_profile(request.user.claims, data.to_changes(), address_of(request.scope))))

    return Router(
        "/",
        route_handlers=[
            handle_create_user,
            handle_log_in,
            handle_refresh_session,
            handle_log_out,
            *handle_read_profile,
            handle_change_profile,
        ],
        tags=["Accounts"],
    )
