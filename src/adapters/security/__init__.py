"""Password hashes, API keys, and the tokens of access, refreshing and links in mails. No storage and no HTTP here."""

from .api_keys import RandomApiKeyTexts
from .argon2 import Argon2PasswordHasher
from .jwt import JwtTokens
from .known_passwords import ZxcvbnKnownPasswords
from .links import HmacLinkTokens
from .refresh import RandomRefreshTokens

__all__ = [
    "Argon2PasswordHasher",
    "HmacLinkTokens",
    "JwtTokens",
    "RandomApiKeyTexts",
    "RandomRefreshTokens",
    "ZxcvbnKnownPasswords",
]
