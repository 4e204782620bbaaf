"""Further columns of a table: expected numbers, patients, availability, SOP classes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import (
    LEVELS,
    Identifier,
    Level,
    Requested,
    found_rows,
    is_answered,
    is_blank,
    is_uid,
    keyword_columns,
    plain_label,
)
from dicomove.run.patients import Named, beside, further_keys_of, named_by, patients_of
from dicomove.run.questions import COUNT_KEYS

AVAILABILITY: Final = "InstanceAvailability"
SOP_CLASSES: Final = "SOPClassesInStudy"
_SLOWEST_FIRST: Final = ("UNAVAILABLE", "OFFLINE", "NEARLINE", "ONLINE")


@dataclass(frozen=True, eq=False)
class RowCells:
    """The further columns of a table. Each is read once, when it is needed.

    If several rows share an identifier, the first one with a value decides.

    Parameters
    ----------
    table
        The caller's table.
    """

    table: pd.DataFrame

    def is_answered(self, level: Level, rows: Sequence[int]) -> bool:
        """Tell whether the rows come from `find`: the PACS has answered with their identifiers."""
        return self._answered[level] and all(self._found[row] for row in rows)

    def expected(self, level: Level, rows: Sequence[int]) -> int | None:
        """Return the number of instances that `find` or `plan` got from the PACS."""
        cells = self._counts.get(COUNT_KEYS.get(level, ""))
        numbers = [columns.whole_number(cells[row]) for row in rows] if cells else []
        return next((number for number in numbers if number is not None), None)

    def patients(self, identifier: Identifier, rows: Sequence[int]) -> tuple[str, ...]:
        """Return the PatientIDs of rows whose identifier has none."""
        return beside(identifier, [self._patients[row] for row in rows])

    def named(self, identifier: Identifier, rows: Sequence[int]) -> Named:
        """Return further keys of the study and its patient; none for a table from `find`."""
        return named_by(identifier, rows, self._further)

    def availability(self, rows: Sequence[int]) -> str | None:
        """Return the Instance Availability: ``ONLINE``, ``NEARLINE``, ..."""
        return next((word for row in rows if (word := self._availabilities[row])), None)

    def sop_classes(self, rows: Sequence[int]) -> tuple[str, ...]:
        """Return the SOP classes of the study according to the PACS."""
        return next((classes for row in rows if (classes := self._sop_classes[row])), ())

    def planned(self, name: str) -> list[str]:
        """Return a column of a plan as text."""
        place = next(place for place, label in enumerate(self.table.columns) if plain_label(label) == name)
        return ["" if is_blank(cell) else str(cell).strip() for cell in self.table.iloc[:, place].tolist()]

    def modalities(self) -> list[str]:
        """Return the modalities of each row, if the table has them."""
        where = keyword_columns(self.table.columns, ("Modality", "ModalitiesInStudy"))
        place = where.get("Modality", where.get("ModalitiesInStudy"))
        return ["" if is_blank(cell) else str(cell) for cell in self._column(place)]

    @cached_property
    def _answered(self) -> dict[Level, bool]:
        return {level: is_answered(self.table.columns, level) for level in LEVELS}

    @cached_property
    def _found(self) -> list[bool]:
        return found_rows(self.table)

    @cached_property
    def _counts(self) -> dict[str, list[object]]:
        where = keyword_columns(self.table.columns, COUNT_KEYS.values())
        return {name: self._column(place) for name, place in where.items()}

    @cached_property
    def _patients(self) -> list[tuple[str, ...]]:
        return patients_of(self.table)

    @cached_property
    def _further(self) -> Mapping[str, Sequence[tuple[str, ...]]]:
        return {} if all(self._answered.values()) and all(self._found) else further_keys_of(self.table)

    @cached_property
    def _availabilities(self) -> list[str | None]:
        # A cell may have several values: one series of the study is on tape, another one on disk.
        cells = self._column(keyword_columns(self.table.columns, [AVAILABILITY]).get(AVAILABILITY))
        return [slowest(cell.upper().split("\\")) if isinstance(cell, str) else None for cell in cells]

    @cached_property
    def _sop_classes(self) -> list[tuple[str, ...]]:
        labels = [plain_label(label) for label in self.table.columns]
        return [uids_in(cell) for cell in self._column(labels.index(SOP_CLASSES) if SOP_CLASSES in labels else None)]

    def _column(self, place: int | None) -> list[object]:
        return [None] * len(self.table) if place is None else self.table.iloc[:, place].tolist()


def rows_of(identifiers: Sequence[Requested]) -> dict[Identifier, list[int]]:
    """Return the rows that ask for each identifier."""
    rows: dict[Identifier, list[int]] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            rows.setdefault(identifier, []).append(position)
    return rows


def uids_in(cell: object) -> tuple[str, ...]:
    r"""Return the UIDs in a cell; none if one of them has an unusual form.

    Examples
    --------
    >>> uids_in(r"1.2.3\1.2.4"), uids_in(None)
    (('1.2.3', '1.2.4'), ())
    """
    uids = tuple(cell.split("\\")) if isinstance(cell, str) else ()
    return uids if all(map(is_uid, uids)) else ()


def slowest(values: Collection[str]) -> str | None:
    """Return the slowest of several availabilities.

    Examples
    --------
    >>> slowest(["ONLINE", "NEARLINE"]), slowest([])
    ('NEARLINE', None)
    """
    words = [value.strip() for value in values]
    return next((word for word in _SLOWEST_FIRST if word in words), None)
