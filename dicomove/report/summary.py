"""`summary`: what happened, as a table that fits on a screen."""

from __future__ import annotations

import os
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.outcome import ADVICE
from dicomove.report.flow import by_run, in_order, instances, table_of

_FIRST: Final = 3
_LONGEST_LABEL: Final = 24


def summary(results: pd.DataFrame | str | os.PathLike[str]) -> pd.DataFrame:
    """Return a small table of what happened: a row for each outcome and error, and one for all.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal.

    Returns
    -------
    pandas.DataFrame
        By ``outcome`` and ``error``: ``rows``; ``instances`` and ``bytes`` that they brought (null where nobody
        counted); ``median_s`` and ``total_s``, the seconds of their moves; ``instances_per_s`` of the time that the
        moves took; ``first_rows``, the labels of the first few; ``advice``, what to do about it. The last row,
        ``all``, has ``instances_per_s`` from the first move's begin to the last one's end.

    Raises
    ------
    ValueError
        It is no result table.

    Examples
    --------
    >>> import dicomove as dm
    >>> from dicomove.testing import demo_pacs
    >>> studies = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4", ""]})
    >>> with demo_pacs() as pacs:
    ...     results = dm.move(studies, pacs, pacs.destination, progress=False)
    >>> dm.summary(results)["rows"].to_dict()
    {('empty', ''): 1, ('invalid', 'invalid_row'): 1, ('all', ''): 2}
    """
    table = table_of(results)
    errors = table["error"].astype(object).where(table["error"].notna(), "")
    made: dict[tuple[str, str], dict[str, object]] = {}
    for outcome in in_order(table["outcome"].tolist()):
        of_outcome = table["outcome"] == outcome
        for error in errors[of_outcome].value_counts().index:
            made[outcome, str(error)] = _line(table[of_outcome & (errors == error)], str(error))
    made["all", ""] = _line(table, "") | {"first_rows": "", "advice": "", "instances_per_s": _overall(table)}
    index = pd.MultiIndex.from_tuples(list(made), names=["outcome", "error"])
    lines = pd.DataFrame(list(made.values()), index=index)
    for name in ("rows", "instances", "bytes"):
        lines[name] = columns.counts(lines[name].tolist(), index=index)
    return lines


def _line(rows: pd.DataFrame, error: str) -> dict[str, object]:
    seconds = by_run(rows)["duration_s"]
    moved = int(instances(rows).sum())
    total = float(seconds.sum())
    return {
        "rows": len(rows),
        "instances": moved,
        "bytes": int(rows["bytes"].sum()) if rows["bytes"].notna().any() else None,
        "median_s": float(seconds.median()) if len(seconds) else None,
        "total_s": total,
        "instances_per_s": moved / total if moved and total else None,
        "first_rows": _first(rows),
        "advice": _advice(rows, error),
    }


def _overall(table: pd.DataFrame) -> float | None:
    moved = by_run(table)
    if not len(moved):
        return None
    seconds = (moved["finished_at"].max() - moved["started_at"].min()).total_seconds()
    return float(instances(moved).sum()) / seconds if seconds > 0 else None


def _first(rows: pd.DataFrame) -> str:
    labels = [str(label)[:_LONGEST_LABEL] for label in rows.index[:_FIRST]]
    return ", ".join(labels) + (", ..." if len(rows) > _FIRST else "")


def _advice(rows: pd.DataFrame, error: str) -> str:
    if error in ADVICE:
        return ADVICE[error]
    given = rows["advice"].dropna()
    return str(given.mode().iloc[0]) if len(given) and rows["outcome"].iloc[0] != "skipped" else ""
