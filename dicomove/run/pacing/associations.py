"""The number of moves in flight: fixed, or following the throughput of the PACS; fewer while the PACS is busy."""

from __future__ import annotations

from collections.abc import Hashable

from dicomove.run.pacing.congestion import Congestion
from dicomove.run.pacing.growth import Growth
from dicomove.run.pacing.throughput import Throughput


class Associations:
    """The number of moves that may be in flight.

    Parameters
    ----------
    most
        The limit of the user.
    grows
        Whether the number begins with one, and grows with the throughput; otherwise it begins with the limit.

    Examples
    --------
    >>> Associations(8, grows=False).limit, Associations(8, grows=True).limit
    (8, 1)
    """

    def __init__(self, most: int, *, grows: bool) -> None:
        self._growth = Growth(most) if grows else None
        self._congestion = Congestion(1 if grows else most)
        self._throughput = Throughput()
        self._in_flight = 0

    def __repr__(self) -> str:
        return f"<Associations: {self._growth or 'fixed'}, {self._congestion}>"

    @property
    def limit(self) -> int:
        """The number of moves that may be in flight now: at least one."""
        return self._congestion.limit

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
        if not has_more or self._in_flight > self.limit or self.limit < self._growth.number:
            self.forget(now)
        elif self._growth.look(self._throughput.measured(now), now):
            self._follow(self._growth, now)

    def forget(self, now: float) -> None:
        """Measure anew, because moves could not begin, so that the measurement says nothing about the PACS."""
        self._throughput.restart(now)

    def begun(self, move: Hashable, now: float, *, counts: bool) -> None:
        """Take note that a move begins, and whether its counts are its own alone."""
        self._in_flight += 1
        if self._growth:
            self._throughput.begun(move, now, counts=counts)

    def progressed(self, move: Hashable, instances: int, now: float) -> None:
        """Take note of the number of instances that a move has brought so far."""
        if self._growth:
            self._throughput.progressed(move, instances, now)

    def ended(self, move: Hashable, instances: int | None, now: float) -> None:
        """Take note that a move has ended, and of its number of instances if it is known."""
        self._in_flight -= 1
        if self._growth:
            self._throughput.ended(move, instances, now)

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
