"""Interrupts: Ctrl-C, the stop button of a notebook, SIGTERM, SIGHUP. A run ends in good order, and keeps its results.

The buttons of the panel of a job, Cancel and Pause, are in `dicomove.notebook.drawing`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Self

#: The signals that ask for an end, with Python's own handlers of them. Ctrl-C and the stop button send the first, the
#: scheduler of a cluster sends the second, and kills a while later. A terminal that closes sends the third, which
#: Windows does not have.
_STOP_SIGNALS: Final = (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    *((number, signal.SIG_DFL) for number in signal.Signals if number.name == "SIGHUP"),
)


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
