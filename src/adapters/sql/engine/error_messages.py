"""Messages for operators about why the database refused, by error number of the server or SQLite.

They do not quote the driver's message, which may contain hosts and users.
"""

import socket
import sqlite3
import ssl
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.exc import DBAPIError

_URL: Final = "BOXOFFICE_DATABASE_URL"
_ADMIN: Final = "GRANT SELECT, INSERT, UPDATE, DELETE, and for `boxoffice migrate` the rights to change the schema too"

_MYSQL: Final[dict[int, str]] = {
    **dict.fromkeys((1003, 1021), "The disk of the database's server is full: make room there."),
    **dict.fromkeys((1026, 1030), "The database's server cannot write to its disk: look at its log."),
    1114: "The database's table or disk is full: make room on its server.",
    **dict.fromkeys((1040, 1203, 1226), "The database's server has too many connections: raise its max_connections."),
    1044: f"Access denied: the user has no rights on this database, or there is none of this name. {_ADMIN}.",
    **dict.fromkeys(
        (1045, 1698),
        f"Access denied: the server refused user or password. Check both in {_URL} (with %-escapes).",
    ),
    1049: f"There is no database of this name on the server: create it, or correct the name in {_URL}.",
    **dict.fromkeys((1146, 1932), "The database lacks tables: run `boxoffice migrate`."),
    1129: "The server blocks this host after too many failed connections: run FLUSH HOSTS there.",
    1130: "Access denied: the server accepts no user from this host. Create the user for this host.",
    **dict.fromkeys((1142, 1143, 1227, 1370), f"Command denied: the user lacks rights on this database. {_ADMIN}."),
    **dict.fromkeys((1251, 2059), "The driver lacks the user's authentication plugin: change the plugin."),
    **dict.fromkeys((1290, 1792, 1836), "The database is read-only: point the service at its primary."),
    **dict.fromkeys((1820, 1862), "The password of the database's user has expired: set a new one."),
    **dict.fromkeys((3118, 4151), "The account of the database's user is locked: ALTER USER … ACCOUNT UNLOCK."),
    **dict.fromkeys(
        (3100, 3796, 3797, 3798, 3799),
        "The database's server is not a working member of its group: "
        "look at its performance_schema.replication_group_members.",
    ),
    3159: f"The server requires TLS: add ?ssl_ca=… to {_URL}.",
}
_SQLITE: Final[dict[int, str]] = {
    sqlite3.SQLITE_FULL: "The disk is full: make room where the database's file is.",
    sqlite3.SQLITE_IOERR: "The database's file cannot be read or written: check whether the disk is full or broken.",
    sqlite3.SQLITE_READONLY: "The database's file or folder is read-only: give the service's user the right to write.",
    sqlite3.SQLITE_CANTOPEN: "The database's file cannot be opened: check the rights of the service's user.",
    sqlite3.SQLITE_PERM: "Access to the database's file is denied: give the service's user the right to use it.",
    sqlite3.SQLITE_CORRUPT: "The database's file is damaged: restore a backup.",
    sqlite3.SQLITE_NOTADB: "The file is not an SQLite database: name another one, or restore a backup.",
}

_ANOTHER_HOST: Final = frozenset({62, 64})
"""OpenSSL's codes of a certificate that is valid, but for another host name or address."""

_UNREACHABLE: Final = "The database cannot be reached; try again in a moment."


def reason_of(error: BaseException) -> str | None:
    """Return why the database refused and what to do; None for an error that is not listed."""
    for cause in _chain(error):
        number = getattr(cause, "sqlite_errorcode", None)
        if number is not None:
            # SQLite's code for a missing table is that of any erroneous statement, so it is not listed.
            return _SQLITE.get(number & 0xFF)
        if cause.args and isinstance(cause.args[0], int) and cause.args[0] in _MYSQL:
            return _MYSQL[cause.args[0]]
    return None


def reason_of_no_connection(error: BaseException) -> str:
    """Return why no connection was made and what to do."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _ANOTHER_HOST:
            return (
                "The certificate of the database's server does not name its host (CERTIFICATE_VERIFY_FAILED): give it "
                "one that does; those that MySQL makes itself name none."
            )
        if isinstance(cause, ssl.SSLError):
            return f"There is no secure connection to the database ({cause.reason}): see ssl_ca in its URL."
        if isinstance(cause, socket.gaierror):
            return f"The name of the database's host is unknown: correct it in {_URL}, or repair name resolution."
        if isinstance(cause, TimeoutError):
            return "The database does not answer."
        if isinstance(cause, ConnectionRefusedError):
            return "The database cannot be reached: nothing listens on its host and port. Start it, or correct both."
    return reason_of(error) or _UNREACHABLE


def refusal_of(error: DBAPIError) -> str:
    """Return why the database refused; for an error that is not listed, its number and the server's message."""
    reason = reason_of(error)
    if reason is not None:
        return reason
    arguments: Sequence[object] = getattr(error.orig, "args", ())
    if len(arguments) == 2 and isinstance(arguments[0], int):
        return f"error {arguments[0]}: {arguments[1]}"
    return str(error.orig)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, the driver's error that it wraps, and all errors that they were raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = getattr(cause, "orig", None) or cause.__cause__ or cause.__context__
