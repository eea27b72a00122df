"""Password hashes, API keys, codes of tickets, and tokens of several kinds. No storage and no HTTP here."""

from .api_keys import RandomApiKeyTexts
from .argon2 import Argon2PasswordHasher
from .jwt import JwtTokens
from .known_passwords import ZxcvbnKnownPasswords
from .links import HmacLinkTokens
from .refresh import RandomRefreshTokens
from .ticket_codes import Ed25519CodeSigner

__all__ = [
    "Argon2PasswordHasher",
    "Ed25519CodeSigner",
    "HmacLinkTokens",
    "JwtTokens",
    "RandomApiKeyTexts",
    "RandomRefreshTokens",
    "ZxcvbnKnownPasswords",
]
