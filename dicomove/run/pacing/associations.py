"""The moves in flight, and how many there may be: a fixed number, or one that follows the throughput of the PACS.

A PACS does not say how busy it is. As TCP does with a network, the number of moves in flight is halved at each sign of
congestion, and raised by one for each round that went well (V. Jacobson, Congestion Avoidance and Control, SIGCOMM
1988). Several clients with this rule reach a fair share, even if they do not know of each other (D. Chiu and R. Jain,
Computer Networks and ISDN Systems 17, 1989).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from statistics import median
from typing import Final

from dicomove.run.pacing.growth import Growth
from dicomove.run.pacing.throughput import Throughput

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


class Associations:
    """The moves in flight, and the number that may be; each association may rest after a move.

    Parameters
    ----------
    most
        The limit of the user.
    grows
        Whether the number begins with one, and grows with the throughput; otherwise it begins with the limit.
    rest_s
        The rest, in seconds.

    Examples
    --------
    >>> Associations(8, grows=False).limit, Associations(8, grows=True).limit
    (8, 1)
    """

    def __init__(self, most: int, *, grows: bool, rest_s: float = 0.0) -> None:
        self._growth = Growth(most) if grows else None
        self._congestion = Congestion(1 if grows else most)
        self._throughput = Throughput()
        #: The moves in flight, and whether another one was in flight at any moment of theirs.
        self._in_flight: dict[Hashable, bool] = {}
        self._rest_s = rest_s
        self._resting: deque[float] = deque()

    def __repr__(self) -> str:
        return f"<Associations: {self._growth or 'fixed'}, {self._congestion}>"

    @property
    def limit(self) -> int:
        """The number of moves that may be in flight now: at least one."""
        return self._congestion.limit

    @property
    def in_flight(self) -> int:
        """The number of moves in flight."""
        return len(self._in_flight)

    @property
    def rest_ends(self) -> float | None:
        """When the next one has rested; ``None`` if none of them rests."""
        return self._resting[0] if self._resting else None

    def has_free(self, now: float, *, has_more: bool) -> bool:
        """Return whether another move may begin now, after `look`."""
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
        self.look(now, has_more=has_more)
        return len(self._in_flight) + len(self._resting) < self.limit

    def look(self, now: float, *, has_more: bool) -> None:
        """Decide on the number again.

        Parameters
        ----------
        now
            The time, in seconds.
        has_more
            Whether more moves could begin now.
        """
        if self._growth is None:
            return
        # Measure only while exactly this number of associations is in use.
        if not has_more or len(self._in_flight) > self.limit or self.limit < self._growth.number:
            self.forget(now)
        elif self._growth.look(self._throughput.measured(now), now):
            self._follow(self._growth, now)

    def forget(self, now: float) -> None:
        """Measure anew, because moves could not begin, so that the measurement says nothing about the PACS."""
        self._throughput.restart(now)

    def begun(self, move: Hashable, now: float, *, counts: bool) -> None:
        """Take note that a move begins, and whether its counts are its own alone."""
        has_company = bool(self._in_flight)
        if has_company:
            self._in_flight = dict.fromkeys(self._in_flight, True)
        self._in_flight[move] = has_company
        if self._growth:
            self._throughput.begun(move, now, counts=counts)

    def progressed(self, move: Hashable, instances: int, now: float) -> None:
        """Take note of the number of instances that a move has brought so far."""
        if self._growth:
            self._throughput.progressed(move, instances, now)

    def ended(self, move: Hashable, instances: int | None, now: float) -> bool:
        """Take note that a move has ended; return whether another one was in flight at the same time.

        Parameters
        ----------
        move
            The move. If it is not in flight, nothing changes.
        instances
            The number of its instances, if it is known.
        now
            The time, in seconds.
        """
        has_company = self._in_flight.pop(move, None)
        if has_company is not None and self._growth:
            self._throughput.ended(move, instances, now)
        return bool(has_company)

    def rest(self, now: float) -> None:
        """Let an association rest."""
        if self._rest_s:
            self._resting.append(now + self._rest_s)

    def congested(self, now: float) -> None:
        """Take note that the PACS refused an association, or is out of resources."""
        growth = self._growth
        # If the last associations were a trial, the number before it was not too high.
        if growth is None or not growth.is_on_trial(now):
            self._congestion.congested(now)
        if growth:
            growth.refused(now)
            self._follow(growth, now)

    def went_well(self, silence_s: float | None, now: float) -> None:
        """Take note of a move that went well, and of its longest silence: as in `Congestion`."""
        self._congestion.went_well(silence_s, now)

    def _follow(self, growth: Growth, now: float) -> None:
        self._congestion.allow(growth.number)
        self.forget(now)
