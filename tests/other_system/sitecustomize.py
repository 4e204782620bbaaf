"""Python imports it as it starts, if this folder is in PYTHONPATH: takes away what Windows does not have.

It is a simulation, on Linux, of what dicomove uses: calls that do not exist, modules that cannot be imported, open
files that are not renamed and not removed, files open for reading that are not synchronised, no new process by fork,
and no /proc.
"""

import io
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

# It locks with msvcrt on Windows, and here with fcntl: both are locks that the system frees with the process.
import filelock  # noqa: F401

_CALLS = (
    *("writev", "pread", "preadv", "pwrite", "pwritev", "posix_fadvise", "sendfile", "copy_file_range"),
    *("fork", "forkpty", "register_at_fork", "setsid", "getuid", "geteuid", "killpg", "sched_getaffinity"),
)
_MODULES = ("fcntl", "termios", "resource", "pwd", "grp")


class _Absent(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        del path, target
        if name in _MODULES:
            message = f"No module named {name!r}"
            raise ModuleNotFoundError(message, name=name)


#: For this module alone, which has to know what is open.
_listdir, _readlink, _open = os.listdir, os.readlink, io.open


def _is_open(path: object) -> bool:
    try:
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return real in _open_files()
    except (OSError, TypeError):
        return False


def _open_files() -> Iterator[str]:
    for number in _listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of listdir itself
            yield _readlink(f"/proc/self/fd/{number}")


def _without_proc(call: Callable[..., Any]) -> Callable[..., Any]:
    def fails(path: Any = ".", *more: Any, **options: Any) -> Any:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return call(path, *more, **options)

    return fails


def _refusing(call: Callable[..., Any]) -> Callable[..., Any]:
    def refuses(*paths: Any, **options: Any) -> Any:
        for path in paths:
            if _is_open(path):
                message = "it is used by another process"
                raise PermissionError(13, message, path)
        return call(*paths, **options)

    return refuses


def _fsync_of_what_is_written(call: Callable[[int], None]) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        with _open(f"/proc/self/fdinfo/{descriptor}") as information:
            flags = information.read().partition("flags:")[2].split()[0]
        if int(flags, 8) & os.O_ACCMODE == os.O_RDONLY:
            message = "Bad file descriptor"
            raise OSError(9, message)
        call(descriptor)

    return fsync


def _take_away() -> None:
    for name in _CALLS:
        if hasattr(os, name):
            delattr(os, name)
    for name in ("rename", "replace", "unlink", "remove"):
        setattr(os, name, _refusing(getattr(os, name)))
    os.fsync = _fsync_of_what_is_written(os.fsync)  # type: ignore[assignment]  # of a number alone
    for module, names in ((os, ("stat", "listdir", "scandir", "readlink", "open")), (io, ("open",))):
        for name in names:
            setattr(module, name, _without_proc(getattr(module, name)))
    for name in _MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Absent())
    multiprocessing.set_start_method("spawn", force=True)


def _sign() -> None:
    """Leave the number of this process, so that a test knows which ones were such a system."""
    if folder := os.environ.get("OTHER_SYSTEM_LOG"):
        Path(folder, str(os.getpid())).touch()


_take_away()
_sign()
