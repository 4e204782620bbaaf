"""Processes: how one of ours starts; whether one is alive, and which one has a port (Linux: /proc)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_ROOT: Final = Path(__file__).parents[1]
_PROC: Final = Path("/proc")
_LISTENING: Final = "0A"
_ENDED: Final = ("Z", "X")
#: RFC 6335 section 6; Linux begins lower.
_FIRST_DYNAMIC_PORT: Final = 49152
#: A receiver whose parent has ended first makes its files durable.
_ORPHAN_S: Final = 10.0
#: The wait if the system does not tell whether a process is about to end.
UNKNOWN_S: Final = 3.0
#: The most open files that a receiver needs.
_MOST_FILES: Final = 4096
#: Fields of /proc/PID/stat (state and start), counted after the command, which may contain any character.
_STATE, _STARTED = 0, 19


@dataclass(frozen=True, slots=True)
class Process:
    """A process, by its number and its start: the system reuses the number of a process that has ended.

    Attributes
    ----------
    pid
        Its number.
    started
        When it started, in ticks since the start of the system; ``None`` if the system does not tell.
    """

    pid: int
    started: int | None = None

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the process with this number."""
        found = _stat(pid)
        return cls(pid, int(found[_STARTED]) if found else None)

    @property
    def is_alive(self) -> bool | None:
        """Whether it is running; ``None`` if the system does not tell."""
        if self.started is None or not _PROC.joinpath("self", "stat").exists():
            return None
        found = _stat(self.pid)
        return found is not None and found[_STATE] not in _ENDED and int(found[_STARTED]) == self.started

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the process from `text`; ``None`` if the text is invalid."""
        pid, _, started = text.partition(":")
        return cls(int(pid), int(started) if started.isdecimal() else None) if pid.isdecimal() else None

    @property
    def text(self) -> str:
        """Its number and its start, for files and command lines."""
        return f"{self.pid}:{'' if self.started is None else self.started}"

    @property
    def arguments(self) -> list[str]:
        """Its command line; empty if it has ended, or if the system does not tell."""
        with suppress(OSError):
            told = (_PROC / str(self.pid) / "cmdline").read_bytes()
            return told.decode(errors="replace").rstrip("\0").split("\0")
        return []

    def __str__(self) -> str:
        command = " ".join(self.arguments).strip()
        return f"process {self.pid} ({command})" if command else f"process {self.pid}"


def own_program(module: str) -> list[str]:
    """Return the command for one of dicomove's own processes, without arguments; `module` has its `main`."""
    return [sys.executable, "-P", str(_ROOT / "dicomove" / "start.py"), str(_ROOT), module]


def allow_many_files() -> None:
    """Raise the limit of open files as far as the system allows: each connection and each waiting file needs one."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > soft:
        most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def patience_s(parent: Process | None, own: Process) -> float:
    """Return how many seconds to wait for a folder or port that the child of another process has.

    Parameters
    ----------
    parent
        The process that started the child. The child ends with it. ``None`` if it is unknown.
    own
        The process that started this one. If the child is its own, it has closed it.
    """
    if parent is None or parent == own or parent.is_alive is None:
        return UNKNOWN_S
    return 0 if parent.is_alive else _ORPHAN_S


def port_owner(port: int) -> Process | None:
    """Return the process that listens at a port; ``None`` if the system does not tell."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for folder in _PROC.glob("[0-9]*") if wanted else ():
        with suppress(OSError):
            if any(str(descriptor.readlink()) in wanted for descriptor in (folder / "fd").iterdir()):
                return Process.of(int(folder.name))
    return None


def first_port_of_connections() -> int:
    """Return the first port of the range for outgoing connections."""
    try:
        return int((_PROC / "sys" / "net" / "ipv4" / "ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FIRST_DYNAMIC_PORT


def _stat(pid: int) -> list[str] | None:
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _inodes(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
