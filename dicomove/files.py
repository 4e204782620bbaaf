"""Files: replaces a file atomically, hashes files, lists a folder, and makes names durable."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: The folder for dicomove's own files in the folder of a receiver.
SERVICE_FOLDER: Final = ".dicomove"

_NUMBERS: Final = itertools.count()


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that the user gave, with the user's folder for ``~``, as in a shell.

    Examples
    --------
    >>> user_path("~/images") == Path.home() / "images"
    True
    """
    with contextlib.suppress(RuntimeError):  # this user has no such folder
        return Path(path).expanduser()
    return Path(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which gets its final name when it is complete and durable.

    It replaces an existing file of that name. If the block fails, the existing file stays, and the new one is removed.

    Parameters
    ----------
    path
        The final name.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "results.txt")
    >>> with replacing(path) as part:
    ...     _ = part.write_text("complete")
    >>> path.read_text()
    'complete'
    """
    if not path.parent.is_dir():
        message = "there is no such folder: create it, or correct the name"
        raise FileNotFoundError(errno.ENOENT, message, str(path.parent))
    if path.is_dir():
        message = "this is a folder: give the name of a file"
        raise IsADirectoryError(errno.EISDIR, message, str(path))
    # Two threads or processes may write the same file at the same time.
    part = path.with_name(f".{path.name}.{os.getpid()}-{next(_NUMBERS)}.part")
    try:
        yield part
        synchronise_file(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    synchronise_folder(path.parent)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: Path) -> Iterator[str]:
    """Return the files of a receiver's folder, relative to it, without dicomove's own files."""
    for parent, folders, names in os.walk(folder):
        place = Path(parent).relative_to(folder).as_posix()
        if place == "." and SERVICE_FOLDER in folders:
            folders.remove(SERVICE_FOLDER)
        yield from names if place == "." else (f"{place}/{name}" for name in names)


def shown(path: str) -> str:
    """Return a path as text, with ``?`` for what cannot be written: on some systems, names are bytes."""
    return path.encode("utf-8", "replace").decode()


def synchronise_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk, if the system supports it."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def synchronise_file(path: Path) -> None:
    """Bring the content of a file onto the disk.

    Raises
    ------
    OSError
        The disk refuses it, or the file may not be opened.
    """
    try:
        # Windows synchronises only files that are open for writing.
        descriptor = os.open(path, os.O_RDWR)
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
