"""Names that two instances may share, since columns of a table and numbers make them: each gets one of its own."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from dicomove.receiver.paths import beside

_MOST_FOLDERS: Final = 1000
_META: Final = 132
_UID: Final = b"\x02\x00\x03\x00UI"
_LONGEST_META: Final = 1024


class OwnNames:
    """The names that instances may take in a folder.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: OrderedDict[PurePosixPath, dict[str, str]] = OrderedDict()

    def of(self, relative: PurePosixPath, sop_instance_uid: str) -> Iterator[PurePosixPath]:
        """Return the names of an instance, the first one that is free or its own is to be taken.

        Some file systems do not tell "a" from "A": of two such names, the second gets a checksum.
        """
        name = self._apart(relative)
        other = beside(name, sop_instance_uid)
        if not os.path.lexists(self._folder / other):
            yield name
        yield other

    def is_of_another(self, relative: PurePosixPath, sop_instance_uid: str) -> bool:
        """Whether another instance has this name."""
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
                name = part if taken == part else beside(PurePosixPath(part), part).name
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
    """Return the UID that the File Meta Information of a file has; empty where it has none."""
    with path.open("rb") as file:
        meta = file.read(_LONGEST_META)
    at = meta.find(_UID, _META)
    if at < 0:
        return ""
    start = at + len(_UID) + 2
    length = int.from_bytes(meta[start - 2 : start], "little")
    return meta[start : start + length].decode("ascii", "replace").rstrip("\0 ")
