"""What the fields of a template are for one image or series: cells of the caller's table, and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove.headers.names import safe

MOST_NAMED: Final = 5
"""How many rows or files an error names."""

#: A cohort may have them without values: those of the files count.
_UIDS: Final = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})


def own_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that a template may name."""
    return [name for name in table.columns if isinstance(name, str) and name not in _UIDS]


def field_values(row: Mapping[object, object], cells: Sequence[Mapping[object, object]]) -> dict[str, str]:
    """Return the values of the fields; a cell of the caller's table comes before an attribute."""
    own = cells[int(str(row["cohort_row"]))] if "cohort_row" in row else {}
    return {str(name): "" if pd.isna(value) else str(value) for name, value in {**row, **own}.items()}  # type: ignore[call-overload]


def refuse_cells(cohort: pd.DataFrame, rows: Sequence[int], names: Sequence[str]) -> None:
    """Refuse cells that are blank, or look alike once they are safe: two subjects would share a folder.

    Raises
    ------
    ValueError
        There are such cells.
    """
    for name in names:
        cells = cohort[name].tolist()
        blank = [row for row in rows if pd.isna(cells[row]) or not str(cells[row]).strip()]
        values = {str(cells[row]) for row in rows}
        if blank:
            where = ", ".join(str(row + 1) for row in blank[:MOST_NAMED])
            message = f"column {name!r} is blank in row {where} of the table: nothing was made; fill it"
            raise ValueError(message)
        if len({safe(value).casefold() for value in values}) < len(values):
            message = (
                f"values of column {name!r} differ only in characters that a name cannot have, or in upper and lower "
                "case: nothing was made; give a column with other values"
            )
            raise ValueError(message)
