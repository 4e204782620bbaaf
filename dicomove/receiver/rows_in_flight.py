"""All rows in flight at one receiver, with the peers that were refused meanwhile."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import pandas as pd

from dicomove.outcome import Counts, Refusal
from dicomove.receiver.admission import count_refusal
from dicomove.receiver.api import (
    Expect,
    RowId,
)
from dicomove.receiver.lines import Progress

_REFUSED_COLUMNS: Final = ("address", "ae_title", "reason", "count")
#: The most different refusals in the life of a receiver.
_MOST_REFUSALS: Final = 1000


class RowsInFlight:
    """The rows in flight, with the latest reports of the process.

    Attributes
    ----------
    refused
        Refused peers, with the number of their connections.
    unrequested
        The number of instances that no row had asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: dict[RowId, Expect] = {}
        self._progress: dict[RowId, tuple[int, int]] = {}
        self.refused: Counter[Refusal] = Counter()
        self._gets = itertools.count(1)
        self._counts: dict[int, Counts | None] = {}
        self.unrequested = 0

    def begin(self, expect: Expect) -> None:
        """Add a row."""
        with self._lock:
            self._expected[expect.row] = expect

    def end(self, row: RowId) -> None:
        """Remove a row."""
        with self._lock:
            self._expected.pop(row, None)
            self._progress.pop(row, None)

    def end_run(self, run: int) -> None:
        """Remove all rows of a run."""
        with self._lock:
            rows = [row for row in self._expected if row.run == run]
        for row in rows:
            self.end(row)

    def progress(self, row: RowId) -> tuple[int, int]:
        """Return instances and bytes that have come for a row."""
        return self._progress.get(row, (0, 0))

    @contextmanager
    def get(self) -> Iterator[int]:
        """Yield a number for a C-GET that runs in the block."""
        with self._lock:
            number = next(self._gets)
            self._counts[number] = None
        try:
            yield number
        finally:
            with self._lock:
                del self._counts[number]

    def counts(self, number: int) -> Counts | None:
        """Return the latest counts of a running C-GET."""
        return self._counts[number]

    def expected(self) -> list[Expect]:
        """Return the rows in flight, for a new process."""
        with self._lock:
            return list(self._expected.values())

    def refusals(self) -> Counter[Refusal]:
        """Return the refused peers so far, with the number of their connections."""
        with self._lock:
            return Counter(self.refused)

    def take(self, progress: Progress) -> None:
        """Take a report of the process."""
        with self._lock:
            for run, position, arrivals, size in progress.rows:
                if (row := RowId(run, position)) in self._expected:
                    self._progress[row] = arrivals, size
            for fields, count in progress.refused:
                count_refusal(self.refused, Refusal._make(fields), count, _MOST_REFUSALS)
            for number, counts in progress.counts:
                if number in self._counts:
                    self._counts[number] = Counts(**counts)
            self.unrequested += progress.unrequested


def refused_table(refusals: Mapping[Refusal, int]) -> pd.DataFrame:
    """Return one row for each peer and reason.

    Examples
    --------
    >>> refused_table({Refusal("10.0.0.7", "PACS", "ae_title", "it called OLD"): 2}).to_dict("records")
    [{'address': '10.0.0.7', 'ae_title': 'PACS', 'reason': 'it called OLD', 'count': 2}]
    """
    rows = [(one.address, one.ae_title or None, one.reason, count) for one, count in refusals.items()]
    return pd.DataFrame(rows, columns=list(_REFUSED_COLUMNS)).astype({"count": "int64"})
