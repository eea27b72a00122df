"""Accounts: /create-user, /login, /refresh, /logout, /me."""

from litestar import Router, patch, post
from litestar.params import JSONBody

from ....application.change_profile import ChangeProfile, ProfileChanges, ReadProfile
from ....application.create_user import CreateUser, Registration
from ....application.limits import SIGN_INS, SIGN_UPS
from ....application.limits_on_login import LogInWithinLimits
from ....application.log_in import Credentials
from ....application.log_out import LogOut
from ....application.refresh_session import RefreshSession
from ...client_address import AddressOf
from ..authentication import limited_by
from ..reference.operations import described, for_users, readable
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


def router(
    create_user: CreateUser,
    log_in: LogInWithinLimits,
    refresh_session: RefreshSession,
    log_out: LogOut,
    read_profile: ReadProfile,
    change_profile: ChangeProfile,
    address_of: AddressOf,
) -> Router:
    """Return the routes of accounts and sessions."""

    @post(
        "/create-user",
        **described("CreateUser", "Create an account", 201, UserView, ("email-taken",), opt=limited_by(SIGN_UPS)),
    )
    async def handle_create_user(data: JSONBody[RegistrationRequest], request: AnyoneRequest) -> Reply:
        """Create an account; everyone starts as a customer."""
        user = await create_user(data.to(Registration), address_of(request.scope))
        return Reply(UserView.of(user), status=201, headers={"Location": "/me"})

    @post("/login", **described("LogIn", "Sign in", 200, TokenView, ("wrong-credentials",), opt=limited_by(SIGN_INS)))
    async def handle_log_in(data: JSONBody[CredentialsRequest], request: AnyoneRequest) -> Reply:
        """Get an access token and a refresh token. A wrong password and an unknown address look the same."""
        return Reply(TokenView.of_session(await log_in(data.to(Credentials), address_of(request.scope))))

    @post("/refresh", **described("RefreshSession", "Go on with a session", 200, TokenView, opt=limited_by(SIGN_INS)))
    async def handle_refresh_session(data: JSONBody[RefreshRequest]) -> Reply:
        """Get the next access token and refresh token. Each refresh token serves once; a used one ends the session."""
        return Reply(TokenView.of_session(await refresh_session(data.refresh_token)))

    @post("/logout", **described("LogOut", "Sign out", 204, None, opt=limited_by(SIGN_INS)))
    async def handle_log_out(data: JSONBody[RefreshRequest]) -> None:
        """End a session with all its tokens. An unknown refresh token changes nothing."""
        await log_out(data.refresh_token)

    @readable("/me", **for_users("ReadProfile", "Read one's own account", 200, UserView))
    async def handle_read_profile(request: SignedInRequest) -> Reply:
        """Read the account of the caller."""
        return Reply(UserView.of(await read_profile(request.user.actor.user_id)))

    @patch("/me", **for_users("ChangeProfile", "Change one's own name or password", 200, UserView, ("not-allowed",)))
    async def handle_change_profile(data: JSONBody[ProfileRequest], request: SignedInRequest) -> Reply:
        """Change the account of the caller. A new password ends every other session."""
        changes = data.to(ProfileChanges)
        return Reply(UserView.of(await change_profile(request.user.claims, changes, address_of(request.scope))))

    return Router(
        "/",
        route_handlers=[
            handle_create_user,
            handle_log_in,
            handle_refresh_session,
            handle_log_out,
            handle_read_profile,
            handle_change_profile,
        ],
        tags=["Accounts"],
    )
