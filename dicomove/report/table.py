"""The table for reports: from a journal, from a file, or from `move`. Pure, except that it reads the journal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import pandas as pd

from dicomove import columns
from dicomove.cohort import is_blank, keyword, plain_label
from dicomove.columns import METHOD_COLUMN, RESULT_COLUMNS
from dicomove.errors import CohortError
from dicomove.store import read_with_moves
from dicomove.words import MOVE_OUTCOMES, SKIPPED

#: A result table, or the path of a journal.
Results: TypeAlias = "pd.DataFrame | str | os.PathLike[str]"

#: Replaces an unknown outcome.
OTHER: Final = "other"
#: The identifiers of patients and studies.
KEYS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
_TEXT: Final = (
    *("outcome", "status", "error", "advice", "error_comment", "failed_sop_instance_uids"),
    *(*KEYS, "cohort_row", METHOD_COLUMN),
)
_TIMES: Final = ("started_at", "finished_at")
_MILLISECOND: Final = 1000


def read(results: Results) -> pd.DataFrame:
    """Return a result table unchanged, or the table of a journal's latest run.

    Raises
    ------
    CohortError
        The table is not a result table.
    JournalError
        There is no journal, or it cannot be read.
    """
    return _read(results)[0]


def _read(results: Results) -> tuple[pd.DataFrame, list[int | None] | None]:
    """Return the result table, and from a journal also a number for each row: rows that share a move share it."""
    table, moves = read_with_moves(results) if isinstance(results, str | os.PathLike) else (results, None)
    if not isinstance(table, pd.DataFrame) or "outcome" not in map(plain_label, table.columns):
        message = "a result table of move() has the column outcome, but this table does not; give a journal by its path"
        raise CohortError(message)
    return table, moves


def table_of(results: Results) -> pd.DataFrame:
    """Return a result table, also from a journal, in a form for counting: by position, with any index and columns.

    It has the columns `RESULT_COLUMNS` with the types from `move`, which a table from CSV has lost; an unknown outcome
    becomes ``other``. It also has ``label``, the label of the row; ``PatientID`` and ``StudyInstanceUID``, null if the
    table lacks them; ``matches`` and ``cohort_row`` of `find`; ``method``, also from the options of a journal's
    run; and ``move``, a number that is the same for rows that shared a move.

    Raises
    ------
    CohortError
        The table is not a result table.
    JournalError
        There is no journal, or it cannot be read.
    """
    table, moves = _read(results)
    places = {plain_label(label): place for place, label in reversed(list(enumerate(table.columns)))}
    spelled = {keyword(label): place for place, label in reversed(list(enumerate(table.columns)))}
    places |= {name: spelled[name] for name in KEYS if name in spelled and name not in places}
    nothing = pd.Series([None] * len(table), dtype=object)
    made = {
        name: _typed(name, table.iloc[:, places[name]].reset_index(drop=True) if name in places else nothing)
        for name in (*RESULT_COLUMNS, *KEYS, "matches", "cohort_row", METHOD_COLUMN)
    }
    before = made["outcome"] == SKIPPED
    made["resumed"] |= before
    made["outcome"] = made["outcome"].mask(before, "complete")
    made["outcome"] = made["outcome"].where(made["outcome"].isin(MOVE_OUTCOMES), OTHER)
    made["label"] = pd.Series(table.index.tolist(), dtype=object)
    clean = pd.DataFrame(made)
    clean["move"] = _moves_by_times(clean) if moves is None else columns.counts(moves)
    run = table.attrs.get("run")
    clean.attrs["run"] = dict(run) if isinstance(run, Mapping) else {}
    if clean[METHOD_COLUMN].isna().all():
        options = clean.attrs["run"].get("options") or {}
        clean[METHOD_COLUMN] = columns.text([options.get(METHOD_COLUMN)] * len(clean))
    return clean


def own_columns(results: pd.DataFrame) -> list[int]:
    """Return the positions of the columns that the caller brought."""
    return [place for place, label in enumerate(results.columns) if plain_label(label) not in RESULT_COLUMNS]


def instances(table: pd.DataFrame) -> pd.Series:
    """Return the number of instances of each row: on disk, otherwise by the PACS's counts; null without a count."""
    return table["received"].fillna(table["completed"] + table["warning"].fillna(0))


def counted_once(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without those that share the move of an earlier row."""
    was_moved = table[["move", "started_at", "finished_at"]].notna().all(axis="columns")
    return table[~(table["move"].duplicated() & was_moved)]


def _moves_by_times(table: pd.DataFrame) -> pd.Series:
    """Return a number for each row of a table without such numbers: rows that shared a move get the same one.

    Rows that share a move have the same start and end. Two different moves never agree in both to the microsecond. If a
    file kept only seconds, the rows must also name the same study.
    """
    known = table[["started_at", "finished_at"]]
    if not (known["started_at"].dt.microsecond.fillna(0) % _MILLISECOND).any():
        known = known.assign(study=table["StudyInstanceUID"])
    numbers = known.groupby(list(known.columns), sort=False).ngroup().astype("Int64")
    return numbers.where(known.notna().all(axis="columns"))


def in_order(outcomes: Sequence[str]) -> list[str]:
    """Return the outcomes that occur, best first."""
    found = set(outcomes)
    return [outcome for outcome in (*MOVE_OUTCOMES, OTHER) if outcome in found]


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that this run moved, without resumed rows."""
    return table[table["started_at"].notna() & ~table["resumed"]]


def busy_seconds(table: pd.DataFrame) -> float:
    """Return the time during which at least one of the rows was moving: without pauses, simultaneous moves once.

    A row with several attempts has waited between them, so its duration counts back from its end.

    Examples
    --------
    >>> at = pd.to_datetime(["2026-01-31 20:00:03", "2026-01-31 20:00:04", "2026-01-31 21:00:00"], utc=True)
    >>> busy_seconds(pd.DataFrame({"finished_at": at, "duration_s": 3.0}))
    7.0
    """
    spans = table[["finished_at", "duration_s"]].dropna()
    if spans.empty:
        return 0.0
    end = (spans["finished_at"] - spans["finished_at"].min()).dt.total_seconds()
    in_time = pd.DataFrame({"begin": end - spans["duration_s"], "end": end}).sort_values("begin")
    before = in_time["end"].cummax()
    pauses = (in_time["begin"] - before.shift()).clip(lower=0).sum()
    return float(before.iloc[-1] - in_time["begin"].iloc[0] - pauses)


def _typed(name: str, cells: pd.Series) -> pd.Series:
    if name == "resumed":
        return columns.flags(str(cell).strip().lower() in ("true", "1", "1.0") for cell in cells.tolist())
    if name in _TEXT:
        return columns.text(map(_text, cells.tolist()))
    if name in _TIMES:
        is_time = isinstance(cells.dtype, pd.DatetimeTZDtype)
        times = pd.to_datetime(cells, utc=True, errors="coerce", format=None if is_time else "ISO8601")
        return times.astype("datetime64[us, UTC]")
    if name == "duration_s":
        seconds = pd.to_numeric(cells, errors="coerce").astype("float64")
        return seconds.where(seconds.between(0, float("inf"), inclusive="left"))
    if cells.dtype == "Int64":
        return cells.where(cells >= 0)
    return columns.counts(None if is_blank(cell) else columns.whole_number(cell) for cell in cells.tolist())


def _text(cell: object) -> str | None:
    if isinstance(cell, str):  # nearly all cells are text, and `is_blank` checks every letter
        return cell.strip() or None
    return None if is_blank(cell) else str(cell)
