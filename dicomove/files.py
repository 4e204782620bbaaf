"""Files: one that replaces another as a whole, the hash of one, those of a folder, names that outlive a power cut."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: What dicomove keeps for itself in the folder of a receiver.
SERVICE_FOLDER: Final = ".dicomove"

_NUMBERS: Final = itertools.count()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend the name of a new file, which gets its final name when it is whole and durable.

    Another file of that name is replaced. Where the block fails, that one stays, and the new one is removed.

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
    # Two threads or processes may write the same file at the same time.
    part = path.with_name(f".{path.name}.{os.getpid()}-{next(_NUMBERS)}.part")
    try:
        yield part
        _synchronise(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    synchronise_folder(path.parent)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: Path) -> Iterator[Path]:
    """Return the files of a receiver's folder, without those that dicomove keeps for itself."""
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder and SERVICE_FOLDER in folders:
            folders.remove(SERVICE_FOLDER)
        yield from (Path(parent, name) for name in names)


def synchronise_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _synchronise(path: Path) -> None:
    # Windows synchronises only what is open for writing.
    with path.open("r+b") as file:
        os.fsync(file.fileno())
