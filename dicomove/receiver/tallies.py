"""The tally of each row in flight: which instances arrived for it, by their UIDs."""

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
from dicomove.receiver.files import Disposition
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
        What it has in the columns that the path of its instances names.
    patients
        PatientIDs: an instance with another one altogether is not the row's. None, where any may come.
    arrivals, bytes
        Instances that arrived for it, repeated ones too, and their size.
    dispositions
        How many of each disposition.
    aside, strays
        Why instances are in quarantine that arrived for it, or meanwhile for no row: how many for each reason.
    others
        Instances that are in quarantine because their PatientID differs.
    last
        When the last one came, or the row was opened, in seconds of the monotonic clock.
    """

    keys: Mapping[str, str]
    cells: Mapping[str, str] = field(default_factory=dict)
    patients: Collection[str] = ()
    arrivals: int = 0
    bytes: int = 0
    dispositions: dict[str, int] = field(default_factory=dict)
    aside: Counter[str] = field(default_factory=Counter)
    strays: Counter[str] = field(default_factory=Counter)
    others: list[OtherPatient] = field(default_factory=list)
    last: float = field(default_factory=time.monotonic)

    @property
    def index(self) -> tuple[str, str]:
        """The deepest key: under it the tally is found."""
        deepest = max(self.keys, key=KEYS.index)
        return deepest, self.keys[deepest]

    def is_of(self, values: Mapping[str, str]) -> bool:
        """Whether an instance with these values is the row's."""
        return all(values.get(name) == value for name, value in self.keys.items()) and not self._is_strange(values)

    def other_patient(self, values: Mapping[str, str], *, is_alone: bool) -> str | None:
        """Return in what the PatientID of an instance differs, where that alone keeps it from being the row's.

        A row that names a patient and nothing else has no UID to tell: the PatientID is to be alike, unless the row
        is alone in flight.
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
        """Count an instance that came, and why it is in quarantine, if it is."""
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
        """Whether an instance may be the row's. Only these values of it are known yet."""
        return all(values.get(name) in ("", None, value) for name, value in self.keys.items())


class RowTallies:
    """The tallies of the rows of all runs that go on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tallies: dict[RowId, RowTally] = {}
        self._index: dict[tuple[str, str], set[RowId]] = {}
        # What comes after a row has ended is still its own.
        self._in_flight: set[RowId] = set()

    def open(
        self,
        row: RowId,
        keys: Mapping[str, str],
        cells: Mapping[str, str] | None = None,
        patients: Collection[str] = (),
    ) -> None:
        """Open the tally of a row that is about to be moved; once more, where it is moved again."""
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

    def cells(self, values: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return what the row has that asked for this, in the columns of the path; the first row of several."""
        with self._changed:
            rows = [row for row in self._rows_of(values) if self._tallies[row].cells]
            return self._tallies[min(rows)].cells if rows else None

    def why_unrequested(self, values: Mapping[str, str]) -> str | None:
        """Return why no row of a run that goes on asked for this; ``None`` where one did."""
        with self._changed:
            if self._of(values):
                return None
            others = self._of_other_patients(values)
            return f"{UNREQUESTED}, {OTHER_PATIENT}{others[0][1]}" if others else UNREQUESTED

    def arrived(
        self, values: Mapping[str, str], disposition: Disposition, size: int, reason: str | None = None
    ) -> None:
        """Count an instance for every row that asked for it, or else for those that may have done so.

        Parameters
        ----------
        values, size
            Of the instance.
        disposition
            What became of it.
        reason
            Why it is in quarantine, if it is.
        """
        with self._changed:
            found: list[tuple[RowTally, str | None]] = [(tally, None) for tally in self._of(values)]
            if not found and disposition == "damaged" and len(self._in_flight) == 1:
                found = [(tally, None) for tally in self._all_in_flight()]  # no other row could have asked for it
            if not found and disposition == "unrequested":
                found.extend(self._of_other_patients(values))
            for tally, patient in found:
                tally.take(values, size, reason, patient)
                tally.dispositions[disposition] = tally.dispositions.get(disposition, 0) + 1
            if reason and not found:
                for tally in self._all_in_flight():
                    tally.strays[reason] += 1
            self._changed.notify_all()

    def has(self, row: RowId, enough: int | None) -> bool:
        """Return whether so many instances came for a row."""
        tally = self._tallies.get(row)
        return tally is not None and enough is not None and tally.arrivals >= enough

    def settle(self, row: RowId, enough: int | None, quiet: float, coming: Callable[[RowTally], bool]) -> RowTally:
        """Wait until so many instances came for a row, or a quiet period has passed; then it is in flight no more.

        Parameters
        ----------
        row
            The row.
        enough
            Instances, also if some came twice; ``None`` where that is not known.
        quiet
            Seconds without an arrival.
        coming
            Says whether an instance is on its way that may be the row's.
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
            The known values of the instances on their way, and how many bytes of each have arrived.
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
        """Return the rows in flight from which only the PatientID keeps this, and in what that differs."""
        is_alone = len(self._in_flight) == 1
        found = ((tally, tally.other_patient(values, is_alone=is_alone)) for tally in self._all_in_flight())
        return [(tally, words) for tally, words in found if words]

    def _of(self, values: Mapping[str, str]) -> list[RowTally]:
        return [self._tallies[row] for row in self._rows_of(values)]

    def _rows_of(self, values: Mapping[str, str]) -> list[RowId]:
        rows = [row for name in KEYS for row in self._index.get((name, values.get(name, "")), ())]
        return [row for row in rows if self._tallies[row].is_of(values)]
