"""A row of a table, as the C-FINDs that answer it (PS3.4 C.4.1).

A search is hierarchical: where a key belongs to a level above the one asked for, that level is asked first, and the
unique keys of each answer go into the next step. No archive is asked for everything it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dicomove.cohort.keywords import keyword_columns
from dicomove.cohort.levels import LEVELS, UNIQUE_KEYS, Level, QueryModel, parse_level, parse_query_model
from dicomove.cohort.matching import criterion, is_single, is_universal
from dicomove.cohort.tables import check_arguments, columns_of, index_hint
from dicomove.cohort.values import is_blank
from dicomove.errors import CohortError, IdentifierError

MATCHING_KEYS: dict[Level, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        *("StudyInstanceUID", "AccessionNumber", "StudyDate", "StudyTime", "StudyID"),
        *("ReferringPhysicianName", "StudyDescription", "ModalitiesInStudy"),
    ),
    "SERIES": (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate"),
        *("BodyPartExamined", "ProtocolName", "StationName"),
    ),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
"""The attributes that may carry a value, by level. In StudyRoot, those of the patient belong to the study."""

_STUDY_RETURN_KEYS = (
    *("PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber", "ModalitiesInStudy", "StudyDescription"),
    *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
)
_SERIES_RETURN_KEYS = (
    *(*_STUDY_RETURN_KEYS, "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
    "NumberOfSeriesRelatedInstances",
)

RETURN_KEYS: dict[Level, tuple[str, ...]] = {
    "PATIENT": (
        *("PatientID", "NumberOfPatientRelatedStudies"),
        *("NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances"),
    ),
    "STUDY": _STUDY_RETURN_KEYS,
    "SERIES": _SERIES_RETURN_KEYS,
    "IMAGE": (*_SERIES_RETURN_KEYS, "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
"""The attributes that are asked back, by level, with those of the levels above: many archives give them, too. No name
and no date of birth is asked for unless somebody wants it."""


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One C-FIND.

    Parameters
    ----------
    level
        Its query level.
    keys
        Its matching keys as pairs of keyword and value, from the top level. The unique keys that an answer of the step
        before gives come on top of them.
    """

    level: Level
    keys: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Step({', '.join([self.level, *(name for name, _ in self.keys)])})"


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """The C-FINDs for one row of a table.

    Parameters
    ----------
    level
        The query level of the last step: what is found.
    query_model
        The information model.
    steps
        The steps, from the top level.

    Examples
    --------
    >>> find_query({"AccessionNumber": "A1", "Modality": "CT"}, "SERIES")
    Query(SERIES, StudyRoot, Step(STUDY, AccessionNumber), Step(SERIES, Modality))
    """

    level: Level
    query_model: QueryModel
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return f"Query({', '.join([self.level, self.query_model, *map(repr, self.steps)])})"


def find_query(row: Mapping[str, object], level: str = "STUDY", query_model: str = "StudyRoot") -> Query:
    """Return the C-FINDs for one row.

    Parameters
    ----------
    row
        Values by keyword or tag. What is no matching key at the level or above is left out.
    level
        The query level.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.

    Raises
    ------
    IdentifierError
        The row cannot be asked for.

    Examples
    --------
    >>> find_query({"StudyInstanceUID": "1.2.3"}, "SERIES").steps[0].keys
    (('StudyInstanceUID', '1.2.3'),)
    """
    model = parse_query_model(query_model)
    known = parse_level(level, model)
    try:
        positions = keyword_columns(row, _wanted(known, model))
    except CohortError as error:
        raise IdentifierError(str(error)) from None
    values = list(row.values())
    return _query({name: values[position] for name, position in positions.items()}, known, model)


def find_queries(
    table: pd.DataFrame, level: str = "STUDY", query_model: str = "StudyRoot"
) -> list[Query | IdentifierError]:
    """Return, for each row of a table, its C-FINDs, or why there can be none.

    Parameters
    ----------
    table
        One row for each search. It is read by position: any index and repeated labels are welcome.
    level
        The query level.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.

    Raises
    ------
    CohortError
        No row of the table could be right.

    Examples
    --------
    >>> find_queries(pd.DataFrame({"accession": ["000123", "1.2E+19"]}))
    [Query(STUDY, StudyRoot, Step(STUDY, AccessionNumber)),
     IdentifierError('AccessionNumber was damaged by a spreadsheet: scientific notation')]
    """
    known, model = check_arguments(table, level, query_model)
    if known is None:
        msg = f"a level is needed: one of {', '.join(UNIQUE_KEYS[model])}"
        raise CohortError(msg)
    if len(table) == 0:
        return []
    wanted = _wanted(known, model)
    columns = columns_of(table, wanted)
    if not columns:
        hint = index_hint(table, wanted)
        msg = f"the table has no column to search by at the level {known}: one of {', '.join(wanted)} is needed.{hint}"
        raise CohortError(msg)
    rows = zip(*columns.values(), strict=True)
    return [_query_or_error(dict(zip(columns, row, strict=True)), known, model) for row in rows]


def _levels(level: Level, model: QueryModel) -> list[Level]:
    return [above for above in LEVELS[: LEVELS.index(level) + 1] if above in UNIQUE_KEYS[model]]


def _matching_keys(level: Level, model: QueryModel) -> tuple[str, ...]:
    patient = MATCHING_KEYS["PATIENT"] if (level, model) == ("STUDY", "StudyRoot") else ()
    return (*patient, *MATCHING_KEYS[level])


def _wanted(level: Level, model: QueryModel) -> tuple[str, ...]:
    keys = [name for above in _levels(level, model) for name in _matching_keys(above, model)]
    return (*keys, "Modality") if level == "STUDY" else tuple(keys)


def _query_or_error(cells: Mapping[str, object], level: Level, model: QueryModel) -> Query | IdentifierError:
    try:
        return _query(cells, level, model)
    except IdentifierError as error:
        return error.with_traceback(None)


def _query(cells: Mapping[str, object], level: Level, model: QueryModel) -> Query:
    values = _values(_prepared(cells, level))
    if not values:
        msg = "the row is empty, or holds nothing but wildcards: it would list the whole archive"
        raise IdentifierError(msg)
    steps: list[Step] = []
    known: list[tuple[str, str]] = []  # unique keys of levels that need no C-FIND of their own
    for at in _levels(level, model):
        keys = [(name, values[name]) for name in _matching_keys(at, model) if name in values]
        unique = UNIQUE_KEYS[model][at][-1]
        if at != level and [name for name, _ in keys] == [unique] and is_single(values[unique]):
            known += keys
            continue
        if not (steps or known or keys):
            raise _without_key(unique, at, model)
        steps.append(Step(at, (*known, *keys)))
        known = []
    return Query(level, model, tuple(steps))


def _prepared(cells: Mapping[str, object], level: Level) -> dict[str, object]:
    prepared = {name: cell for name, cell in cells.items() if not is_blank(cell) and not is_universal(cell, name)}
    if level == "STUDY" and "Modality" in prepared:
        prepared.setdefault("ModalitiesInStudy", prepared["Modality"])
        del prepared["Modality"]
    # An answer of C-FIND lists all modalities of a study. It cannot be asked for, and need not be: the study is known.
    if "StudyInstanceUID" in prepared and "\\" in str(prepared.get("ModalitiesInStudy", "")):
        del prepared["ModalitiesInStudy"]
    return prepared


def _values(cells: Mapping[str, object]) -> dict[str, str]:
    return {name: criterion(cell, name) for name, cell in cells.items()}


def _without_key(unique: str, level: Level, model: QueryModel) -> IdentifierError:
    hint = ' (query_model="StudyRoot" needs no PatientID)' if unique == "PatientID" else ""
    msg = f"{unique} is empty, and {model} has no other key of the level {level} to begin with{hint}"
    return IdentifierError(msg, column=unique)
