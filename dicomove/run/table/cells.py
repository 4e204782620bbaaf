"""The cells of a row beside its identifier: numbers, patients, availability, SOP classes, columns in paths. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Final, NoReturn

import pandas as pd

from dicomove import columns
from dicomove.cohort import (
    LEVELS,
    Identifier,
    Level,
    Requested,
    changed_rows,
    digest_level,
    found_rows,
    is_blank,
    is_uid,
    keyword_columns,
    places_of,
    plain_label,
    plain_text,
    rows_with_typed_patient,
)
from dicomove.errors import CohortError
from dicomove.receiver import Receiver
from dicomove.run.attempt.questions import COUNT_KEYS
from dicomove.run.table.patients import Named, further_keys_of, named_by, patients_of, unsent_patients

AVAILABILITY: Final = "InstanceAvailability"
SOP_CLASSES: Final = "SOPClassesInStudy"
_SLOWEST_FIRST: Final = ("UNAVAILABLE", "OFFLINE", "NEARLINE", "ONLINE")
#: Columns and their values of one row.
Cells = tuple[tuple[str, str], ...]
_NOTHING_SENT: Final = "Nothing was sent"
_MOST_NAMED: Final = 5


@dataclass(frozen=True, eq=False)
class RowCells:
    """The further columns of a table. Each is read once, when it is needed.

    If several rows share an identifier, the first one with a value decides.
    """

    table: pd.DataFrame

    def is_answered(self, level: Level, rows: Sequence[int]) -> bool:
        """Tell whether the rows are known to be as `find` gave them: the PACS has answered with their identifiers.

        It is not known of tables without digests, nor of levels below that of `find`: their UIDs may be typed.
        """
        seen = self._seen
        return seen is not None and LEVELS.index(level) <= LEVELS.index(seen) and all(self._found[row] for row in rows)

    def expected(self, level: Level, rows: Sequence[int]) -> int | None:
        """Return the number of instances that `find` or `plan` got from the PACS."""
        cells = self._counts.get(COUNT_KEYS.get(level, ""))
        numbers = [columns.whole_number(cells[row]) for row in rows] if cells else []
        return next((number for number in numbers if number is not None), None)

    def planned_or_expected(self, level: Level, rows: Sequence[int]) -> int | None:
        """Return the number of instances of a plan, or else that of `find`."""
        if columns.is_plan(self.table.columns):
            return columns.whole_number(self._planned_expected[rows[0]])
        return self.expected(level, rows)

    def patients(self, identifier: Identifier, rows: Sequence[int]) -> tuple[str, ...]:
        """Return the PatientIDs of rows whose identifier has none."""
        return unsent_patients(identifier, [self._patients[row] for row in rows])

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
        place = places_of(self.table, name)[0]
        return ["" if is_blank(cell) else str(cell).strip() for cell in self.table.iloc[:, place].tolist()]

    def modalities(self) -> list[str]:
        """Return the modalities of each row, if the table has them."""
        where = keyword_columns(self.table.columns, ("Modality", "ModalitiesInStudy"))
        place = where.get("Modality", where.get("ModalitiesInStudy"))
        return ["" if is_blank(cell) else str(cell) for cell in self._column(place)]

    @cached_property
    def _seen(self) -> Level | None:
        return digest_level(self.table)

    @cached_property
    def _found(self) -> list[bool]:
        found = zip(found_rows(self.table), changed_rows(self.table), rows_with_typed_patient(self.table), strict=True)
        return [is_found and not (is_changed or is_typed) for is_found, is_changed, is_typed in found]

    @cached_property
    def _counts(self) -> dict[str, list[object]]:
        where = keyword_columns(self.table.columns, COUNT_KEYS.values())
        return {name: self._column(place) for name, place in where.items()}

    @cached_property
    def _planned_expected(self) -> list[str]:
        return self.planned("expected")

    @cached_property
    def _patients(self) -> list[tuple[str, ...]]:
        return patients_of(self.table)

    @cached_property
    def _further(self) -> Mapping[str, Sequence[tuple[str, ...]]]:
        # `find` has compared them with its studies.
        return {} if self._seen not in (None, "PATIENT") and all(self._found) else further_keys_of(self.table)

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


def path_cells(table: pd.DataFrame, identifiers: Sequence[Requested], receivers: Sequence[Receiver]) -> Sequence[Cells]:
    """Return for each row the columns that the paths of the receivers name, with the row's values.

    Raises
    ------
    CohortError
        The table lacks such a column, or a cell of it is blank; two rows ask for the same instances under different
        names; or two names differ only in upper and lower case.
    """
    named = path_columns(receivers)
    if not named:
        return ()
    values = _values(table, named)
    rows = [row for row, identifier in enumerate(identifiers) if isinstance(identifier, Identifier)]
    labels = list(table.index)
    _refuse_blank(values, rows, labels)
    found = [tuple((name, cells[row]) for name, cells in values.items()) for row in range(len(table))]
    _refuse_disagreement(found, identifiers, labels)
    _refuse_alike(values, rows, labels)
    for receiver in receivers:
        _refuse_shared(receiver, found, rows, labels)
    return found


def check_path_columns(cohort: pd.DataFrame, receivers: Sequence[Receiver]) -> None:
    """Check a cohort before the search: each column of the path is there, and no cell of it is blank.

    Raises
    ------
    CohortError
        A column is absent or a cell is blank. Only a row that is blank as a whole may have a blank cell.
    """
    if named := path_columns(receivers):
        rows = [row for row, cells in enumerate(zip(*_cells(cohort), strict=True)) if not all(map(is_blank, cells))]
        _refuse_blank(_values(cohort, named), rows, list(cohort.index))


def path_columns(receivers: Iterable[Receiver]) -> list[str]:
    """Return the names of columns in the paths of receivers."""
    return list(dict.fromkeys(name for receiver in receivers for name in receiver.runs.path_template.columns))


def _cells(table: pd.DataFrame) -> list[list[object]]:
    return [table.iloc[:, place].tolist() for place in range(table.shape[1])]


def _values(table: pd.DataFrame, named: Sequence[str]) -> dict[str, list[str]]:
    """Return the cells of the columns as text; a blank cell is ``""``."""
    labels = [plain_label(label) for label in table.columns]
    found: dict[str, list[str]] = {}
    for name in named:
        if labels.count(name) != 1:
            _refuse_column(name, [label for label in labels if isinstance(label, str)])
        if name in columns.RESULT_COLUMNS:
            _refuse(f"the path of the receiver has {{{name}}}, a column that dicomove makes: give yours another name")
        found[name] = [plain_text(cell) for cell in table.iloc[:, labels.index(name)].tolist()]
    return found


def _refuse_column(name: str, labels: Sequence[str]) -> NoReturn:
    if name in labels:
        _refuse(f"the path of the receiver has {{{name}}}, and several columns of the table have this name")
    near = difflib.get_close_matches(name, labels, 1)
    hint = f" (do you mean {{{near[0]}}}?)" if near else ""
    _refuse(
        f"the path of the receiver has {{{name}}}, which is neither a column of the table nor a DICOM keyword{hint}"
    )


def _refuse_blank(values: dict[str, list[str]], rows: Sequence[int], labels: Sequence[object]) -> None:
    for name, cells in values.items():
        if blank := [row for row in rows if not cells[row]]:
            _refuse(
                f"column {name!r} is blank in {_rows(blank, labels)}, and the path of the receiver names it: fill it"
            )


def _refuse_disagreement(found: Sequence[Cells], identifiers: Sequence[Requested], labels: Sequence[object]) -> None:
    """Refuse rows that ask for the same instances, or for a part of those of another row, but differ in a column."""
    rows = {row: identifier.keys for row, identifier in enumerate(identifiers) if isinstance(identifier, Identifier)}
    first: dict[tuple[tuple[str, str], ...], int] = {}
    for row, keys in rows.items():
        first.setdefault(keys, row)
    for row, keys in rows.items():
        for depth in range(1, len(keys) + 1):
            other = first.get(keys[:depth], row)
            names = [name for (name, value), pair in zip(found[row], found[other], strict=True) if value != pair[1]]
            if names:
                _refuse(
                    f"{_rows(sorted([other, row]), labels)} ask for the same images and differ in column {names[0]!r}, "
                    "which the path of the receiver names: an image has one name"
                )


def _refuse_alike(values: dict[str, list[str]], rows: Sequence[int], labels: Sequence[object]) -> None:
    for name, cells in values.items():
        seen: dict[str, int] = {}
        for row in rows:
            before = seen.setdefault(cells[row].casefold(), row)
            if cells[before] != cells[row]:
                _refuse(
                    f"{_rows([before, row], labels)} differ in column {name!r} only in upper and lower case, which "
                    "many file systems do not tell apart: give a column with other values"
                )


def _refuse_shared(receiver: Receiver, found: Sequence[Cells], rows: Sequence[int], labels: Sequence[object]) -> None:
    template = receiver.runs.path_template
    seen: dict[str, int] = {}
    for row in rows:
        cells = {name: value for name, value in found[row] if name in template.columns}
        before = seen.setdefault(template.own_part(cells), row)
        if any(dict(found[before])[name] != value for name, value in cells.items()):
            _refuse(
                f"{_rows([before, row], labels)} have different values and the same path at the receiver: "
                "put the columns into components of their own"
            )


def _rows(rows: Sequence[int], labels: Sequence[object]) -> str:
    # The positions and not the labels: a label may be a patient's identifier, which errors never show.
    is_plain = all(isinstance(labels[row], Integral) for row in rows[:_MOST_NAMED])
    named = ", ".join(str(labels[row] if is_plain else row) for row in rows[:_MOST_NAMED])
    named += "" if is_plain else " (counted from 0)"
    return f"row{'s' if len(rows) > 1 else ''} {named}{', ...' if len(rows) > _MOST_NAMED else ''}"


def _refuse(reason: str) -> NoReturn:
    message = f"{reason}. {_NOTHING_SENT}"
    raise CohortError(message)
