"""Password hashes, access tokens and refresh tokens. No storage and no HTTP here."""

from .argon2 import Argon2PasswordHasher
from .jwt import JwtTokens
from .known_passwords import ZxcvbnKnownPasswords
from .refresh import RandomRefreshTokens

__all__ = ["Argon2PasswordHasher", "JwtTokens", "RandomRefreshTokens", "ZxcvbnKnownPasswords"]
