"""The files of an SQLite database and of the sandbox's ledger beside it."""

from pathlib import Path

from sqlalchemy.engine import URL

from ..application.ports.errors import Unavailable
from .private_files import close_folder_to_others, make_private_database, make_private_folder
from .settings import OWN_FOLDER, Payments, Settings


def ledger_url(settings: Settings) -> str | URL:
    """Return the database of the sandbox's ledger: a file of its own, or the service's database."""
    file = settings.sqlite_file
    if file is None:
        return settings.database_url
    return URL.create("sqlite+aiosqlite", database=str(_ledger_file(file)))


def _ledger_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.sandbox.db")


def create_files(settings: Settings) -> None:
    """Create the files, readable by their owner only; other databases have none. Raises: Unavailable."""
    file = settings.sqlite_file
    if file is None:
        return
    try:
        make_private_folder(file.parent)
        if file.parent == OWN_FOLDER:
            # Another folder may be of other programs as well.
            close_folder_to_others(file.parent)
    except OSError as error:
        raise Unavailable(f"The folder {file.parent} for the database cannot be created: {error.strerror}") from error
    for each in (file, *([_ledger_file(file)] if settings.payments is Payments.SANDBOX else ())):
        try:
            make_private_database(each)
        except OSError as error:
            raise Unavailable(f"The file {each} cannot be created: {error.strerror}") from error
