"""Ctrl-C as something to look at, where it would be an exception between any two instructions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Self

#: The signals that ask for an end, with Python's own handlers of them. Ctrl-C and the stop button send the first, the
#: scheduler of a cluster sends the second, and kills a while later.
_WISHES: Final = ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))


class Interrupts:
    """Counts the interrupts within a ``with``, so that none of them loses what was about to be written down.

    Within another one, both count as one. It changes nothing where a signal has another handler, and in a thread beside
    the main one, which gets no signals.
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
            self._ours = [(wish, usual) for wish, usual in _WISHES if signal.getsignal(wish) is usual]
            for wish, _ in self._ours:
                signal.signal(wish, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for wish, usual in self._ours:
            signal.signal(wish, usual)  # type: ignore[arg-type]  # what `getsignal` returned

    @property
    def total(self) -> int:
        """The number of interrupts so far, also where another one counts them."""
        return self._outer.total if self._outer else self.count

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise each one as a `KeyboardInterrupt` within a ``with``, and one that has come before at its beginning.

        Raises
        ------
        KeyboardInterrupt
            Catch it around the ``with``: no other place can get it.
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
            # Once: what handles it has to come to its end.
            self._raises = False
            raise KeyboardInterrupt
