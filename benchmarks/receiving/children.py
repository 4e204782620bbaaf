"""Processes that take part: started, read from /proc, and stopped by their own process."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Served:
    """A process that serves, and how many instances it says it has taken, once it has ended."""

    pid: int
    port: int
    instances: int | None = None


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[Served]:
    """Run a module of this package that serves until its standard input ends."""
    command = [sys.executable, "-m", f"benchmarks.receiving.{module}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101 (it is a pipe)
        served = Served(process.pid, int(process.stdout.readline()))
        yield served
        answer, _ = process.communicate(timeout=60)
        served.instances = json.loads(answer)["instances"]


def peak_memory(pid: int) -> int:
    """The largest resident set that a process has had, in bytes; 0 when it has none any more."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def cpu_seconds(pid: int) -> float:
    """The time that a process has spent in user and in kernel mode."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program; what it answers does not count, but what arrives."""
    subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False, timeout=600)


def run_watched(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a program, and return its peak memory."""
    peak = 0
    surroundings = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=surroundings) as process:
        ended = os.pidfd_open(process.pid)
        try:
            while not select.select([ended], [], [], 0.02)[0]:
                peak = max(peak, peak_memory(process.pid))
        finally:
            os.close(ended)
    return peak
