"""Reads tables of `find` again: what `find` said of each row, and to which rows of the cohort each row belongs.

A user may have saved such a table to a file and read it with `read_cohort`: then every cell is text. The column
``cohort_row`` holds labels of the cohort's index, which may have been numbered anew since: dicomove compares the keys,
too, which `find` keeps. If labels are repeated, or are equal as text, it compares all columns of the cohort. Rows that
are equal in all columns asked for the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import pandas as pd

from dicomove.cohort.asked_cells import asked_otherwise, searched_again
from dicomove.cohort.keywords import (
    IDENTIFYING_KEYS,
    LEVELS,
    UNIQUE_KEYS,
    Level,
    QueryModel,
    is_found,
    keyword,
    keyword_columns,
    plain_label,
)
from dicomove.cohort.tables import parse_level, parse_query_model, places_of
from dicomove.cohort.values import EDGES, is_blank, text_unless_blank
from dicomove.errors import CohortError, IdentifierError
from dicomove.words import UNMATCHED, Outcome

#: The row matched several studies, and `find` chose none of them: the row has no UID, even if `matches` is not 0.
_AMBIGUOUS: Final = "ambiguous"
_REASON_COLUMNS: Final = ("status", "error", "advice", "error_comment")

_NOT_UNIQUE: Final = (
    "the cohort's index has repeated labels, and the results do not have all columns of the cohort unchanged, so "
    "dicomove cannot assign the rows: give the cohort an index without repetitions before find "
    "(cohort.reset_index())"
)
_OTHER: Final = (
    "row {row} of the results belongs to a row that the cohort does not have: the results are from another cohort, or "
    "its index has changed since find"
)
_ANOTHER_ROW: Final = (
    "row {row} of the results has another {key} than the row of the cohort with its label ({label}): the row is from "
    "another cohort, or the cohort has changed since find. Give each cohort its own results, and keep its index and "
    "keys as they were"
)
_SEARCHED_AGAIN: Final = (
    ". If find was given its own table, cohort_row has the labels of that table: give verdicts() that table, or find "
    'again with table.set_index("cohort_row", drop=False)'
)
_NO_COHORT_ROW: Final = (
    "the results have no column cohort_row, which find() adds, and their index is not the index of the cohort, so "
    "dicomove cannot assign the rows"
)
_KEYS: Final = UNIQUE_KEYS["PatientRoot"]["IMAGE"]
#: NumPy's text for a number within a tuple.
_NUMPY: Final = re.compile(r"np\.\w+\(([^()]*)\)")
#: A missing label, or a missing part of a label with several levels.
_ABSENT: Final = re.compile(r"(?<![^( ])(?:nan|None|NaT|<NA>)(?![^,)])")


@dataclass(frozen=True, slots=True)
class Unmatched:
    """The answer of `find` for a row that it could not match: the reason why `move` sends nothing for it.

    Attributes
    ----------
    outcome, status, error, advice, error_comment
        As in the table of `find`.
    """

    outcome: Outcome
    status: str | None = None
    error: str | None = None
    advice: str | None = None
    error_comment: str | None = None


def found_rows(table: pd.DataFrame) -> list[bool]:
    """Return, for each row of a table, whether it comes from `find`: the user may have added other rows.

    Examples
    --------
    >>> found = pd.DataFrame({"cohort_row": [0], "outcome": ["matched"], "matches": [1], "filtered": [0]})
    >>> found_rows(pd.concat([found, pd.DataFrame({"StudyInstanceUID": ["1.2.3"]})]))
    [True, False]
    """
    if not is_found(table.columns):
        return [False] * len(table)
    places = {plain_label(label): place for place, label in enumerate(table.columns)}
    return [not is_blank(cell) for cell in table.iloc[:, places["matches"]].tolist()]


def unmatched(cells: Mapping[str, object]) -> Unmatched | None:
    """Return the answer of `find` for a row that it could not match; ``None`` if it matched, or if that is unknown.

    The number of matches decides, even if the user has put another word into the column ``outcome``.

    Parameters
    ----------
    cells
        The cells of a row, from a table of `find`, or of a `move` of such a table.

    Examples
    --------
    >>> unmatched({"outcome": "empty", "matches": "0"})
    Unmatched(outcome='empty', status=None, error=None, advice=None, error_comment=None)
    >>> unmatched({"outcome": "failed", "matches": 1}) is None  # it is the move that failed
    True
    """
    outcome = text_unless_blank(cells.get("outcome"))
    if outcome == _AMBIGUOUS or text_unless_blank(cells.get("error")) == _AMBIGUOUS:
        return Unmatched("invalid", *(text_unless_blank(cells.get(name)) for name in _REASON_COLUMNS))
    if not _is_zero(cells.get("matches")):
        return None
    status, error, *words = (text_unless_blank(cells.get(name)) for name in _REASON_COLUMNS)
    # The user may have put words of their own into the column since.
    said: Outcome = outcome if _is_outcome(outcome) else "failed" if error else "empty"
    return Unmatched(said, status, error, *words)


def unmatched_rows(table: pd.DataFrame) -> list[Unmatched | None]:
    """Return, for each row of a table, the answer of `find` if it could not match the row."""
    if not is_found(table.columns):
        return [None] * len(table)
    wanted = ("outcome", "matches", *_REASON_COLUMNS)
    places = {name: place for place, label in enumerate(table.columns) if (name := plain_label(label)) in wanted}
    rows = zip(*(table.iloc[:, place].tolist() for place in places.values()), strict=True)
    return [unmatched(dict(zip(map(str, places), row, strict=True))) for row in rows]


def _is_outcome(word: str | None) -> TypeGuard[Outcome]:
    return word in UNMATCHED


def _is_zero(cell: object) -> bool:
    if is_blank(cell):
        return False
    number: Any = cell
    try:
        return float(number) == 0
    except (TypeError, ValueError):
        return False


def positions_in(cohort: pd.DataFrame, results: pd.DataFrame) -> list[list[int]]:
    """Return, for each row of the results, the positions of its rows in the cohort; none if only a part is given.

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
    place = places_of(results, "cohort_row")[0]
    places: dict[str, list[int]] = {}
    for position, label in enumerate(cohort.index):
        places.setdefault(_written(label), []).append(position)
    candidates = [places.get(_written(label), []) for label in results.iloc[:, place].tolist()]
    if [] in candidates and not _is_part(cohort, results, candidates):
        raise _not_of(cohort, results, _OTHER.format(row=candidates.index([])))
    alone = [found[0] if len(found) == 1 else -1 for found in candidates]
    if other := asked_otherwise(cohort, results, alone):
        row, key = other
        raise _not_of(cohort, results, _ANOTHER_ROW.format(row=row, key=key, label=cohort.index[alone[row]]))
    return candidates if len(places) == len(cohort) else _by_cells(cohort, results, candidates)


def _not_of(cohort: pd.DataFrame, results: pd.DataFrame, message: str) -> CohortError:
    return CohortError(message + (_SEARCHED_AGAIN if any(searched_again(cohort, results)) else ""))


def exchanged_labels(cohort: pd.DataFrame, results: pd.DataFrame, positions: Sequence[Sequence[int]]) -> str | None:
    """Return a sentence about rows that only their labels assign, and that have the cells of another row; or None.

    Parameters
    ----------
    cohort, results, positions
        The arguments of `positions_in`, and its answer.

    Examples
    --------
    >>> results = pd.DataFrame({"PatientID": ["7", "8"], "age": [50, 60], "outcome": "complete"}, index=["a", "b"])
    >>> cohort = pd.DataFrame({"age": [60, 50]}, index=["a", "b"])
    >>> exchanged_labels(cohort, results, [[0], [1]])[:53]
    '2 rows of the results have other cells than the row o'
    """
    columns, own, theirs = _shared_cells(cohort, results)
    if not columns or not set(IDENTIFYING_KEYS).isdisjoint(keyword(cohort.columns[place]) for place in columns):
        return None
    times = Counter(own)
    others = sum(
        own[found[0]] != cells and times[cells] == 1 for cells, found in zip(theirs, positions, strict=True) if found
    )
    return (
        f"{others} rows of the results have other cells than the row of the cohort with their label, and those of "
        "another row. The two tables share no key, so the labels decide: if they have changed since, give "
        "verdicts() the cohort with the keys that you gave to find()"
        if others
        else None
    )


def _is_part(cohort: pd.DataFrame, results: pd.DataFrame, candidates: Sequence[list[int]]) -> bool:
    """Return whether the cohort is a part of the one that was asked for: each of its rows is there, with its cells.

    A part that was numbered anew has labels of other rows, so that each cell counts, and a key has to be among them.
    """
    columns, own, theirs = _shared_cells(cohort, results)
    placed = {place for found in candidates for place in found}
    has_key = any(keyword(cohort.columns[place]) in IDENTIFYING_KEYS for place in columns)
    are_equal = all(own[place] == cells for cells, found in zip(theirs, candidates, strict=True) for place in found)
    return has_key and are_equal and len(placed) == len(cohort) and all(len(found) < 2 for found in candidates)


def _of_plain_results(cohort: pd.DataFrame, results: pd.DataFrame) -> list[int]:
    """Return the positions for a table that was moved without `find`: it has the rows of the cohort."""
    own, theirs = list(map(_written, cohort.index)), list(map(_written, results.index))
    in_order, places = list(range(len(own))), {label: position for position, label in enumerate(own)}
    if own == theirs or (len(places) == len(own) and set(theirs) <= set(own)):
        by_label = in_order if own == theirs else [places[label] for label in theirs]
        if _keys(cohort.iloc[by_label], results) == _keys(results, cohort):
            return by_label
    columns, cells, their_cells = _shared_cells(cohort, results)
    if columns and cells == their_cells:
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
    _, own, theirs = _shared_cells(cohort, results)
    whole = _cells(cohort, list(range(cohort.shape[1])))
    made = []
    for cells, positions in zip(theirs, candidates, strict=True):
        found = [place for place in positions if own[place] == cells] if len(positions) > 1 else positions
        if len({whole[place] for place in found}) != 1:
            raise CohortError(_NOT_UNIQUE)
        made.append(found)
    return made


def _columns_in(cohort: pd.DataFrame, results: pd.DataFrame) -> dict[int, int]:
    """Return the positions of the cohort's unchanged columns in the results."""
    own = [plain_label(label) for label in cohort.columns]
    made = {}
    for position, name in enumerate(own):
        # `find` renames a column of the cohort if the match has another value, or if a column of ours has the name.
        names = (f"{name}_asked", f"{name}_cohort", name)
        there = [places_of(results, other) for other in names if other == name or other not in own]
        found = next((places for places in there if places), [])
        if len(found) == 1 and own.count(name) == 1:
            made[position] = found[0]
    return made


def _shared_cells(
    cohort: pd.DataFrame, results: pd.DataFrame
) -> tuple[dict[int, int], list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the positions of the unchanged columns, and their cells in the rows of both tables."""
    columns = _columns_in(cohort, results)
    return columns, _cells(cohort, list(columns)), _cells(results, list(columns.values()))


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


def at_level_of_find(table: pd.DataFrame, level: str, query_model: str) -> tuple[pd.DataFrame, int]:
    """Return a table of `find` whose rows have no level above the one of that search, and how many rows had one.

    Parameters
    ----------
    table
        The table.
    level, query_model
        The level and the model of the search.

    Examples
    --------
    >>> found = pd.DataFrame({"PatientID": "7", "StudyInstanceUID": "1.2", "query level": ["patient", "STUDY"]})
    >>> table, changed = at_level_of_find(found, "STUDY", "PatientRoot")
    >>> table["query level"].tolist(), changed
    (['STUDY', 'STUDY'], 1)
    """
    place = keyword_columns(table.columns, ("QueryRetrieveLevel",)).get("QueryRetrieveLevel")
    if place is None:
        return table, 0
    model = parse_query_model(query_model)
    wanted = parse_level(level, model)
    cells, said = table.iloc[:, place].tolist(), unmatched_rows(table)
    above = [one is None and _is_above(cell, wanted, model) for cell, one in zip(cells, said, strict=True)]
    made = table.copy()
    made.isetitem(place, [wanted if is_above else cell for cell, is_above in zip(cells, above, strict=True)])
    return made, sum(above)


def _is_above(cell: object, level: Level, model: QueryModel) -> bool:
    with suppress(IdentifierError):  # it is blank, or the row is invalid
        return LEVELS.index(parse_level(cell, model)) < LEVELS.index(level)
    return False
