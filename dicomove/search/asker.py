"""C-FIND on one association: not too often, and not after the run was stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from dicomove.dimse import FindResult, FindScu

_LOOK_AGAIN_S: Final = 0.05
#: After so many C-FINDs in a row without a match, it is checked that the PACS still finds what it has found.
_PATIENCE: Final = 20
#: No PACS stops after fewer matches.
_MANY: Final = 25

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

    def clear(self) -> None:
        """Forget the wish, once all that it concerned has ended."""
        self._is_abandoned = False
        super().clear()

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
        self._told: tuple[Keys, str, int] | None = None
        self._silences, self._given, self._patience = 0, 0, _PATIENCE
        #: Whether the PACS counts its answers by association, so that each C-FIND needs a fresh one.
        self.renews = False
        #: Whether the PACS does not find any more what it has found.
        self.has_stopped = False

    def find(
        self, keys: Keys, *, query_model: str, is_enough: Callable[[dict[str, str]], bool] | None = None
    ) -> FindResult:
        """Send one C-FIND, and cancel it once it brought enough.

        Raises
        ------
        Stopped
            The run was stopped.
        """
        self._pause()
        if self.renews:
            self.renew()
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
        self._note(keys, query_model, result)
        return result

    def check(self) -> None:
        """Ask again for what the PACS has found, if it has found nothing since: some PACS give so much and no more."""
        if self._told is None or self._given < _MANY or not self._silences or self.renews:
            return
        again = self._again(self._told)
        if again.matches or again.error or again.cancelled:
            return
        self.renew()
        fresh = self._again(self._told)
        self.renews = bool(fresh.matches)
        self.has_stopped = not fresh.matches and not fresh.error and not fresh.cancelled

    def _again(self, told: tuple[Keys, str, int]) -> FindResult:
        keys, query_model, _ = told
        return self._scu.find_studies(keys, query_model=query_model, stop=self._stop)

    def _note(self, keys: Keys, query_model: str, result: FindResult) -> None:
        """Remember what has a short answer, and check now and then that the PACS still gives it."""
        if result.matches:
            self._silences, self._given = 0, self._given + len(result)
            if self._told is None or len(result) < self._told[2]:
                # Of a list, the first of its answers.
                first = result.matches[0]
                alone = {
                    name: first.get(name, "") if isinstance(value, list) else value for name, value in keys.items()
                }
                self._told = alone, query_model, len(result)
        elif not result.error and not result.cancelled:
            self._silences += 1
            if self._silences == self._patience:
                self._patience *= 2
                self.check()

    def renew(self) -> None:
        """End the association, so that the next C-FIND has a fresh one."""
        self._scu.close()

    def _pause(self) -> None:
        """Wait for the end of the delay, and no longer."""
        while not self._stop.is_set():
            left = self._next - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOK_AGAIN_S))
        raise Stopped

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that another thread does.

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
