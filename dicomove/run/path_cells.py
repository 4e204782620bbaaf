"""The columns that the path of a receiver names, checked before anything is sent. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Final, NoReturn

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Requested, is_blank, plain_label, plain_text
from dicomove.errors import CohortError
from dicomove.receiver import Receiver

#: Columns and their values of one row.
Cells = tuple[tuple[str, str], ...]

_NOTHING_SENT: Final = "Nothing was sent"
_MOST_NAMED: Final = 5


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
    return list(dict.fromkeys(name for receiver in receivers for name in receiver.path_template.columns))


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
    template = receiver.path_template
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
