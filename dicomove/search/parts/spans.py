"""The spans into which a search by date is split: days, and minutes of one day. Pure.

A span is either several whole days or a part of a single day, never over midnight: a PACS compares StudyDate and
StudyTime one by one (PS3.4 C.2.2.2.5).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: Minutes.
DAY: Final = 24 * 60
HOUR: Final = 60
_FIRST_DAY: Final = dt.date(1, 1, 1).toordinal()
_LAST_DAY: Final = dt.date.max.toordinal()
#: No archive has studies before this date.
_LONG_AGO: Final = dt.date(1850, 1, 1).toordinal()

Moment = tuple[int, int | None]
"""The day of a study as an ordinal number, and its minute; a study without a time has no minute."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The days from `first` to `last`, or the minutes from `begin` to `end` of one day; all ends are included.

    Examples
    --------
    >>> day = dt.date(2024, 5, 6).toordinal()
    >>> Span(day, day, 8 * 60, 9 * 60 + 29).keys
    {'StudyDate': '20240506', 'StudyTime': '08-092959.999999'}
    """

    first: int = _FIRST_DAY
    last: int = _LAST_DAY
    begin: int = 0
    end: int = DAY - 1

    @property
    def keys(self) -> dict[str, str]:
        """The keys that ask for it."""
        keys = {} if self.is_all else {"StudyDate": self._dates}
        if not self.has_whole_days:
            keys["StudyTime"] = f"{_begin_text(self.begin)}-{self.end // HOUR:02}{self.end % HOUR:02}59.999999"
        return keys

    @property
    def is_all(self) -> bool:
        """Whether it contains all dates."""
        return (self.first, self.last) == (_FIRST_DAY, _LAST_DAY)

    @property
    def is_open(self) -> bool:
        """Whether it has an open end, where few studies are expected."""
        return self.first == _FIRST_DAY or self.last == _LAST_DAY

    @property
    def has_whole_days(self) -> bool:
        """Whether it contains all hours of its days."""
        return (self.begin, self.end) == (0, DAY - 1)

    def closed(self, today: int) -> Span:
        """Return it with dates at both ends that include all studies."""
        return Span(max(self.first, _LONG_AGO), max(min(self.last, today + 366), self.first), self.begin, self.end)

    def holds(self, moment: Moment) -> bool:
        """Whether a study with this moment belongs to it; a study without a time belongs to whole days."""
        day, minute = moment
        if not self.first <= day <= self.last:
            return False
        return self.has_whole_days if minute is None else self.begin <= minute <= self.end

    def halves(self) -> tuple[Span, ...]:
        """Return its two halves, or nothing if it is one minute."""
        return self.parts_at(((self.first + self.last + 1) // 2, (self.begin + self.end + 1) // 2))

    def parts_at(self, moment: Moment) -> tuple[Span, ...]:
        """Return the parts before a moment and from it on; nothing for one minute. Several days are split at a day."""
        day, minute = moment
        if self.first < self.last:
            day = min(max(day, self.first + 1), self.last)
            return Span(self.first, day - 1), Span(day, self.last)
        if self.begin == self.end:
            return ()
        middle = min(max(minute or 0, self.begin + 1), self.end)
        return Span(self.first, self.first, self.begin, middle - 1), Span(self.first, self.first, middle, self.end)

    @property
    def _dates(self) -> str:
        if self.first == self.last:
            return _date_text(self.first)
        first = "" if self.first == _FIRST_DAY else _date_text(self.first)
        return f"{first}-{'' if self.last == _LAST_DAY else _date_text(self.last)}"


def moment(date: str, time: str) -> Moment | None:
    """Return the moment of an answer, or ``None`` if its date is absent or invalid.

    Examples
    --------
    >>> moment("20240506", "093015.5") == (dt.date(2024, 5, 6).toordinal(), 9 * 60 + 30)
    True
    """
    # A PACS that repeats the keys returns a range.
    digits = date.replace("-", "").replace(".", "").strip()
    if len(digits) != len("20240506"):  # strptime would read 202411 as the first of January
        return None
    try:
        day = dt.datetime.strptime(digits, "%Y%m%d").toordinal()  # noqa: DTZ007 (a day has no zone)
    except ValueError:
        return None
    clock = time.replace(":", "").strip()
    hours, minutes = clock[:2], clock[2:4] or "0"
    known = hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < HOUR
    return day, int(hours) * HOUR + int(minutes) if known else None


def span_of(dates: str) -> Span | None:
    """Return the span for the key StudyDate of a row, or ``None`` if it is not a date or a range.

    Examples
    --------
    >>> span_of("20240506-20240512").last - span_of("20240506-").first
    6
    """
    first, hyphen, last = dates.partition("-")
    days = [moment(text, "") for text in (first, last if hyphen else first)]
    if any(text and day is None for text, day in zip((first, last), days, strict=True)):
        return None
    begin = days[0][0] if days[0] else _FIRST_DAY
    end = days[1][0] if days[1] else _LAST_DAY
    return Span(begin, end) if begin <= end else None


def in_order(moments: Iterable[Moment]) -> list[Moment]:
    """Return moments in their order; without a minute, as at the beginning of the day."""
    return sorted(moments, key=lambda one: (one[0], one[1] or 0))


def _begin_text(minute: int) -> str:
    # As text, "10" comes before "1000", and some studies have only the hour.
    hour, minutes = divmod(minute, HOUR)
    return f"{hour:02}{minutes:02}" if minutes else f"{hour:02}"


def _date_text(day: int) -> str:
    found = dt.date.fromordinal(day)
    return f"{found.year:04}{found.month:02}{found.day:02}"
