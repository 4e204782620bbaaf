"""An index of studies by date, so that a search for some days does not look at all studies."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from dicomove.testing.matching import comparable

Study = TypeVar("Study")


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
            ((comparable(date, "DA"), comparable(time, "TM")), place)
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
