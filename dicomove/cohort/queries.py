"""From a row of a table to its C-FINDs (PS3.4 C.4.1).

A search is hierarchical: if a key belongs to a level above the requested one, dicomove asks at that level first, and
the unique keys of each answer go into the next step. A row needs an identifying key (`IDENTIFYING_KEYS`); dates,
modalities and descriptions only narrow the search. If a row has the unique key of a level, dicomove sends only that
key, and compares the answers with the other keys of the level. An identifying key that cannot be read makes the row
invalid even then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import pandas as pd

from dicomove.cohort.criteria import criteria_queries, is_query
from dicomove.cohort.damage import IDENTIFIERS, stands_for_empty
from dicomove.cohort.found import found_rows, unmatched_rows
from dicomove.cohort.keywords import VRS, keyword_columns
from dicomove.cohort.levels import (
    IDENTIFYING_KEYS,
    UNIQUE_KEYS,
    Level,
    QueryModel,
    keys_at,
    levels_down_to,
    matching_keys,
    parse_level,
    parse_query_model,
)
from dicomove.cohort.likeness import invisible_in
from dicomove.cohort.matching import criterion, has_wildcard, is_single
from dicomove.cohort.query_steps import Query, Step, prepared_cells
from dicomove.cohort.tables import (
    check_arguments,
    columns_of,
    header_hint,
    index_hint,
    listed_headers,
    overlooked_headers,
)
from dicomove.cohort.values import given_key, unreadable, zone_of
from dicomove.errors import CohortError, IdentifierError

Broad = Literal["refuse", "allow"]
PartialKeys = Literal["ask", "refuse"]


def find_query(
    row: Mapping[str, object], level: str = "STUDY", query_model: str = "StudyRoot", *, broad: Broad = "refuse"
) -> Query:
    """Return the C-FINDs for one row.

    Parameters
    ----------
    row
        Values by keyword or tag. Only matching keys of the level and of the levels above count.
    level
        The query level.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    broad
        ``"allow"`` accepts a row without an identifying key, too.

    Raises
    ------
    IdentifierError
        The row cannot become a C-FIND.

    Examples
    --------
    >>> find_query({"StudyInstanceUID": "1.2.3"}, "SERIES").steps[0].keys
    (('StudyInstanceUID', '1.2.3'),)
    """
    model = parse_query_model(query_model)
    known = parse_level(level, model)
    try:
        positions = keyword_columns(row, matching_keys(known, model))
    except CohortError as error:
        raise IdentifierError(str(error)) from None
    values = list(row.values())
    cells = {name: values[position] for name, position in positions.items()}
    return _query(cells, known, model, broad=broad, given=False)


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
        `find` are sent exactly as the PACS gave them.
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
    _check_words(broad, partial_keys)
    if known is None:
        msg = f"a level is needed: one of {', '.join(UNIQUE_KEYS[model])}"
        raise CohortError(msg)
    if len(table) == 0:
        return []
    wanted = matching_keys(known, model)
    columns = columns_of(table, wanted)
    if is_query(table):
        return criteria_queries(table, columns, known, model)
    _check_headers(table, columns, known, model, broad)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    found = zip(found_rows(table), unmatched_rows(table), strict=True)
    from_pacs = [is_found and said is None for is_found, said in found]
    queries = [
        _query_or_error(cells, known, model, broad=broad, given=given)
        for cells, given in zip(rows, from_pacs, strict=True)
    ]
    filled = set().union(*(prepared_cells(cells, known) for cells in rows)) if not any(from_pacs) else set()
    return [_with_blank_keys(query, filled, refuse=partial_keys == "refuse") for query in queries]


def _check_words(broad: str, partial_keys: str) -> None:
    for name, value, words in (
        ("broad", broad, get_args(Broad)),
        ("partial_keys", partial_keys, get_args(PartialKeys)),
    ):
        if value not in words:
            msg = f"{name}={value!r} is not one of {', '.join(words)}"
            raise CohortError(msg)


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
    cells: Mapping[str, object], level: Level, model: QueryModel, *, broad: Broad, given: bool
) -> Query | IdentifierError:
    try:
        return _query(cells, level, model, broad=broad, given=given)
    except IdentifierError as error:
        return error.with_traceback(None)


def _query(cells: Mapping[str, object], level: Level, model: QueryModel, *, broad: Broad, given: bool) -> Query:
    prepared = prepared_cells(cells, level)
    if not prepared:
        msg = "the row is empty, or holds only wildcards: it would list the whole archive"
        raise IdentifierError(msg)
    steps: list[Step] = []
    known: tuple[tuple[str, str], ...] = ()  # unique keys of levels that need no separate C-FIND
    notes: list[str] = []
    for at in levels_down_to(level, model):
        unique = UNIQUE_KEYS[model][at][-1]
        keys, checks, said = _keys_and_checks(prepared, keys_at(at, model), unique, given=given)
        notes += said
        if at != level and not checks and [name for name, _ in keys] == [unique] and is_single(keys[0][1]):
            known += keys
            continue
        if not (steps or known or keys):
            raise _without_key(unique, at, model)
        steps.append(Step(at, (*known, *keys), checks))
        known = ()
    query = Query(level, model, tuple(steps))
    _check_identifying(query, broad)
    notes += (*_wildcard_notes(query), *_empty_word_notes(query))
    notes += (*_invisible_notes(prepared, query.asked_by), *_zone_notes(prepared))
    return replace(query, notes=tuple(notes))


def _keys_and_checks(
    prepared: Mapping[str, object], names: Iterable[str], unique: str, *, given: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], list[str]]:
    """Return the keys to send at one level, the keys to compare with the answers, and notes about the rest."""
    filled = [name for name in names if name in prepared]
    if unique not in filled:
        return tuple((name, criterion(prepared[name], name)) for name in filled), (), []
    if given:
        return ((unique, given_key(prepared[unique], unique)),), (), []
    checks, notes = [], []
    for name in filled:
        try:
            checks.append((name, criterion(prepared[name], name)))
        except IdentifierError as error:
            if name == unique:
                raise
            # The unique key may be wrong, and only an identifying key beside it could reveal another patient.
            if name in IDENTIFYING_KEYS:
                raise unreadable(error, unique) from None
            if not unique.endswith("UID"):
                raise
            notes.append(f"only {unique} was asked for: {error}")
    return ((unique, dict(checks).pop(unique)),), tuple(pair for pair in checks if pair[0] != unique), notes


def _check_identifying(query: Query, broad: Broad) -> None:
    if broad == "refuse" and not any(name in IDENTIFYING_KEYS for name in query.asked_by):
        msg = (
            f"the row names neither a patient nor a study: {', '.join(query.asked_by)} would match other patients' "
            f'studies. Fill one of {", ".join(IDENTIFYING_KEYS[:5])}, or set broad="allow"'
        )
        raise IdentifierError(msg)


def _wildcard_notes(query: Query) -> Sequence[str]:
    """Return a sentence about a row whose identifying keys all have wildcards."""
    keys = [pair for step in query.steps for pair in step.keys if pair[0] in IDENTIFYING_KEYS]
    if not keys or not all(has_wildcard(value) for _, value in keys):
        return ()
    return (f"{' and '.join(name for name, _ in keys)} with a wildcard may match several patients",)


def _empty_word_notes(query: Query) -> Sequence[str]:
    """Return a sentence for each identifier that is a word for an empty cell: several patients may have it."""
    keys = (pair for step in query.steps for pair in (*step.keys, *step.checks))
    names = [name for name, value in keys if name in IDENTIFIERS and stands_for_empty(value)]
    return [f"{name} is a word that often stands for an empty cell: if it does, blank the cell" for name in names]


def _invisible_notes(prepared: Mapping[str, object], names: Iterable[str]) -> list[str]:
    """Return a sentence for each key that had invisible characters."""
    found = {name: invisible_in(str(prepared[name])) for name in names if name in prepared}
    return [
        f"{name} was asked for without its invisible characters ({', '.join(characters)})"
        for name, characters in found.items()
        if characters
    ]


def _zone_notes(prepared: Mapping[str, object]) -> list[str]:
    """Return a sentence for each date that was a moment in a time zone: midnight in Berlin is the day before in UTC."""
    zones = {name: zone_of(cell) for name, cell in prepared.items() if VRS[name] == "DA"}
    return [f"{name} was a moment: its day in the time zone {zone} counts" for name, zone in zones.items() if zone]


def _with_blank_keys(query: Query | IdentifierError, filled: set[str], *, refuse: bool) -> Query | IdentifierError:
    """Return a query with a note about the keys that it lacks and other rows have, or the error for such a row."""
    if isinstance(query, IdentifierError):
        return query
    blank = _blank_keys(query, filled)
    if not blank:
        return query
    are = "is" if len(blank) == 1 else "are"
    which = f"asked only by {', '.join(query.asked_by)}: in this row, {' and '.join(blank)} {are} blank"
    if refuse:
        msg = f'{which} (partial_keys="refuse")'
        return IdentifierError(msg, column=blank[0])
    return replace(query, blank=blank, notes=(which, *query.notes))


def _blank_keys(query: Query, filled: set[str]) -> tuple[str, ...]:
    """Return the keys that other rows have and this one lacks, at the levels where it also lacks the unique key.

    An accession number names one study, as a UID does: if a row has it, the blank UID does not count.
    """
    has = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
    lacking = (
        name
        for at in levels_down_to(query.level, query.query_model)
        if UNIQUE_KEYS[query.query_model][at][-1] not in has
        for name in keys_at(at, query.query_model)
    )
    enough = "StudyInstanceUID" if "AccessionNumber" in has else ""
    return tuple(name for name in lacking if name in filled and name not in (*has, enough))


def _without_key(unique: str, level: Level, model: QueryModel) -> IdentifierError:
    hint = ' (query_model="StudyRoot" needs no PatientID)' if unique == "PatientID" else ""
    msg = f"{unique} is empty, and the row has no other key of the level {level}, where a {model} search begins{hint}"
    return IdentifierError(msg, column=unique)
