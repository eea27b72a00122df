"""Accounts: /create-user, /login, /me."""

from typing import Final

from msgspec import UNSET, UnsetType

from ...application.authenticate import Caller
from ...application.change_profile import ChangeProfile, ProfileChanges, ReadProfile
from ...application.create_user import CreateUser, Registration
from ...application.log_in import Credentials, LogIn
from ...domain.user import LOGIN_RULES, PROFILE_RULES, REGISTRATION_RULES
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
        answer_example={"accessToken": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "tokenType": "Bearer", "expiresIn": 900},
        problems=("wrong-credentials",),
    ),
)
async def log_in(request: Request[Caller | None], log_in: LogIn) -> TokenView:
    """An access token. Wrong password and unknown e-mail: the same 401 in the same time."""
    body = await read(request, CredentialsBody)
    return TokenView.of(await log_in(Credentials(email=body.email, password=body.password)))


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
