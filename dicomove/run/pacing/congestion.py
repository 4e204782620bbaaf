"""Fewer moves at a time for a busy PACS: additive increase, multiplicative decrease.

A PACS does not say how busy it is. As TCP does with a network, the number of moves in flight is halved at each sign of
congestion, and raised by one for each round that went well (V. Jacobson, Congestion Avoidance and Control, SIGCOMM
1988). Several clients with this rule reach a fair share, even if they do not know of each other (D. Chiu and R. Jain,
Computer Networks and ISDN Systems 17, 1989).
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

_REMEMBERED: Final = 20
# With fewer there is no telling what is usual: the first study may come from a tape.
_ENOUGH: Final = 5
_RISE: Final = 4.0
# Below, a rise is the noise of a busy machine.
_NOTICEABLE_S: Final = 2.0


class Congestion:
    """The number of moves that may be in flight.

    Parameters
    ----------
    most
        The limit of the user, and the number at the beginning.
    calm_s
        Several signs of congestion within so many seconds count once: moves in flight fail together.

    Examples
    --------
    >>> congestion = Congestion(8)
    >>> congestion.congested(now=0.0)
    >>> congestion.congested(now=0.1)
    >>> congestion.limit
    4
    >>> for now in range(1, 5):
    ...     congestion.went_well(silence_s=0.2, now=now)
    >>> congestion.limit
    5
    """

    def __init__(self, most: int, *, calm_s: float = 5.0) -> None:
        self._most = most
        self._limit = most
        self._calm_s = calm_s
        self._halved_at: float | None = None
        self._quiet = 0
        self._silences: deque[float] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        return f"<Congestion: {self._limit} of {self._most} moves at a time>"

    @property
    def limit(self) -> int:
        """The number of moves that may be in flight now: at least one."""
        return self._limit

    def allow(self, most: int) -> None:
        """Set a new limit. The number rises to it at once, unless it is reduced at the moment."""
        self._limit = most if self._limit == self._most else min(self._limit, most)
        self._most = most

    def congested(self, now: float) -> None:
        """Take note of a sign of congestion: an association rejected, out of resources.

        Parameters
        ----------
        now
            The time, in seconds.
        """
        self._quiet = 0
        if self._halved_at is not None and now - self._halved_at < self._calm_s:
            return
        self._limit = max(1, self._limit // 2)
        self._halved_at = now

    def went_well(self, silence_s: float | None, now: float) -> None:
        """Take note of a move that went well.

        Parameters
        ----------
        silence_s
            The longest time without a response or an instance; ``None`` if it was not measured. A silence far above
            what is usual with this PACS is a sign of congestion, too.
        now
            The time, in seconds.
        """
        if self._is_rising(silence_s):
            self.congested(now)
        else:
            self._count()
        if silence_s is not None and silence_s >= 0:
            # Long silences count as well: if they persist, they are usual for this PACS and not a sign of congestion.
            self._silences.append(silence_s)

    def _is_rising(self, silence_s: float | None) -> bool:
        if silence_s is None or silence_s <= _NOTICEABLE_S or len(self._silences) < _ENOUGH:
            return False
        return silence_s > _RISE * median(self._silences)

    def _count(self) -> None:
        self._quiet += 1
        if self._quiet >= self._limit:
            self._quiet = 0
            self._limit = min(self._most, self._limit + 1)
