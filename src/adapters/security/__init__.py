"""Passwords, access tokens and refresh tokens."""

from .argon2 import Argon2PasswordHasher
from .jwt import JwtTokens
from .known_passwords import ZxcvbnKnownPasswords
from .refresh import RandomRefreshTokens

__all__ = ["Argon2PasswordHasher", "JwtTokens", "RandomRefreshTokens", "ZxcvbnKnownPasswords"]
