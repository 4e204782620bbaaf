"""The folder: temporary files, final names, quarantine, free space.

A file gets its final name only when it is complete.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Final, Literal

from dicomove.files import SERVICE_FOLDER, file_sha256, synchronise_folder
from dicomove.receiver.own_process.stored_file import is_regular, is_whole
from dicomove.receiver.paths import with_checksum

Existing = Literal["keep", "replace", "keep_both"]
#: The possible ends of an instance. ``refused`` ones were not stored.
Disposition = Literal["stored", "duplicate", "replaced", "kept_both", "differs", "damaged", "unrequested", "refused"]

_IN_QUARANTINE: Final = ("differs", "damaged", "unrequested")
_DIFFERS: Final = "another instance of this UID is there, with other bytes"

_TAKEN: Final = "a file that is not of this instance has its name"

_MOST_FOLDERS: Final = 1000
_META: Final = 132
_UID: Final = b"\x02\x00\x03\x00UI"
_LONGEST_META: Final = 1024
_MOST_RESERVED: Final = 1 << 30
_RESERVED_SHARE: Final = 0.05
#: A trial of a disk writes so many parts of so many bytes.
_PARTS_OF_TRIAL: Final = 16
_PART_OF_TRIAL: Final = 1 << 20
#: The disk, or the user's share of it, is full. Windows has no such shares.
FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


@dataclass(frozen=True)
class CompleteFile:
    """A complete instance under its temporary name."""

    path: Path
    size: int

    @cached_property
    def sha256(self) -> str:
        """The hash of the file, to compare it with another one."""
        return file_sha256(self.path)


@dataclass(frozen=True, slots=True)
class Placed:
    """The place of an instance; `path` is relative to the folder."""

    path: str
    disposition: Disposition
    reason: str | None = None

    @property
    def quarantine(self) -> str | None:
        """Why it is in quarantine; ``None`` if it is not."""
        return self.reason if self.disposition in _IN_QUARANTINE else None


class FileStore:
    """Gives instances their names in a folder.

    Parameters
    ----------
    folder
        The folder; it is created if there is none.
    existing
        The policy for an instance that is there with different bytes: ``"keep"`` puts the new one into quarantine,
        ``"replace"`` replaces the old one, ``"keep_both"`` gives the new one a name of its own.
    min_free
        Bytes that are left free; ``None`` is 1 GiB, or 5 % of a small file system.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, folder: Path, existing: Existing = "keep", min_free: int | None = None) -> None:
        self.folder = folder
        self._existing, self._min_free = existing, min_free
        self._incoming = folder / SERVICE_FOLDER / "incoming"
        self._quarantine = folder / SERVICE_FOLDER / "quarantine"
        self._numbers = itertools.count()
        self._own = _OwnNames(folder)
        self._lock = threading.Lock()
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        self._incoming.mkdir(parents=True, exist_ok=True)
        for path in new:
            synchronise_folder(path.parent)

    @property
    def replaces(self) -> bool:
        """Whether a file may replace another one."""
        return self._existing == "replace"

    def clean(self) -> None:
        """Remove the temporary files of an earlier receiver."""
        for left in self._incoming.glob("*.part"):
            left.unlink(missing_ok=True)

    def check_free(self) -> None:
        """Raise OSError (ENOSPC) when less than ``min_free`` is free."""
        check_free(self.folder, self._min_free)

    def temporary(self) -> Path:
        """Return a new temporary name."""
        return self._incoming / f"{next(self._numbers)}.part"

    def place(
        self,
        written: CompleteFile,
        relative: PurePosixPath,
        recorded: Callable[[str], str | None],
        may_clash_as: str | None,
    ) -> Placed:
        """Give an instance its final name, or put it into quarantine.

        Parameters
        ----------
        written
            The instance.
        relative
            Its name in the folder.
        recorded
            Returns the hash that the index has for a name. A file that was changed since goes to quarantine if the
            original arrives again. So does a file without a hash that is not a whole instance.
        may_clash_as
            The SOP Instance UID, if another instance may have this name; then this one gets another name.

        Raises
        ------
        OSError
            The file system refuses it; the file keeps its temporary name.
        """
        uid = may_clash_as or ""
        for name in self._own.of(relative, uid) if may_clash_as else (relative,):
            if self._take(written.path, name):
                return Placed(str(name), "stored")
            if self._is_same(written, name):
                written.path.unlink()
                return Placed(str(name), "duplicate")
            if self._may_take_over(written, name, recorded(str(name))):
                self.put_aside(name)
                written.path.replace(self.folder / name)
                return Placed(str(name), "stored")
            if not may_clash_as or not self._own.is_of_another(name, uid):
                return self._beside(written, name)
        return self.quarantine(written, relative.name, "differs", _TAKEN)

    def _may_take_over(self, written: CompleteFile, relative: PurePosixPath, recorded: str | None) -> bool:
        """Whether an instance gets the name of a file that differs: the file was changed, or a power cut spoilt it."""
        there = self.folder / relative
        if recorded is None:
            return is_regular(there) and not is_whole(there)
        return recorded == written.sha256 and (there.is_file() or not there.exists())

    def _beside(self, written: CompleteFile, relative: PurePosixPath) -> Placed:
        if self.replaces:
            written.path.replace(self.folder / relative)
            return Placed(str(relative), "replaced")
        if self._existing == "keep":
            return self.quarantine(written, relative.name, "differs", _DIFFERS)
        for number in itertools.count(2):
            beside = relative.with_name(f"{relative.stem}~{number}{relative.suffix}")
            if self._take(written.path, beside):
                return Placed(str(beside), "kept_both", _DIFFERS)
            if self._is_same(written, beside):
                written.path.unlink()
                return Placed(str(beside), "duplicate")
        raise AssertionError  # the numbers do not end

    def quarantine(self, written: CompleteFile, name: str, disposition: Disposition, reason: str) -> Placed:
        """Put an instance into quarantine; there, the same bytes have the same name."""
        self._quarantine.mkdir(exist_ok=True)
        # Not ".dcm", so that a search for images finds only those of the rows.
        path = self._quarantine / f"{name.removesuffix('.dcm')}~{written.sha256[:16]}.quarantined"
        written.path.replace(path)
        return Placed(path.relative_to(self.folder).as_posix(), disposition, reason)

    def quarantined(self) -> list[str]:
        """Return the paths of the files in quarantine, relative to the folder."""
        return [path.relative_to(self.folder).as_posix() for path in self._quarantine.glob("*.quarantined")]

    def put_aside(self, relative: PurePosixPath) -> None:
        """Keep a file that differs from what was received, under another name: the user may have changed it."""
        self._quarantine.mkdir(exist_ok=True)
        changed = self.folder / relative
        try:
            mark = file_sha256(changed)[:16]
        except OSError:  # a bad sector
            mark = f"unreadable-{changed.lstat().st_mtime_ns}"
        changed.replace(self._quarantine / f"{relative.name.removesuffix('.dcm')}~{mark}.changed")

    def _take(self, temporary: Path, relative: PurePosixPath) -> bool:
        """Rename a file, unless the name is taken. There is no race: one receiver at a time has the folder."""
        final = self.folder / relative
        with self._lock:
            if os.path.lexists(final):
                return False
            try:
                temporary.rename(final)
            except FileNotFoundError:
                final.parent.mkdir(parents=True, exist_ok=True)
                temporary.rename(final)
        return True

    def _is_same(self, written: CompleteFile, relative: PurePosixPath) -> bool:
        there = self.folder / relative
        try:
            return there.is_file() and there.stat().st_size == written.size and file_sha256(there) == written.sha256
        except OSError:  # a bad sector, or no right to read
            return False


class _OwnNames:
    """The names that instances may take in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: OrderedDict[PurePosixPath, dict[str, str]] = OrderedDict()

    def of(self, relative: PurePosixPath, sop_instance_uid: str) -> Iterator[PurePosixPath]:
        """Return the possible names of an instance; the first one that is free or its own is right.

        Some file systems do not distinguish "a" from "A": of two such names, the second one gets a checksum.
        """
        name = self._apart(relative)
        other = with_checksum(name, sop_instance_uid)
        if not os.path.lexists(self._folder / other):
            yield name
        yield other

    def is_of_another(self, relative: PurePosixPath, sop_instance_uid: str) -> bool:
        """Whether another instance has this name."""
        if not (self._folder / relative).is_file():  # reading a pipe would never end
            return True
        try:
            return _sop_instance_uid(self._folder / relative) != sop_instance_uid
        except OSError:
            return True

    def _apart(self, relative: PurePosixPath) -> PurePosixPath:
        path = PurePosixPath()
        with self._lock:
            for part in relative.parts:
                names = self._names(path)
                taken = names.setdefault(part.casefold(), part)
                name = part if taken == part else with_checksum(PurePosixPath(part), part).name
                names.setdefault(name.casefold(), name)
                path /= name
        return path

    def _names(self, folder: PurePosixPath) -> dict[str, str]:
        if folder not in self._seen:
            there = self._folder / folder
            names = sorted(one.name for one in there.iterdir()) if there.is_dir() else []
            self._seen[folder] = {name.casefold(): name for name in names}
            if len(self._seen) > _MOST_FOLDERS:
                self._seen.popitem(last=False)
        self._seen.move_to_end(folder)
        return self._seen[folder]


def _sop_instance_uid(path: Path) -> str:
    """Return the UID in the File Meta Information of a file; empty if it has none."""
    with path.open("rb") as file:
        meta = file.read(_LONGEST_META)
    at = meta.find(_UID, _META)
    if at < 0:
        return ""
    start = at + len(_UID) + 2
    length = int.from_bytes(meta[start - 2 : start], "little")
    return meta[start : start + length].decode("ascii", "replace").rstrip("\0 ")


def free_and_reserved(folder: Path, min_free: int | None) -> tuple[int, int]:
    """Return the free bytes on the disk of a folder, and the number of them that must stay free.

    Parameters
    ----------
    folder
        The folder.
    min_free
        The number of bytes that the user wants to stay free; ``None`` is 1 GiB, or 5 % of a small file system.

    Raises
    ------
    OSError
        The folder is not there, or its file system does not answer.
    """
    usage = shutil.disk_usage(folder)
    reserved = min(_MOST_RESERVED, int(usage.total * _RESERVED_SHARE)) if min_free is None else min_free
    return usage.free, reserved


def check_free(folder: Path, min_free: int | None) -> None:
    """Check that enough is free to store an instance.

    Raises
    ------
    OSError
        Less than ``min_free`` is free (ENOSPC).
    """
    free, reserved = free_and_reserved(folder, min_free)
    if free < reserved:
        raise OSError(errno.ENOSPC, f"{free} bytes are free, min_free is {reserved}")


def has_room(folder: Path, min_free: int | None) -> bool:
    """Return whether enough is free to begin a row. A folder that is gone has room: no wait helps."""
    try:
        free, reserved = free_and_reserved(folder, min_free)
    except FileNotFoundError:
        return True
    except OSError:  # a network drive that is away, say
        return False
    return free >= reserved and _takes_a_file(folder)


def _takes_a_file(folder: Path) -> bool:
    """Return whether a quota, too, leaves room: the system tells the free bytes of the disk, and not of the user.

    Other reasons why a file cannot be written are none to wait for.
    """
    part = os.urandom(_PART_OF_TRIAL)  # a file system may compress zeros to nothing
    try:
        with TemporaryFile(dir=folder / SERVICE_FOLDER / "incoming", buffering=0) as file:
            for _ in range(_PARTS_OF_TRIAL):
                file.write(part)
            os.fsync(file.fileno())  # a network drive tells its quota only now
    except OSError as error:
        return error.errno not in FULL
    return True
