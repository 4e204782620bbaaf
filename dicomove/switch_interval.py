"""Shortens Python's switch interval, so that threads of dicomove get Python's lock soon while a cell computes.

Python takes its lock from a computing thread after the switch interval, 5 ms by default. A thread that waits for a
network needs the lock after each system call, so a run in a busy kernel took six times as long. With the interval
below, it takes as long as beside another busy process, and the cell computes as much as before (decision 0009).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: In seconds. A shorter interval had no further effect.
SHORT_S: Final = 0.0001


class _SwitchInterval:
    """The interval of the interpreter. With several runs, the first one shortens it, and the last one restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._before = self._ours = 0.0

    def shorten(self) -> None:
        """Begin a run. An interval that is shorter already does not change."""
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, SHORT_S))
                self._ours = sys.getswitchinterval()  # the interpreter rounds the value

    def restore(self) -> None:
        """End a run. An interval that the user has set in the meantime does not change."""
        with self._lock:
            self._runs -= 1
            if self._runs == 0 and sys.getswitchinterval() == self._ours:
                sys.setswitchinterval(self._before)


_INTERVAL: Final = _SwitchInterval()


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Let waiting threads get Python's lock soon in a ``with`` block. Several threads may use it at the same time."""
    _INTERVAL.shorten()
    try:
        yield
    finally:
        _INTERVAL.restore()
