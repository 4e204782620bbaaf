"""The table of `find`: a row for each match, and for each row of the cohort without one. Pure, but for a warning."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import VRS, is_blank, is_found, keyword, places_of, text_unless_blank
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
        values: list[object] = [match.get(name) or None for _, _, match in rows]
        if not places_of(base, name):
            # A later search has to ask for an unmatched row by all its keys again, and reads the keyword itself first;
            # and `move` compares images with the PatientID that it finds there.
            typed = zip(values, _typed(base, name), rows, strict=True)
            values = [
                value if match and (value or name != "PatientID") else cell for value, cell, (_, _, match) in typed
            ]
        found |= _attribute_columns(base, name, values)
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


def patients_told(answers: Sequence[Answer]) -> list[bool]:
    """Return for each row of `found_table` whether the PACS has told its PatientID, or the row has no match."""
    return [bool(match.get("PatientID")) or not match for answer in answers for match in _rows(answer)]


def _rows(answer: Answer) -> Sequence[Mapping[str, str]]:
    """Return its matches; a row without a match also has one row in the table."""
    return answer.matches or (() if answer.repeated else ({},))


def _added(base: pd.DataFrame, found: Iterable[str]) -> list[str]:
    """Return the names of the added columns; the other attributes replace the cohort's column."""
    attributes = [name for name in found if name.endswith("_asked") or len(places_of(base, name)) > 1]
    return ["cohort_row", *FIND_COLUMNS, *attributes]


def _attribute_columns(base: pd.DataFrame, name: str, values: list[object]) -> dict[str, pd.Series]:
    """Return the column of one attribute, and a column with the cohort's cells if these differ."""
    places = places_of(base, name)
    is_count = name.startswith("NumberOf")
    numbers = list(map(columns.whole_number, values)) if is_count else []
    made = columns.counts(numbers) if is_count else _texts(values)
    if len(places) != 1:
        return {name: made}
    asked = base.iloc[:, places[0]]
    if is_count:
        told = zip(numbers, asked.tolist(), strict=True)
        differs = not is_found(base.columns) and any(
            not is_blank(had) and columns.whole_number(had) != value for value, had in told
        )
    else:
        merged = [value if value is not None else _text(had, name) for value, had in zip(values, asked, strict=True)]
        differs = any(value != _text(had, name) for value, had in zip(merged, asked, strict=True))
        made = _texts(merged)
    before = f"{name}_asked"
    # The cells of the first cohort stay.
    is_kept = is_found(base.columns) and bool(places_of(base, before))
    return {name: made} | ({before: asked} if differs and not is_kept else {})


def _typed(base: pd.DataFrame, name: str) -> list[object]:
    """Return the cells of an attribute whose header is another spelling of its keyword."""
    places = [place for place, found in enumerate(base.columns) if keyword(found) == name]
    return [_text(cell, name) for cell in base.iloc[:, places[0]]] if len(places) == 1 else [None] * len(base)


def _text(cell: object, name: str) -> object:
    """Return a cell as text. A number stays one: as text, a later search would ask for it without its lost zeros."""
    is_number = isinstance(cell, numbers.Number) and not is_blank(cell)
    return cell if is_number and VRS[name] != "IS" else text_unless_blank(cell)


def _texts(values: list[object]) -> pd.Series:
    is_text = all(value is None or isinstance(value, str) for value in values)
    return columns.text(map(text_unless_blank, values)) if is_text else pd.Series(values, dtype=object)
