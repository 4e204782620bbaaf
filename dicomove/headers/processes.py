"""The processes that read headers. Each reads a few files at a time; one that a file kills is started again.

Not `multiprocessing`: it imports the caller's script once more, and a script without a guard would move everything
again.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from dicomove.headers.reading import UNREADABLE, Header, Reader, header_of, read_all

_ROOT: Final = Path(__file__).parents[2]
_PROGRAM: Final = (str(_ROOT / "dicomove" / "start.py"), str(_ROOT), "dicomove.headers.reading")
_AT_ONCE: Final = 64
#: Fewer files are read sooner than a process starts.
_FEW: Final = 300


def read_headers(
    paths: Sequence[str], keys: Sequence[str], processes: int | None
) -> Iterator[tuple[Sequence[str], Sequence[Header]]]:
    """Return the headers of files, some at a time, in their order."""
    count = processes or min(8, os.cpu_count() or 1)
    parts = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    if len(paths) < _FEW or count == 1:
        reader = Reader(keys)
        for part in parts:
            yield part, read_all(reader, part)
        return
    free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    readers = [_Process(keys) for _ in range(count)]
    for one in readers:
        free.put(one)

    def read(part: Sequence[str]) -> list[Header]:
        one = free.get()
        try:
            return one.read(part)
        finally:
            free.put(one)

    pool = ThreadPoolExecutor(count)
    try:
        yield from zip(parts, pool.map(read, parts), strict=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for one in readers:
            one.close()
        pool.shutdown()


class _Process:
    """One process, which is started when it is needed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def read(self, paths: Sequence[str]) -> list[Header]:
        """Return the headers of files. A file that ends the process is one that cannot be read."""
        if self._closed:
            return []
        try:
            return [header_of(told) for told in json.loads(self._ask(json.dumps(paths)))]
        except (OSError, ValueError):
            self._end()
        if len(paths) == 1:
            return [Header(UNREADABLE)]
        half = len(paths) // 2
        return self.read(paths[:half]) + self.read(paths[half:])

    def _ask(self, line: str) -> str:
        process = self._process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            return ""
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-P", *_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback may contain values
            text=True,
            encoding="ascii",
            start_new_session=True,  # the stop button ends the caller's wait, which ends this process
        )
        if process.stdin is not None:
            process.stdin.write(json.dumps(list(self._keys)) + "\n")
        return process

    def close(self) -> None:
        """End the process, whatever it does."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)


def _close(pipe: IO[str]) -> None:
    # What was not sent is not needed.
    with suppress(OSError):
        pipe.close()
