"""A limit on instances per second, between moves.

Nobody can slow down a PACS that is sending, and how many instances a row has is known for certain when it is over. So
a move makes a debt, and the next one begins when it is paid: the rate holds over a run, not within a move. It is the
virtual scheduling of the ITU's generic cell rate algorithm (ITU-T I.371) with nothing saved up.
"""

from __future__ import annotations

from dicomove.run.pacing.clock import Clock


class Rate:
    """When the next move may begin.

    Parameters
    ----------
    per_second
        Instances per second; ``None`` is no limit.

    Raises
    ------
    ValueError
        `per_second` cannot be right.

    Examples
    --------
    >>> rate = Rate(50)
    >>> rate.spent(500, now=4.0, since=0.0)
    >>> rate.ready_at(now=4.0)
    10.0
    """

    def __init__(self, per_second: float | None) -> None:
        if per_second is not None and not 0 < per_second < float("inf"):
            message = f"the rate is a number of instances per second above 0, or None for no limit: not {per_second!r}"
            raise ValueError(message)
        self._per_second = per_second
        self._free_at = float("-inf")
        self._clock = Clock()

    def __repr__(self) -> str:
        return f"<Rate: {'no limit' if self._per_second is None else f'{self._per_second:g} instances/s'}>"

    def spent(self, instances: int, now: float, *, since: float | None = None) -> None:
        """Take note of instances that were moved.

        Parameters
        ----------
        instances
            How many; it may be told at once or little by little.
        now
            The time, in seconds.
        since
            When the move began: the time that it took counts. Without it, they count as moved in this instant.
        """
        self._mind(now)
        if self._per_second is not None and instances > 0:
            began = now if since is None else min(since, now)
            self._free_at = max(self._free_at, began) + instances / self._per_second

    def ready_at(self, now: float) -> float:
        """Return when the next move may begin: `now`, or later.

        Parameters
        ----------
        now
            The time, in seconds.
        """
        self._mind(now)
        return max(now, self._free_at)

    def _mind(self, now: float) -> None:
        self._free_at += self._clock.step(now)
