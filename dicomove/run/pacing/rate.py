"""A limit on instances per second, between moves.

A sending PACS cannot be slowed down, and the number of instances of a row is certain only at its end. So the wait comes
after a move, and depends on its instances: the rate holds over a run, not within a move. This is the virtual scheduling
of the ITU's generic cell rate algorithm (ITU-T I.371); unused time does not count.
"""

from __future__ import annotations


class Rate:
    """When the next move may begin.

    Parameters
    ----------
    per_second
        Instances per second; ``None`` is no limit.

    Examples
    --------
    >>> rate = Rate(50)
    >>> rate.spent(500, now=4.0, since=0.0)
    >>> rate.ready_at(now=4.0)
    10.0
    """

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._free_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Rate: {'no limit' if self._per_second is None else f'{self._per_second:g} instances/s'}>"

    def spent(self, instances: int, now: float, *, since: float | None = None) -> None:
        """Take note of instances that were moved.

        Parameters
        ----------
        instances
            Their number; one move may report them in several calls.
        now
            The time, in seconds.
        since
            When the move began, so that its duration counts. Without it, the move counts as instantaneous.
        """
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
        return max(now, self._free_at)
