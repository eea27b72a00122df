"""Accounts: /create-user, /verify-email, /forgot-password, /reset-password, /login, /refresh, /logout, /me."""

from litestar import Router
from litestar.params import JSONBody
from litestar.response import Stream

from ....application.accounts.change_profile import ChangeProfile, ProfileChanges, ReadProfile
from ....application.accounts.create_user import CreateUser, Registration
from ....application.accounts.log_in import Credentials
from ....application.accounts.log_out import LogOut
from ....application.accounts.login_throttle import LogInWithinLimits
from ....application.accounts.refresh_session import RefreshSession
from ....application.accounts.reset_password import RequestPasswordReset, ResetPassword
from ....application.accounts.verify_email import RequestVerification, VerifyEmail
from ....application.limits.rate_limits import SIGN_INS, SIGN_UPS
from ....application.personal_data.erase_account import EraseAccount
from ....application.personal_data.export_account import ExportAccount
from ....application.ports.system import Clock
from ....domain.user import User
from ...client_address import AddressOf
from ..authentication import limited_by
from ..idempotency import RepeatableResponse, idempotent_request, reply_of
from ..reference.operations import Subject
from ..reply import JSON, Reply
from ..request import AnyoneRequest, SignedInRequest
from ..schemas.accounts import (
    CredentialsRequest,
    ErasureRequest,
    ForgottenRequest,
    ProfileRequest,
    RefreshRequest,
    RegistrationRequest,
    ResetRequest,
    TokenView,
    UserView,
    VerificationRequest,
)
from ..schemas.export import ExportView, exported_json

_ACCEPTED = RepeatableResponse(status=202, body=b"")
"""The same for everybody."""


def router(
    create_user: CreateUser,
    verify_email: VerifyEmail,
    request_verification: RequestVerification,
    request_password_reset: RequestPasswordReset,
    reset_password: ResetPassword,
    log_in: LogInWithinLimits,
    refresh_session: RefreshSession,
    log_out: LogOut,
    read_profile: ReadProfile,
    change_profile: ChangeProfile,
    erase_account: EraseAccount,
    export_account: ExportAccount,
    clock: Clock,
    address_of: AddressOf,
) -> Router:
    """Return the routes of accounts and sessions."""
    accounts = Subject("Accounts")

    @accounts.post("/create-user", UserView, ("email-taken",), opt=limited_by(SIGN_UPS), status=201)
    async def handle_create_user(data: JSONBody[RegistrationRequest], request: AnyoneRequest) -> Reply:
        """Create an account. Its role is `customer`.

        If the service sends mails, one with a link to verify the address is sent, at most five in an hour to one
        address. An address that another account holds without having verified it can be registered: signing in to the
        new account works once it has verified the address.
        """
        user = await create_user(data.to(Registration), address_of(request.scope))
        return Reply(UserView.of_user(user), status=201, headers={"Location": "/me"})

    @accounts.post("/verify-email", UserView, ("link-expired", "email-taken"), opt=limited_by(SIGN_INS))
    async def handle_verify_email(data: JSONBody[VerificationRequest]) -> Reply:
        """Verify an address with the token of a link that was mailed there. A link works once, for 24 hours.

        This takes the address from an account that registered it earlier and never verified it; that account's
        `email` becomes `null`. A `pendingEmail` replaces the account's `email`.
        """
        return Reply(UserView.of_user(await verify_email(data.token)))

    @accounts.post("/me/verification", None, ("not-allowed", "mail-not-configured"), ("Idempotency-Key",), status=202)
    async def handle_request_verification(request: SignedInRequest) -> Reply:
        """Send the mail that verifies your address again. The answer is the same if there is nothing to verify."""

        def respond(_: User) -> RepeatableResponse:
            return _ACCEPTED

        idempotent = await idempotent_request(request, respond, has_body=False)
        await request_verification(request.user.actor, idempotent)
        return reply_of(_ACCEPTED)

    @accounts.post("/forgot-password", None, ("mail-not-configured",), opt=limited_by(SIGN_UPS), status=202)
    async def handle_request_password_reset(data: JSONBody[ForgottenRequest]) -> Reply:
        """Send a mail with a link that sets a new password, at most five in an hour to one address.

        The answer is the same, in the same time, if no account has this address.
        """
        await request_password_reset(data.email)
        return reply_of(_ACCEPTED)

    @accounts.post("/reset-password", None, ("link-expired",), opt=limited_by(SIGN_UPS), status=204)
    async def handle_reset_password(data: JSONBody[ResetRequest], request: AnyoneRequest) -> None:
        """Set a new password with the token of a link, which works once, for an hour.

        This verifies the address, ends every session, API key and pending change of address, and makes every other link
        of the account useless. A password that is refused does not use up the link.
        """
        await reset_password(data.token, data.new_password, address_of(request.scope))

    @accounts.post("/login", TokenView, ("wrong-credentials",), opt=limited_by(SIGN_INS))
    async def handle_log_in(data: JSONBody[CredentialsRequest], request: AnyoneRequest) -> Reply:
        """Sign in: get an access and a refresh token. A wrong password and an unknown address give the same answer."""
        return Reply(TokenView.of_session(await log_in(data.to(Credentials), address_of(request.scope))))

    @accounts.post("/refresh", TokenView, opt=limited_by(SIGN_INS))
    async def handle_refresh_session(data: JSONBody[RefreshRequest]) -> Reply:
        """Get a session's next access and refresh token. A token used again after 10 seconds ends the session."""
        return Reply(TokenView.of_session(await refresh_session(data.refresh_token)))

    @accounts.post("/logout", None, opt=limited_by(SIGN_INS), status=204)
    async def handle_log_out(data: JSONBody[RefreshRequest]) -> None:
        """Sign out: end a session with all its tokens. An unknown refresh token has no effect."""
        await log_out(data.refresh_token)

    @accounts.get("/me", UserView)
    async def handle_read_profile(request: SignedInRequest) -> Reply:
        """Read your account."""
        return Reply(UserView.of_user(await read_profile(request.user.actor.user_id)))

    @accounts.patch("/me", UserView, ("not-allowed", "email-taken", "mail-not-configured"))
    async def handle_change_profile(data: JSONBody[ProfileRequest], request: SignedInRequest) -> Reply:
        """Change your name, address or password. A new password ends every other session.

        A new address becomes `pendingEmail`, and a mail with a link goes there; `/verify-email` makes it your `email`.
        Until then you sign in with the old one. Another new address makes the link to the one before useless, your own
        address ends the change.
        """
        changes = data.to(ProfileChanges)
        return Reply(UserView.of_user(await change_profile(request.user, changes, address_of(request.scope))))

    @accounts.get("/me/export", ExportView, ("not-allowed",))
    async def handle_export_account(request: SignedInRequest) -> Stream:
        """Export everything that is kept of you, as one JSON object. It is streamed."""
        export = await export_account(request.user.actor)
        return Stream(exported_json(export, clock.now()), headers={"Cache-Control": "no-store"}, media_type=JSON)

    @accounts.delete("/me", None, ("not-allowed", "still-organizing", "bookings-bind"), status=204)
    async def handle_erase_account(data: JSONBody[ErasureRequest], request: SignedInRequest) -> None:
        """Erase your account: your name and address, and every session.

        Your live bookings are cancelled by the rules for customers, with what that refunds; your drafts are cancelled
        and your webhooks deleted. Bookings and facts keep your id alone. The address can be registered again. A refusal
        changes nothing.
        """
        await erase_account(request.user.actor, data.current_password, address_of(request.scope))

    return accounts.router
