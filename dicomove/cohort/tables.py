"""The first checks of every table: its columns by keyword, and the rules that need no row."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from dicomove.cohort.keywords import VRS, keyword, keyword_columns
from dicomove.cohort.levels import Level, QueryModel, parse_level, parse_query_model
from dicomove.cohort.values import is_blank, is_number
from dicomove.errors import CohortError, IdentifierError


def check_arguments(table: object, level: str | None, query_model: str) -> tuple[Level | None, QueryModel]:
    """Return the level and the query model, after a check that the table is a DataFrame.

    Raises
    ------
    CohortError
        One of the three is wrong.
    """
    if not isinstance(table, pd.DataFrame):
        msg = f"give a pandas DataFrame, not a {type(table).__name__} (Series: .to_frame(); polars: .to_pandas())"
        raise CohortError(msg)
    try:
        model = parse_query_model(query_model)
        return None if level is None else parse_level(level, model), model
    except IdentifierError as error:
        raise CohortError(str(error)) from None


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


def index_hint(table: pd.DataFrame, wanted: Collection[str]) -> str:
    """Return a sentence for a table that has the key as its index instead of a column; empty otherwise."""
    names = sorted({name for name in map(keyword, table.index.names) if name is not None and name in wanted})
    return f" {', '.join(names)} is the index: table.reset_index() makes it a column." if names else ""


def _refuse_numbers(columns: Mapping[str, list[object]]) -> None:
    for name, cells in columns.items():
        if name != "QueryRetrieveLevel" and VRS[name] != "IS" and _all_numbers(cells):
            msg = (
                f"the column {name} holds numbers, but identifiers are text, and a number has lost its leading zeros: "
                "read the table with dtype=str, or with dicomove.read_cohort"
            )
            raise CohortError(msg)


def _all_numbers(cells: list[object]) -> bool:
    filled = (cell for cell in cells if not is_blank(cell))
    return is_number(next(filled, None)) and all(map(is_number, filled))
