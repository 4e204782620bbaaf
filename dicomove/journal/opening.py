"""The file: looked at, opened for writing or for reading; and what is said where that fails.

A file that is no journal, or damaged, stays as it is, byte for byte. Nothing here reads the file past SQLite: a process
that closes it loses the locks that its connections hold (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from dicomove.errors import JournalError
from dicomove.journal.schema import APPLICATION, JOURNAL_FILE, SCHEMA, VERSION

#: How long one who writes waits for those who read, and they for it.
_BUSY_S: Final = 30.0

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WHY: Final = {
    sqlite3.SQLITE_FULL: "make room",
    sqlite3.SQLITE_BUSY: "another program has it open and does not let go: close that one",
    sqlite3.SQLITE_READONLY: "change its permissions and those of its folder, or use another journal",
    sqlite3.SQLITE_CANTOPEN: "look at its permissions and those of its folder",
    sqlite3.SQLITE_IOERR: "its file system fails: is the disk full, or the quota used up?",
}


def open_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection to a journal, which is made if there is none.

    Raises
    ------
    JournalError
        The file is of something else, of another version, or damaged, or it cannot be made.
    """
    try:
        # Before SQLite makes it, which would let everybody read it; its rollback journal gets the same permissions.
        path.touch(mode=0o600)
        _look(path)
        connection = _connect(path, "rw")
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise unusable(path, error) from None
    except OSError as error:
        message = f"the journal {path} cannot be made: {error.strerror or error}"
        raise JournalError(message) from None
    return connection


@contextmanager
def open_to_read(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Give a connection that sees one state of a journal, while another may write.

    Raises
    ------
    JournalError
        There is no journal, or it cannot be read.
    """
    where = Path(path)
    where = where / JOURNAL_FILE if where.is_dir() else where
    if not where.exists():
        message = f"there is no journal at {where}"
        raise JournalError(message)
    try:
        with closing(_for_reading(where)) as connection:
            if _is_empty(connection, where):
                message = f"the journal {where} is empty: no run has begun"
                raise JournalError(message)
            _check(connection, where)
            yield connection
    except sqlite3.Error as error:
        raise unusable(where, error) from None


def unusable(path: Path, error: sqlite3.Error, act: str = "opened") -> JournalError:
    """Return the error for a journal of which SQLite says this, when it was to be opened, read or written."""
    # Python's own errors have no code.
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return _damaged(path, str(error))
    why = _WHY.get(code & 0xFF)
    return JournalError(f"the journal {path} cannot be {act}: {error}{f' ({why})' if why else ''}")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    where = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(where, timeout=_BUSY_S, uri=True, check_same_thread=False, isolation_level=None)


def _for_reading(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "ro")
    try:
        _begin_reading(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
    else:
        return connection
    # Who wrote was killed in the middle: what it left is undone first, which only one who may write can do.
    connection = _connect(path, "rw")
    try:
        _begin_reading(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_reading(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _look(path: Path) -> None:
    """Look at a file as one who cannot write to it: also a database of something else stays as it is."""
    with closing(_connect(path, "ro")) as connection:
        try:
            if not _is_empty(connection, path):
                _check(connection, path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if not _is_empty(connection, path):
        _check(connection, path)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise _damaged(path, str(found).replace("\n", " "))
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = FULL")
    # Also after one who was killed while it made the file.
    if _is_empty(connection, path):
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    # SQLite calls a file of one byte empty, too; it is somebody's all the same.
    return not connection.execute("PRAGMA page_count").fetchone()[0] and not path.stat().st_size


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise JournalError for a file that is no journal, or one of another version."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION:
        message = f"{path} is no journal of dicomove: give another name, or move that file away"
        raise JournalError(message)
    if version != VERSION:
        message = f"{path} is of version {version}, this dicomove reads version {VERSION}: use the newer dicomove"
        raise JournalError(message)


def _damaged(path: Path, problem: str) -> JournalError:
    return JournalError(
        f"{path} is damaged, or no journal ({problem}), and is left as it is: move it away, and the next run begins a "
        "new one; sqlite3's command .recover reads what can be read"
    )
