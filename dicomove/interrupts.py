"""Ctrl-C as something to look at, where it would be an exception between any two instructions."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Final, Self

#: The signals that ask for an end, with who handles them where nobody has said anything: Ctrl-C or the stop button, and
#: the scheduler of a cluster, which kills a while later.
_WISHES: Final = ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))


class Interrupts:
    """Counts the interrupts within a ``with``, so that none of them loses what was about to be written down.

    Where somebody else handles a signal, and in a thread beside the main one, which gets none, it changes nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._ours: list[tuple[signal.Signals, object]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._ours = [(wish, usual) for wish, usual in _WISHES if signal.getsignal(wish) is usual]
            for wish, _ in self._ours:
                signal.signal(wish, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for wish, usual in self._ours:
            signal.signal(wish, usual)  # type: ignore[arg-type]  # what `getsignal` returned

    def _note(self, _: int, __: FrameType | None) -> None:
        self.count += 1
