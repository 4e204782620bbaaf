"""Points in time after which a wait on the network ends with an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from dicomove.errors import AssociationError, IdleTimeout

#: The time in which the data set of a final response has to come, in seconds.
_DATA_SET_S: Final = 5.0

Check = Callable[[], None]


class Deadline:
    """A point in time after which waiting ends with an error.

    Parameters
    ----------
    seconds
        From now on; ``None`` is no limit.
    error
        The error to raise.
    doing
        The name of the wait, for the error.
    last_activity
        Returns the time of the last activity, on the monotonic clock. Each activity restarts the time.
    """

    def __init__(
        self,
        seconds: float | None,
        error: type[AssociationError],
        doing: str,
        last_activity: Callable[[], float] | None = None,
    ) -> None:
        self._start = time.monotonic()
        self._seconds, self._error, self._doing = seconds, error, doing
        self._last_activity = last_activity

    def restart(self) -> None:
        """Restart the time."""
        self._start = time.monotonic()

    def check(self) -> None:
        """Raise the error if the time has come."""
        if self._seconds is None or time.monotonic() < self._start + self._seconds:
            return
        if self._last_activity:
            self._start = max(self._start, self._last_activity())
        if time.monotonic() >= self._start + self._seconds:
            message = f"{self._doing}: nothing within {self._seconds:g} s"
            raise self._error(message)


class DataSetDeadline(Deadline):
    """Begins when the command set has come of a message whose data set may never come.

    Parameters
    ----------
    announced
        Returns that message, if there is one.
    idle
        Seconds after which the association ends: this deadline comes before.
    """

    def __init__(self, announced: Callable[[], object], idle: float | None = None) -> None:
        seconds = _DATA_SET_S if idle is None else min(_DATA_SET_S, idle / 2)
        super().__init__(seconds, IdleTimeout, "waiting for the data set of a message")
        self._announced = announced
        self._seen: object = None

    def check(self) -> None:
        """Raise when the data set did not come in time."""
        announced = self._announced()
        if announced is not self._seen:
            self._seen = announced
            self.restart()
        if announced is not None:
            super().check()


class Deadlines:
    """Deadlines of a wait, and a check at every turn, for a cancel, for example."""

    def __init__(self, *deadlines: Deadline, check: Check | None = None) -> None:
        self._deadlines = deadlines
        self._check = check

    def check(self) -> None:
        """Call the check, and raise the error of a deadline that is over."""
        if self._check:
            self._check()
        for deadline in self._deadlines:
            deadline.check()
