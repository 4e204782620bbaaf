"""A circuit breaker: after some failures in a row, only probes are sent, until one works. Pure.

It is that of M. Nygard, Release It! (2007). Without it, a PACS that restarts at midnight fails ten thousand rows within
a minute.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from tenacity import wait_exponential

from dicomove.run.pacing.retry import pause_s

#: Between two probes: 1, 2, 4, ... 60 s.
_PAUSE: Final = wait_exponential(multiplier=1, max=60)


class Breaker:
    """Closed while things work; open, with probes, while they do not.

    ::

        closed -- `after` failures of different rows in a row --> open -- a probe, or a row in flight, works --> closed

    Several failures of the same row count once, because they may be the row's fault. A probe asks for less than a row:
    if the probe works but the rows fail again, the breaker opens with its latest pause, and not with the first one.

    Parameters
    ----------
    after
        The number of failures that opens it.
    give_up_after_s
        The run gives up if it was open for so many seconds and a probe has failed. 0 gives up at the first probe that
        fails, ``None`` never.

    Attributes
    ----------
    opened_at
        When it opened; ``None`` while it is closed.
    probe_at
        When the next probe is due; ``None`` while it is closed. A time that has passed is due at once.

    Examples
    --------
    >>> breaker = Breaker(after=2, give_up_after_s=3600)
    >>> breaker.failed("row 1", now=10.0)
    >>> breaker.failed("row 2", now=11.0)
    >>> breaker.is_open, breaker.probe_at
    (True, 12.0)
    >>> breaker.probed(False, now=12.0)
    >>> breaker.probe_at
    14.0
    >>> breaker.probed(True, now=14.0)
    >>> breaker.is_open
    False
    """

    def __init__(self, *, after: int, give_up_after_s: float | None = None) -> None:
        self._after = after
        self._give_up_after_s = give_up_after_s
        self._keys: set[Hashable] = set()
        self._failed_probes = 0
        self._pauses = 0
        self.opened_at: float | None = None
        self.probe_at: float | None = None

    def __repr__(self) -> str:
        if self.is_open:
            return f"<Breaker: open, {self._failed_probes} probes have failed>"
        return f"<Breaker: closed, {len(self._keys)} of {self._after} failures>"

    @property
    def is_open(self) -> bool:
        """Whether only probes may be sent."""
        return self.opened_at is not None

    def failed(self, key: Hashable, now: float) -> None:
        """Take note of a failure.

        Parameters
        ----------
        key
            Identifies the row, so that it counts once.
        now
            The time, in seconds.
        """
        if self.is_open:
            return  # a row that was in flight: this failure must not delay the probe
        self._keys.add(key)
        if len(self._keys) >= self._after:
            self.opened_at = now
            self._put_off_probe(now)

    def succeeded(self) -> None:
        """Take note of a success."""
        self._pauses = 0
        if self._keys:  # mostly, nothing has failed
            self._close()

    def probed(self, worked: bool, now: float) -> None:  # noqa: FBT001 - a finding, not a switch
        """Take note of a probe.

        Parameters
        ----------
        worked
            Whether the probe succeeded.
        now
            The time, in seconds.
        """
        if not self.is_open:
            return  # a row in flight has succeeded before the probe
        if worked:
            self._close()
        else:
            self._failed_probes += 1
            self._put_off_probe(now)

    def given_up(self, now: float) -> bool:
        """Return whether the run gives up, because the breaker was open for too long.

        Parameters
        ----------
        now
            The time, in seconds.
        """
        if self.opened_at is None or self._give_up_after_s is None or not self._failed_probes:
            return False  # not before a look at how things are
        return now - self.opened_at >= self._give_up_after_s

    def leave_out(self, seconds: float, now: float) -> None:
        """Do not count the seconds that have just passed: the run would have begun no row in them anyway."""
        if self.opened_at is not None:
            self.opened_at = min(now, self.opened_at + seconds)

    def _put_off_probe(self, now: float) -> None:
        self._pauses += 1
        self.probe_at = now + pause_s(_PAUSE, self._pauses)

    def _close(self) -> None:
        self._keys.clear()
        self._failed_probes = 0
        self.opened_at = self.probe_at = None
