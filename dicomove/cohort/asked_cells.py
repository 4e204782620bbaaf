"""Whether rows of a table of `find` have asked for what rows of a cohort ask for: their keys agree. Pure.

The labels of a cohort say little: they are often numbers from 0, and change when the cohort is sorted. `find` keeps the
cells of the cohort: in its column, or in ``<column>_asked`` where the match has another value. A file may have changed
their types. The user may have dropped some columns, and added others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove.cohort.key_values import criterion
from dicomove.cohort.keywords import MATCHING_KEYS, VRS, candidates, keyword, label_text
from dicomove.cohort.likeness import plain
from dicomove.cohort.matching import matches
from dicomove.cohort.values import is_blank, is_number, text
from dicomove.errors import IdentifierError

_KEYS: Final = frozenset(name for names in MATCHING_KEYS.values() for name in names)
_NOT_DIGITS: Final = re.compile("[^0-9]+")


def asked_otherwise(cohort: pd.DataFrame, results: pd.DataFrame, positions: Sequence[int]) -> tuple[int, str] | None:
    """Return the first row of the results that asked for something else than its row of the cohort, and the column.

    Parameters
    ----------
    cohort, results
        The cohort, and a table of `find`, or of `move` for such a table.
    positions
        The row of the cohort for each row of the results, or -1.

    Examples
    --------
    >>> found = pd.DataFrame({"PatientID": ["a", "b"], "PatientID_asked": ["a*", None]})
    >>> asked_otherwise(pd.DataFrame({"PatientID": ["b", "a*"]}), found, [1, 0]) is None
    True
    >>> asked_otherwise(pd.DataFrame({"PatientID": ["a*", "b"]}), found, [1, 0])
    (0, 'PatientID')
    """
    columns = [_column(cohort, place, name, results) for name, place in _keys_of(cohort).items()]
    again = searched_again(cohort, results)
    sent = [None if is_again else cell for cell, is_again in zip(_cells(results, "asked_by"), again, strict=False)]
    for row, position in enumerate(positions):
        if position < 0:
            continue
        sides = [(column, column.compare(position, row, sent[row] if sent else None)) for column in columns]
        other = next((column.header for column, side in sides if side == "other"), None)
        said = {side for _, side in sides}
        if other is None and {"only cohort", "only results"} <= said and "same" not in said:
            other = next(column.header for column, side in sides if side == "only cohort")
        if other is not None:
            return row, other
    return None


def searched_again(cohort: pd.DataFrame, results: pd.DataFrame) -> list[bool]:
    """Return, for each row of the results, whether it was asked by a UID that the cohort does not have.

    Its table of `find` was given to `find` again, for its series, and its label may be that of a row of this table. All
    keys of the cohort count then: the first search has asked for them.

    Examples
    --------
    >>> searched_again(pd.DataFrame({"mrn": ["7"]}), pd.DataFrame({"asked_by": ["PatientID", "StudyInstanceUID"]}))
    [False, True]
    """
    lacking = {name for name in _KEYS - candidates(cohort.columns, _KEYS).keys() if name.endswith("InstanceUID")}
    return [not lacking.isdisjoint(str(cell).split(", ")) for cell in _cells(results, "asked_by")]


def asked_before(table: pd.DataFrame, rows: Sequence[bool]) -> set[str]:
    """Return the keys by which `find` has asked for some rows of a table.

    Examples
    --------
    >>> found = pd.DataFrame({"asked_by": ["PatientID, AccessionNumber", "StudyDate"]})
    >>> sorted(asked_before(found, [True, False]))
    ['AccessionNumber', 'PatientID']
    """
    asked = (str(cell) for cell, is_wanted in zip(_cells(table, "asked_by"), rows, strict=False) if is_wanted)
    return {name for text in asked for name in text.split(", ") if name in VRS}


@dataclass(frozen=True, slots=True)
class _Column:
    """A key of the cohort, with the columns of the results that have its cells.

    Attributes
    ----------
    name, header
        Its keyword, and its header.
    own
        The cells of the cohort.
    asked
        The cells of ``<header>_asked``.
    matched
        The cells of the column that bears the keyword, which has the value of a match.
    others
        Those of other columns of this attribute.
    """

    name: str
    header: str
    own: list[object]
    asked: list[object]
    matched: Sequence[list[object]]
    others: Sequence[list[object]]

    def compare(self, position: int, row: int, sent: object) -> str:
        """Compare a cell of the cohort with a row of the results; `sent` has the keys that were sent for it."""
        own = self.own[position]
        asked = self.asked[row] if self.asked else None
        if not is_blank(asked):
            return "same" if not is_blank(own) and _is_same(own, asked, self.name) else "other"
        # A match may have another date than the row if the date was not sent.
        is_sent = is_blank(sent) or self.name in str(sent).split(", ")
        others = [cell for cells in self.others if not is_blank(cell := cells[row])]
        matched = [cell for cells in self.matched if not is_blank(cell := cells[row])]
        kept = [*matched, *others]
        if is_blank(own):
            return "only results" if kept else "none"
        if not kept:
            return "only cohort" if self.matched or self.others else "none"
        if any(_is_same(own, cell, self.name) or _is_match(own, cell, self.name) for cell in kept):
            return "same"
        return "other" if is_sent or others else "none"


def _keys_of(cohort: pd.DataFrame) -> Mapping[str, int]:
    return {name: found[0] for name, found in candidates(cohort.columns, _KEYS).items() if len(found) == 1}


def _column(cohort: pd.DataFrame, place: int, name: str, results: pd.DataFrame) -> _Column:
    header = label_text(cohort.columns[place]) or name
    has_own = any(label_text(label) == f"{header}_asked" for label in cohort.columns)
    same = [at for at, label in enumerate(results.columns) if keyword(label) == name]
    matched = [at for at in same if label_text(results.columns[at]) == name]
    return _Column(
        name=name,
        header=header,
        own=cohort.iloc[:, place].tolist(),
        asked=[] if has_own else _cells(results, f"{header}_asked"),
        matched=[results.iloc[:, at].tolist() for at in matched],
        others=[results.iloc[:, at].tolist() for at in same if at not in matched],
    )


def _cells(table: pd.DataFrame, header: str) -> list[object]:
    places = [at for at, label in enumerate(table.columns) if label_text(label) == header]
    return table.iloc[:, places[0]].tolist() if places else []


def _is_same(own: object, there: object, name: str) -> bool:
    """Tell whether two cells are the same one; pandas makes numbers of digits in a file, and drops zeros."""
    if isinstance(own, str) and own == there:
        return True
    if is_number(own) or is_number(there):
        with suppress(ValueError, TypeError):
            if float(str(own)) == float(str(there)):
                return True
    return not _forms(own, name).isdisjoint(_forms(there, name))


def _forms(cell: object, name: str) -> set[str]:
    """Return the texts that a cell may be written as, without the zeros that a file loses."""
    texts = [str(cell)]
    with suppress(IdentifierError):
        texts.append(text(cell, name))
    is_time = VRS[name] in ("DA", "TM")
    bare = (_NOT_DIGITS.sub("", one) if is_time else plain(one).removesuffix(".0") for one in texts)
    return {one.lstrip("0") for one in bare}


def _is_match(own: object, answered: object, name: str) -> bool:
    """Tell whether a value of a match is what the cell asks for: the user may have dropped the column of the cells."""
    try:
        return matches([(name, criterion(own, name))], {name: str(answered)})
    except IdentifierError:
        return False
