"""Columns of the tables that dicomove returns: text, counts and times, each nullable. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from typing import Final

import pandas as pd

_TEXT_IS_A_DTYPE: Final = int(pd.__version__.split(".")[0]) >= 3


def text(values: Iterable[str | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of text; ``None`` and ``""`` are null."""
    column = pd.Series([value or None for value in values], index=index, dtype=object)
    # pandas 2 would write the missing ones out as "None".
    return column.astype("str") if _TEXT_IS_A_DTYPE else column


def counts(values: Iterable[int | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of whole numbers; ``None`` is null."""
    return pd.Series(pd.array(list(values), dtype="Int64"), index=index)


def flags(values: Iterable[bool], index: pd.Index | None = None) -> pd.Series:
    """Return a column of truth values; none of them is null."""
    return pd.Series(list(values), index=index, dtype="bool")


def seconds(values: Iterable[float | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of seconds; ``None`` is NaN."""
    return pd.Series(list(values), index=index, dtype="float64")


def times(values: Iterable[datetime | None], index: pd.Index | None = None) -> pd.Series:
    """Return a column of points in time, in UTC; ``None`` is NaT."""
    # The unit is said, since pandas takes another one for an empty column.
    return pd.Series(pd.Series(list(values), dtype=object).astype("datetime64[us, UTC]").array, index=index)


def whole_number(value: object) -> int | None:
    """Return a count that came as text or number, or ``None`` where it is none.

    Examples
    --------
    >>> whole_number("12 "), whole_number(3.0), whole_number("many"), whole_number(None)
    (12, 3, None, None)
    """
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number >= 0 and number.is_integer() else None


def with_columns(table: pd.DataFrame, columns: dict[str, pd.Series], replaced: Sequence[str]) -> pd.DataFrame:
    """Return the table with further columns, by position; those of the same names that came in are gone."""
    kept = [position for position, found in enumerate(table.columns) if _plain(found) not in replaced]
    result = table.iloc[:, kept].copy()
    for name, column in columns.items():
        result[label(result, name)] = column.array
    return result


def label(table: pd.DataFrame, name: str) -> Hashable:
    """Return the label of a new column, on as many levels as the table's columns have."""
    nested = [""] * (table.columns.nlevels - 1)
    return (name, *nested) if nested else name


def _plain(found: object) -> object:
    return found[0] if isinstance(found, tuple) and not any(found[1:]) else found
