"""A result table as CSV, Parquet or JSON, and the same table back.

JSON holds the types of columns and index beside the rows, and Parquet its own. A CSV file, which everybody opens, gets
them in a second file beside it; without that one, dicomove's own columns have their types, and the caller's are text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dicomove import columns
from dicomove.journal import cells
from dicomove.journal.reading import read_journal

_COUNTS: Final = frozenset(
    {
        *("total", "completed", "failed", "warning", "remaining", "expected", "received", "bytes", "missing"),
        *("attempts", "run", "asked_uids"),
    }
)
_TIMES: Final = frozenset(("started_at", "finished_at", "received_at", "at"))
_KINDS: Final = (".csv", ".parquet", ".json")


def export(results: pd.DataFrame | str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Write a result table to a file, from which `read_results` makes the same table again.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal.
    path
        The file: ``.csv``, ``.json``, or ``.parquet`` (which needs the extra ``parquet``). It gets its name when it is
        whole.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        Another suffix.
    ImportError
        ``pyarrow`` is not installed.
    """
    table = results if isinstance(results, pd.DataFrame) else read_journal(results)
    where = Path(path)
    _check(where)
    half = where.with_name(f".{where.name}.part")
    try:
        _write(table, half, where.suffix)
        if where.suffix == ".csv":
            _beside(where).write_text(json.dumps(_schema(table) | {"empty": _empty(table)}), encoding="utf-8")
        half.replace(where)
    finally:
        half.unlink(missing_ok=True)
    return where


def read_results(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the table that `export` wrote: identifiers as text, counts that may be null, times in UTC.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ValueError
        Another suffix than those of `export`.
    """
    where = Path(path)
    _check(where)
    if where.suffix == ".parquet":
        return pd.read_parquet(where)
    if where.suffix == ".json":
        content = json.loads(where.read_text(encoding="utf-8"))
        return _made([cells.back(row) for row in content["rows"]], content["schema"])
    beside = _beside(where)
    if not beside.exists():
        return _usual(pd.read_csv(where, dtype=str, keep_default_na=False))
    schema = json.loads(beside.read_text(encoding="utf-8"))
    found = pd.read_csv(where, dtype=str, keep_default_na=False, skip_blank_lines=False)
    rows = found.astype(object).where(found != "", None).to_numpy().tolist()
    for column, numbers in schema["empty"].items():
        for number in numbers:
            rows[number][int(column)] = ""
    return _made(rows, schema)


def _write(table: pd.DataFrame, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        table.to_parquet(path)
        return
    rows = [(*_labels(label, table.index.nlevels), *row) for label, row in _rows(table)]
    if suffix == ".json":
        schema = json.dumps(_schema(table))
        lines = ",\n".join(map(cells.encode_all, rows))
        path.write_text(f'{{"schema": {schema},\n"rows": [\n{lines}\n]}}\n', encoding="utf-8")
        return
    names = [*table.index.names, *table.columns]
    flat = pd.DataFrame(rows, columns=[_plain_name(name) for name in names], dtype=object)
    flat.to_csv(path, index=False)


def _rows(table: pd.DataFrame) -> list[tuple[Any, tuple[Any, ...]]]:
    made = [table.iloc[:, number].astype(object).tolist() for number in range(table.shape[1])]
    rows = list(zip(*made, strict=True)) if made else [()] * len(table)
    return list(zip(table.index, rows, strict=True))


def _empty(table: pd.DataFrame) -> dict[int, list[int]]:
    """Return where there is text of no characters, which CSV cannot tell from nothing."""
    flat: list[Iterable[object]] = [table.index.get_level_values(n) for n in range(table.index.nlevels)]
    flat += [table.iloc[:, n] for n in range(table.shape[1])]
    found = {
        n: [row for row, value in enumerate(values) if isinstance(value, str) and not value]
        for n, values in enumerate(flat)
    }
    return {n: rows for n, rows in found.items() if rows}


def _labels(label: Any, levels: int) -> tuple[Any, ...]:
    return label if levels > 1 else (label,)


def _schema(table: pd.DataFrame) -> dict[str, Any]:
    levels = [table.index.get_level_values(number) for number in range(table.index.nlevels)]
    return {
        "columns": cells.encode_all(table.columns),
        "dtypes": [str(dtype) for dtype in table.dtypes],
        "index_names": cells.encode_all(table.index.names),
        "index_dtypes": [str(level.dtype) for level in levels],
    }


def _made(rows: Sequence[Sequence[Any]], schema: dict[str, Any]) -> pd.DataFrame:
    names, dtypes = cells.decode(schema["index_names"]), schema["index_dtypes"]
    width = len(names)
    made = {
        number: _typed([row[width + number] for row in rows], dtype) for number, dtype in enumerate(schema["dtypes"])
    }
    table = pd.DataFrame(made, index=range(len(rows)))
    table.columns = pd.Index(cells.decode(schema["columns"]), tupleize_cols=True)
    levels = [_typed([row[number] for row in rows], dtype) for number, dtype in enumerate(dtypes)]
    table.index = cells.index(levels, names)
    return table


def _typed(values: list[Any], dtype: str) -> pd.Series:
    """Return values, which may be text, as a column of this dtype."""
    texts = any(isinstance(value, str) for value in values)
    if texts and dtype in ("bool", "boolean"):
        values = [None if value is None else value == "True" for value in values]
    elif texts and dtype.lower().startswith(("int", "uint", "float")):
        values = [
            None if value is None else float(value) if "." in value or "e" in value else int(value) for value in values
        ]
    return cells.column(values, dtype)


def _usual(found: pd.DataFrame) -> pd.DataFrame:
    """Return a table of text with the types of dicomove's own columns."""
    for name in found.columns:
        values = [value or None for value in found[name]]
        if name in _COUNTS:
            found[name] = columns.counts([None if value is None else int(value) for value in values])
        elif name in _TIMES:
            found[name] = columns.times([None if value is None else pd.Timestamp(value) for value in values])
        elif name == "duration_s":
            found[name] = columns.seconds([None if value is None else float(value) for value in values])
        else:
            found[name] = columns.text(values)
    return found


def _plain_name(name: object) -> str:
    return "" if name is None else " ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.schema.json")


def _check(path: Path) -> None:
    if path.suffix not in _KINDS:
        message = f"{path.name!r}: the file's suffix says what it is, one of {', '.join(_KINDS)}"
        raise ValueError(message)
