"""The table of `find`: one row for each match, and one for each row of the cohort that matched nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import is_blank, is_found, plain_label
from dicomove.columns import FIND_COLUMNS
from dicomove.errors import CohortWarning, warn
from dicomove.search.row import Answer

_TEXT_COLUMNS: Final = FIND_COLUMNS[:5]


def found_table(
    table: pd.DataFrame, answers: Sequence[Answer], wanted: Sequence[str], *, loose: bool = False
) -> pd.DataFrame:
    """Return one row per match, and one for each row of the cohort that matched nothing.

    Parameters
    ----------
    table
        The cohort.
    answers
        The answer to each of its rows.
    wanted
        The attributes that were asked for.
    loose
        Whether rows may match loosely, which a column says.
    """
    rows = [(position, answer, match) for position, answer in enumerate(answers) for match in _rows(answer)]
    positions = [position for position, _, _ in rows]
    base = table.iloc[positions].reset_index(drop=True)
    found: dict[str, pd.Series] = {}
    for name in wanted:
        found |= _attribute_columns(base, name, [match.get(name) or None for _, _, match in rows])
    answered = [answer for _, answer, _ in rows]
    found |= {name: columns.text(getattr(answer, name) for answer in answered) for name in _TEXT_COLUMNS}
    found["matches"] = columns.counts(len(answer.matches) + answer.repeated + answer.ambiguous for answer in answered)
    found["filtered"] = columns.counts(answer.filtered for answer in answered)
    found["asked_by"] = columns.text(answer.asked_by for answer in answered)
    if loose:
        found["loose"] = columns.text(answer.loose for answer in answered)
    added = [*_added(base, found), *(["loose"] if loose else [])]
    message = columns.kept_message(base, added)
    if message:
        warn(message, CohortWarning)
    result = columns.with_columns(base, found, added)
    labels = pd.Series([table.index[position] for position in positions], dtype=object).infer_objects()
    result.insert(0, columns.label(result, "cohort_row"), labels)
    return result


def _rows(answer: Answer) -> Sequence[Mapping[str, str]]:
    """Return its matches; a row without a match also has one row in the table."""
    return answer.matches or (() if answer.repeated else ({},))


def _added(base: pd.DataFrame, found: Iterable[str]) -> list[str]:
    """Return the names of the added columns; the other attributes replace the cohort's column."""
    attributes = [name for name in found if name.endswith("_asked") or len(_places(base, name)) > 1]
    return ["cohort_row", *FIND_COLUMNS, *attributes]


def _attribute_columns(base: pd.DataFrame, name: str, values: list[str | None]) -> dict[str, pd.Series]:
    """Return the column of one attribute, and a column with the cohort's cells if these differ."""
    places = _places(base, name)
    is_count = name.startswith("NumberOf")
    numbers = list(map(columns.whole_number, values)) if is_count else []
    made = columns.counts(numbers) if is_count else columns.text(values)
    if len(places) != 1:
        return {name: made}
    asked = base.iloc[:, places[0]]
    if is_count:
        told = zip(numbers, asked.tolist(), strict=True)
        differs = not is_found(base.columns) and any(
            not is_blank(had) and columns.whole_number(had) != value for value, had in told
        )
    else:
        merged = [value if value is not None else _text(had) for value, had in zip(values, asked, strict=True)]
        differs = any(value != _text(had) for value, had in zip(merged, asked, strict=True))
        made = columns.text(merged)
    before = f"{name}_asked"
    # The cells of the first cohort stay.
    is_kept = is_found(base.columns) and bool(_places(base, before))
    return {name: made} | ({before: asked} if differs and not is_kept else {})


def _places(table: pd.DataFrame, name: str) -> list[int]:
    return [place for place, found in enumerate(table.columns) if plain_label(found) == name]


def _text(cell: object) -> str | None:
    return None if is_blank(cell) else str(cell).strip()
