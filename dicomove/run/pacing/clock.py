"""A clock that may go back."""

from __future__ import annotations


class Clock:
    """Notice a clock that goes back, and by how much.

    A virtual machine that is moved, a time server, or a driver that takes the time of day for a clock: if the clock
    goes back by an hour, what was due in a second would be due in an hour. Whoever keeps points in time shifts them by
    what `step` returns, and waits no longer than before.

    Examples
    --------
    >>> clock = Clock()
    >>> [clock.step(now) for now in (100.0, 107.0, 40.0, 41.0)]
    [0.0, 0.0, -67.0, 0.0]
    """

    def __init__(self) -> None:
        self._latest: float | None = None

    def step(self, now: float) -> float:
        """Return by how much the clock has gone back since the last call: 0, or a negative number of seconds.

        Parameters
        ----------
        now
            The time, in seconds.
        """
        back = 0.0 if self._latest is None else min(0.0, now - self._latest)
        self._latest = now
        return back
