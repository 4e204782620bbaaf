"""Which rows of a cohort each row of the results is for. Pure.

`find` says it in the column ``cohort_row``, which holds labels of the cohort's index. Where labels are repeated, the
cohort's own columns, which `find` keeps, say the rest. Rows that are the same in all of them have asked for the same.
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
    "the cohort's index has repeated labels, and the results do not have all columns of the cohort as they were, so "
    "that it is not known which row is whose: give the cohort an index without repetitions before find "
    "(cohort.reset_index())"
)
_OTHER: Final = (
    "row {row} of the results is for a row that the cohort does not have: the results are of another cohort, or its "
    "index has changed since find"
)
_NO_COHORT_ROW: Final = (
    "the results have no column cohort_row, which find() adds, and their index is not that of the cohort: it is not "
    "known which row is whose"
)
_NOWHERE: Final = object()
#: So NumPy shows a number within a tuple.
_NUMPY: Final = re.compile(r"np\.\w+\(([^()]*)\)")


def positions_in(cohort: pd.DataFrame, results: pd.DataFrame) -> list[list[int]]:
    """Return the positions in the cohort for which each row of the results is.

    Raises
    ------
    CohortError
        The results are not those of this cohort, or that cannot be known.

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
    """Return the positions for a table that was moved without `find`: its rows are those of the cohort."""
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
    """Return those of the candidates whose cells are those of the row of the results."""
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
    """Return where the results have the columns of the cohort as they were, by position."""
    own = [plain_label(label) for label in cohort.columns]
    made = {}
    for position, name in enumerate(own):
        # What the cohort had where a match has something else; and what is named like a column of ours.
        others = [f"{name}_asked", f"{name}_cohort"] if isinstance(name, str) else []
        there = [_places(results, other) for other in (*others, name) if other == name or other not in own]
        found = next((places for places in there if places), [])
        if len(found) == 1 and own.count(name) == 1:
            made[position] = found[0]
    return made


def _places(table: pd.DataFrame, name: object) -> list[int]:
    return [place for place, label in enumerate(table.columns) if plain_label(label) == name]


def _cells(table: pd.DataFrame, places: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the rows of these columns as text, since that is what a file makes of them."""
    cells = [
        ["" if is_blank(cell) else str(cell).strip() for cell in table.iloc[:, place].tolist()] for place in places
    ]
    return list(zip(*cells, strict=True)) if cells else [()] * len(table)


def _comparable(label: object) -> Hashable:
    """Return a label that is equal to itself, which NaN is not."""
    if isinstance(label, tuple):
        return tuple(map(_comparable, label))
    return None if is_blank(label) else label if isinstance(label, Hashable) else str(label)


def _as_in(own: Sequence[Hashable], asked_by: Sequence[Hashable]) -> list[Hashable]:
    """Return the labels as the cohort has them: a file has made text of them."""
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
