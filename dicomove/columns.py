"""Columns of the tables that dicomove returns: their names, and text, counts and times, each nullable. Pure.

The names are common words, and a cohort may have columns with these names (``outcome``: died or alive). If a table has
all columns that a verb adds, the verb has made the table, and replaces them. Otherwise a column with such a name is the
caller's own, and gets another name.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise, repeat
from typing import Final

import pandas as pd

from dicomove.cohort import is_found, plain_label

#: The columns that `find` adds beside the attributes, in this order; ``cohort_row`` comes first of all.
FIND_COLUMNS: Final = ("outcome", "status", "error", "advice", "error_comment", "matches", "filtered", "asked_by")

#: The columns that `move` adds, in this order.
RESULT_COLUMNS: Final = (
    *("outcome", "status", "error", "advice", "error_comment"),
    *("total", "completed", "failed", "warning", "remaining", "expected", "received", "bytes", "missing"),
    "failed_sop_instance_uids",
    "attempts",
    "resumed",
    *("started_at", "finished_at", "duration_s"),
)

#: Further columns of `move`, which some runs have: how a row was retrieved, and what counted `received` if the
#: destination is another archive.
METHOD_COLUMN: Final = "method"
COUNTED_BY_COLUMN: Final = "counted_by"
FURTHER_COLUMNS: Final = (METHOD_COLUMN, COUNTED_BY_COLUMN)

#: The columns that `plan` adds, in this order.
PLAN_COLUMNS: Final = (
    *("action", "QueryRetrieveLevel", "expected", "on_disk", "availability"),
    *("bytes", "bytes_low", "bytes_high", "duration_s", "advice"),
)

#: The columns that `verdicts` adds, in this order.
VERDICT_COLUMNS: Final = (
    *("studies", "studies_complete", "expected", "received", "missing", "outcome", "error", "advice"),
)

#: The columns that each verb adds, and those of them that tables of earlier versions lack.
_SETS: Final = {
    RESULT_COLUMNS: frozenset({"resumed"}),
    PLAN_COLUMNS: frozenset({"QueryRetrieveLevel", "availability", "bytes", "bytes_low", "bytes_high", "duration_s"}),
    VERDICT_COLUMNS: frozenset[str](),
}
_NEIGHBOURS: Final = {pair for added in (FIND_COLUMNS, *_SETS) for pair in pairwise(added)}

_ROWS_AT_ONCE: Final = 10_000
#: A larger count is an error of the PACS, and has no place in a column of whole numbers.
_LARGEST: Final = 2**53
_TEXT_IS_A_DTYPE: Final = int(pd.__version__.split(".")[0]) >= 3


def text(values: Iterable[str | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of text; ``None`` and ``""`` are null."""
    cells = [value or None for value in values]
    if _TEXT_IS_A_DTYPE:  # pandas 2 would turn missing values into "None"
        with suppress(UnicodeEncodeError):  # half a character, in a cell of the caller's
            return pd.Series(cells, index=index, dtype="str")
    return pd.Series(cells, index=index, dtype=object)


def counts(values: Iterable[int | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of whole numbers; ``None`` is null."""
    return pd.Series(pd.array(list(values), dtype="Int64"), index=index)


def flags(values: Iterable[bool]) -> pd.Series:
    """Return a column of truth values; none of them is null."""
    return pd.Series(list(values), dtype="bool")


def seconds(values: Iterable[float | None]) -> pd.Series:
    """Return a column of seconds; ``None`` is NaN."""
    return pd.Series(list(values), dtype="float64")


def times(values: Iterable[datetime | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of points in time, in UTC; ``None`` is NaT."""
    # An explicit unit, because pandas takes another one for an empty column.
    return pd.Series(pd.Series(list(values), dtype=object).astype("datetime64[us, UTC]").array, index=index)


def whole_number(value: object) -> int | None:
    """Return a count that came as text or number, or ``None`` for anything else.

    Examples
    --------
    >>> whole_number("12 "), whole_number(3.0), whole_number("many"), whole_number(None), whole_number("9" * 20)
    (12, 3, None, None, None)
    """
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if 0 <= number <= _LARGEST and number.is_integer() else None


def rows_of(table: pd.DataFrame) -> Iterator[tuple[Hashable, tuple[object, ...]]]:
    """Yield the label and the cells of each row, without a second copy of the whole table.

    Examples
    --------
    >>> list(rows_of(pd.DataFrame({"mrn": ["007", "008"], "visits": [1, 2]}, index=["a", "b"])))
    [('a', ('007', 1)), ('b', ('008', 2))]
    """
    for start in range(0, len(table), _ROWS_AT_ONCE):
        part = table.iloc[start : start + _ROWS_AT_ONCE]
        columns = [part.iloc[:, number].tolist() for number in range(part.shape[1])]
        cells = zip(*columns, strict=True) if columns else repeat((), len(part))
        yield from zip(part.index, cells, strict=True)


def ours(labels: Iterable[object]) -> set[int]:
    """Return the positions of the columns that an earlier `find`, `move`, `plan` or `verdicts` has added.

    Examples
    --------
    >>> ours(["mrn", "outcome"]), sorted(ours(["cohort_row", "mrn", "outcome", "matches", "filtered", "advice"]))
    (set(), [0, 2, 3, 4, 5])
    """
    plain = [plain_label(label) for label in labels]
    there = {label for label in plain if isinstance(label, str)}
    names = {name for added, new in _SETS.items() if there >= frozenset(added) - new for name in added}
    if is_found(plain):
        names |= {"cohort_row", *FIND_COLUMNS}
    places: dict[object, list[int]] = {}
    for place, label in enumerate(plain):
        if isinstance(label, str) and label in names:
            places.setdefault(label, []).append(place)
    return {_ours_among(found, plain) for found in places.values()} | _further(plain, names)


def is_plan(labels: Iterable[object]) -> bool:
    """Tell by its columns whether a table comes from `plan`, and not from a later `move`, which adds its columns last.

    Examples
    --------
    >>> is_plan(["mrn", *PLAN_COLUMNS]), is_plan([*PLAN_COLUMNS, "outcome", *RESULT_COLUMNS]), is_plan(["action"])
    (True, False, False)
    >>> is_plan([*RESULT_COLUMNS, *PLAN_COLUMNS])
    True
    """
    places = {plain_label(label): place for place, label in enumerate(labels)}
    if not places.keys() >= frozenset(PLAN_COLUMNS):
        return False
    return not places.keys() >= frozenset(RESULT_COLUMNS) or places["action"] > places["attempts"]


def kept(table: pd.DataFrame, added: Collection[str]) -> dict[int, Hashable]:
    """Return new labels, by position, for the caller's own columns with names that the verb adds.

    Examples
    --------
    >>> kept(pd.DataFrame({"mrn": ["007"], "outcome": ["died"]}), ["outcome", "advice"])
    {1: 'outcome_cohort'}
    """
    made = ours(table.columns)
    taken = {plain_label(label) for label in table.columns} | set(added)
    renamed: dict[int, Hashable] = {}
    for place, found in enumerate(table.columns):
        name = plain_label(found)
        if isinstance(name, str) and name in added and place not in made:
            free = free_name(f"{name}_cohort", taken)
            taken.add(free)
            renamed[place] = label(table, free)
    return renamed


def kept_message(table: pd.DataFrame, added: Collection[str]) -> str | None:
    """Return the warning for columns of the caller's own that get other names."""
    renamed = kept(table, added)
    if not renamed:
        return None
    names = ", ".join(dict.fromkeys(str(plain_label(table.columns[place])) for place in renamed))
    new = ", ".join(str(plain_label(found)) for found in renamed.values())
    return f"columns of your own have names that dicomove gives to its columns ({names}): they are kept as {new}"


def with_columns(table: pd.DataFrame, columns: Mapping[str, pd.Series], added: Collection[str]) -> pd.DataFrame:
    """Return the table with further columns, by position.

    Parameters
    ----------
    table
        The caller's table.
    columns
        The new columns. One that is not among `added` replaces the column of the same name.
    added
        The names that the verb adds. Columns of an earlier run are dropped, and the caller's own get other names.
    """
    made, renamed = ours(table.columns), kept(table, added)
    labels = [renamed.get(place, found) for place, found in enumerate(table.columns)]
    stays = [place for place, found in enumerate(labels) if not (place in made and plain_label(found) in added)]
    result = table.iloc[:, stays].copy()
    if renamed:
        names = table.columns.names
        result.columns = _index([labels[place] for place in stays], names)
    for name, column in columns.items():
        # Not as an array, which pandas would turn into text again.
        result[label(result, name)] = column.set_axis(result.index)
    return result


def label(table: pd.DataFrame, name: str) -> Hashable:
    """Return the label of a new column, on as many levels as the table's columns have."""
    nested = [""] * (table.columns.nlevels - 1)
    return (name, *nested) if nested else name


def free_name(name: str, taken: Collection[object]) -> str:
    """Return a name, with a number if it is taken.

    Examples
    --------
    >>> free_name("outcome_cohort", {"outcome_cohort", "outcome_cohort_2"})
    'outcome_cohort_3'
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _further(labels: Sequence[object], names: Collection[str]) -> set[int]:
    """Return the positions of further columns of a result table: unlike the caller's, they follow the last column."""
    if not frozenset(names) >= frozenset(RESULT_COLUMNS):
        return set()
    pairs = enumerate(pairwise(labels), start=1)
    return {place for place, pair in pairs if pair[0] == RESULT_COLUMNS[-1] and pair[1] in FURTHER_COLUMNS}


def _index(labels: Sequence[Hashable], names: Sequence[Hashable]) -> pd.Index:
    if len(names) > 1:
        return pd.MultiIndex.from_tuples(labels, names=names)  # type: ignore[arg-type]  # they are tuples
    return pd.Index(labels, name=names[0], tupleize_cols=False)


def _ours_among(places: Sequence[int], labels: Sequence[object]) -> int:
    """Return the position of our column among several with one name: the one in our order, otherwise the last."""

    def in_order(place: int) -> int:
        beside = pairwise(labels[max(0, place - 1) : place + 2])
        return sum(pair in _NEIGHBOURS for pair in beside)

    return max(places, key=lambda place: (in_order(place), place))
