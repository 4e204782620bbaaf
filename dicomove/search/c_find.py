"""Sends C-FINDs on one association: with the delay between them, and not after a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from dicomove.dimse import FindResult, FindScu
from dicomove.dimse.find import with_announced

_LOOK_AGAIN_S: Final = 0.05
#: After so many C-FINDs in a row without a match, the asker repeats an earlier C-FIND: does the PACS still answer?
_PATIENCE: Final = 20
#: No PACS stops answering after fewer matches.
_MANY: Final = 25

Keys = Mapping[str, str | list[str]]


class Stopped(Exception):  # noqa: N818 (the condition is the name)
    """The run was stopped before this C-FIND was answered."""


class Stop(threading.Event):
    """The request to stop, for all threads of a run. `set` sends C-CANCEL; `abandon` does not wait for its answer."""

    def __init__(self) -> None:
        super().__init__()
        self._is_abandoned = False

    def abandon(self) -> None:
        """End every C-FIND now, without an answer to C-CANCEL."""
        self._is_abandoned = True
        self.set()

    def clear(self) -> None:
        """Withdraw the request, after all C-FINDs that it concerned have ended."""
        self._is_abandoned = False
        super().clear()

    def is_set(self) -> bool:
        """Whether to stop, also at the end of the interpreter.

        Raises
        ------
        Stopped
            After `abandon`.
        """
        if self._is_abandoned:
            raise Stopped
        return super().is_set() or not threading.main_thread().is_alive()


class Asker:
    """Sends C-FINDs, one after the other.

    Parameters
    ----------
    scu
        The SCU.
    stop
        The request to stop.
    delay
        Seconds from the end of one to the beginning of the next.
    """

    def __init__(self, scu: FindScu, stop: Stop, delay: float = 0.0) -> None:
        self._scu, self._stop, self._delay = scu, stop, delay
        self._next = 0.0
        self._known: tuple[Keys, str, int] | None = None
        self._silences, self._given, self._patience = 0, 0, _PATIENCE
        #: Whether the PACS counts its answers by association, so that each C-FIND needs a fresh one.
        self.renews = False
        #: Whether the PACS no longer returns matches that it returned before.
        self.has_stopped = False

    def find(
        self, keys: Keys, *, query_model: str, is_enough: Callable[[dict[str, str]], bool] | None = None
    ) -> FindResult:
        """Send one C-FIND; cancel it when `is_enough` returns true for a match.

        Raises
        ------
        Stopped
            The run was stopped.
        """
        self._pause()
        if self.renews:
            self.renew()

        def look(match: dict[str, str]) -> None:
            if is_enough and is_enough(match):
                self._scu.cancel()

        result = with_announced(self._scu.find_studies(keys, query_model=query_model, stop=self._stop, on_match=look))
        if is_enough and any(is_enough({}) for _ in range(result.without_identifier)):
            result = replace(result, cancelled=True)  # too late for C-CANCEL, and its matches are no answer either
        self._next = time.monotonic() + self._delay
        if (result.cancelled or result.error) and self._stop.is_set():
            raise Stopped
        self._note(keys, query_model, result)
        return result

    def check(self) -> None:
        """Repeat an earlier C-FIND if later ones had no match: some PACS stop after a number of answers."""
        if self._known is None or self._given < _MANY or not self._silences or self.renews:
            return
        again = self._again(self._known)
        if again.matches or again.error or again.cancelled:
            return
        self.renew()
        fresh = self._again(self._known)
        self.renews = bool(fresh.matches)
        self.has_stopped = not fresh.matches and not fresh.error and not fresh.cancelled

    def _again(self, known: tuple[Keys, str, int]) -> FindResult:
        keys, query_model, _ = known
        return with_announced(self._scu.find_studies(keys, query_model=query_model, stop=self._stop))

    def _note(self, keys: Keys, query_model: str, result: FindResult) -> None:
        """Remember the C-FIND with the shortest answer, and check now and then that the PACS still answers it."""
        if result.matches:
            self._silences, self._given = 0, self._given + len(result)
            if self._known is None or len(result) < self._known[2]:
                # For a list of UIDs, only the first match.
                first = result.matches[0]
                alone = {
                    name: first.get(name, "") if isinstance(value, list) else value for name, value in keys.items()
                }
                self._known = alone, query_model, len(result)
        elif not result.error and not result.cancelled:
            self._silences += 1
            if self._silences == self._patience:
                self._patience *= 2
                self.check()

    def renew(self) -> None:
        """End the association, so that the next C-FIND has a fresh one."""
        self._scu.close()

    def _pause(self) -> None:
        """Wait for the end of the delay."""
        while not self._stop.is_set():
            left = self._next - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOK_AGAIN_S))
        raise Stopped

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that another thread fulfils.

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
