"""Passwords and access tokens."""

from .argon2 import Argon2PasswordHasher
from .jwt import JwtTokens
from .known_passwords import ZxcvbnKnownPasswords

__all__ = ["Argon2PasswordHasher", "JwtTokens", "ZxcvbnKnownPasswords"]
