"""Python itself while dicomove works: its lock, its memory, and interrupts.

`short_switch_interval` shortens Python's switch interval, so that threads of dicomove get Python's lock soon while a
cell computes. Python takes its lock from a computing thread after this interval, 5 ms by default. A thread that waits
for a network needs the lock after each system call, so a run in a busy kernel took six times as long. With the interval
below, it takes as long as beside another busy process, and the cell computes as much as before (decision 0009).

`changed` and `in_bulk` are for millions of frozen records.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Final, Self, TypeVar

Record = TypeVar("Record")
#: In seconds. A shorter interval had no further effect.
SHORT_S: Final = 0.0001
#: The signals that ask for an end, with Python's own handlers of them. Ctrl-C and the stop button send the first, the
#: scheduler of a cluster sends the second, and kills a while later.
_STOP_SIGNALS: Final = ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))


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


class Interrupts:
    """Counts the interrupts in a ``with`` block, so that none of them loses results.

    Nested blocks share one count. If a signal has another handler, that handler stays. Only the main thread gets
    signals, so a block in another thread changes nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._raises = False
        self._outer: Interrupts | None = None
        self._ours: list[tuple[signal.Signals, object]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            before = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
            self._outer = before if isinstance(before, Interrupts) else None
            self._ours = [(number, usual) for number, usual in _STOP_SIGNALS if signal.getsignal(number) is usual]
            for number, _ in self._ours:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, usual in self._ours:
            signal.signal(number, usual)  # type: ignore[arg-type]  # what `getsignal` returned

    @property
    def total(self) -> int:
        """The number of interrupts so far, also if an outer block counts them."""
        return self._outer.total if self._outer else self.count

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise interrupts as `KeyboardInterrupt` in a ``with`` block; one that came before is raised at its beginning.

        Raises
        ------
        KeyboardInterrupt
            Catch it outside of the ``with`` block.
        """
        if self._outer:
            with self._outer.raised():
                yield
            return
        self._raises = True
        try:
            if self.count:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def _note(self, _: int, __: FrameType | None) -> None:
        self.count += 1
        if self._raises:
            # Raise only once, because the handling has to come to its end.
            self._raises = False
            raise KeyboardInterrupt
