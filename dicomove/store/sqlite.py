"""SQLite files: checked, owned by one process, opened for writing or reading, with their error messages.

A damaged file, or a file with other content, stays unchanged, byte for byte. A rollback journal with full
synchronisation is durable and needs no shared memory, which network file systems lack (docs/decisions/0006). This
module never reads a file except through SQLite: a process that closes the file loses the locks of its connections
(https://sqlite.org/howtocorrupt.html, 2.2). The system releases the lock of an owner when its process ends.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomove.errors import DicomoveError, JournalError
from dicomove.files import SERVICE_FOLDER
from dicomove.store.ownership import OwnerLock

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WHY: Final = {
    sqlite3.SQLITE_FULL: "make room",
    sqlite3.SQLITE_BUSY: "another program has it open: close that program",
    sqlite3.SQLITE_READONLY: "change its permissions and those of its folder, or use another one",
    sqlite3.SQLITE_CANTOPEN: "check its permissions and those of its folder",
    sqlite3.SQLITE_IOERR: "its file system failed: is the disk full, or the quota used up?",
}

#: The kinds of files by application_id, because a user may confuse the journals of `find` and `move`.
_KINDS: Final = {0x64636D66: "find journal", 0x64636D6A: "journal of move"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One kind of file.

    Attributes
    ----------
    name
        Its name in messages.
    application_id, version
        The numbers by which SQLite distinguishes it from other files.
    schema
        Its tables.
    error
        The exception for its problems.
    busy_s
        The seconds for which a writer waits for readers, and readers wait for a writer.
    mode
        The permissions of a new file, as for `Path.touch`.
    checks_pages
        Whether SQLite checks the whole file before the first write.
    instead
        The remedy if another file has its name.
    afterwards
        The effect of moving the file away.
    """

    name: str
    application_id: int
    version: int
    schema: str
    error: type[DicomoveError]
    busy_s: float
    mode: int
    checks_pages: bool
    instead: str
    afterwards: str

    def open_to_write(self, path: Path) -> sqlite3.Connection:
        """Return a connection to a file, and create the file if there is none.

        Raises
        ------
        DicomoveError
            The file has other content, another version, or is damaged, or it cannot be created.
        """
        try:
            # Create the file before SQLite does, with our permissions. Its rollback journal gets the same ones.
            path.touch(mode=self.mode)
            self._check_read_only(path)
            connection = connect(path, "rw", self.busy_s)
            try:
                self._prepare(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self.unusable(path, error) from None
        except OSError as error:
            message = f"the {self.name} {path} cannot be created: {error.strerror or error}"
            raise self.error(message) from None
        return connection

    def open_to_own(self, path: Path) -> tuple[sqlite3.Connection, OwnerLock]:
        """Return a connection to a journal that only this process writes, and its lock.

        Raises
        ------
        DicomoveError
            As `open_to_write`; or another process has the journal, or its folder does not exist.
        """
        owner = _owned(path)
        try:
            return self.open_to_write(path), owner
        except BaseException:
            owner.release()
            raise

    @contextmanager
    def open_to_read(self, path: Path) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one state of a file, while another process may write.

        Raises
        ------
        DicomoveError
            There is no such file, or it cannot be read.
        """
        if not path.exists():
            message = f"there is no {self.name} at {path}"
            raise self.error(message)
        try:
            with closing(self._for_reading(path)) as connection:
                if _is_empty(connection, path):
                    message = f"the {self.name} {path} is empty: no run has begun"
                    raise self.error(message)
                self._check(connection, path)
                yield connection
        except sqlite3.Error as error:
            raise self.unusable(path, error) from None

    def unusable(self, path: Path, error: sqlite3.Error, act: str = "opened") -> DicomoveError:
        """Return our error for an SQLite error while the file was opened, read or written."""
        # Python's own errors have no code.
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ:
            return self._damaged(path, str(error))
        why = _WHY.get(code & 0xFF)
        return self.error(f"the {self.name} {path} cannot be {act}: {error}{f' ({why})' if why else ''}")

    def _for_reading(self, path: Path) -> sqlite3.Connection:
        for mode in ("ro", "rw"):
            connection = connect(path, mode, self.busy_s)
            try:
                _begin_reading(connection)
            except BaseException as error:
                connection.close()
                # The last writer was killed in the middle of a transaction. To roll it back, SQLite needs write access.
                was_killed = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK
                if mode == "rw" or not was_killed:
                    raise
            else:
                break
        return connection

    def _check_read_only(self, path: Path) -> None:
        """Check a file read-only, so that a database with other content stays unchanged."""
        with closing(connect(path, "ro", self.busy_s)) as connection:
            try:
                if not _is_empty(connection, path):
                    self._check(connection, path)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise

    def _prepare(self, connection: sqlite3.Connection, path: Path) -> None:
        if not _is_empty(connection, path):
            self._check(connection, path)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if self.checks_pages else "ok"
            if found != "ok":
                raise self._damaged(path, str(found).replace("\n", " "))
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        # Also for a file whose creator was killed.
        if _is_empty(connection, path):
            numbers = f"PRAGMA application_id = {self.application_id}; PRAGMA user_version = {self.version};"
            connection.executescript(f"BEGIN IMMEDIATE; {self.schema} {numbers} COMMIT;")

    def _check(self, connection: sqlite3.Connection, path: Path) -> None:
        """Raise the error for a file with other content, or with another version."""
        application, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if application != self.application_id:
            found = _KINDS.get(application)
            what = f", but a {found}, which has a file of its own" if found else ""
            message = f"{path} is not a {self.name} of dicomove{what}: {self.instead}"
            raise self.error(message)
        if version != self.version:
            read = f"this dicomove reads version {self.version}"
            message = f"{path} has version {version}, {read}: use the newer dicomove"
            raise self.error(message)

    def _damaged(self, path: Path, problem: str) -> DicomoveError:
        return self.error(
            f"{path} is damaged, or not a {self.name} ({problem}), and stays unchanged: move it away, and "
            f"{self.afterwards}; sqlite3's command .recover reads as much as possible"
        )


def _owned(path: Path) -> OwnerLock:
    """Return the lock of a journal, with this process as its owner."""
    _check_folder_of(path)
    lock, owner = (path.with_name(f"{path.name}.{suffix}") for suffix in ("lock", "owner"))

    def taken(process: str) -> JournalError:
        return JournalError(f"another process has the journal {path} ({process}): wait for it, or use another journal")

    try:
        made = OwnerLock(lock, owner, taken)
    except OSError as error:
        message = f"the journal {path} cannot be created: {error.strerror or error}"
        raise JournalError(message) from None
    with suppress(OSError):  # the file only names the owner
        made.sign(f"process {os.getpid()} on {socket.gethostname()}")
    return made


def _check_folder_of(path: Path) -> None:
    if path.is_dir():
        message = f"the journal {path} is a folder: name a file in it"
        raise JournalError(message)
    if path.parent.name == SERVICE_FOLDER and path.parent.parent.is_dir():
        path.parent.mkdir(exist_ok=True)
    # The next run would not find a journal in a folder that a typing error created.
    if not path.parent.is_dir():
        message = f"the folder of the journal {path} does not exist: create it, or correct the name"
        raise JournalError(message)


def connect(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
    """Return a connection without Python's automatic transactions, for one thread at a time."""
    where = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(where, timeout=busy_s, uri=True, check_same_thread=False, isolation_level=None)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write everything in the block in one durable transaction, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # If the disk is full, SQLite may already have rolled back.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _begin_reading(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    # SQLite also calls a file of one byte empty, but that file belongs to another program.
    return not connection.execute("PRAGMA page_count").fetchone()[0] and not path.stat().st_size
