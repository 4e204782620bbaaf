"""`summary`: the results as a table that fits on a screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import is_blank, keyword_columns
from dicomove.outcome import advice_on
from dicomove.report.table import Results, busy_seconds, by_run, counted_once, in_order, instances, table_of
from dicomove.words import ADVICE, GOOD, SLOW

_FIRST: Final = 3
_OF_SERIES: Final = ("series", "volumes")
_LONGEST_LABEL: Final = 24
#: The columns that assign series to rows, the deepest level first.
_BY: Final = ("SeriesInstanceUID", "StudyInstanceUID", "cohort_row")


class Summary(pd.DataFrame):
    """A DataFrame that a notebook shows without cutting its text. Tables derived from it are plain DataFrames."""

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.to_html(na_rep="", float_format="{:,.2f}".format, border=0)


def summary(results: Results, *, series: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a small table of the results: one row for each outcome and error, and one row for all.

    Parameters
    ----------
    results
        A table that `move` or `plan` returned, or the path of a journal.
    series
        The table of `index` for a folder, or for these results. `summary` itself reads no file.

    Returns
    -------
    pandas.DataFrame
        By ``outcome`` and ``error``: ``rows``; the ``instances`` and ``bytes`` that they brought (null without a count;
        instances that several rows requested count once); ``median_s``, the median duration of a move; ``total_s``, the
        seconds during which at least one of them was moving, without pauses; ``instances_per_s`` in that time;
        ``first_rows``, the labels of the first few; ``advice``, once for each error. The last row is ``all``. Rows that
        an earlier run had completed do not count for the times. With `series`: ``series``, the number of series of
        these rows (the series that a row names, or those of its study), and ``volumes``, the number of volumes among
        them; null if the rows name neither series nor studies, unless `series` is ``index(results)``. The last row
        counts all series that arrived.

        For a plan, by ``action``: ``rows``; ``studies``; ``instances`` and ``on_disk``; ``slow``, the rows that the
        PACS has to fetch from a slow medium; the estimates ``bytes``, ``bytes_low``, ``bytes_high`` and ``duration_s``;
        in the last row, ``windows``, the number of windows of the hours (such as nights), and ``free_bytes`` on the
        disk of the receiver.

    Raises
    ------
    CohortError
        The table is not a result table.
    ValueError
        `series` is not a table of `index` with one row per series, or `results` is a plan.
    JournalError
        There is no journal, or it cannot be read.

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
    _check_series(results, series)
    if isinstance(results, pd.DataFrame) and columns.is_plan(results.columns):
        return _of_plan(results)
    table = table_of(results)
    asking = _without_shared_labels(table)
    errors = table["error"].astype(object).where(table["error"].notna(), "")
    made: dict[tuple[str, str], dict[str, object]] = {}
    advised: set[str] = set()
    for outcome in in_order(table["outcome"].tolist()):
        of_outcome = table["outcome"] == outcome
        for error in errors[of_outcome].value_counts().index:
            chosen = of_outcome & (errors == error)
            advice = _advice(table[chosen], str(error))
            line = _line(table[chosen]) | _volumes(asking[chosen], series)
            made[outcome, str(error)] = line | {"advice": "" if advice in advised else advice}
            advised.add(advice)
    made["all", ""] = _line(table) | {"first_rows": "", "advice": ""} | _volumes(None, series)
    index = pd.MultiIndex.from_tuples(list(made), names=["outcome", "error"])
    lines = Summary(list(made.values()), index=index)
    counts = ("rows", "instances", "bytes", *(() if series is None else _OF_SERIES))
    for name in counts:
        lines[name] = columns.counts(lines[name].tolist(), index=index)
    return lines


def _check_series(results: Results, series: pd.DataFrame | None) -> None:
    if series is None:
        return
    if not {"StudyInstanceUID", "SeriesInstanceUID", "is_volume"} <= set(series.columns):
        message = "series=: give the table of dicomove.index(folder), which has one row per series"
        raise ValueError(message)
    if isinstance(results, pd.DataFrame) and columns.is_plan(results.columns):
        message = "series=: of a plan, nothing has arrived yet"
        raise ValueError(message)


def _volumes(rows: pd.DataFrame | None, series: pd.DataFrame | None) -> dict[str, object]:
    """Return the number of series of these rows, and the number of volumes among them."""
    if series is None:
        return {}
    found = series if rows is None else _asked(rows, series)
    if found is None:
        return dict.fromkeys(_OF_SERIES)
    found = found[found["SeriesInstanceUID"].notna()].drop_duplicates(["StudyInstanceUID", "SeriesInstanceUID"])
    return {"series": len(found), "volumes": int(found["is_volume"].fillna(value=False).sum())}


def _asked(rows: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame | None:
    """Return the series of these rows, by the deepest key of each row; ``None`` if the rows have no key."""
    names = [name for name in _BY if name in series.columns]
    wanted, rest = pd.Series(data=False, index=series.index), rows
    for name in names:
        has = rest[name].notna()
        # The label of a cohort row may be a number in one table, and text in the other.
        wanted |= series[name].map(str).isin({str(key) for key in rest.loc[has, name]})
        rest = rest[~has]
    return None if len(rest) == len(rows) else series[wanted]


def _without_shared_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table without the ``cohort_row`` of rows that have no UID, if a row with a UID has the same label."""
    if "cohort_row" not in table.columns:
        return table
    has = table[["StudyInstanceUID", "SeriesInstanceUID"]].notna().any(axis=1)
    labels = table["cohort_row"].astype(object)
    shared = labels.map(str).isin(set(labels[has].map(str)))
    return table.assign(cohort_row=labels.mask(shared & ~has, None))


def _line(rows: pd.DataFrame) -> dict[str, object]:
    once = counted_once(rows)
    here = by_run(once)
    moved, seconds = _sum(instances(here)), busy_seconds(here)
    median = here["duration_s"].median()
    return {
        "rows": len(rows),
        "instances": _sum(instances(once)),
        "bytes": _sum(once["bytes"]),
        "median_s": float(median) if pd.notna(median) else None,
        "total_s": seconds,
        "instances_per_s": moved / seconds if moved and seconds else None,
        "first_rows": _first(rows),
        "advice": "",
    }


def _sum(numbers: pd.Series) -> int | None:
    known = numbers.dropna()
    return int(known.sum()) if len(known) else None


def _first(rows: pd.DataFrame) -> str:
    labels = [str(label)[:_LONGEST_LABEL] for label in rows["label"].iloc[:_FIRST]]
    return ", ".join(labels) + (", ..." if len(rows) > _FIRST else "")


def _advice(rows: pd.DataFrame, error: str) -> str:
    if error in ADVICE:
        is_get = (rows["method"] == "get").all()
        return advice_on(error, method="get" if is_get else "move")
    given = rows["advice"].dropna()
    return str(given.mode().iloc[0]) if len(given) and rows["outcome"].iloc[0] not in GOOD else ""


def _of_plan(plan: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of a plan, by action."""
    found = keyword_columns(plan.columns, ["StudyInstanceUID"])
    studies = plan.iloc[:, found["StudyInstanceUID"]] if found else pd.Series([None] * len(plan))
    studies = studies.mask(studies.map(is_blank).astype(bool))  # a plan from a file has "" in place of null
    table = pd.DataFrame(
        {name: plan[columns.label(plan, name)].array for name in columns.PLAN_COLUMNS} | {"study": studies.array}
    )
    made = {str(action): _plan_line(rows) for action, rows in table.groupby("action", sort=False)}
    facts = plan.attrs.get("plan", {})
    made["all"] = _plan_line(table) | {name: facts.get(name) for name in ("windows", "free_bytes")}
    lines = Summary(list(made.values()), index=pd.Index(made, name="action"))
    for name in ("instances", "on_disk", "bytes", "bytes_low", "bytes_high", "windows", "free_bytes"):
        lines[name] = columns.counts(
            [None if pd.isna(value) else int(value) for value in lines.get(name, [None] * len(made))], lines.index
        )
    return lines


def _plan_line(rows: pd.DataFrame) -> dict[str, object]:
    once = rows[rows["action"] != "repeated"]
    numbers = {name: _sum(pd.to_numeric(once[name])) for name in ("on_disk", "bytes", "bytes_low", "bytes_high")}
    seconds = pd.to_numeric(once["duration_s"]).dropna()
    return {
        "rows": len(rows),
        "studies": int(rows["study"].nunique()),
        "instances": _sum(pd.to_numeric(once["expected"])),
        **numbers,
        "slow": int(rows["availability"].isin(SLOW).sum()),
        "duration_s": float(seconds.sum()) if len(seconds) else None,
    }
