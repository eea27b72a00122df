"""The secret that signs access tokens: configured, or generated once and stored beside the SQLite file."""

import os
import secrets
from pathlib import Path
from typing import Final

from .private_files import OWNER_ONLY, make_private_folder
from .secret_strength import MADE_BY, RANDOM_BYTES, new_secret, weakness_of
from .settings import PREFIX, Settings, SettingsError

_NAME: Final = f"{PREFIX}JWT_SECRET"


def signing_secret(settings: Settings) -> str:
    """Return the configured secret, or the one stored beside the SQLite file; in memory, a new one for this process.

    Raises: SettingsError when none is configured and none can be stored.
    """
    if settings.jwt_secret is not None:
        return settings.jwt_secret
    if settings.is_in_memory:
        return new_secret()
    if settings.sqlite_file is None:
        raise SettingsError(
            f"{_NAME} must be set for this database: {RANDOM_BYTES} random bytes, the same for every process; "
            f"make one with: {MADE_BY}"
        )
    return stored_secret(settings.sqlite_file.with_name(f"{settings.sqlite_file.name}.jwt-secret"))


def stored_secret(path: Path) -> str:
    """Return the secret in a file. If the file is missing, create it; processes that start together agree on one.

    Raises: SettingsError when the file cannot be created or read, others can read it, or it is weak.
    """
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise SettingsError(
            f"{_NAME} is not set, and a generated secret cannot be stored in {path}: {error.strerror}; set {_NAME}, or "
            "correct the cause"
        ) from None


def _make(path: Path) -> None:
    make_private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), OWNER_ONLY)
            file.write(new_secret())
            file.flush()
            os.fsync(file.fileno())
        # Creating a link is atomic and never replaces the file of another process.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise SettingsError(f"{path} must be readable by its owner only; run: chmod 600 {path}")
        secret = file.read().rstrip("\r\n")
    weakness = weakness_of(secret)
    if weakness is not None:
        raise SettingsError(
            f"{path} must contain {RANDOM_BYTES} random bytes, and its content {weakness}; remove the file to get "
            "a new secret (access tokens become invalid, and clients refresh them)"
        )
    return secret
