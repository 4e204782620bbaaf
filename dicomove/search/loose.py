"""``loose=``: finds accession numbers that a PACS writes with other zeros or blanks. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from dicomove.cohort import is_blank, keyword_columns, several_patients
from dicomove.errors import CohortError
from dicomove.outcome import sentences
from dicomove.search.row import Answer

#: The keys that may match loosely. PatientID may not: with another number of zeros, it is often another patient.
LOOSE_KEYS: Final = ("AccessionNumber",)


def checked_loose(loose: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that may match loosely.

    Raises
    ------
    CohortError
        One of them may not match loosely.
    """
    names = tuple([loose] if isinstance(loose, str) else loose)
    wrong = [name for name in names if name not in LOOSE_KEYS]
    if wrong:
        msg = f"loose={wrong[0]!r}: only {', '.join(LOOSE_KEYS)} may match with other zeros or blanks"
        raise CohortError(msg)
    return names


def loose_table(table: pd.DataFrame, names: Sequence[str], rows: Sequence[int]) -> pd.DataFrame:
    """Return rows of a table whose keys are wildcards for other zeros and blanks.

    Examples
    --------
    >>> loose_table(pd.DataFrame({"accession": ["A1", "00 123"]}), ["AccessionNumber"], [1])
      accession
    1     *123*
    """
    made = table.iloc[list(rows)].copy()
    for place in keyword_columns(table.columns, names).values():
        made.isetitem(place, [_wildcard(cell) for cell in made.iloc[:, place].tolist()])
    return made


def ask_loosely(
    table: pd.DataFrame,
    answers: Sequence[Answer],
    names: Sequence[str],
    ask: Callable[[pd.DataFrame], Sequence[Answer]],
) -> list[Answer]:
    """Return the answers; for rows without a match, those of loose searches.

    Parameters
    ----------
    table
        The cohort.
    answers
        The answers to its rows.
    names
        The keys that may match loosely.
    ask
        Asks for the rows of a table.
    """
    places = keyword_columns(table.columns, names)
    cells = {name: table.iloc[:, place].tolist() for name, place in places.items()}
    rows = [
        row
        for row, answer in enumerate(answers)
        if answer.outcome == "empty" and any(not is_blank(found[row]) for found in cells.values())
    ]
    made = list(answers)
    for row, answer in zip(rows, ask(loose_table(table, names, rows)) if rows else (), strict=True):
        found = alike(answer, {name: column[row] for name, column in cells.items()})
        if found.matches:
            made[row] = found
    return made


def alike(answer: Answer, asked: Mapping[str, object]) -> Answer:
    """Return the answer to a loose search with only the matches that differ in zeros and blanks alone.

    Examples
    --------
    >>> found = ({"AccessionNumber": "123"}, {"AccessionNumber": "1230"})
    >>> alike(Answer("matched", found), {"AccessionNumber": "00123"}).matches
    ({'AccessionNumber': '123'},)
    """
    kept = tuple(
        match
        for match in answer.matches
        if all(_plain(match.get(name)) == _plain(cell) for name, cell in asked.items() if not is_blank(cell))
    )
    if not kept:
        return replace(answer, outcome="empty", matches=(), advice=None)
    different = [name for name, cell in asked.items() if any(match.get(name) != str(cell).strip() for match in kept)]
    said = f"{' and '.join(different)} differs in zeros or blanks" if different else ""
    several = several_patients(kept)
    return replace(
        answer,
        matches=kept,
        advice=sentences(said, several or "", answer.advice or ""),
        loose=", ".join(different) or None,
        several_patients=several is not None,
    )


def _wildcard(cell: object) -> object:
    if is_blank(cell):
        return cell
    parts = [part.strip().lstrip("0") for part in re.findall(r"[0-9]+|[^0-9]+", str(cell))]
    return f"*{'*'.join(filter(None, parts)) or '0'}*"


def _plain(value: object) -> str:
    """Return a value without blanks, and without zeros before its numbers."""
    text = "".join(str(value or "").split()).casefold()
    return re.sub(r"[0-9]+", lambda found: found[0].lstrip("0") or "0", text)
