"""The rows in flight as the caller's process knows them, and what the receiver's process tells of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomove.receiver.reception import Reception


class Flights:
    """The rows in flight.

    Attributes
    ----------
    refused
        Addresses that were not let in, with the number of their connections.
    unrequested
        Instances that no row had asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._receptions: dict[str, Reception] = {}
        self._progress: dict[str, tuple[int, int]] = {}
        self.refused: Counter[str] = Counter()
        self.unrequested = 0

    def begin(self, reception: Reception) -> None:
        """Take a row in."""
        with self._lock:
            self._receptions[reception.row] = reception

    def end(self, row: str) -> None:
        """Take a row out."""
        with self._lock:
            self._receptions.pop(row, None)
            self._progress.pop(row, None)

    def end_run(self, run: str) -> None:
        """Take out all rows of a run."""
        for row in [row for row in self._rows() if row.startswith(run)]:
            self.end(row)

    def progress(self, row: str) -> tuple[int, int]:
        """Return instances and bytes that have come for a row."""
        return self._progress.get(row, (0, 0))

    def expectations(self) -> list[dict[str, Any]]:
        """Return what a process that is new has to be told."""
        with self._lock:
            return [{"row": one.row, "keys": one.keys, "addresses": one.addresses} for one in self._receptions.values()]

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in what the process tells by itself."""
        with self._lock:
            for row, (arrivals, size) in event["rows"].items():
                if row in self._receptions:
                    self._progress[row] = arrivals, size
            self.refused.update(event["refused"])
            self.unrequested += event["unrequested"]

    def _rows(self) -> list[str]:
        with self._lock:
            return list(self._receptions)
