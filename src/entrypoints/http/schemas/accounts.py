"""Bodies of accounts and sessions."""

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from ....application.accounts.log_in import SignedIn
from ....domain.user import ERASURE_RULES, LOGIN_RULES, PROFILE_RULES, REFRESH_RULES, REGISTRATION_RULES, Role, User
from ....domain.values.fields import Rules
from ....domain.verification import LINK_RULES, RESET_RULES
from ..decoding import RequestBody
from .fields import CreatedAt, Email, LinkToken, Name, NewPassword, RefreshToken, TriedPassword, View

_ADDRESS = "ada@example.org"
_PASSWORD = "correct horse battery"  # noqa: S105 - an example
_CURRENT_PASSWORD = Meta(description="The current password, to set a new one or another address.", examples=[_PASSWORD])
_NEW_PASSWORD = Meta(description="The new password.", examples=["another horse altogether"])
_BEARER = "Bearer"


class RegistrationRequest(RequestBody, frozen=True, kw_only=True):
    """A new account."""

    rules: ClassVar[Rules] = REGISTRATION_RULES

    name: Annotated[Name, Meta(description="The person's name.", examples=["Ada"])]
    email: Annotated[Email, Meta(description="An address that no account has verified.", examples=[_ADDRESS])]
    password: Annotated[
        NewPassword, Meta(description="8 to 128 characters, not a well-known password.", examples=[_PASSWORD])
    ]


class VerificationRequest(RequestBody, frozen=True, kw_only=True):
    """The token of a link that was mailed."""

    rules: ClassVar[Rules] = LINK_RULES

    token: Annotated[LinkToken, Meta(description="What follows `token=` in the link.")]


class ForgottenRequest(RequestBody, frozen=True, kw_only=True):
    """The address of an account whose password is forgotten."""

    rules: ClassVar[Rules] = {"email": LOGIN_RULES["email"]}

    email: Annotated[Email, Meta(description="The account's address.", examples=[_ADDRESS])]


class ResetRequest(RequestBody, frozen=True, kw_only=True):
    """The token of a link, and a new password."""

    rules: ClassVar[Rules] = RESET_RULES

    token: Annotated[LinkToken, Meta(description="What follows `token=` in the link.")]
    new_password: Annotated[
        NewPassword, Meta(description="8 to 128 characters, not a well-known password.", examples=[_PASSWORD])
    ]


class CredentialsRequest(RequestBody, frozen=True, kw_only=True):
    """The address and password of an account."""

    rules: ClassVar[Rules] = LOGIN_RULES

    email: Annotated[Email, Meta(description="The account's address.", examples=[_ADDRESS])]
    password: Annotated[TriedPassword, Meta(description="The account's password.", examples=[_PASSWORD])]


class RefreshRequest(RequestBody, frozen=True, kw_only=True):
    """A session's refresh token."""

    rules: ClassVar[Rules] = REFRESH_RULES

    refresh_token: Annotated[RefreshToken, Meta(description="The last token from `/login` or `/refresh`.")]


class ProfileRequest(RequestBody, frozen=True, kw_only=True):
    """Changes to your account, at least one. `newPassword` and `email` require `currentPassword`."""

    rules: ClassVar[Rules] = PROFILE_RULES

    name: Annotated[Name | UnsetType, Meta(description="A new name.", examples=["Ada"])] = UNSET
    email: Annotated[
        Email | UnsetType, Meta(description="A new address, which no other account has verified.", examples=[_ADDRESS])
    ] = UNSET
    current_password: Annotated[TriedPassword | UnsetType, _CURRENT_PASSWORD] = UNSET
    new_password: Annotated[NewPassword | UnsetType, _NEW_PASSWORD] = UNSET


class ErasureRequest(RequestBody, frozen=True, kw_only=True):
    """The password of the account to erase."""

    rules: ClassVar[Rules] = ERASURE_RULES

    current_password: Annotated[TriedPassword, Meta(description="The current password.", examples=[_PASSWORD])]


class UserView(View, frozen=True, kw_only=True):
    """An account."""

    id: Annotated[UUID, Meta(description="The account's id.")]
    name: Annotated[str, Meta(description="The person's name.", examples=["Ada"])]
    email: Annotated[
        str | None,
        Meta(description="The address, in lower case. `null` if another account has verified it.", examples=[_ADDRESS]),
    ]
    email_verified: Annotated[
        bool, Meta(description="Whether the address was verified. Mails about bookings go to verified addresses only.")
    ]
    pending_email: Annotated[
        str | None, Meta(description="An address that will replace `email` once it is verified; `null`: none.")
    ]
    role: Annotated[Role, Meta(description="What the account may do beyond booking; granted by operators.")]
    created_at: CreatedAt

    @classmethod
    def of_user(cls, user: User) -> "UserView":
        """Return the view of an account."""
        return cls.of(user, email_verified=user.is_verified, pending_email=user.pending_email)


class TokenView(View, frozen=True, kw_only=True):
    """The tokens of a session."""

    access_token: Annotated[str, Meta(description="Sent with every call: `Authorization: Bearer <accessToken>`.")]
    refresh_token: Annotated[str, Meta(description="Exchanged for the next pair of tokens at `/refresh`, once.")]
    token_type: Annotated[str, Meta(description="Always `Bearer` (RFC 6750).", examples=[_BEARER])]
    expires_in: Annotated[int, Meta(description="Seconds until the access token expires.", examples=[900])]

    @classmethod
    def of_session(cls, signed_in: SignedIn) -> "TokenView":
        """Return a bearer token (RFC 6750) with its refresh token (RFC 6749, 1.5)."""
        access = signed_in.access
        return cls.of(signed_in, access_token=access.text, token_type=_BEARER, expires_in=access.expires_in)
