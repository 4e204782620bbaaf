"""Attribute matching (PS3.4 C.2.2.2): single value, list of UID, universal, wildcard and range.

And an index of studies by date, so that a search for some days does not look at all studies.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

Study = TypeVar("Study")

WILDCARDS = set("*?")
_WILDCARD_VRS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
# The earliest and the latest moment of a time without minutes or seconds.
_PRECISION = {"DA": ("", ""), "TM": ("000000.000000", "235959.999999")}


def exact(identifier: Dataset, keyword: str) -> str | None:
    """Return the value of a key if it can have only one meaning."""
    values = texts(identifier.get(keyword))
    return values[0] if len(values) == 1 and not WILDCARDS & set(values[0]) else None


def texts(value: object) -> list[str]:
    """Return pydicom's empty, single or multiple value as a list."""
    values = value if isinstance(value, list | tuple | MultiValue) else [value]
    return [text for text in (str(item).strip() for item in values if item is not None) if text]


def universal(key: DataElement) -> bool:
    """Whether a key matches everything."""
    values = texts(key.value)
    return not values or (key.VR in _WILDCARD_VRS and any(set(text) == {"*"} for text in values))


def criterion(element: DataElement) -> Callable[[object], bool]:
    """Compile a key into a test: whether one of its values, wildcards or ranges matches one of the given values."""
    vr = dictionary_VR(element.tag)
    matches = [_match(vr, pattern) for pattern in texts(element.value)]
    plain = _names if vr == "PN" else texts
    return lambda value: any(match(text) for text in plain(value) for match in matches)


def bounds(identifier: Dataset, keyword: str) -> tuple[str, str] | None:
    """Return the first and the last text that a date, a time, or a range of them matches; ``None`` without one."""
    values = texts(identifier.get(keyword))
    return _ends(*_PRECISION[dictionary_VR(keyword)], values[0]) if len(values) == 1 else None


class DateIndex(Generic[Study]):
    """Finds studies by date and time.

    Parameters
    ----------
    studies
        The studies.
    days
        The dates and the time of each.
    """

    def __init__(self, studies: Sequence[Study], days: Iterable[tuple[Iterable[str], str]]) -> None:
        self._studies = studies
        found = sorted(
            ((_full(date, _PRECISION["DA"][0]), _full(time, _PRECISION["TM"][0])), place)
            for place, (dates, time) in enumerate(days)
            for date in dates
        )
        self._moments = [moment for moment, _ in found]
        self._places = [place for _, place in found]

    def between(self, dates: tuple[str, str], times: tuple[str, str] | None) -> Iterator[Study]:
        """Yield the studies of some days, in their original order; of a single day, those of some hours."""
        first, last = dates
        begin, end = times if times and first == last else ("", "~")
        found = self._places[bisect_left(self._moments, (first, begin)) : bisect_right(self._moments, (last, end))]
        return (self._studies[place] for place in sorted(set(found)))


def _match(vr: str, pattern: str) -> Callable[[str], object]:
    if vr in _PRECISION:
        return _between(*_PRECISION[vr], pattern)
    if vr == "PN":
        pattern = _names(pattern)[0]
    if vr in _WILDCARD_VRS:
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        return re.compile(expression, re.DOTALL).fullmatch
    return pattern.__eq__


def _names(value: object) -> list[str]:
    """Return a person's name as a whole, then its groups (alphabetic, ideographic, phonetic), all case-folded."""
    return [
        name.rstrip("^").casefold()
        for text in texts(value)
        for name in (text.rstrip("="), *(text.split("=") if "=" in text else ()))
    ]


def _between(earliest: str, latest: str, pattern: str) -> Callable[[str], bool]:
    """Compile a date or time, or a range of them, including both ends."""
    start, end = _ends(earliest, latest, pattern)
    return lambda text: start <= _full(text, earliest) <= end


def _ends(earliest: str, latest: str, pattern: str) -> tuple[str, str]:
    low, dash, high = pattern.partition("-")
    start = _full(low, earliest) if low.strip() else ""
    return start, (_full(high, latest) if high.strip() else "~") if dash else start


def _full(text: str, rest: str) -> str:
    text = text.strip().replace(":", "")
    return text + rest[len(text) :]
