"""The secret that signs access tokens: given, or made once and kept beside the embedded database."""

import os
import secrets
from pathlib import Path

from .private_files import OWNER_ONLY, make_private_folder
from .secret_strength import MADE_BY, RANDOM_BYTES, new_secret, weakness_of
from .settings import PREFIX, Settings, SettingsError

_NAME = f"{PREFIX}JWT_SECRET"


def signing_secret(settings: Settings) -> str:
    """The secret of the settings, or the embedded database's own, or in memory one for this process.

    Raises: SettingsError when somebody has to decide.
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
    return kept_secret(settings.sqlite_file.with_name(f"{settings.sqlite_file.name}.jwt-secret"))


def kept_secret(path: Path) -> str:
    """The secret in a file, made by whoever comes first; all who start at once agree on it.

    Raises: SettingsError when the file cannot be made or read, or others may read it.
    """
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise SettingsError(
            f"{_NAME} is not set, and its own cannot be kept in {path}: {error.strerror}; set {_NAME}, or mend that"
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
        # A link appears whole or not at all, and never in place of another's.
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
            raise SettingsError(f"{path} must be readable by its owner alone; say: chmod 600 {path}")
        secret = file.read().rstrip("\r\n")
    weakness = weakness_of(secret)
    if weakness is not None:
        raise SettingsError(
            f"{path} must hold {RANDOM_BYTES} random bytes, and what it holds {weakness}; remove it for a new one "
            "(access tokens end, and clients refresh them)"
        )
    return secret
