"""Assigns each row of the results to rows of the cohort. Pure.

The column ``cohort_row`` of `find` holds labels of the cohort's index. If labels are repeated, or are equal as text,
dicomove compares the cohort's own columns, which `find` keeps. Rows that are equal in all columns asked for the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from dicomove.cohort.found import is_found, plain_label
from dicomove.cohort.keywords import keyword_columns
from dicomove.cohort.values import EDGES, is_blank
from dicomove.errors import CohortError

_AMBIGUOUS: Final = (
    "the cohort's index has repeated labels, and the results do not have all columns of the cohort unchanged, so "
    "dicomove cannot assign the rows: give the cohort an index without repetitions before find "
    "(cohort.reset_index())"
)
_OTHER: Final = (
    "row {row} of the results belongs to a row that the cohort does not have: the results are from another cohort, or "
    "its index has changed since find"
)
_NO_COHORT_ROW: Final = (
    "the results have no column cohort_row, which find() adds, and their index is not the index of the cohort, so "
    "dicomove cannot assign the rows"
)
_KEYS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
#: NumPy's text for a number within a tuple.
_NUMPY: Final = re.compile(r"np\.\w+\(([^()]*)\)")
#: A missing label, or a missing part of a label with several levels.
_ABSENT: Final = re.compile(r"(?<![^( ])(?:nan|None|NaT|<NA>)(?![^,)])")


def positions_in(cohort: pd.DataFrame, results: pd.DataFrame) -> list[list[int]]:
    """Return, for each row of the results, the positions of its rows in the cohort.

    Raises
    ------
    CohortError
        The results are not from this cohort, or the rows cannot be assigned.

    Examples
    --------
    >>> found = pd.DataFrame({"cohort_row": ["b", "a", "a"], "outcome": "matched", "matches": 1, "filtered": 0})
    >>> positions_in(pd.DataFrame(index=["a", "b"]), found)
    [[1], [0], [0]]
    """
    if not is_found(results.columns):
        return [[position] for position in _of_plain_results(cohort, results)]
    place = _places(results, "cohort_row")[0]
    places: dict[str, list[int]] = {}
    for position, label in enumerate(cohort.index):
        places.setdefault(_written(label), []).append(position)
    candidates = [places.get(_written(label), []) for label in results.iloc[:, place].tolist()]
    if [] in candidates:
        raise CohortError(_OTHER.format(row=candidates.index([])))
    return candidates if len(places) == len(cohort) else _by_cells(cohort, results, candidates)


def _of_plain_results(cohort: pd.DataFrame, results: pd.DataFrame) -> list[int]:
    """Return the positions for a table that was moved without `find`: it has the rows of the cohort."""
    own, theirs = list(map(_written, cohort.index)), list(map(_written, results.index))
    in_order, places = list(range(len(own))), {label: position for position, label in enumerate(own)}
    if own == theirs or (len(places) == len(own) and set(theirs) <= set(own)):
        by_label = in_order if own == theirs else [places[label] for label in theirs]
        if _keys(cohort.iloc[by_label], results) == _keys(results, cohort):
            return by_label
    columns = _columns_in(cohort, results)
    if len(own) == len(theirs) and columns and _cells(cohort, list(columns)) == _cells(results, [*columns.values()]):
        return in_order
    raise CohortError(_NO_COHORT_ROW)


def _keys(table: pd.DataFrame, other: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the keys that both tables have. They reveal that rows are in another order, but have new numbers."""
    there = keyword_columns(other.columns, _KEYS)
    places = [place for _, place in sorted(keyword_columns(table.columns, there).items())]
    # pandas reads a PatientID as a number.
    return [tuple(cell.removesuffix(".0").lstrip("0") for cell in cells) for cells in _cells(table, places)]


def _by_cells(cohort: pd.DataFrame, results: pd.DataFrame, candidates: Sequence[list[int]]) -> list[list[int]]:
    """Return the candidates whose cells equal those of the row of the results."""
    columns = _columns_in(cohort, results)
    own, theirs = _cells(cohort, list(columns)), _cells(results, list(columns.values()))
    whole = _cells(cohort, list(range(cohort.shape[1])))
    made = []
    for cells, positions in zip(theirs, candidates, strict=True):
        found = [place for place in positions if own[place] == cells] if len(positions) > 1 else positions
        if len({whole[place] for place in found}) != 1:
            raise CohortError(_AMBIGUOUS)
        made.append(found)
    return made


def _columns_in(cohort: pd.DataFrame, results: pd.DataFrame) -> dict[int, int]:
    """Return the positions of the cohort's unchanged columns in the results."""
    own = [plain_label(label) for label in cohort.columns]
    made = {}
    for position, name in enumerate(own):
        # `find` renames a column of the cohort if the match has another value, or if a column of ours has the name.
        names = (f"{name}_asked", f"{name}_cohort", name)
        there = [_places(results, other) for other in names if other == name or other not in own]
        found = next((places for places in there if places), [])
        if len(found) == 1 and own.count(name) == 1:
            made[position] = found[0]
    return made


def _places(table: pd.DataFrame, name: object) -> list[int]:
    return [place for place, label in enumerate(table.columns) if plain_label(label) == name]


def _cells(table: pd.DataFrame, places: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the rows of these columns as text, because a file turns them into text."""
    cells = [
        ["" if is_blank(cell) else str(cell).strip() for cell in table.iloc[:, place].tolist()] for place in places
    ]
    return list(zip(*cells, strict=True)) if cells else [()] * len(table)


def _written(label: object) -> str:
    """Return a label as text, because a file turns it into text."""
    found: Any = label
    if pd.api.types.is_list_like(found):  # pandas reads labels of several levels as lists and arrays
        found = tuple(found)
    text = _ABSENT.sub("", _NUMPY.sub(r"\1", str(found))).strip(EDGES)
    return text.removesuffix(" 00:00:00").removesuffix(".0")
