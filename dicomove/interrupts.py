"""Ctrl-C as something to look at, where it would be an exception between any two instructions."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """Counts the interrupts within a ``with``, so that none of them loses what was about to be written down.

    Where somebody else handles SIGINT, and in a thread beside the main one, which gets no signals, it changes nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._ours = False

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        self._ours = in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, _: int, __: FrameType | None) -> None:
        self.count += 1
