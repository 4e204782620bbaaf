"""The columns of a table, its level and its query model: the checks that need no row; and marks in its ``attrs``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort.keywords import (
    LEVELS,
    QUERY_MODELS,
    UNIQUE_KEYS,
    VRS,
    Level,
    QueryModel,
    keyword,
    keyword_columns,
    plain_label,
)
from dicomove.cohort.values import EDGES, is_blank, is_number
from dicomove.errors import CohortError, IdentifierError

_OWN: Final = "dicomove_own_columns"
_QUERY: Final = "dicomove_query"
#: With pandas 3, a copy shares the cells until one side changes them.
_COPIES_ON_WRITE: Final = int(pd.__version__.split(".")[0]) >= 3


def check_table(table: object) -> None:
    """Check that a table is a DataFrame.

    Raises
    ------
    CohortError
        The argument is not a DataFrame.
    """
    if not isinstance(table, pd.DataFrame):
        msg = f"give a pandas DataFrame, not a {type(table).__name__}: {_as_table(table)}"
        raise CohortError(msg)


def own_copy(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table, which stays as it is if the caller changes the table in place while rows are asked.

    Raises
    ------
    CohortError
        The argument is not a DataFrame.

    Examples
    --------
    >>> table = pd.DataFrame({"PatientID": ["a", "b"]})
    >>> copy = own_copy(table)
    >>> table.loc[0, "PatientID"] = "c"
    >>> copy["PatientID"].tolist()
    ['a', 'b']
    """
    check_table(table)
    return table.copy(deep=not _COPIES_ON_WRITE)


def check_query(query: object) -> None:
    """Check that the keys of one query have names.

    Raises
    ------
    IdentifierError
        The argument is not a mapping, but a UID alone, or a row of a table.
    """
    if not isinstance(query, Mapping):
        hint = "; row.to_dict() makes them of a row" if isinstance(query, pd.Series) else ""
        msg = f"give the keys with their names, as {{'StudyInstanceUID': uid}}, not a {type(query).__name__}{hint}"
        raise IdentifierError(msg)


def _as_table(table: object) -> str:
    """Return a hint how to make a table from the argument, without a quotation, which might name patients."""
    if isinstance(table, str | os.PathLike):
        return "read_cohort(path) reads a file, and pd.DataFrame({'StudyInstanceUID': [uid]}) is a table of one UID"
    if isinstance(table, pd.Series):
        return "for a column, write table[['PatientID']] or .to_frame(); for a row, table.loc[[label]]"
    if isinstance(table, Mapping) or (isinstance(table, Sequence) and table and isinstance(table[0], Mapping)):
        return "write pd.DataFrame(...) around it"
    if hasattr(table, "to_pandas"):
        return ".to_pandas() makes one of a polars or Arrow table"
    if isinstance(table, Iterable):
        return "write pd.DataFrame({'StudyInstanceUID': list_of_uids}), with the name of the key in place of it"
    return "the table comes first"


def check_arguments(table: object, level: str | None, query_model: str) -> tuple[Level | None, QueryModel]:
    """Return the level and the query model, after a check that the table is a DataFrame.

    Raises
    ------
    CohortError
        One of the arguments is invalid.
    """
    check_table(table)
    try:
        model = parse_query_model(query_model)
        return None if level is None else parse_level(level, model), model
    except IdentifierError as error:
        raise CohortError(str(error)) from None


def parse_query_model(value: object) -> QueryModel:
    """Return the named query model.

    Raises
    ------
    IdentifierError
        There is no such model.
    """
    for model in QUERY_MODELS:
        if value == model:
            return model
    msg = f"query_model is one of {', '.join(QUERY_MODELS)}"
    raise IdentifierError(msg)


def parse_level(value: object, query_model: QueryModel) -> Level:
    """Return the named level, in upper or lower case, even with blanks around it.

    Raises
    ------
    IdentifierError
        There is no such level, or the model does not have it.

    Examples
    --------
    >>> parse_level(" study", "StudyRoot")
    'STUDY'
    """
    word = value.strip(EDGES).upper() if isinstance(value, str) else None
    level = next((level for level in LEVELS if level == word), None)
    if level is None:
        hint = " (an instance is retrieved at the level IMAGE)" if word == "INSTANCE" else ""
        msg = f"the query level is one of {', '.join(LEVELS)}{hint}"
        raise IdentifierError(msg, column="QueryRetrieveLevel")
    if level not in UNIQUE_KEYS[query_model]:
        msg = f'{query_model} has no level {level}: use query_model="PatientRoot"'
        raise IdentifierError(msg, column="QueryRetrieveLevel")
    return level


def columns_of(table: pd.DataFrame, wanted: Collection[str]) -> dict[str, list[object]]:
    """Return the cells of the wanted columns, by keyword. The table does not change.

    Raises
    ------
    CohortError
        Two columns are the same attribute, or a column of identifiers holds numbers.
    """
    positions = keyword_columns(table.columns, wanted)
    columns = {name: table.iloc[:, position].tolist() for name, position in positions.items()}
    _refuse_numbers(columns)
    return columns


def places_of(table: pd.DataFrame, name: object) -> list[int]:
    """Return the positions of the columns with a plain label."""
    return [place for place, label in enumerate(table.columns) if plain_label(label) == name]


def index_hint(table: pd.DataFrame, wanted: Collection[str]) -> str:
    """Return a sentence for a table that has the key as its index instead of a column; empty otherwise."""
    names = sorted({name for name in map(keyword, table.index.names) if name is not None and name in wanted})
    return f" {', '.join(names)} is the index: table.reset_index() makes it a column." if names else ""


def _refuse_numbers(columns: Mapping[str, list[object]]) -> None:
    for name, cells in columns.items():
        if name != "QueryRetrieveLevel" and VRS[name] not in ("IS", "DA") and _all_numbers(cells):
            msg = (
                f"the column {name} holds numbers, but identifiers are text, and a number has lost its leading zeros: "
                "read the table with dtype=str, or with dicomove.read_cohort"
            )
            raise CohortError(msg)


def _all_numbers(cells: list[object]) -> bool:
    filled = (cell for cell in cells if not is_blank(cell))
    return is_number(next(filled, None)) and all(map(is_number, filled))


def with_own_columns(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return the table with a mark on columns that the caller uses for another purpose than the search."""
    marked = table.copy(deep=False)
    marked.attrs[_OWN] = [*names]
    return marked


def own_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that `with_own_columns` marked."""
    return list(table.attrs.get(_OWN, ()))


def meant_as_query(table: pd.DataFrame) -> pd.DataFrame:
    """Mark a table as criteria of a broad search, and return it. All its columns are keys."""
    table.attrs[_QUERY] = list(table.columns)
    return table


def is_query(table: pd.DataFrame) -> bool:
    """Tell whether `meant_as_query` marked a table that still has the same columns, without a blank cell.

    pandas copies the mark to tables that are made from a marked one. Such a table is not a query if it has a blank cell
    or other columns.
    """
    columns = list(table.columns)
    if table.attrs.get(_QUERY) != columns or not columns:
        return False
    return not any(is_blank(cell) for place in range(len(columns)) for cell in table.iloc[:, place].tolist())


def without_marks(table: pd.DataFrame) -> pd.DataFrame:
    """Remove the marks of `with_own_columns` and `meant_as_query`, and return the table."""
    for mark in (_OWN, _QUERY):
        table.attrs.pop(mark, None)
    return table
