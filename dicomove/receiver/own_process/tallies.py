"""The tally of each row in flight: counts the instances that arrive for it, by their UIDs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomove.outcome.advice import OTHER_PATIENT, UNREQUESTED
from dicomove.outcome.patients import ALTOGETHER, difference, is_alike, stripped
from dicomove.receiver.api import OtherPatient, RowId
from dicomove.receiver.placing import Disposition
from dicomove.store.instances import KEYS

_PATIENT: Final = "PatientID"


@dataclass(slots=True)
class RowTally:
    """The instances that arrived for one row.

    Attributes
    ----------
    keys
        The unique keys of the row.
    cells
        The row's values of the columns in the path.
    patients
        PatientIDs: an instance with an altogether different one does not belong to the row. Empty if any may come.
    arrivals, bytes
        The number of arrivals, including repeated ones, and their size.
    dispositions
        The number of instances of each disposition.
    aside, without_row
        The reasons, with numbers of instances, for those in quarantine: instances of this row, and instances that
        arrived meanwhile without a row.
    others
        Instances that are in quarantine because their PatientID differs.
    last
        The time of the last arrival, or of the opening, in seconds of the monotonic clock.
    """

    keys: Mapping[str, str]
    cells: Mapping[str, str] = field(default_factory=dict)
    patients: Collection[str] = ()
    arrivals: int = 0
    bytes: int = 0
    dispositions: dict[str, int] = field(default_factory=dict)
    aside: Counter[str] = field(default_factory=Counter)
    without_row: Counter[str] = field(default_factory=Counter)
    others: list[OtherPatient] = field(default_factory=list)
    last: float = field(default_factory=time.monotonic)

    @property
    def index(self) -> tuple[str, str]:
        """The deepest key, which is the key of the tally."""
        deepest = max(self.keys, key=KEYS.index)
        return deepest, self.keys[deepest]

    def is_of(self, values: Mapping[str, str]) -> bool:
        """Whether an instance with these values belongs to the row."""
        return all(values.get(name) == value for name, value in self.keys.items()) and not self._is_strange(values)

    def other_patient(self, values: Mapping[str, str], *, is_alone: bool) -> str | None:
        """Return how the PatientID of an instance differs, if the instance fits the row except for that.

        A row with only a PatientID has no UID to compare. The PatientID then has to be another spelling, unless no
        other row is in flight.
        """
        named = self.keys.get(_PATIENT)
        came = values.get(_PATIENT, "")
        below = [name for name in self.keys if name != _PATIENT]
        if any(values.get(name) != self.keys[name] for name in below):
            return None
        if named is None:
            return ALTOGETHER if self._is_strange(values) else None
        return difference(came, [named]) if below or is_alone or is_alike(came, [named]) else None

    def take(self, values: Mapping[str, str], size: int, reason: str | None, patient: str | None = None) -> None:
        """Count an instance, with the reason of its quarantine, if there is one."""
        self.arrivals += 1
        self.bytes += size
        if reason:
            self.aside[OTHER_PATIENT + patient if patient else reason] += 1
        if patient:
            study, series, instance = (values.get(name, "") for name in KEYS[1:])
            self.others.append(OtherPatient(study, series, instance, patient))
        self.last = time.monotonic()

    def _is_strange(self, values: Mapping[str, str]) -> bool:
        return bool(self.patients) and difference(values.get(_PATIENT, ""), self.patients) == ALTOGETHER

    def may_be_of(self, values: Mapping[str, str]) -> bool:
        """Whether an instance may belong to the row, by the values that are known so far."""
        return all(values.get(name) in ("", None, value) for name, value in self.keys.items())


class RowTallies:
    """The tallies of the rows of all present runs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tallies: dict[RowId, RowTally] = {}
        self._index: dict[tuple[str, str], set[RowId]] = {}
        # Instances that come after the end of a row still belong to it.
        self._in_flight: set[RowId] = set()

    def open(
        self,
        row: RowId,
        keys: Mapping[str, str],
        cells: Mapping[str, str] | None = None,
        patients: Collection[str] = (),
    ) -> None:
        """Open the tally of a row that is about to be moved, also for another attempt."""
        with self._changed:
            cleaned = {name: stripped(value) for name, value in keys.items()}
            tally = self._tallies[row] = RowTally(cleaned, cells or {}, patients)
            self._index.setdefault(tally.index, set()).add(row)
            self._in_flight.add(row)

    def end(self, run: int) -> None:
        """Forget the rows of a run."""
        with self._changed:
            for row in [row for row in self._tallies if row.run == run]:
                tally = self._tallies.pop(row)
                self._in_flight.discard(row)
                rows = self._index[tally.index]
                rows.discard(row)
                if not rows:
                    del self._index[tally.index]

    @property
    def are_open(self) -> bool:
        """Whether there are rows of a run."""
        return bool(self._tallies)

    def cells(self, values: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return the path columns of the row that asked for this instance; the first row if there are several."""
        with self._changed:
            rows = [row for row in self._rows_of(values) if self._tallies[row].cells]
            return self._tallies[min(rows)].cells if rows else None

    def why_unrequested(self, values: Mapping[str, str]) -> str | None:
        """Return why this instance is unrequested; ``None`` if a row asked for it."""
        with self._changed:
            if self._of(values):
                return None
            others = self._of_other_patients(values)
            return f"{UNREQUESTED}, {OTHER_PATIENT}{others[0][1]}" if others else UNREQUESTED

    def arrived(
        self, values: Mapping[str, str], disposition: Disposition, size: int, reason: str | None = None
    ) -> None:
        """Count an instance for every row that asked for it, or else for the rows that may have asked for it.

        Parameters
        ----------
        values, size
            Of the instance.
        disposition
            Its disposition.
        reason
            The reason of its quarantine, if there is one.
        """
        with self._changed:
            found: list[tuple[RowTally, str | None]] = [(tally, None) for tally in self._of(values)]
            if not found and disposition == "damaged" and len(self._in_flight) == 1:
                # Only this row can have asked for it, unless its UIDs are those of another one.
                found = [(tally, None) for tally in self._all_in_flight() if tally.may_be_of(values)]
            if not found and disposition == "unrequested":
                found.extend(self._of_other_patients(values))
            for tally, patient in found:
                tally.take(values, size, reason, patient)
                tally.dispositions[disposition] = tally.dispositions.get(disposition, 0) + 1
            if reason and not found:
                for tally in self._all_in_flight():
                    tally.without_row[reason] += 1
            self._changed.notify_all()

    def has(self, row: RowId, enough: int | None) -> bool:
        """Return whether this many instances came for a row."""
        tally = self._tallies.get(row)
        return tally is not None and enough is not None and tally.arrivals >= enough

    def await_arrivals(
        self, row: RowId, enough: int | None, quiet: float, coming: Callable[[RowTally], bool]
    ) -> RowTally:
        """Wait until enough instances came for a row, or a quiet period has passed; then take the row out of flight.

        Parameters
        ----------
        row
            The row.
        enough
            The number of arrivals that ends the wait; ``None`` if it is unknown.
        quiet
            Seconds without an arrival.
        coming
            Tells whether an instance that may belong to the row is on its way.
        """
        with self._changed:
            tally = self._tallies[row]
            start = time.monotonic()
            while enough is None or tally.arrivals < enough:
                left = max(tally.last, start) + quiet - time.monotonic()
                if left <= 0 and not coming(tally):
                    break
                self._changed.wait(min(max(left, 0.05), 0.5))
            self._in_flight.discard(row)
            return tally

    def progress(self, coming: Iterable[tuple[Mapping[str, str], int]]) -> dict[RowId, tuple[int, int]]:
        """Return arrivals and bytes of the rows in flight that have any.

        Parameters
        ----------
        coming
            The known values of the instances on their way, each with its number of bytes so far.
        """
        with self._changed:
            found = {row: (self._tallies[row].arrivals, self._tallies[row].bytes) for row in self._in_flight}
            for values, size in coming:
                for row in self._rows_of(values):
                    if row in found:
                        found[row] = found[row][0], found[row][1] + size
        return {row: numbers for row, numbers in found.items() if any(numbers)}

    def _all_in_flight(self) -> list[RowTally]:
        return [self._tallies[row] for row in self._in_flight]

    def _of_other_patients(self, values: Mapping[str, str]) -> list[tuple[RowTally, str]]:
        """Return the rows in flight that this instance fits except for its PatientID, with the difference."""
        is_alone = len(self._in_flight) == 1
        found = ((tally, tally.other_patient(values, is_alone=is_alone)) for tally in self._all_in_flight())
        return [(tally, words) for tally, words in found if words]

    def _of(self, values: Mapping[str, str]) -> list[RowTally]:
        return [self._tallies[row] for row in self._rows_of(values)]

    def _rows_of(self, values: Mapping[str, str]) -> list[RowId]:
        rows = [row for name in KEYS for row in self._index.get((name, values.get(name, "")), ())]
        return [row for row in rows if self._tallies[row].is_of(values)]
