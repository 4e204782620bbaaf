"""The C-FINDs of a table, or of the criteria of `query`, after the checks that need no row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, get_args

import pandas as pd

from dicomove.cohort.asked_cells import asked_before
from dicomove.cohort.changes import changed_rows, digest_level
from dicomove.cohort.find_tables import found_rows, unmatched_rows
from dicomove.cohort.key_values import criterion, has_wildcard
from dicomove.cohort.keywords import (
    IDENTIFYING_KEYS,
    MATCHING_KEYS,
    UNIQUE_KEYS,
    Level,
    QueryModel,
    keys_at,
    levels_down_to,
    matching_keys,
)
from dicomove.cohort.query_steps import Broad, Query, Step, prepared_cells, row_query, with_blank_keys
from dicomove.cohort.tables import check_arguments, columns_of, index_hint, is_query
from dicomove.cohort.unknown_headers import header_hint, listed_headers, overlooked_headers
from dicomove.cohort.values import is_blank, text_unless_blank
from dicomove.errors import CohortError, IdentifierError, check_word

PartialKeys = Literal["ask", "refuse"]

#: Two rows may have two spellings of one PatientID.
_SEVERAL_PEOPLE: Final = 3


def find_queries(
    table: pd.DataFrame,
    level: str = "STUDY",
    query_model: str = "StudyRoot",
    *,
    broad: Broad = "refuse",
    partial_keys: PartialKeys = "ask",
) -> list[Query | IdentifierError]:
    """Return, for each row of a table, its C-FINDs, or the reason why it has none.

    Parameters
    ----------
    table
        One row for each search. It is read by position, so any index and repeated labels work. The UIDs of a table from
        `find` are sent exactly as the PACS gave them. Unless its digests show that a row is unchanged, the answers are
        compared with its PatientID and accession number.
    level
        The query level.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    broad
        ``"refuse"``: a row needs one of `IDENTIFYING_KEYS`. ``"allow"``: dates, modalities and descriptions are enough.
    partial_keys
        ``"ask"``: a row that lacks a key that other rows have is asked by its remaining keys. ``"refuse"``: it is an
        error.

    Raises
    ------
    CohortError
        Every row of the table would be invalid.

    Examples
    --------
    >>> find_queries(pd.DataFrame({"accession": ["000123", "1.2E+19"]}))
    [Query(STUDY, StudyRoot, Step(STUDY, AccessionNumber)),
     IdentifierError('AccessionNumber was damaged by a spreadsheet: scientific notation')]
    """
    known, model = check_arguments(table, level, query_model)
    check_word("broad", broad, get_args(Broad), CohortError)
    check_word("partial_keys", partial_keys, get_args(PartialKeys), CohortError)
    if known is None:
        msg = f"a level is needed: one of {', '.join(UNIQUE_KEYS[model])}"
        raise CohortError(msg)
    if len(table) == 0:
        return []
    wanted = matching_keys(known, model)
    columns = columns_of(table, wanted)
    if is_query(table):
        return _criteria_queries(table, columns, known, model)
    _check_headers(table, columns, known, model, broad)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    found = zip(found_rows(table), unmatched_rows(table), changed_rows(table), strict=True)
    from_pacs = [is_found and said is None and not is_changed for is_found, said, is_changed in found]
    proven = digest_level(table)
    notes = _shared_numbers(rows, from_pacs)
    queries = [
        _query_or_error(cells, known, model, broad=broad, given=given, proven=proven, notes=shared)
        for cells, given, shared in zip(rows, from_pacs, notes, strict=True)
    ]
    # A row of `find` has many cells, and was asked by few of them.
    filled = asked_before(table, from_pacs).union(
        *(prepared_cells(cells, known) for cells, given in zip(rows, from_pacs, strict=True) if not given)
    )
    return [
        with_blank_keys(query, filled - _needless(query, filled) if given else filled, refuse=partial_keys == "refuse")
        for query, given in zip(queries, from_pacs, strict=True)
    ]


def _shared_numbers(rows: Sequence[Mapping[str, object]], from_pacs: Sequence[bool]) -> list[list[str]]:
    """Return, for each row, a sentence about each of its numbers that rows of several other people have, too.

    The number of a row from the PACS is that of its study, whoever else has it.

    Examples
    --------
    >>> rows = [{"PatientID": name, "AccessionNumber": "9999"} for name in "abcd"]
    >>> _shared_numbers(rows, [False, False, False, True])[2:]
    [['AccessionNumber is the same in rows of 3 patients: if it stands for an empty cell, blank the cell'], []]
    """
    notes: list[list[str]] = [[] for _ in rows]
    for name, person in (("AccessionNumber", "PatientID"), ("PatientID", "PatientBirthDate")):
        typed = zip(rows, from_pacs, strict=True)
        numbers = [None if given else text_unless_blank(row.get(name)) for row, given in typed]
        times = Counter(numbers)
        common = [
            (at, number)
            for at, number in enumerate(numbers)
            if number and times[number] >= _SEVERAL_PEOPLE and not has_wildcard(number)
        ]
        people: defaultdict[str, set[str]] = defaultdict(set)
        for at, number in common:
            if other := _person(rows[at].get(person), person):
                people[number].add(other)
        for at, number in common:
            if (several := len(people[number])) >= _SEVERAL_PEOPLE:
                where = f"{name} is the same in rows of {several} patients"
                notes[at].append(f"{where}: if it stands for an empty cell, blank the cell")
    return notes


def _person(cell: object, name: str) -> str | None:
    """Return a PatientID or a date of birth in one form; ``None`` if it is blank, or cannot be read."""
    if is_blank(cell):
        return None
    try:
        return criterion(cell, name)
    except IdentifierError:
        return None


def _needless(query: Query | IdentifierError, filled: set[str]) -> set[str]:
    """Return the keys that a row of `find` can lack: all with its UID, which the user may have removed.

    Without it, the PatientID that the PACS has told names the patient, even if the PACS knows no birth date.
    """
    if isinstance(query, IdentifierError):
        return set()
    if query.is_by_uid:
        return filled
    return {"PatientName", "PatientBirthDate", "PatientSex"} if "PatientID" in query.asked_by else set()


def _check_headers(table: pd.DataFrame, taken: Iterable[str], level: Level, model: QueryModel, broad: Broad) -> None:
    """Refuse a table without a column that names a patient or a study."""
    understood = list(taken)
    if any(name in IDENTIFYING_KEYS for name in understood) or (broad == "allow" and understood):
        return
    wanted = [name for name in IDENTIFYING_KEYS if name in matching_keys(level, model)]
    alone = f' broad="allow" searches by {", ".join(understood)} alone.' if understood else ""
    msg = (
        f"no column of the table identifies patients or studies: a search at the level {level} needs one of "
        f"{', '.join(wanted)}. The headers are: {listed_headers(table.columns)}. "
        f"Understood: {listed_headers(understood)}."
        f"{header_hint(overlooked_headers(table.columns, IDENTIFYING_KEYS))}{index_hint(table, wanted)}{alone}"
    )
    raise CohortError(msg)


def _query_or_error(
    cells: Mapping[str, object],
    level: Level,
    model: QueryModel,
    *,
    broad: Broad,
    given: bool,
    proven: Level | None,
    notes: Iterable[str],
) -> Query | IdentifierError:
    try:
        return row_query(cells, level, model, broad=broad, given=given, proven=proven, further_notes=notes)
    except IdentifierError as error:
        return error.with_traceback(None)


def _criteria_queries(
    table: pd.DataFrame, columns: Mapping[str, list[object]], level: Level, model: QueryModel
) -> list[Query | IdentifierError]:
    """Return the C-FINDs of criteria: every column is a key, and the search may be broad."""
    above = {name for names in MATCHING_KEYS.values() for name in (*names, "QueryRetrieveLevel")}
    further = {str(name): table[name].tolist() for name in table.columns if name not in above}
    lower = [name for name in table.columns if name in above and name not in columns]
    if lower:
        msg = f"{', '.join(lower)} belong to a lower level than {level}: give find() that level"
        raise CohortError(msg)
    cells = {**columns, **further}
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    return [_criteria_query(row, tuple(further), level, model) for row in rows]


def _criteria_query(
    row: Mapping[str, object], further: Sequence[str], level: Level, model: QueryModel
) -> Query | IdentifierError:
    prepared = prepared_cells(row, level)
    try:
        steps = tuple(
            Step(at, model, tuple((name, criterion(prepared[name], name)) for name in names if name in prepared))
            for at in levels_down_to(level, model)
            for names in [(*keys_at(at, model), *(further if at == level else ()))]
        )
    except IdentifierError as error:
        return error.with_traceback(None)
    if "Modality" in prepared:
        # Studies without such series need no second step.
        narrower = ("ModalitiesInStudy", criterion(prepared["Modality"], "Modality"))
        steps = tuple(replace(step, keys=(*step.keys, narrower)) if step.level == "STUDY" else step for step in steps)
    return Query(steps)
