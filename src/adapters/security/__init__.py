"""Password hashes, and the tokens of access, of refreshing and of links in mails. No storage and no HTTP here."""

from .argon2 import Argon2PasswordHasher
from .jwt import JwtTokens
from .known_passwords import ZxcvbnKnownPasswords
from .links import HmacLinkTokens
from .refresh import RandomRefreshTokens

__all__ = ["Argon2PasswordHasher", "HmacLinkTokens", "JwtTokens", "RandomRefreshTokens", "ZxcvbnKnownPasswords"]
