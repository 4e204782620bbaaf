"""The PatientIDs that the rows of a table name beside what is moved: what comes is held against them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pandas as pd

from dicomove.cohort import Identifier, is_blank, keyword_columns, text, whole_number
from dicomove.errors import CohortError, IdentifierError
from dicomove.outcome import ALTOGETHER, difference, stripped

_PATIENT = "PatientID"


def patients_of(table: pd.DataFrame) -> list[str | None]:
    """Return the PatientID of each row; ``None`` where it has none that images could be held against.

    Examples
    --------
    >>> patients_of(pd.DataFrame({"PatientID": ["007", " ", "12*"]}))
    ['007', None, None]
    >>> patients_of(pd.DataFrame({"PatientID": [7.0]}))
    ['7']
    """
    try:
        column = keyword_columns(table.columns, [_PATIENT]).get(_PATIENT)
    except CohortError:  # two such columns: nothing says which of them it is
        column = None
    if column is None:
        return [None] * len(table)
    return [_single(cell) for cell in table.iloc[:, column].tolist()]


def beside(identifier: Identifier, patients: Iterable[str | None]) -> tuple[str, ...]:
    """Return the different PatientIDs that rows name beside an identifier that has none."""
    if identifier.get(_PATIENT) is not None:
        return ()
    return tuple(dict.fromkeys(patient for patient in patients if patient))


def is_another(there: Collection[str], named: Iterable[str]) -> bool:
    """Return whether a study is of another patient than each that is named; another spelling is the same patient.

    Parameters
    ----------
    there
        The PatientIDs under which the PACS has the study; none where it does not say.
    named
        Those of the rows.

    Examples
    --------
    >>> is_another(["7"], ["8"]), is_another(["007"], ["7"]), is_another([], ["8"])
    (True, False, False)
    """
    known = tuple(named)
    return bool(there) and all(difference(one, known) == ALTOGETHER for one in there)


def _single(cell: object) -> str | None:
    if is_blank(cell):
        return None
    try:
        found = stripped(whole_number(cell) or text(cell, _PATIENT))
    except IdentifierError:
        return None
    return None if not found or set(found) & set("*?\\") else found
