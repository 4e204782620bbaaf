"""Recognises tables of `find` in `move`, and keeps the answer of `find` for a row that it could not match.

Such a table may have been written to a file and read again with `read_cohort`: then every cell of it is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import pandas as pd

from dicomove.cohort.levels import Level
from dicomove.cohort.values import EDGES, is_blank
from dicomove.words import UNMATCHED, Outcome

#: Only a table of `find` has all of these; `move` replaces none of them but the outcome.
_SIGNS: Final = frozenset({"cohort_row", "outcome", "matches", "filtered"})
#: What `find` adds at each level.
_SIGN_OF_LEVEL: Final[dict[Level, str]] = {
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
    "IMAGE": "SOPClassUID",
}
#: `find` does not decide between several studies. The row has no key, whatever its number of matches.
AMBIGUOUS: Final = "ambiguous"
_SAID: Final = ("status", "error", "advice", "error_comment")


@dataclass(frozen=True, slots=True)
class Unmatched:
    """The answer of `find` for a row that it could not match: there is nothing to move, and this is why.

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
    """Return the label of a column, even if pandas has combined it with labels of several levels.

    Examples
    --------
    >>> plain_label(("outcome", "")), plain_label("outcome"), plain_label(("outcome", "first"))
    ('outcome', 'outcome', ('outcome', 'first'))
    """
    return label[0] if isinstance(label, tuple) and label and not any(label[1:]) else label


def is_found(columns: Iterable[object]) -> bool:
    """Tell by its columns whether a table is one of `find`, or of a move of it.

    Examples
    --------
    >>> is_found(["cohort_row", "mrn", "outcome", "matches", "filtered"]), is_found(["mrn", "outcome"])
    (True, False)
    """
    return {plain_label(label) for label in columns} >= _SIGNS


def is_answered(columns: Iterable[object], level: Level) -> bool:
    """Tell by its columns whether a table has the UIDs of a level from `find`, which has compared them with the row.

    A search at an upper level leaves the UIDs of the cohort in the table as they were typed.

    Examples
    --------
    >>> found = ["cohort_row", "StudyInstanceUID", "NumberOfStudyRelatedInstances", "outcome", "matches", "filtered"]
    >>> is_answered(found, "STUDY"), is_answered([*found, "SeriesInstanceUID"], "SERIES")
    (True, False)
    """
    labels = {plain_label(label) for label in columns}
    return labels >= _SIGNS and (level not in _SIGN_OF_LEVEL or _SIGN_OF_LEVEL[level] in labels)


def found_rows(table: pd.DataFrame) -> list[bool]:
    """Return, for each row of a table, whether it is one of `find`, and not one that was added to such a table.

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
    """Return the answer of `find` for a row that it could not match; ``None`` if it matched, or the row does not say.

    Parameters
    ----------
    cells
        Of a row of a table of `find`, or of a move of it.

    Examples
    --------
    >>> unmatched({"outcome": "empty", "matches": "0"})
    Unmatched(outcome='empty', status=None, error=None, advice=None, error_comment=None)
    >>> unmatched({"outcome": "failed", "matches": 1}) is None  # it is the move that failed
    True
    """
    outcome = _text(cells.get("outcome"))
    if outcome == AMBIGUOUS or _text(cells.get("error")) == AMBIGUOUS:
        return Unmatched("invalid", *(_text(cells.get(name)) for name in _SAID))
    if not _is_outcome(outcome) or not _is_zero(cells.get("matches")):
        return None
    return Unmatched(outcome, *(_text(cells.get(name)) for name in _SAID))


def unmatched_rows(table: pd.DataFrame) -> list[Unmatched | None]:
    """Return, for each row of a table, the answer of `find` if it could not match the row."""
    if not is_found(table.columns):
        return [None] * len(table)
    wanted = ("outcome", "matches", *_SAID)
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
