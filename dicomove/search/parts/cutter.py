"""Chooses the spans of a search by date so that each fits into one answer, and learns from the answers. Pure."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import sqrt
from typing import Final

from dicomove.search.parts.spans import DAY, HOUR, Moment, Span

_WEEK: Final = 7 * DAY
#: Digital archives have few older studies.
_BEGIN: Final = dt.date(1995, 1, 1).toordinal()
#: The part of the limit that a span should fill; the step by which a guessed limit becomes smaller or larger.
_FULL: Final = 0.6


class Cutter:
    """Splits a search into spans that fit into one answer each, and learns from the answers.

    Studies are not spread evenly: there are busy hours, quiet nights and weekends. The cutter counts the studies of
    each hour of the week, and chooses the next span so that it probably has slightly fewer studies than the limit.

    Parameters
    ----------
    whole
        The dates of the search.
    cap
        The largest number of matches that the PACS returns.
    known
        The moments of known studies.
    today
        The date of today: later dates are one span.
    by_time
        Whether a day may be split.
    """

    def __init__(self, whole: Span, cap: int, known: Iterable[Moment], *, today: dt.date, by_time: bool = True) -> None:
        self._by_time = by_time
        self._fill(cap)
        self._hours = _Hours()
        self._todo = _eras(whole, min((day for day, _ in known), default=None), today.toordinal())[::-1]
        #: Studies per average minute; 0 as long as no span was too large.
        self._rate = 0.0
        #: Whether the limit is a guess, and whether the rate is known.
        self._is_guess = self._knows_rate = False
        #: Whether a day was split: studies without a time are in none of its parts.
        self.cut_days = False

    def _fill(self, cap: int) -> None:
        self._cap, self._target = cap, max(cap - 2 * sqrt(cap), cap / 2)

    def lower(self, cap: int | None) -> None:
        """Learn a lower limit of the PACS."""
        if cap is not None and 0 < cap < self._cap:
            self._fill(cap)

    def expected(self, span: Span) -> float:
        """Return the expected number of studies in a span; 0 if nothing is known yet."""
        return 0.0 if span.is_open else self._rate * self._hours.mass(span)

    def next(self) -> Span | None:
        """Return the next span to ask for, or ``None`` at the end."""
        if not self._todo:
            return None
        rest = self._todo.pop()
        span = rest if not self._rate or rest.is_open else self._chosen(rest, self._target / self._rate)
        self._todo += _rest(rest, span)
        self.cut_days |= not span.has_whole_days
        return span

    def is_complete(self, span: Span, moments: Iterable[Moment]) -> None:
        """Learn that a span has exactly these studies."""
        if span.is_open or not self._rate:
            return
        found = list(moments)
        self._knows_rate |= bool(found)
        if self._is_guess and len(found) >= _FULL * self._cap:
            self._fill(round(self._cap / _FULL))
        expected = self._hours.mass(span)
        seen = max(len(found) / expected, self._rate / 4)
        weight = min(1.0, expected * max(self._rate, seen) / self._target)
        self._rate += 0.7 * weight * (seen - self._rate)
        self._hours.learn(span, found)

    def is_cut_off(self, span: Span, longest: int | None = None) -> bool:
        """Learn that a span has too many studies for one answer; return whether it can be split.

        If the PACS returns none of them, its limit is at least the length of the longest answer.
        """
        halves = span.halves()
        if not halves or (span.first == span.last and not self._by_time):
            return False
        if span.is_open:
            self._todo += halves[::-1]
        elif longest is not None and self._knows_rate:
            self._is_guess = True
            self._fill(max(longest, round(_FULL * self._cap)))
            self._rate *= 1.2
            self._todo.append(span)
        else:
            self._rate = max(1.3 * self._cap / self._hours.mass(span), 1.6 * self._rate)
            self._todo.append(span)
        return True

    def _chosen(self, rest: Span, mass: float) -> Span:
        """Return the beginning of a span with this mass, in whole days if possible."""
        if rest.has_whole_days:
            last = self._last_day(rest, mass)
            if last >= rest.first or not self._by_time:
                return Span(rest.first, max(last, rest.first))
        day, minute, left = rest.first, rest.begin, mass
        while minute <= rest.end:
            step = HOUR - minute % HOUR
            inside = step * self._hours.business(day, minute // HOUR)
            if inside > left:
                minute += int(step * left / inside)
                break
            left, minute = left - inside, minute + step
        return Span(day, day, rest.begin, min(max(minute - 1, rest.begin), rest.end))

    def _last_day(self, rest: Span, mass: float) -> int:
        """Return the last whole day that fits, or the day before the first."""
        weeks = int(mass / _WEEK)
        day, left = rest.first + 7 * weeks, mass - weeks * _WEEK
        # A day that probably just fills an answer is worth a try.
        most = self._cap - sqrt(self._cap) / 2
        while day <= rest.last:
            inside = self._hours.day(day)
            if inside > left and not (day == rest.first and inside * self._rate <= most):
                break
            left, day = left - inside, day + 1
        return min(day - 1, rest.last)


class _Hours:
    """How busy each hour of the week is, relative to the average."""

    def __init__(self) -> None:
        #: Studies and minutes of each day of the week and hour.
        self._counted: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._covered: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._count = self._cover = 0.0

    def learn(self, span: Span, moments: list[Moment]) -> None:
        """Learn from the moments of all studies in a span."""
        for day, minute in moments:
            if minute is not None:
                self._counted[day % 7, minute // HOUR] += 1
                self._count += 1
        for day, hour, minutes in _hours_of(span):
            self._covered[day % 7, hour] += minutes
            self._cover += minutes

    def business(self, day: int, hour: int) -> float:
        """Return the number of studies in a minute of this hour, if an average minute has 1."""
        if not self._count:
            return 1.0
        average = self._count / self._cover
        counted, covered = self._counted[day % 7, hour], self._covered[day % 7, hour]
        return (counted / average + _PRIOR) / (covered + _PRIOR)

    def day(self, day: int) -> float:
        """Return the minutes of a day, each weighted by the business of its hour."""
        return HOUR * sum(self.business(day, hour) for hour in range(24))

    def mass(self, span: Span) -> float:
        """Return the minutes of a span, each weighted by the business of its hour."""
        return sum(minutes * self.business(day, hour) for day, hour, minutes in _hours_of(span))


def _hours_of(span: Span) -> Iterator[tuple[int, int, float]]:
    """Yield each hour of the week in a span with its number of minutes, over all weeks."""
    weeks, days = divmod(span.last - span.first + 1, 7)
    for day in range(7):
        number = weeks + (day < days)
        for hour in range(span.begin // HOUR, span.end // HOUR + 1) if number else ():
            minutes = min(span.end + 1, (hour + 1) * HOUR) - max(span.begin, hour * HOUR)
            yield span.first + day, hour, number * minutes


#: Average minutes that each hour of the week counts with in advance.
_PRIOR: Final = 240.0


def _eras(whole: Span, earliest: int | None, today: int) -> list[Span]:
    """Return the eras of a search: long ago, the time of digital archives, before the first known study, and so on."""
    days = sorted({_BEGIN, today + 1, *([earliest] if earliest and earliest <= today else [])})
    parts, begin = [], whole.first
    for day in days:
        if begin < day <= whole.last:
            parts.append(Span(begin, day - 1))
            begin = day
    return [*parts, Span(begin, whole.last)]


def _rest(whole: Span, span: Span) -> list[Span]:
    """Return the dates after a span within the whole, the later part first."""
    rest = []
    if span.last < whole.last:
        rest.append(Span(span.last + 1, whole.last))
    if not span.has_whole_days and span.end < whole.end:
        rest.append(Span(span.first, span.first, span.end + 1, whole.end))
    return rest
