"""The free space of a receiver's disk: ``min_free=``, before and while an instance is stored."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Final

_MOST_RESERVED: Final = 1 << 30
_RESERVED_SHARE: Final = 0.05


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
    return free >= reserved
