"""Tables of criteria from `query`: every column is a key, and the search may be broad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from dicomove.cohort.levels import MATCHING_KEYS, Level, QueryModel, keys_at, levels_down_to
from dicomove.cohort.matching import criterion
from dicomove.cohort.query_steps import Query, Step, prepared_cells
from dicomove.cohort.values import is_blank
from dicomove.errors import CohortError, IdentifierError

_MARK: Final = "dicomove_query"


def meant_as_query(table: pd.DataFrame) -> pd.DataFrame:
    """Mark a table as criteria of a broad search, and return it. All its columns are keys."""
    table.attrs[_MARK] = list(table.columns)
    return table


def is_query(table: pd.DataFrame) -> bool:
    """Tell whether `meant_as_query` marked a table that still has the same columns, without a blank cell.

    pandas copies the mark to tables that are made from a marked one. Such a table is not a query if it has a blank cell
    or other columns.
    """
    columns = list(table.columns)
    if table.attrs.get(_MARK) != columns or not columns:
        return False
    return not any(is_blank(cell) for place in range(len(columns)) for cell in table.iloc[:, place].tolist())


def without_query_mark(table: pd.DataFrame) -> pd.DataFrame:
    """Remove the mark of `meant_as_query`, and return the table."""
    table.attrs.pop(_MARK, None)
    return table


def criteria_queries(
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
            Step(at, tuple((name, criterion(prepared[name], name)) for name in names if name in prepared))
            for at in levels_down_to(level, model)
            for names in [(*keys_at(at, model), *(further if at == level else ()))]
        )
    except IdentifierError as error:
        return error.with_traceback(None)
    if "Modality" in prepared:
        # Studies without such series need no second step.
        narrower = ("ModalitiesInStudy", criterion(prepared["Modality"], "Modality"))
        steps = tuple(replace(step, keys=(*step.keys, narrower)) if step.level == "STUDY" else step for step in steps)
    return Query(level, model, steps)
