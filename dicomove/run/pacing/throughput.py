"""What a PACS gives over all associations, measured over a span of time.

A span has a beginning and no edges that count: what is told counts with the time in which it came, and what is not told
yet counts not at all, unless it is late. An association brings `instances` in the `seconds` that it is in use, so that
all of them together bring so many times as much as are in use on average. That holds with many reports per move, and
with one at its end.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Final

#: Reports that come faster than this are taken together.
_TOGETHER_S: Final = 0.25
#: A move that has told nothing for so many times as long as others take to tell something brings nothing: the PACS
#: lets it wait.
_LATE: Final = 2.0
#: Fewer do not show how much they differ: in all, and of each move in flight.
_LEAST_REPORTS: Final = 4
_LEAST_REPORTS_EACH: Final = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """What a PACS gave.

    Attributes
    ----------
    per_second
        Instances per second over all associations.
    error
        The standard error of that.
    each
        Instances per second on one association that is in use: its inverse is the response time of an instance.
    seconds
        How long the span has been.
    """

    per_second: float
    error: float
    each: float
    seconds: float

    @property
    def noise(self) -> float:
        """The standard error, as a part of the whole."""
        return self.error / self.per_second if self.per_second else math.inf


@dataclass(slots=True)
class _Move:
    """A move in flight: when it was last heard of, and how much it had brought by then."""

    at: float
    instances: int = 0
    #: Whether it says how much it brings.
    counts: bool = True


@dataclass(slots=True)
class _Sums:
    """Sums over the reports of a span: n is instances, s is seconds."""

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
    #: Seconds in use, summed over the associations, and up to when they are counted.
    _used_s: float = 0.0
    _used_until: float = 0.0

    def restart(self, now: float) -> None:
        """Begin a new span."""
        self._sums, self._since = _Sums(), now
        self._used_s, self._used_until = 0.0, now

    def begun(self, move: Hashable, now: float, *, counts: bool = True) -> None:
        """Take note that a move begins; `counts` is false where the numbers that it tells are not its own alone."""
        if self._since is None:
            self.restart(now)
        self._use(now)
        self._moves[move] = _Move(now, counts=counts)

    def told(self, move: Hashable, instances: int, now: float) -> None:
        """Take note of how many instances a move has brought so far."""
        known = self._moves.get(move)
        if known and now - known.at >= _TOGETHER_S and instances > known.instances:
            self._report(known, instances, now)

    def ended(self, move: Hashable, instances: int | None, now: float) -> None:
        """Take note that a move has ended, and how many instances it has brought, where that is known."""
        self._use(now)
        known = self._moves.pop(move)
        if instances is not None or known.instances:
            self._report(known, max(instances or 0, known.instances), now)

    def measured(self, now: float) -> Measured | None:
        """Return what was measured since the last restart; ``None`` where that is too little to tell."""
        self._use(now)
        since = self._since
        least = max(_LEAST_REPORTS, _LEAST_REPORTS_EACH * len(self._moves))
        if since is None or self._sums.reports < least or self._sums.s <= 0:
            return None
        seconds, sums = now - since, self._with_late(since, now)
        each, in_use = sums.n / sums.s, self._used_s / seconds
        return Measured(each * in_use, sums.error(each) * in_use, each, seconds)

    def _report(self, move: _Move, instances: int, now: float) -> None:
        # What began before the span did belongs to both.
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
