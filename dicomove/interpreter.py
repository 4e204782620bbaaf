"""Python's lock while a cell computes (`short_switch_interval`), and its memory with millions of records.

`short_switch_interval` shortens Python's switch interval, so that threads of dicomove get Python's lock soon while a
cell computes. Python takes its lock from a computing thread after this interval, 5 ms by default. A thread that waits
for a network needs the lock after each system call, so a run in a busy kernel took six times as long. With the interval
below, it takes as long as beside another busy process, and the cell computes as much as before (decision 0009).

`changed` and `in_bulk` save time and memory with millions of frozen records.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypeVar

Record = TypeVar("Record")
#: In seconds. A shorter interval had no further effect.
SHORT_S: Final = 0.0001


def changed(record: Record, **fields: object) -> Record:
    """Return a frozen dataclass with these fields, like `dataclasses.replace`; the same object if it has them already.

    Parameters
    ----------
    record
        An instance of a frozen dataclass.
    **fields
        Its new fields.

    Examples
    --------
    >>> from dicomove.outcome import Counts
    >>> counts = Counts(completed=2)
    >>> changed(counts, failed=1)
    Counts(total=None, completed=2, failed=1, warning=None, remaining=None, at_end=False)
    >>> changed(counts, completed=2) is counts
    True
    """
    for name, value in fields.items():
        before = getattr(record, name)
        if before is not value and before != value:
            return replace(record, **fields)  # type: ignore[type-var]  # it is a dataclass
    return record


@contextmanager
def in_bulk() -> Iterator[None]:
    """Make many records, without Python's search for cycles.

    The records are not part of cycles, but the search would visit all of them again and again: that is a sixth of the
    time to prepare a run of a million rows. Do not wait for other threads in the block. It is also a decorator.

    Examples
    --------
    >>> with in_bulk():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
