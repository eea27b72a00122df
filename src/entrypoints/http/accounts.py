"""Accounts: /create-user, /login, /refresh, /logout, /me."""

from typing import Final

from msgspec import UNSET, UnsetType

from ...application.authenticate import Caller
from ...application.change_profile import ChangeProfile, ProfileChanges, ReadProfile
from ...application.create_user import CreateUser, Registration
from ...application.limits import SIGN_INS, SIGN_UPS
from ...application.limits_on_login import LogInWithinLimits
from ...application.log_in import Credentials
from ...application.log_out import LogOut
from ...application.refresh_session import RefreshSession
from ...domain.user import LOGIN_RULES, PROFILE_RULES, REFRESH_RULES, REGISTRATION_RULES
from ..client_address import AddressOf
from .body import Body, read
from .exchange import Request, Response
from .operation import Operation
from .routing import get, patch, post
from .views import TokenView, UserView


class RegistrationBody(Body, frozen=True, kw_only=True):
    """Who wants an account."""

    rules = REGISTRATION_RULES

    name: str
    email: str
    password: str


class CredentialsBody(Body, frozen=True, kw_only=True):
    """Who wants to sign in."""

    rules = LOGIN_RULES

    email: str
    password: str


class RefreshBody(Body, frozen=True, kw_only=True):
    """The refresh token of a session, as `/login` or `/refresh` answered it last."""

    rules = REFRESH_RULES

    refresh_token: str


class ProfileBody(Body, frozen=True, kw_only=True):
    """What shall be different about one's account; at least one. `newPassword` needs `currentPassword`."""

    rules = PROFILE_RULES

    name: str | UnsetType = UNSET
    current_password: str | UnsetType = UNSET
    new_password: str | UnsetType = UNSET


_USER: Final = {
    "id": "019a0000-0000-7000-8000-000000000001",
    "name": "Ada",
    "email": "ada@example.org",
    "role": "customer",
    "createdAt": "2027-01-01T12:00:00Z",
}


_TOKENS: Final = {
    "accessToken": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
    "refreshToken": "n2v0Zk5x",
    "tokenType": "Bearer",
    "expiresIn": 900,
}


@post(
    "/create-user",
    Operation(
        "CreateUser",
        "Create an account",
        tag="Accounts",
        body=RegistrationBody,
        example={"name": "Ada", "email": "ada@example.org", "password": "correct horse battery"},
        answer=UserView,
        answer_example=_USER,
        status=201,
        has_location=True,
        problems=("email-taken",),
        limit=SIGN_UPS,
    ),
)
async def create_user(request: Request[Caller | None], create_user: CreateUser) -> Response:
    """An account; everyone starts as a customer."""
    body = await read(request, RegistrationBody)
    user = await create_user(Registration(name=body.name, email=body.email, password=body.password))
    return Response(UserView.of(user), headers={"Location": "/me"})


@post(
    "/login",
    Operation(
        "LogIn",
        "Sign in",
        tag="Accounts",
        body=CredentialsBody,
        example={"email": "ada@example.org", "password": "correct horse battery"},
        answer=TokenView,
        answer_example=_TOKENS,
        problems=("wrong-credentials",),
        limit=SIGN_INS,
    ),
)
async def log_in(
    request: Request[Caller | None], limited_log_in: LogInWithinLimits, address_of: AddressOf
) -> TokenView:
    """An access token and a refresh token. Wrong password and unknown e-mail: the same 401 in the same time."""
    body = await read(request, CredentialsBody)
    credentials = Credentials(email=body.email, password=body.password)
    return TokenView.of(await limited_log_in(credentials, address_of(request.scope)))


@post(
    "/refresh",
    Operation(
        "RefreshSession",
        "Go on with a session",
        tag="Accounts",
        body=RefreshBody,
        example={"refreshToken": "n2v0Zk5x"},
        answer=TokenView,
        answer_example=_TOKENS,
        limit=SIGN_INS,
    ),
)
async def refresh_session(request: Request[Caller | None], refresh_session: RefreshSession) -> TokenView:
    """The next access token and the next refresh token. Each serves once; a used one ends the session."""
    return TokenView.of(await refresh_session((await read(request, RefreshBody)).refresh_token))


@post(
    "/logout",
    Operation(
        "LogOut",
        "Sign out",
        tag="Accounts",
        body=RefreshBody,
        example={"refreshToken": "n2v0Zk5x"},
        answer=None,
        status=204,
        limit=SIGN_INS,
    ),
)
async def log_out(request: Request[Caller | None], log_out: LogOut) -> Response:
    """The session ends with all its tokens; where there is none, nothing happens."""
    await log_out((await read(request, RefreshBody)).refresh_token)
    return Response(b"")


@get(
    "/me",
    Operation(
        "ReadProfile", "See one's own account", tag="Accounts", signed_in=True, answer=UserView, answer_example=_USER
    ),
)
async def read_profile(request: Request[Caller], read_profile: ReadProfile) -> UserView:
    """Whoever calls."""
    return UserView.of(await read_profile(request.caller.actor.user_id))


@patch(
    "/me",
    Operation(
        "ChangeProfile",
        "Change one's own name or password",
        tag="Accounts",
        signed_in=True,
        body=ProfileBody,
        example={"currentPassword": "correct horse battery", "newPassword": "battery horse correct"},
        answer=UserView,
        answer_example=_USER,
        problems=("not-allowed",),
    ),
)
async def change_profile(request: Request[Caller], change_profile: ChangeProfile) -> UserView:
    """A new password ends every other session. A wrong current one is a 403."""
    body = await read(request, ProfileBody)
    changes = ProfileChanges(name=body.name, current_password=body.current_password, new_password=body.new_password)
    return UserView.of(await change_profile(request.caller.claims, changes))
