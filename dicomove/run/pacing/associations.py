"""How many moves may be in flight now: a fixed number, or one that follows what the PACS gives; fewer if it is busy."""

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
        As many as the user allows.
    grows
        Whether it begins with one, and grows while the PACS gives more; else it begins with all.

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
        """How many moves may be in flight now: at least one."""
        return self._congestion.limit

    def look(self, now: float, *, has_more: bool) -> None:
        """Decide again how many there should be.

        Parameters
        ----------
        now
            The time, in seconds.
        has_more
            Whether there are moves that could begin now.
        """
        if self._growth is None:
            return
        # What is measured has to be what so many associations bring, and neither more of them nor fewer.
        if not has_more or self._in_flight > self.limit or self.limit < self._growth.number:
            self.forget(now)
        elif self._growth.look(self._throughput.measured(now), now):
            self._follow(self._growth, now)

    def forget(self, now: float) -> None:
        """Measure anew: what is measured now says nothing of the PACS, since moves could not begin."""
        self._throughput.restart(now)

    def begun(self, move: Hashable, now: float, *, counts: bool) -> None:
        """Take note that a move begins, and whether what it tells of its instances is its own alone."""
        self._in_flight += 1
        if self._growth:
            self._throughput.begun(move, now, counts=counts)

    def told(self, move: Hashable, instances: int, now: float) -> None:
        """Take note of how many instances a move has brought so far."""
        if self._growth:
            self._throughput.told(move, instances, now)

    def ended(self, move: Hashable, instances: int | None, now: float) -> None:
        """Take note that a move has ended, and how many instances it has brought, where that is known."""
        self._in_flight -= 1
        if self._growth:
            self._throughput.ended(move, instances, now)

    def congested(self, now: float) -> None:
        """Take note that the PACS refused an association, or is out of resources."""
        growth = self._growth
        # Where the last associations were tried out, the ones before them were well.
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
