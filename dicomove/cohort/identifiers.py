"""From a row of a table to the identifier of a C-MOVE (PS3.4 C.4.2.1.4).

The identifier of a C-MOVE is its level and the unique keys of that level, each with one value. An empty or universal
key can make a PACS move its whole archive. dicomove sends nothing else from a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import pandas as pd

from dicomove.cohort.damage import damage
from dicomove.cohort.find_tables import Unmatched, found_rows, unmatched_rows
from dicomove.cohort.key_values import is_universal, key_text
from dicomove.cohort.keywords import UNIQUE_KEYS, Level, QueryModel, candidates, keyword_columns
from dicomove.cohort.tables import check_arguments, check_query, columns_of, index_hint, parse_level, parse_query_model
from dicomove.cohort.values import given_key, has_control_characters, is_blank, is_number, is_uid, unreadable
from dicomove.errors import CohortError, IdentifierError

_COMPARED_KEYS = ("PatientID", "AccessionNumber")
"""`move` does not send these keys of a typed row. It compares them with the attributes of the study at the PACS."""

_LEVEL = "QueryRetrieveLevel"
_STUDY = "StudyInstanceUID"
_LONGEST = 64
_DEEPEST_FIRST: tuple[tuple[str, Level], ...] = (
    ("SOPInstanceUID", "IMAGE"),
    ("SeriesInstanceUID", "SERIES"),
    ("StudyInstanceUID", "STUDY"),
)
_NOT_MATCHED = "C-FIND matched nothing for this row, so nothing was sent for its UID"
_RESOLVE = (
    "C-MOVE takes UIDs: dicomove.find resolves accession numbers, patients, dates and names first. "
    'To move whole patients, set level="PATIENT", query_model="PatientRoot".'
)


@dataclass(frozen=True, slots=True, repr=False)
class Identifier:
    """The identifier of one C-MOVE.

    Parameters
    ----------
    level
        The query level.
    query_model
        The information model.
    keys
        The unique keys as pairs of keyword and value, from the top level.
    claims
        Values that its rows name, if other rows with the same keys name others, or none. They are not sent.
    is_disputed
        Whether other rows name another patient for the same study.

    Examples
    --------
    >>> move_identifier({"PatientID": "007", "StudyInstanceUID": "1.2.3"}, "PatientRoot")
    Identifier(STUDY, PatientRoot, PatientID=<hidden>, StudyInstanceUID=1.2.3)
    """

    level: Level
    query_model: QueryModel
    keys: tuple[tuple[str, str], ...]
    claims: tuple[tuple[str, str], ...] = ()
    is_disputed: bool = False

    def __getitem__(self, keyword: str) -> str:
        """Return the value of a unique key."""
        return dict(self.keys)[keyword]

    def get(self, keyword: str, default: str | None = None) -> str | None:
        """Return the value of a unique key, or the default if the level does not have it."""
        return dict(self.keys).get(keyword, default)

    @property
    def study_keys(self) -> tuple[tuple[str, str], ...]:
        """The unique keys down to the level STUDY; for a series, those of its study."""
        return tuple((name, value) for name, value in self.keys if name in UNIQUE_KEYS["PatientRoot"]["STUDY"])

    def is_unsent(self, keyword: str) -> bool:
        """Whether the identifier names a study, and does not contain this key."""
        names = [name for name, _ in self.keys]
        return _STUDY in names and keyword not in names

    def __repr__(self) -> str:
        keys = (f"{name}={'<hidden>' if name == 'PatientID' else value}" for name, value in self.keys)
        return f"Identifier({', '.join([self.level, self.query_model, *keys])})"


#: The request of a row: its C-MOVE, the error if it cannot be one, or the answer of `find` if that matched nothing.
Requested: TypeAlias = Identifier | IdentifierError | Unmatched


def move_identifier(
    query: Mapping[str, object], query_model: str = "StudyRoot", level: str | None = None
) -> Identifier:
    """Return the identifier of one C-MOVE.

    Parameters
    ----------
    query
        Values by keyword or tag. Only unique keys of the level count.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    level
        The query level. By default the QueryRetrieveLevel of the query, or else the level of its deepest UID.

    Raises
    ------
    IdentifierError
        The query cannot be a C-MOVE.

    Examples
    --------
    >>> move_identifier({"StudyInstanceUID": "1.2.3", "AccessionNumber": "A1"})
    Identifier(STUDY, StudyRoot, StudyInstanceUID=1.2.3)
    """
    check_query(query)
    model = parse_query_model(query_model)
    known = None if level is None else parse_level(level, model)
    try:
        positions = keyword_columns(query, _wanted(model, known))
    except CohortError as error:
        raise IdentifierError(str(error)) from None
    values = list(query.values())
    return _identifier({name: values[position] for name, position in positions.items()}, model, known, _single_value)


def move_identifiers(table: pd.DataFrame, level: str | None = None, query_model: str = "StudyRoot") -> list[Requested]:
    """Return, for each row of a table, the identifier of its C-MOVE, or the reason why it has none.

    A row that `find` could not match keeps the answer of `find`, even if the cohort gave it a UID. Otherwise `move`
    would bring a study that `find` had left out because of the row's other keys. A row whose PatientID or accession
    number cannot be read is an error: dicomove could not check that its UID belongs to the same patient.

    Parameters
    ----------
    table
        One row for each C-MOVE. It is read by position, so any index and repeated labels work. The keys of a table from
        `find` are sent exactly as the PACS gave them.
    level
        The query level. By default each row's QueryRetrieveLevel, or else the level of its deepest UID.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.

    Raises
    ------
    CohortError
        Every row of the table would be invalid.

    Examples
    --------
    >>> move_identifiers(pd.DataFrame({"study uid": ["1.2.3", "*"]}))
    [Identifier(STUDY, StudyRoot, StudyInstanceUID=1.2.3),
     IdentifierError('StudyInstanceUID holds a wildcard; a C-MOVE takes single values only')]
    """
    known, model = check_arguments(table, level, query_model)
    if len(table) == 0:
        return []
    wanted = _wanted(model, known)
    _check_labels(table, known, model)
    columns = columns_of(table, wanted)
    if known is None:
        _check_levels(columns.get(_LEVEL, []))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    said, is_found = unmatched_rows(table), found_rows(table)
    requested = [
        _identifier_or_error(row, model, known, given_key if given else _single_value)
        if found is None
        else _with_advice(found, row)
        for row, found, given in zip(rows, said, is_found, strict=True)
    ]
    return _refuse_unreadable(table, requested, is_found)


def unsent_cells(table: pd.DataFrame, name: str) -> list[list[object]]:
    """Return the columns of a key that `move` does not send: several, if several headers may mean the key."""
    return [table.iloc[:, place].tolist() for place in candidates(table.columns, [name]).get(name, ())]


def _refuse_unreadable(
    table: pd.DataFrame, requested: Sequence[Requested], is_found: Sequence[bool]
) -> list[Requested]:
    """Return the requests, with an error for each typed row with a cell that cannot be compared with the PACS."""
    checked = list(requested)
    for name in _COMPARED_KEYS:
        for position, cell in chain.from_iterable(map(enumerate, unsent_cells(table, name))):
            entry = checked[position]
            if is_found[position] or not isinstance(entry, Identifier):
                continue
            if not _is_plain(cell) and entry.is_unsent(name):
                checked[position] = _checked(entry, cell, name)
    return checked


def _checked(identifier: Identifier, cell: object, name: str) -> Identifier | IdentifierError:
    """Return the error for a cell that cannot be compared. Accept numbers: the column may be the caller's own."""
    if is_blank(cell) or is_universal(cell, name) or is_number(cell):
        return identifier
    try:
        _single_value(cell, name)
    except IdentifierError as error:
        return unreadable(error, identifier.keys[-1][0])
    return identifier


def _is_plain(cell: object) -> bool:
    """Whether a cell is certainly readable: the full check would take long for a million rows."""
    return cell is None or (isinstance(cell, str) and len(cell) <= _LONGEST and cell.isascii() and cell.isdigit())


def _wanted(model: QueryModel, level: Level | None) -> tuple[str, ...]:
    return UNIQUE_KEYS[model][level] if level else (_LEVEL, *UNIQUE_KEYS[model]["IMAGE"])


def _check_labels(table: pd.DataFrame, level: Level | None, model: QueryModel) -> None:
    there = keyword_columns(table.columns, _wanted(model, level))
    top: Level = "PATIENT" if model == "PatientRoot" and _LEVEL in there else "STUDY"
    needed = UNIQUE_KEYS[model][level or top]
    missing = [name for name in needed if name not in there]
    if missing:
        hint = index_hint(table, missing)
        msg = f"the table has no column {', '.join(missing)}, and dicomove cannot move without it.{hint} {_RESOLVE}"
        raise CohortError(msg)


def _check_levels(cells: list[object]) -> None:
    filled = [cell for cell in cells if not is_blank(cell)]
    if filled and not any(_is_level(cell) for cell in filled):
        msg = f"the column {_LEVEL} holds no level: write PATIENT, STUDY, SERIES or IMAGE (not INSTANCE)"
        raise CohortError(msg)


def _is_level(cell: object) -> bool:
    try:
        parse_level(cell, "PatientRoot")
    except IdentifierError:
        return False
    return True


def _with_advice(found: Unmatched, cells: Mapping[str, object]) -> Unmatched:
    advice = found.advice or ""
    if _NOT_MATCHED in advice or all(is_blank(cells.get(name)) for name, _ in _DEEPEST_FIRST):
        return found
    next_step = "check all its keys." if found.outcome == "empty" else "find it again."
    return replace(found, advice=f"{advice} {_NOT_MATCHED}: {next_step}".strip())


def _identifier_or_error(
    cells: Mapping[str, object], model: QueryModel, level: Level | None, read: Callable[[object, str], str]
) -> Identifier | IdentifierError:
    try:
        return _identifier(cells, model, level, read)
    except IdentifierError as error:
        return error.with_traceback(None)


def _identifier(
    cells: Mapping[str, object], model: QueryModel, level: Level | None, read: Callable[[object, str], str]
) -> Identifier:
    level = level or _level(cells, model)
    needed = UNIQUE_KEYS[model][level]
    empty = [name for name in needed if is_blank(cells.get(name))]
    if empty:
        hint = " (did C-FIND match nothing?)" if len(empty) == len(needed) else ""
        msg = f"{empty[0]} is empty{hint}; a C-MOVE at the level {level} in {model} needs {', '.join(needed)}"
        raise IdentifierError(msg, column=empty[0])
    return Identifier(level, model, tuple((name, read(cells[name], name)) for name in needed))


def _level(cells: Mapping[str, object], model: QueryModel) -> Level:
    if not is_blank(cells.get(_LEVEL)):
        return parse_level(cells[_LEVEL], model)
    for name, level in _DEEPEST_FIRST:
        if not is_blank(cells.get(name)):
            return level
    msg = "there is no StudyInstanceUID (did C-FIND match nothing?)"
    raise IdentifierError(msg, column="StudyInstanceUID")


def _single_value(value: object, column: str) -> str:
    found = key_text(value, column)
    problem = _problem(found, column)
    if problem:
        msg = f"{column} {problem}"
        raise IdentifierError(msg, column=column)
    return found


def _problem(value: str, column: str) -> str | None:
    if "*" in value or "?" in value:
        return "holds a wildcard; a C-MOVE takes single values only"
    if "\\" in value and not damage(value, column):
        return "holds a backslash, which separates values; a C-MOVE takes single values only"
    if column not in _COMPARED_KEYS:
        return None if is_uid(value) else "is not a UID (PS3.5 9.1: digits and dots, 64 characters at most)"
    if has_control_characters(value):
        return "holds control characters"
    happened = damage(value, column)
    if happened:
        return f"was damaged by a spreadsheet: {happened}"
    return f"is longer than {_LONGEST} characters" if len(value) > _LONGEST else None
