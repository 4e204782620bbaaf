"""The pieces into which a search by date is cut: days, and minutes of one day. Pure.

A piece is asked with StudyDate and StudyTime, as a PACS compares the two one by one (PS3.4 C.2.2.2.5): several days
with all their hours, or a part of a single day. No piece goes over midnight.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Final

_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY
_HOUR: Final = 60
_FIRST_DAY: Final = dt.date(1, 1, 1).toordinal()
_LAST_DAY: Final = dt.date.max.toordinal()
#: Patients that were born before are not in any.
_LONG_AGO: Final = dt.date(1850, 1, 1).toordinal()
#: Digital archives hold little that is older.
_BEGIN: Final = dt.date(1995, 1, 1).toordinal()
#: So much of an answer is taken for much, and a limit that is not known is thought to be as much smaller or larger.
_FULL: Final = 0.6

Moment = tuple[int, int | None]
"""The day of a study as an ordinal number, and its minute; a study without a time has no minute."""


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """The days from `first` to `last`, or the minutes from `begin` to `end` of one day; all ends are included.

    Examples
    --------
    >>> day = dt.date(2024, 5, 6).toordinal()
    >>> Piece(day, day, 8 * 60, 9 * 60 + 29).keys
    {'StudyDate': '20240506', 'StudyTime': '08-092959.999999'}
    """

    first: int = _FIRST_DAY
    last: int = _LAST_DAY
    begin: int = 0
    end: int = _DAY - 1

    @property
    def keys(self) -> dict[str, str]:
        """The keys that ask for it."""
        keys = {} if self.is_all else {"StudyDate": self._dates}
        if not self.has_whole_days:
            keys["StudyTime"] = f"{_begin_text(self.begin)}-{self.end // _HOUR:02}{self.end % _HOUR:02}59.999999"
        return keys

    @property
    def is_all(self) -> bool:
        """Whether it has all dates."""
        return (self.first, self.last) == (_FIRST_DAY, _LAST_DAY)

    @property
    def is_open(self) -> bool:
        """Whether it reaches so far that few studies are expected in it."""
        return self.first == _FIRST_DAY or self.last == _LAST_DAY

    @property
    def has_whole_days(self) -> bool:
        """Whether it has all hours of its days."""
        return (self.begin, self.end) == (0, _DAY - 1)

    def closed(self, today: int) -> Piece:
        """Return it with dates at both ends, that all studies are between."""
        return Piece(max(self.first, _LONG_AGO), max(min(self.last, today + 366), self.first), self.begin, self.end)

    def holds(self, moment: Moment) -> bool:
        """Whether a study of this moment belongs to it; one without a time belongs to whole days."""
        day, minute = moment
        if not self.first <= day <= self.last:
            return False
        return self.has_whole_days if minute is None else self.begin <= minute <= self.end

    def halves(self) -> tuple[Piece, ...]:
        """Return the two parts of it, or nothing where it is a minute."""
        return self.parts_at(((self.first + self.last + 1) // 2, (self.begin + self.end + 1) // 2))

    def parts_at(self, moment: Moment) -> tuple[Piece, ...]:
        """Return the parts before a moment and from it on, or nothing where it is a minute; several days stay whole."""
        day, minute = moment
        if self.first < self.last:
            day = min(max(day, self.first + 1), self.last)
            return Piece(self.first, day - 1), Piece(day, self.last)
        if self.begin == self.end:
            return ()
        middle = min(max(minute or 0, self.begin + 1), self.end)
        return Piece(self.first, self.first, self.begin, middle - 1), Piece(self.first, self.first, middle, self.end)

    @property
    def _dates(self) -> str:
        if self.first == self.last:
            return _date_text(self.first)
        first = "" if self.first == _FIRST_DAY else _date_text(self.first)
        return f"{first}-{'' if self.last == _LAST_DAY else _date_text(self.last)}"


def moment(date: str, time: str) -> Moment | None:
    """Return the moment of an answer, or ``None`` where its date is not there or cannot be read.

    Examples
    --------
    >>> moment("20240506", "093015.5") == (dt.date(2024, 5, 6).toordinal(), 9 * 60 + 30)
    True
    """
    # A PACS that repeats the keys gives a range.
    digits = date.replace("-", "").replace(".", "").strip()
    try:
        day = dt.datetime.strptime(digits, "%Y%m%d").toordinal()  # noqa: DTZ007 (a day has no zone)
    except ValueError:
        return None
    clock = time.replace(":", "").strip()
    hours, minutes = clock[:2], clock[2:4] or "0"
    known = hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < _HOUR
    return day, int(hours) * _HOUR + int(minutes) if known else None


def span(dates: str) -> Piece | None:
    """Return the piece that the key StudyDate of a row means, or ``None`` where it is no date and no range.

    Examples
    --------
    >>> span("20240506-20240512").last - span("20240506-").first
    6
    """
    first, hyphen, last = dates.partition("-")
    days = [moment(text, "") for text in (first, last if hyphen else first)]
    if any(text and day is None for text, day in zip((first, last), days, strict=True)):
        return None
    begin = days[0][0] if days[0] else _FIRST_DAY
    end = days[1][0] if days[1] else _LAST_DAY
    return Piece(begin, end) if begin <= end else None


def in_order(moments: Iterable[Moment]) -> list[Moment]:
    """Return moments in their order; without a minute, as at the beginning of the day."""
    return sorted(moments, key=lambda one: (one[0], one[1] or 0))


class Cutter:
    """Cuts a span into pieces with as many studies as one answer holds, learning from the answers.

    Studies are not spread evenly: there are busy hours, quiet nights and weekends. So it counts at which hours of the
    week they were, and chooses the next piece so that it is likely to hold a little less than the cap.

    Parameters
    ----------
    whole
        The span.
    cap
        The number of answers that the PACS gives at the most.
    known
        The moments of studies that are known already.
    today
        The date of today: what lies after it is asked as one piece.
    by_time
        Whether a day may be cut.
    """

    def __init__(
        self, whole: Piece, cap: int, known: Iterable[Moment], *, today: dt.date, by_time: bool = True
    ) -> None:
        self._by_time = by_time
        self._fill(cap)
        self._hours = _Hours()
        self._todo = _stretches(whole, min((day for day, _ in known), default=None), today.toordinal())[::-1]
        #: Studies in a minute of average business; 0 as long as no piece is known to be too large.
        self._rate = 0.0
        #: Whether the cap is a guess, and whether the rate is more than one.
        self._is_guess = self._knows_rate = False
        #: Whether a day was cut: studies without a time are in none of its parts.
        self.cut_days = False

    def _fill(self, cap: int) -> None:
        self._cap, self._target = cap, max(cap - 2 * sqrt(cap), cap / 2, 1.0)

    def lower(self, cap: int | None) -> None:
        """Learn that the PACS gives fewer answers than was thought."""
        if cap is not None and 0 < cap < self._cap:
            self._fill(cap)

    def expected(self, piece: Piece) -> float:
        """Return how many studies a piece is thought to have; 0 where nothing is known yet."""
        return 0.0 if piece.is_open else self._rate * self._hours.mass(piece)

    def next(self) -> Piece | None:
        """Return the next piece to ask for, or ``None`` at the end."""
        if not self._todo:
            return None
        rest = self._todo.pop()
        if not self._rate or rest.is_open:
            return rest
        piece = self._chosen(rest, self._target / self._rate)
        self._todo += _rest(rest, piece)
        return piece

    def is_complete(self, piece: Piece, moments: Iterable[Moment]) -> None:
        """Learn that a piece has these studies, and no more."""
        if piece.is_open or not self._rate:
            return
        found = list(moments)
        self._knows_rate |= bool(found)
        if self._is_guess and len(found) >= _FULL * self._cap:
            self._fill(round(self._cap / _FULL))
        expected = self._hours.mass(piece)
        seen = max(len(found) / expected, self._rate / 4)
        weight = min(1.0, expected * max(self._rate, seen) / self._target)
        self._rate += 0.7 * weight * (seen - self._rate)
        self._hours.learn(piece, found)

    def is_cut_off(self, piece: Piece, longest: int | None = None) -> bool:
        """Learn that a piece has more studies than one answer holds; tell whether it is asked in smaller ones.

        A PACS that gives none of them does not tell how many one answer holds: at least as many as the longest.
        """
        halves = piece.halves()
        if not halves or (piece.first == piece.last and not self._by_time):
            return False
        self.cut_days |= piece.first == piece.last
        if piece.is_open:
            self._todo += halves[::-1]
        elif longest is not None and self._knows_rate:
            self._is_guess = True
            self._fill(max(longest, round(_FULL * self._cap), 1))
            self._rate *= 1.2
            self._todo.append(piece)
        else:
            self._rate = max(1.3 * self._cap / self._hours.mass(piece), 1.6 * self._rate)
            self._todo.append(piece)
        return True

    def _chosen(self, rest: Piece, mass: float) -> Piece:
        """Return the beginning of a piece with so much mass; whole days where these are enough."""
        if rest.first < rest.last or rest.has_whole_days:
            last = self._last_day(rest, mass)
            if last >= rest.first:
                return Piece(rest.first, last, rest.begin, rest.end)
        day, minute, left = rest.first, rest.begin, mass
        while minute <= rest.end:
            step = min(_HOUR - minute % _HOUR, rest.end + 1 - minute)
            inside = step * self._hours.business(day, minute // _HOUR)
            if inside > left:
                minute += int(step * left / inside)
                break
            left, minute = left - inside, minute + step
        return Piece(day, day, rest.begin, min(max(minute - 1, rest.begin), rest.end))

    def _last_day(self, rest: Piece, mass: float) -> int:
        """Return the last whole day that fits, or the day before the first."""
        weeks = int(mass / _WEEK)
        day, left = rest.first + 7 * weeks, mass - weeks * _WEEK
        # A day that is expected to fill an answer just so is worth a trial.
        slack = self._cap - sqrt(self._cap) / 2 - self._target
        while day <= rest.last:
            inside = self._hours.day(day)
            if inside > left and not (day == rest.first and inside * self._rate <= self._target + slack):
                break
            left, day = left - inside, day + 1
        return min(day - 1, rest.last)


class _Hours:
    """How busy each hour of the week is, beside the average."""

    def __init__(self) -> None:
        self._counted = [[0.0] * 24 for _ in range(7)]
        self._covered = [[0.0] * 24 for _ in range(7)]
        self._count = self._cover = 0.0

    def learn(self, piece: Piece, moments: list[Moment]) -> None:
        """Learn the moments of all studies in a piece."""
        for day, minute in moments:
            if minute is not None:
                self._counted[day % 7][minute // _HOUR] += 1
                self._count += 1
        for day, hour, minutes in _hours_of(piece):
            self._covered[day % 7][hour] += minutes
            self._cover += minutes

    def business(self, day: int, hour: int) -> float:
        """Return how many studies a minute of this hour has, where an average one has 1."""
        if not self._count:
            return 1.0
        average = self._count / self._cover
        counted, covered = self._counted[day % 7][hour], self._covered[day % 7][hour]
        return (counted / average + _PRIOR) / (covered + _PRIOR)

    def day(self, day: int) -> float:
        """Return the minutes of a day, each weighted by how busy its hour is."""
        return _HOUR * sum(self.business(day, hour) for hour in range(24))

    def mass(self, piece: Piece) -> float:
        """Return the minutes of a piece, each weighted by how busy its hour is."""
        weeks, days = divmod(piece.last - piece.first + 1, 7) if piece.has_whole_days else (0, 0)
        if weeks:
            rest = sum(self.day(piece.first + day) for day in range(days))
            return weeks * sum(map(self.day, range(7))) + rest
        return sum(minutes * self.business(day, hour) for day, hour, minutes in _hours_of(piece))


def _hours_of(piece: Piece) -> Iterator[tuple[int, int, float]]:
    """Yield each hour of the week in a piece with its minutes: weeks that follow each other, as one."""
    weeks, days = divmod(piece.last - piece.first + 1, 7)
    for day in range(7):
        number = weeks + (day < days)
        for hour in range(piece.begin // _HOUR, piece.end // _HOUR + 1) if number else ():
            minutes = min(piece.end + 1, (hour + 1) * _HOUR) - max(piece.begin, hour * _HOUR)
            yield piece.first + day, hour, number * minutes


#: Minutes of average business that each hour of the week is thought to have had.
_PRIOR: Final = 240.0


def _stretches(whole: Piece, earliest: int | None, today: int) -> list[Piece]:
    """Return the parts of a span: long ago, the time of digital archives, before the first known study, and so on."""
    days = sorted({_BEGIN, today + 1, *([earliest] if earliest and earliest <= today else [])})
    parts, begin = [], whole.first
    for day in days:
        if begin < day <= whole.last:
            parts.append(Piece(begin, day - 1))
            begin = day
    return [*parts, Piece(begin, whole.last)]


def _rest(whole: Piece, piece: Piece) -> list[Piece]:
    """Return what follows a piece in its whole, the later part first."""
    rest = []
    if piece.last < whole.last:
        rest.append(Piece(piece.last + 1, whole.last))
    if not piece.has_whole_days and piece.end < whole.end:
        rest.append(Piece(piece.first, piece.first, piece.end + 1, whole.end))
    return rest


def _begin_text(minute: int) -> str:
    # As text, "10" comes before "1000", and some studies have nothing but the hour.
    hour, minutes = divmod(minute, _HOUR)
    return f"{hour:02}{minutes:02}" if minutes else f"{hour:02}"


def _date_text(day: int) -> str:
    found = dt.date.fromordinal(day)
    return f"{found.year:04}{found.month:02}{found.day:02}"
