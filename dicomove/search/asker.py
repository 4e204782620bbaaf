"""C-FIND on one association: not too often, and not after the run was stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from dicomove.dimse import FindResult, FindScu

_LOOK_AGAIN_S: Final = 0.05

Keys = Mapping[str, str | list[str]]


class Stopped(Exception):  # noqa: N818 (the condition is the name)
    """The run was stopped before this C-FIND was answered."""


class Stop(threading.Event):
    """The wish to stop, for all threads of a run: once for C-CANCEL, and twice for an end without patience."""

    def __init__(self) -> None:
        super().__init__()
        self._is_abandoned = False

    def abandon(self) -> None:
        """End every C-FIND now, whether the PACS has answered C-CANCEL or not."""
        self._is_abandoned = True
        self.set()

    def is_set(self) -> bool:
        """Whether to stop: also where the interpreter ends.

        Raises
        ------
        Stopped
            Now.
        """
        if self._is_abandoned:
            raise Stopped
        return super().is_set() or not threading.main_thread().is_alive()


class Asker:
    """Sends C-FINDs, one after the other.

    Parameters
    ----------
    scu
        Sends them.
    stop
        Ends them.
    delay
        Seconds from the end of one to the beginning of the next.
    """

    def __init__(self, scu: FindScu, stop: Stop, delay: float = 0.0) -> None:
        self._scu, self._stop, self._delay = scu, stop, delay
        self._next = 0.0

    def find(
        self, keys: Keys, *, query_model: str, is_enough: Callable[[dict[str, str]], bool] | None = None
    ) -> FindResult:
        """Send one C-FIND, and cancel it once it brought enough.

        Raises
        ------
        Stopped
            The run was stopped.
        """
        self.wait_until(lambda: time.monotonic() >= self._next)
        if is_enough is None:
            result = self._scu.find_studies(keys, query_model=query_model, stop=self._stop)
        else:
            wish = _Either(self._stop)

            def look(match: dict[str, str]) -> None:
                if is_enough(match):
                    wish.set()

            result = self._scu.find_studies(keys, query_model=query_model, stop=wish, on_match=look)
        self._next = time.monotonic() + self._delay
        if (result.cancelled or result.error) and self._stop.is_set():
            raise Stopped
        return result

    def renew(self) -> None:
        """End the association, so that the next C-FIND has a fresh one."""
        self._scu.close()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that another thread or the clock does.

        Raises
        ------
        Stopped
            The run was stopped.
        """
        while not self._stop.is_set():
            if condition():
                return
            time.sleep(_LOOK_AGAIN_S)
        raise Stopped


class _Either(threading.Event):
    """Set where it is set itself, or where another one is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return self._other.is_set() or super().is_set()
