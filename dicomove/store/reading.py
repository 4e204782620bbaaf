"""The journal as DataFrames, also while a run writes."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import UNIQUE_KEYS
from dicomove.errors import JournalError
from dicomove.interpreter import in_bulk
from dicomove.results import Row, not_attempted, result_table
from dicomove.store import cells
from dicomove.store.schema import FIRST_ROW, JOURNAL, RESULT, SENT_BY, journal_at, row_at_begin_of, row_of

_RUN_COLUMNS: Final = (
    *("started_at", "ended_at", "interrupted", "host", "pid", "versions", "pacs", "destination"),
    *("calling_ae_title", "options", "cohort_sha256", "columns", "folder"),
)
_KEYWORDS: Final = UNIQUE_KEYS["PatientRoot"]["IMAGE"]


def read_journal(path: str | os.PathLike[str], *, run: int | None = None) -> pd.DataFrame:
    """Return the result table of a run, as `move` returns it, also during the run.

    Parameters
    ----------
    path
        The journal, or the folder of a `Receiver`.
    run
        The number of the run; ``None`` is the latest.

    Returns
    -------
    pandas.DataFrame
        The caller's rows, columns and index, and the columns `RESULT_COLUMNS`. A row that the run has not reached is
        `not_attempted`; a row that will be tried again has the result of its last attempt. ``attrs["run"]`` has the
        facts of the run: times (as text), versions, PACS, options, and the cohort's hash. As in the table of `move`,
        the runs that have them have the columns ``method`` and ``counted_by``.

    Raises
    ------
    JournalError
        There is no journal, or no such run, or it cannot be read.
    """
    return read_with_moves(path, run)[0]


@in_bulk()
def read_with_moves(path: str | os.PathLike[str], run: int | None = None) -> tuple[pd.DataFrame, list[int | None]]:
    """Return the result table of a run, and for each row the number of its key: rows with one key share their moves.

    Raises
    ------
    JournalError
        There is no journal, or no such run, or it cannot be read.
    """
    with JOURNAL.open_to_read(journal_at(path)) as connection:
        number, facts = _facts(connection, run, path)
        query = f"""
            SELECT r.key, r.label, r.cells,
                (SELECT sent FROM attempts WHERE key = r.key AND run = r.run AND sent ORDER BY attempt DESC LIMIT 1),
                {", ".join(f"r.{name}" for name in RESULT)}, {", ".join(f"a.{name}" for name in RESULT)}
            FROM rows r LEFT JOIN attempts a ON a.attempt =
                (SELECT max(attempt) FROM attempts WHERE key = r.key AND run = r.run)
            WHERE r.run = ? ORDER BY r.position"""  # noqa: S608 (names of our own)
        found = connection.execute(query, (number,)).fetchall()
    rows = [_row(row[4 : 4 + len(RESULT)], row[4 + len(RESULT) :]) for row in found]
    table = _table([cells.decode(row[2]) for row in found], [cells.decode(row[1]) for row in found], facts)
    made = result_table(table, rows, _further(rows, [row[3] for row in found], facts["options"]))
    made.attrs["run"] = {"run": number, **{name: _plain(facts[name]) for name in _RUN_COLUMNS}}
    return made, [row[0] for row in found]


def read_attempts(path: str | os.PathLike[str], *, run: int | None = None) -> pd.DataFrame:
    """Return every attempt, in order.

    Parameters
    ----------
    path
        The journal, or the folder of a `Receiver`.
    run
        Only the attempts of this run; ``None`` means all runs.

    Returns
    -------
    pandas.DataFrame
        One row per attempt: ``attempt``, ``run``, ``at`` (the time of the record), ``row`` (the label of the first row
        that asked), the unique keys of the row, ``asked_level`` and ``asked_uids`` (the number of requested UIDs of
        that level), ``sent``, ``final``, and the columns `RESULT_COLUMNS`.

    Raises
    ------
    JournalError
        There is no journal, or it cannot be read.
    """
    with JOURNAL.open_to_read(journal_at(path)) as connection:
        query = f"""
            SELECT a.attempt, a.run, a.at, a.level, a.identifier, a.sent, a.final, k.identifier, r.label,
                {", ".join(f"a.{name}" for name in RESULT)}
            FROM attempts a JOIN keys k ON k.key = a.key LEFT JOIN {FIRST_ROW} r ON r.run = a.run AND r.key = a.key
            {"" if run is None else "WHERE a.run = ?"} ORDER BY a.attempt"""  # noqa: S608 (names of our own)
        found = connection.execute(query, () if run is None else (run,)).fetchall()
    keys = [dict(json.loads(row[7])) for row in found]
    table = pd.DataFrame(
        {
            "attempt": columns.counts(row[0] for row in found),
            "run": columns.counts(row[1] for row in found),
            "at": columns.times([datetime.fromisoformat(row[2]) for row in found]),
            "row": cells.labels([row[8] for row in found]),
            **{name: columns.text([key.get(name) for key in keys]) for name in _KEYWORDS},
            "asked_level": columns.text([row[3] for row in found]),
            "asked_uids": columns.counts([_asked(row[4]) for row in found]),
            "sent": pd.Series([bool(row[5]) for row in found], dtype=bool),
            "final": pd.Series([bool(row[6]) for row in found], dtype=bool),
        }
    )
    return result_table(table, [row_of(row[9:]) for row in found])


def read_runs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return every run.

    Parameters
    ----------
    path
        The journal, or the folder of a `Receiver`.

    Returns
    -------
    pandas.DataFrame
        One row per run, by its number: ``started_at`` and ``ended_at`` (null while it continues, or if it was killed),
        ``interrupted``, ``host``, ``pid``, ``versions``, ``pacs``, ``destination``, ``calling_ae_title``,
        ``options``, ``cohort_sha256``, ``columns``, ``folder``.

    Raises
    ------
    JournalError
        There is no journal, or it cannot be read.
    """
    with JOURNAL.open_to_read(journal_at(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = [_decoded(row) for row in connection.execute("SELECT * FROM runs ORDER BY run")]
    table = pd.DataFrame(found, columns=["run", *_RUN_COLUMNS]).set_index("run")
    for name in ("started_at", "ended_at"):
        table[name] = columns.times(table[name].tolist(), index=table.index)
    return table


def read_request(path: str | os.PathLike[str], run: int) -> dict[str, str]:
    """Return the arguments ``level`` and ``query_model`` with which `move` makes the requests of a run again.

    If the rows of the run have different levels, each row says its own, and there is no ``level``.

    Raises
    ------
    JournalError
        There is no journal, or it cannot be read.
    """
    with JOURNAL.open_to_read(journal_at(path)) as connection:
        query = "SELECT DISTINCT k.level, k.query_model FROM rows r JOIN keys k ON k.key = r.key WHERE r.run = ?"
        found = connection.execute(query, (run,)).fetchall()
    values = {"level": {row[0] for row in found}, "query_model": {row[1] for row in found}}
    return {name: several.pop() for name, several in values.items() if len(several) == 1}


def _facts(connection: sqlite3.Connection, run: int | None, path: str | os.PathLike[str]) -> tuple[int, dict[str, Any]]:
    number = connection.execute("SELECT max(run) FROM runs").fetchone()[0] if run is None else run
    connection.row_factory = sqlite3.Row
    found = connection.execute("SELECT * FROM runs WHERE run = ?", (number,)).fetchone()
    connection.row_factory = None
    if found is None:
        message = f"the journal {path} has no run{'' if run is None else f' {run}'}"
        raise JournalError(message)
    return int(number), _decoded(found)


def _further(
    rows: Sequence[Row], sent: Sequence[int | None], options: Mapping[str, Any]
) -> dict[str, list[str | None]]:
    """Return the columns that only some runs have: ``method`` and ``counted_by``."""
    made: dict[str, list[str | None]] = {}
    names: dict[int | None, str] = {code: name for name, code in SENT_BY.items()}
    if options.get("method", "move") == "get":
        made[columns.METHOD_COLUMN] = ["get" if code else None for code in sent]
    elif options.get("method") == "auto" and "receiver" in options:  # earlier versions did not tell the two apart
        made[columns.METHOD_COLUMN] = [names.get(code) for code in sent]
    if "ask" in options:
        made[columns.COUNTED_BY_COLUMN] = [None if row.received is None else "destination" for row in rows]
    return made


def _plain(value: object) -> object:
    """Return a fact of a run as JSON has it: pandas writes `attrs` to Parquet."""
    return value.isoformat() if isinstance(value, datetime) else value


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    facts = dict(row)
    for name in ("versions", "options", "dtypes", "index_dtypes"):
        facts[name] = json.loads(facts[name])
    for name in ("columns", "index_names"):
        facts[name] = cells.decode(facts[name])
    for name in ("started_at", "ended_at"):
        facts[name] = datetime.fromisoformat(facts[name]) if facts[name] else None
    facts["interrupted"] = None if facts["interrupted"] is None else bool(facts["interrupted"])
    return facts


def _table(rows: Sequence[Sequence[object]], labels: Sequence[Any], facts: dict[str, Any]) -> pd.DataFrame:
    made = {number: cells.column([row[number] for row in rows], dtype) for number, dtype in enumerate(facts["dtypes"])}
    table = pd.DataFrame(made, index=range(len(rows)))
    table.columns = cells.columns(facts["columns"])
    names, dtypes = facts["index_names"], facts["index_dtypes"]
    parts = [(label,) for label in labels] if len(names) == 1 else labels
    levels = [cells.column([part[number] for part in parts], dtype) for number, dtype in enumerate(dtypes)]
    table.index = cells.index(levels, names)
    return table


def _row(at_begin: Sequence[Any], last: Sequence[Any]) -> Row:
    """Return a row's result: the one from the beginning of the run, or else the one of its last attempt."""
    at = RESULT.index("outcome")
    return row_at_begin_of(at_begin) if at_begin[at] else row_of(last) if last[at] else not_attempted()


def _asked(identifier: str) -> int:
    pairs = json.loads(identifier)
    return len(pairs[-1][1].split("\\")) if pairs else 0
