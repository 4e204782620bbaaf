"""The hours in which moves may begin, as a person writes them.

The local time of the zone counts: from 19:00 to 06:00 is ten hours in the night in which clocks go forward, and twelve
in the night in which they go back. A local time that does not exist is never open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_LOCAL: Final = "local"
_DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EVERY_DAY: Final = frozenset(range(7))
_DAY_MINUTES: Final = 24 * 60
_MINUTE: Final = timedelta(minutes=1)
_FORM: Final = "write them as '19:00-06:00 Europe/Berlin' or 'Mon-Fri 19:00-06:00, Sat-Sun 00:00-24:00 Europe/Berlin'"
_TIME: Final = "[0-9]{1,2}:[0-9]{2}"
_WINDOW: Final = re.compile(
    rf"(?:(?P<days>[A-Za-z]+(?:\s*-\s*[A-Za-z]+)?)\s+)?(?P<start>{_TIME})\s*-\s*(?P<end>{_TIME})(?:\s+(?P<zone>\S+))?"
)


@dataclass(frozen=True, slots=True)
class Window:
    """One window: minutes of the day in local time, and the weekdays on which it begins.

    Attributes
    ----------
    start, end
        Minutes since midnight, the end excluded. An end before the start is on the next day.
    days
        Weekdays, from 0 for Monday.
    """

    start: int
    end: int
    days: frozenset[int] = _EVERY_DAY

    def holds(self, local_time: datetime) -> bool:
        """Return whether the window is open at a local time.

        Parameters
        ----------
        local_time
            Date and time, without a zone.
        """
        minute, today = local_time.hour * 60 + local_time.minute, local_time.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or ((today - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True, repr=False)
class Hours:
    """The hours in which moves may begin. Made by `Hours.parse`.

    Attributes
    ----------
    windows
        Moves may begin while one of them is open.
    zone
        The key of a time zone; ``None`` is the zone of this machine.

    Examples
    --------
    >>> hours = Hours.parse("Mon-Fri 19:00-06:00, Sat-Sun 00:00-24:00 Europe/Berlin")
    >>> monday_noon = datetime(2026, 6, 15, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    >>> hours.is_open(monday_noon)
    False
    >>> hours.opens_at(monday_noon).isoformat()
    '2026-06-15T19:00:00+02:00'
    """

    windows: tuple[Window, ...]
    zone: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.windows, str):
            message = f"Hours.parse({self.windows!r}) reads hours from a text"
            raise ValueError(message)  # noqa: TRY004 - every argument that cannot be right is a ValueError

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Return the hours from a text.

        Parameters
        ----------
        text
            Windows, separated by commas, and a time zone: ``"12:00-13:00, 19:00-06:00 Europe/Berlin"``. Weekdays
            before a window name the days on which it begins; without them, it begins on each day. Without a zone, or
            with the word ``local``, the zone is that of the machine.

        Raises
        ------
        ValueError
            The text is not valid.
        """
        if not isinstance(text, str):
            message = f"hours are text, not {type(text).__name__}: {_FORM}"
            raise ValueError(message)  # noqa: TRY004 - every argument that cannot be right is a ValueError
        parts = re.sub("[\N{EN DASH}\N{EM DASH}]", "-", text).split(",")
        found = [_WINDOW.fullmatch(part.strip()) for part in parts]
        windows: list[Window] = []
        zone: str | None = None
        for part, match in zip(parts, found, strict=True):
            if match is None:
                message = f"hours {text!r}: {part.strip()!r} is not a window: {_FORM}"
                raise ValueError(message)
            if match["zone"] and match is not found[-1]:
                message = f"hours {text!r}: the time zone stands once, at the end: {_FORM}"
                raise ValueError(message)
            windows.append(_window(match["days"], match["start"], match["end"]))
            zone = match["zone"]
        return cls(tuple(windows), _zone(zone))

    def __str__(self) -> str:
        every_day = all(window.days == _EVERY_DAY for window in self.windows)
        windows = ", ".join(_text(window, with_days=not every_day) for window in self.windows)
        return f"{windows} {self.zone or _LOCAL}"

    def __repr__(self) -> str:
        return f"Hours.parse({str(self)!r})"

    def is_open(self, moment: datetime) -> bool:
        """Return whether a move may begin.

        Parameters
        ----------
        moment
            A time that knows its zone.
        """
        local_time = self._local_time(moment)
        return any(window.holds(local_time) for window in self.windows)

    def opens_at(self, moment: datetime) -> datetime:
        """Return the first time from `moment` on at which a move may begin; `moment` itself if it may now.

        Parameters
        ----------
        moment
            A time that knows its zone.

        Returns
        -------
        datetime
            In local time, with the offset to UTC at that time, for displays and for differences.
        """
        if self.is_open(moment):
            return moment
        at = _opening(self, moment.astimezone(UTC).replace(second=0, microsecond=0))
        # A fixed offset, not the zone: Python ignores clock changes in differences within a zone.
        return at.astimezone(timezone(self._local_time(at) - at.replace(tzinfo=None)))

    def next_change(self, moment: datetime) -> datetime:
        """Return a full minute after `moment` up to which `is_open` does not change.

        Parameters
        ----------
        moment
            A time that knows its zone.
        """
        minute = moment.replace(second=0, microsecond=0)
        before = self._local_time(minute)
        ends = (end for window in self.windows for end in (window.start, window.end, _DAY_MINUTES))
        today = before.hour * 60 + before.minute
        change = minute + min(end - today for end in ends if end > today) * _MINUTE
        # Where clocks change before, it goes on by single minutes.
        return change if self._local_time(change) - before == change - minute else minute + _MINUTE

    def _local_time(self, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            message = "a moment knows its zone: datetime.now(UTC), not datetime.now()"
            raise ValueError(message)
        return moment.astimezone(ZoneInfo(self.zone) if self.zone else None).replace(tzinfo=None)


@lru_cache(maxsize=64)
def _opening(hours: Hours, minute: datetime) -> datetime:
    """Return the first minute after this one at which a move may begin: windows begin at full minutes."""
    at = hours.next_change(minute)
    while not hours.is_open(at):
        at = hours.next_change(at)
    return at


def _window(days: str | None, start: str, end: str) -> Window:
    first, last = _minutes(start), _minutes(end)
    if first == last or (first, last) == (_DAY_MINUTES, 0):
        message = f"hours: the window {start}-{end} is empty: for a whole day write 00:00-24:00"
        raise ValueError(message)
    if first == _DAY_MINUTES:
        message = f"hours: the window {start}-{end} begins at the end of a day: write 00:00-{end}"
        raise ValueError(message)
    return Window(first, last or _DAY_MINUTES, _weekdays(days))


def _minutes(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > _DAY_MINUTES:
        message = f"hours: there is no time {text}: write 00:00 to 24:00"
        raise ValueError(message)
    return hour * 60 + minute


def _weekdays(text: str | None) -> frozenset[int]:
    if text is None:
        return _EVERY_DAY
    ends = [_weekday(name.strip()) for name in text.split("-")]
    first, last = ends[0], ends[-1]
    return frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))


def _weekday(text: str) -> int:
    for day, name in enumerate(_DAY_NAMES):
        if text.lower() in (name.lower(), name[:3].lower()):
            return day
    message = f"hours: {text!r} is not a weekday: write Mon, Tue, Wed, Thu, Fri, Sat or Sun"
    raise ValueError(message)


def _zone(text: str | None) -> str | None:
    if text is None or text.lower() == _LOCAL:
        return None
    try:
        return ZoneInfo(text).key
    except (KeyError, OSError, ValueError) as error:  # a zone that is not there, a folder of zones, a path
        known = sorted(available_timezones())
        named = [zone for zone in known if f"/{zone}".lower().endswith(f"/{text}".lower())]
        near = named or get_close_matches(text, known, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else "write one such as Europe/Berlin or UTC"
        message = f"hours: {text!r} is not a time zone: {hint}"
        raise ValueError(message) from error


def _text(window: Window, *, with_days: bool) -> str:
    times = "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (window.start, window.end))
    return f"{_days_text(window.days)} {times}" if with_days else times


def _days_text(days: frozenset[int]) -> str:
    # The first day of a range is the one without a day before it.
    first = next((day for day in sorted(days) if (day - 1) % 7 not in days), 0)
    names = [_DAY_NAMES[(first + step) % 7][:3] for step in (0, len(days) - 1)]
    return "-".join(dict.fromkeys(names))
