"""Assigns each row of the results to rows of the cohort. Pure.

The column ``cohort_row`` of `find` holds labels of the cohort's index. If labels are repeated, the cohort's own
columns, which `find` keeps, decide. Rows that are equal in all columns asked for the same.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort.found import is_found, plain_label
from dicomove.cohort.values import is_blank
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
_NOWHERE: Final = object()
#: NumPy's text for a number within a tuple.
_NUMPY: Final = re.compile(r"np\.\w+\(([^()]*)\)")


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
    (place,) = _places(results, "cohort_row")[:1]
    own = [_comparable(label) for label in cohort.index]
    asked_by = _as_in(own, [_comparable(label) for label in results.iloc[:, place].tolist()])
    places: dict[Hashable, list[int]] = {}
    for position, label in enumerate(own):
        places.setdefault(label, []).append(position)
    if len(places) == len(own):
        return [places[label] for label in asked_by]
    return _by_cells(cohort, results, [places[label] for label in asked_by])


def _of_plain_results(cohort: pd.DataFrame, results: pd.DataFrame) -> list[int]:
    """Return the positions for a table that was moved without `find`: it has the rows of the cohort."""
    own, theirs = [_comparable(label) for label in cohort.index], [_comparable(label) for label in results.index]
    if own == theirs:
        return list(range(len(own)))
    places = {label: position for position, label in enumerate(own)}
    if len(places) == len(own) and set(theirs) <= set(own):
        return [places[label] for label in theirs]
    columns = _columns_in(cohort, results)
    if len(own) == len(theirs) and columns and _cells(cohort, list(columns)) == _cells(results, [*columns.values()]):
        return list(range(len(own)))
    raise CohortError(_NO_COHORT_ROW)


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
        # The cohort's cells for attributes with another value in the match, and columns named like one of ours.
        others = [f"{name}_asked", f"{name}_cohort"] if isinstance(name, str) else []
        there = [_places(results, other) for other in (*others, name) if other == name or other not in own]
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


def _comparable(label: object) -> Hashable:
    """Return a label that equals itself, unlike NaN."""
    if isinstance(label, tuple):
        return tuple(map(_comparable, label))
    return None if is_blank(label) else label if isinstance(label, Hashable) else str(label)


def _as_in(own: Sequence[Hashable], asked_by: Sequence[Hashable]) -> list[Hashable]:
    """Return the labels as in the cohort: a file has turned them into text."""
    known = set(own)
    written: dict[str, Hashable] = {_written(label): label for label in known}
    if len(written) < len(known):
        written = {}
    made = []
    for row, label in enumerate(asked_by):
        found = label if label in known else written.get(_written(label), _NOWHERE)
        if found is _NOWHERE:
            raise CohortError(_OTHER.format(row=row))
        made.append(found)
    return made


def _written(label: Hashable) -> str:
    text = "" if label is None else _NUMPY.sub(r"\1", str(label))
    return text.removesuffix(" 00:00:00").removesuffix(".0")
