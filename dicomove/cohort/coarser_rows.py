"""Rows that bring more of a patient than the other rows do, or than `find` matched, and sentences about them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import pandas as pd

from dicomove.cohort.find_tables import found_rows, unmatched_rows
from dicomove.cohort.identifiers import Identifier, Requested
from dicomove.cohort.keywords import LEVELS, Level, QueryModel, keyword_columns
from dicomove.cohort.tables import parse_level, parse_query_model
from dicomove.cohort.values import is_blank
from dicomove.errors import IdentifierError

_LEVEL: Final = "QueryRetrieveLevel"
_STUDY: Final = "StudyInstanceUID"


def on_coarser_rows(table: pd.DataFrame, requested: Sequence[Requested]) -> str | None:
    """Return a sentence about rows that bring more than the others because they lack the deepest UID, or None.

    If a column gives the level of each row, the sentence is about rows of `find` that matched a study and bring its
    patient.
    """
    if _LEVEL in keyword_columns(table.columns, (_LEVEL,)):
        return _on_patients(table, requested)
    levels = Counter(LEVELS.index(entry.level) for entry in requested if isinstance(entry, Identifier))
    if len(levels) < 2:
        return None
    deepest, coarser = LEVELS[max(levels)], levels.total() - levels[max(levels)]
    return (
        f"{coarser} of {len(requested)} rows lack a UID that the others have. They bring all of the level above, "
        f"not one {deepest.lower()} each: fill the UID, or give the level of each row in a column {_LEVEL}"
    )


def _on_patients(table: pd.DataFrame, requested: Sequence[Requested]) -> str | None:
    place = keyword_columns(table.columns, (_STUDY,)).get(_STUDY)
    if place is None:
        return None
    matched = zip(found_rows(table), table.iloc[:, place].tolist(), requested, strict=True)
    whole = sum(
        is_found and not is_blank(study) and isinstance(entry, Identifier) and entry.level == "PATIENT"
        for is_found, study, entry in matched
    )
    return (
        f"{whole} of {len(requested)} rows bring all studies of their patient, and not only the study that find "
        f"matched, because their column {_LEVEL} says PATIENT"
        if whole
        else None
    )


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
    place = keyword_columns(table.columns, (_LEVEL,)).get(_LEVEL)
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
