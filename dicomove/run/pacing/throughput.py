"""Instances per second: measures those of a PACS over all associations, and limits them between moves.

Each report of a move counts with the instances and the seconds since its previous report. A move that has not reported
yet does not count, unless it is late. So each association has a rate, and the throughput is the mean rate times the
mean number of associations in use. This holds for many reports per move, and for one at its end.

A sending PACS cannot be slowed down, and the number of instances of a row is certain only at its end. So the wait of
the limit comes after a move, and depends on its instances: the rate holds over a run, not within a move. This is the
virtual scheduling of the ITU's generic cell rate algorithm (ITU-T I.371); unused time does not count.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Final

#: Reports of a move that come faster than this, in seconds, are combined.
_TOGETHER_S: Final = 0.25
#: A move is late if it is silent for so many times the usual time between reports: the PACS lets it wait, and it counts
#: with no instances.
_LATE: Final = 2.0
#: The fewest reports from which a standard error can be computed: in all, and for each move in flight.
_LEAST_REPORTS: Final = 4
_LEAST_REPORTS_EACH: Final = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """The throughput over a span of time.

    Attributes
    ----------
    per_second
        Instances per second over all associations.
    error
        The standard error of `per_second`.
    each
        Instances per second of one association in use: the inverse of the response time of an instance.
    seconds
        The length of the span.
    """

    per_second: float
    error: float
    each: float
    seconds: float

    @property
    def noise(self) -> float:
        """The relative standard error."""
        return self.error / self.per_second if self.per_second else math.inf


@dataclass(slots=True)
class _Move:
    """A move in flight: the time and the number of instances of its latest report."""

    at: float
    instances: int = 0
    #: Whether it reports its instances.
    counts: bool = True


@dataclass(slots=True)
class _Sums:
    """Sums over the reports of a span: n stands for instances, s for seconds."""

    reports: int = 0
    n: float = 0.0
    s: float = 0.0
    nn: float = 0.0
    ns: float = 0.0
    ss: float = 0.0

    def add(self, n: float, s: float) -> None:
        self.reports += 1
        self.n, self.s = self.n + n, self.s + s
        self.nn, self.ns, self.ss = self.nn + n * n, self.ns + n * s, self.ss + s * s

    def error(self, rate: float) -> float:
        """Return the standard error of the ratio n / s."""
        squares = max(0.0, self.nn - 2 * rate * self.ns + rate * rate * self.ss)
        return math.sqrt(squares * self.reports / (self.reports - 1)) / self.s


@dataclass(slots=True)
class Throughput:
    """Instances per second over all moves in flight, since `restart`.

    Examples
    --------
    >>> throughput = Throughput()
    >>> for study in range(8):
    ...     throughput.begun(study, now=study * 5.0)
    ...     throughput.ended(study, 100 + study % 2, now=study * 5.0 + 4)
    >>> measured = throughput.measured(now=40.0)
    >>> round(measured.per_second, 1), round(measured.each, 1)
    (20.1, 25.1)
    """

    _moves: dict[Hashable, _Move] = field(default_factory=dict)
    _sums: _Sums = field(default_factory=_Sums)
    _since: float | None = None
    #: Seconds in use, summed over the associations; and the time until which they are counted.
    _used_s: float = 0.0
    _used_until: float = 0.0

    def restart(self, now: float) -> None:
        """Begin a new span."""
        self._sums, self._since = _Sums(), now
        self._used_s, self._used_until = 0.0, now

    def begun(self, move: Hashable, now: float, *, counts: bool = True) -> None:
        """Take note that a move begins; `counts` is false if its reports include instances of other moves."""
        if self._since is None:
            self.restart(now)
        self._use(now)
        self._moves[move] = _Move(now, counts=counts)

    def progressed(self, move: Hashable, instances: int, now: float) -> None:
        """Take note of the number of instances that a move has brought so far."""
        known = self._moves.get(move)
        if known and now - known.at >= _TOGETHER_S and instances > known.instances:
            self._report(known, instances, now)

    def ended(self, move: Hashable, instances: int | None, now: float) -> None:
        """Take note that a move has ended, and of its number of instances if it is known."""
        self._use(now)
        known = self._moves.pop(move)
        if instances is not None or known.instances:
            self._report(known, max(instances or 0, known.instances), now)

    def measured(self, now: float) -> Measured | None:
        """Return the throughput since the last restart; ``None`` if there are too few reports."""
        self._use(now)
        since = self._since
        least = max(_LEAST_REPORTS, _LEAST_REPORTS_EACH * len(self._moves))
        if since is None or self._sums.reports < least or self._sums.s <= 0:
            return None
        seconds, sums = now - since, self._with_late(since, now)
        each, in_use = sums.n / sums.s, self._used_s / seconds
        return Measured(each * in_use, sums.error(each) * in_use, each, seconds)

    def _report(self, move: _Move, instances: int, now: float) -> None:
        # A move that began before the span belongs to both spans.
        if move.counts and self._since is not None and move.at >= self._since:
            self._sums.add(instances - move.instances, now - move.at)
        move.at, move.instances = now, instances

    def _with_late(self, since: float, now: float) -> _Sums:
        late_s = _LATE * self._sums.s / self._sums.reports
        sums = replace(self._sums)
        for move in self._moves.values():
            silent_s = now - max(move.at, since)
            if move.counts and silent_s > late_s:
                sums.add(0, silent_s)
        return sums

    def _use(self, now: float) -> None:
        self._used_s += len(self._moves) * (now - self._used_until)
        self._used_until = now


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
