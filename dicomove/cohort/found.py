"""Recognises tables of `find` in `move`, and keeps the answer of `find` for a row that it could not match.

A user may have saved such a table to a file and read it with `read_cohort`: then every cell is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import pandas as pd

from dicomove.cohort.levels import Level
from dicomove.cohort.values import EDGES, is_blank
from dicomove.words import UNMATCHED, Outcome

#: Only a table of `find` has all of these columns. `move` replaces only the outcome.
_COLUMNS_OF_FIND: Final = frozenset({"cohort_row", "outcome", "matches", "filtered"})
#: For each level, a column that `find` adds at this level and below, but not above.
_COLUMN_OF_LEVEL: Final[dict[Level, str]] = {
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
    "IMAGE": "SOPClassUID",
}
#: The row matched several studies, and `find` chose none of them: the row has no UID, even if `matches` is not 0.
AMBIGUOUS: Final = "ambiguous"
_REASON_COLUMNS: Final = ("status", "error", "advice", "error_comment")


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


def plain_label(label: object) -> object:
    """Return the label of a column, without the empty labels that pandas adds to it beside labels of several levels.

    Examples
    --------
    >>> plain_label(("outcome", "")), plain_label("outcome"), plain_label(("outcome", "first"))
    ('outcome', 'outcome', ('outcome', 'first'))
    """
    return label[0] if isinstance(label, tuple) and label and not any(label[1:]) else label


def is_found(columns: Iterable[object]) -> bool:
    """Tell by its columns whether a table comes from `find`, or from a `move` of such a table.

    Examples
    --------
    >>> is_found(["cohort_row", "mrn", "outcome", "matches", "filtered"]), is_found(["mrn", "outcome"])
    (True, False)
    """
    return {plain_label(label) for label in columns} >= _COLUMNS_OF_FIND


def is_answered(columns: Iterable[object], level: Level) -> bool:
    """Tell by its columns whether the UIDs of a level come from `find`, which compared them with the row.

    A search at an upper level does not check the UIDs of lower levels: the table has them as the user typed them.

    Examples
    --------
    >>> found = ["cohort_row", "StudyInstanceUID", "NumberOfStudyRelatedInstances", "outcome", "matches", "filtered"]
    >>> is_answered(found, "STUDY"), is_answered([*found, "SeriesInstanceUID"], "SERIES")
    (True, False)
    """
    labels = {plain_label(label) for label in columns}
    return labels >= _COLUMNS_OF_FIND and (level not in _COLUMN_OF_LEVEL or _COLUMN_OF_LEVEL[level] in labels)


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
    outcome = _text(cells.get("outcome"))
    if outcome == AMBIGUOUS or _text(cells.get("error")) == AMBIGUOUS:
        return Unmatched("invalid", *(_text(cells.get(name)) for name in _REASON_COLUMNS))
    if not _is_outcome(outcome) or not _is_zero(cells.get("matches")):
        return None
    return Unmatched(outcome, *(_text(cells.get(name)) for name in _REASON_COLUMNS))


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


def _text(cell: object) -> str | None:
    return None if is_blank(cell) else str(cell).strip(EDGES)
