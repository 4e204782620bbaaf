"""Writes a result table as CSV, Parquet or JSON, and reads the same table back.

JSON and Parquet store the types of columns and index. For a CSV file, a second file stores them, together with values
that CSV cannot express: empty text, and values of a column with mixed types. Without that file, or if the CSV file was
edited, dicomove's own columns have their types, and the caller's columns are text.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pandas as pd

from dicomove.columns import RESULT_COLUMNS
from dicomove.errors import CohortError
from dicomove.files import file_sha256, replacing, user_path
from dicomove.store import cells
from dicomove.store.crate import CRATE_FILE, write_crate
from dicomove.store.manifest import CHECKSUMS_FILE, read_manifest, write_checksums
from dicomove.store.pseudonyms import Pseudonyms
from dicomove.store.reading import read_journal
from dicomove.store.schema import journal_at
from dicomove.store.spreadsheet_csv import read_cells, typed_table

_DTYPES: Final = "dicomove"
# Exceptions of JSON and Parquet for other content.
_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError, NotImplementedError)
# Dtypes whose values CSV keeps; `interval` also begins with "int".
_WHOLE: Final = re.compile("u?int[0-9]")
_SIMPLE: Final = re.compile("u?int[0-9]|float|bool|datetime64")
# Python can write every text with these.
_ENCODING: Final[dict[str, Any]] = {"encoding": "utf-8", "errors": "surrogatepass"}


def export(
    results: pd.DataFrame | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    pseudonymize: bool | None = None,
    key: str | bytes | None = None,
) -> Path:
    """Write a result table to a file. `read_results` reads it back as the same table.

    Identifiers of patients in the table are in the file, too. With the name ``manifest-sha256.txt``, the file has the
    hashes of the images, in the form of BagIt: ``sha256sum -c`` and `verify` check them. With the name
    ``ro-crate-metadata.json``, it describes the latest run of a journal as an RO-Crate (extra ``provenance``): the
    PACS, the options, the software with its versions, the cohort's hash, and the images with their hashes.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal: its latest run. For the hashes, the folder of a
        `Receiver`, a journal, or a manifest.
    path
        The file: ``manifest-sha256.txt``, ``.csv`` (with its types in a second file, ``.csv.schema.json``), ``.json``,
        or ``.parquet`` (extra ``parquet``). It gets its name only when it is complete, and then replaces a file of that
        name.
    pseudonymize, key
        For an RO-Crate: whether pseudonyms replace the UIDs and name the images, and the cohort's hash is keyed, as in
        `report` and by default. With ``pseudonymize=False``, the images have their own paths. Other files have no
        pseudonyms.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    JournalError, ReceiverError
        There is no journal, or no record of the folder; or it cannot be read.
    ValueError
        Another suffix, a table that Parquet cannot store, pseudonyms for a file that has none, or an RO-Crate of a
        table: give the journal.
    ImportError
        ``pyarrow`` or ``rocrate`` is not installed.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> results = pd.DataFrame({"AccessionNumber": ["000123", None], "outcome": ["complete", "empty"]})
    >>> read_results(export(results, Path(mkdtemp(), "results.csv"))).equals(results)
    True
    """
    where = user_path(path)
    if where.name == CRATE_FILE:
        return _write_crate(results, where, None if pseudonymize is False else Pseudonyms(key))
    if pseudonymize or key is not None:
        message = f"{where.name} keeps the identifiers: leave out pseudonymize= and key=, or write a report()"
        raise ValueError(message)
    if where.name == CHECKSUMS_FILE:
        return write_checksums(results if isinstance(results, pd.DataFrame) else read_manifest(results), where)
    suffix = _suffix(where, f"or the name {CHECKSUMS_FILE} or {CRATE_FILE}")
    table = results if isinstance(results, pd.DataFrame) else read_journal(results)
    with replacing(where) as part:
        _WRITERS[suffix](table, part)
        if suffix == ".csv":
            _write_schema(table, where, part)
    return where


def _write_crate(journal: pd.DataFrame | str | os.PathLike[str], where: Path, names: Pseudonyms | None) -> Path:
    if isinstance(journal, pd.DataFrame):
        message = f"{CRATE_FILE} describes a run with its files: give the path of its journal, not a table"
        raise ValueError(message)  # noqa: TRY004 - every invalid argument is a ValueError
    path = journal_at(Path(journal))
    write_crate(where, read_journal(path), read_manifest(path), names)
    return where


def read_results(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return the table that `export` wrote: identifiers as text, counts that may be null, times in UTC.

    `read_results` also reads a CSV file that another program saved in its own style: ``;`` between the cells, ``0,35``,
    ``WAHR``, ``05.11.2026 09:30``. It refuses ambiguous cells.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    CohortError
        `export` did not write the file, or a cell in one of dicomove's columns cannot be read: the message names its
        column and row. A CohortError is also a ValueError.
    ValueError
        A suffix that `export` does not write.
    ImportError
        ``pyarrow`` is not installed.

    Warns
    -----
    CohortWarning
        Another program saved the file: `read_results` read its dates, or it has damaged identifiers.
    """
    where = user_path(path)
    suffix = _suffix(where, "read_cohort reads other tables")
    if where.is_dir():
        message = f"{where.name!r} is a folder: give a file that export wrote"
        raise CohortError(message)
    if suffix == ".csv":
        return _read_csv(where)
    try:
        return _read_parquet(where) if suffix == ".parquet" else _read_json(where)
    except (FileNotFoundError, PermissionError):
        raise
    except _UNREADABLE as error:
        message = f"{where} does not hold a table that export wrote ({type(error).__name__})"
        raise CohortError(message) from None


def _read_json(path: Path) -> pd.DataFrame:
    content = json.loads(path.read_text(**_ENCODING))
    return _made([cells.from_json(row) for row in content["rows"]], content["schema"])


def _write_json(table: pd.DataFrame, path: Path) -> None:
    lines = ",\n".join(json.dumps([cells.to_json(cell) for cell in row], ensure_ascii=False) for row in _rows(table))
    path.write_text(f'{{"schema": {json.dumps(_schema(table))},\n"rows": [\n{lines}\n]}}\n', **_ENCODING)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with path.open("w", newline="", **_ENCODING) as file:
        writer = csv.writer(file)
        writer.writerow([_header(name) for name in (*table.index.names, *table.columns)])
        writer.writerows(map(_as_text, row) for row in _rows(table))


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    _need_pyarrow()
    names = list(table.columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        message = "Parquet needs unique column names that are text: rename the columns, or export to .json or .csv"
        raise ValueError(message)
    # Replaces the facts of a run, which contain times that pandas cannot write there.
    bare = table.copy(deep=False)
    bare.attrs = {_DTYPES: _schema(table)}
    try:
        bare.to_parquet(path, engine="pyarrow")
    except (TypeError, ValueError, OverflowError):
        # The error's own text contains values of cells.
        message = "Parquet needs one type for each column: export to .json or .csv, or give each column a single type"
        raise ValueError(message) from None


_WRITERS: Final[dict[str, Callable[[pd.DataFrame, Path], None]]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".parquet": _write_parquet,
}


def _write_schema(table: pd.DataFrame, where: Path, written: Path) -> None:
    schema = _schema(table) | {"sha256": file_sha256(written), "cells": _lost_in_csv(table)}
    with replacing(_schema_path(where)) as part:
        part.write_text(json.dumps(schema), **_ENCODING)


def _lost_in_csv(table: pd.DataFrame) -> dict[int, dict[int, Any]]:
    """Return the cells that CSV would change, by column and row."""
    schema = _schema(table)
    dtypes = (*schema["index_dtypes"], *schema["dtypes"])
    made: dict[int, dict[int, Any]] = {number: {} for number, dtype in enumerate(dtypes) if not _is_simple(dtype)}
    for row, values in enumerate(_rows(table)):
        for number, found in made.items():
            cell = cells.to_json(values[number])
            if cell == "" or not (cell is None or isinstance(cell, str)):
                found[row] = cell
    return made


def _is_simple(dtype: str) -> bool:
    return _SIMPLE.match(dtype.lower()) is not None


def _as_text(cell: object) -> object:
    found = cells.to_json(cell)
    return next(iter(found.values())) if isinstance(found, dict) else found


def _rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return the rows, each with its labels first."""
    levels = [table.index.get_level_values(number) for number in range(table.index.nlevels)]
    made = [level.astype(object).tolist() for level in levels]
    made += [table.iloc[:, number].astype(object).tolist() for number in range(table.shape[1])]
    return list(zip(*made, strict=True))


def _schema(table: pd.DataFrame) -> dict[str, Any]:
    levels = [table.index.get_level_values(number) for number in range(table.index.nlevels)]
    return {
        "columns": [cells.to_json(name) for name in table.columns],
        "column_names": [cells.to_json(name) for name in table.columns.names],
        "dtypes": [str(dtype) for dtype in table.dtypes],
        "index_names": [cells.to_json(name) for name in table.index.names],
        "index_dtypes": [str(level.dtype) for level in levels],
    }


def _made(rows: Sequence[Sequence[Any]], schema: dict[str, Any]) -> pd.DataFrame:
    names, dtypes = cells.from_json(schema["index_names"]), schema["index_dtypes"]
    made = {
        number: _typed([row[len(names) + number] for row in rows], dtype)
        for number, dtype in enumerate(schema["dtypes"])
    }
    table = pd.DataFrame(made, index=range(len(rows)))
    table.columns = cells.columns(cells.from_json(schema["columns"]), cells.from_json(schema["column_names"]))
    table.index = cells.index(
        [_typed([row[number] for row in rows], dtype) for number, dtype in enumerate(dtypes)], names
    )
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    schema = _read_schema(path)
    if schema is None:
        header, cells_of = read_cells(path.read_bytes(), RESULT_COLUMNS)
        return typed_table(header, cells_of)
    # The csv module cannot read a cell of more than 128 KiB, but a list of failed instances may be longer.
    found = pd.read_csv(
        path,
        header=None,
        dtype=object,
        keep_default_na=False,
        skip_blank_lines=False,
        encoding_errors="surrogatepass",
    )
    _, *rows = [[cell or None for cell in row] for row in found.to_numpy().tolist()]
    for column, lost in schema["cells"].items():
        for row, cell in lost.items():
            rows[int(row)][int(column)] = cells.from_json(cell)
    return _made(rows, schema)


def _read_schema(path: Path) -> dict[str, Any] | None:
    """Return the types in the second file of a CSV file, if the CSV file has not changed since."""
    try:
        schema = json.loads(_schema_path(path).read_text(**_ENCODING))
        return schema if schema["sha256"] == file_sha256(path) else None
    except (KeyError, TypeError, ValueError, FileNotFoundError, IsADirectoryError):
        return None


def _read_parquet(path: Path) -> pd.DataFrame:
    _need_pyarrow()
    table = pd.read_parquet(path, engine="pyarrow")
    schema = table.attrs.pop(_DTYPES, None)
    if schema is None:
        return table
    # Parquet has one type for text, pandas has several.
    made = {number: _as(table.iloc[:, number], dtype) for number, dtype in enumerate(schema["dtypes"])}
    levels = [_as(table.index.get_level_values(n), dtype) for n, dtype in enumerate(schema["index_dtypes"])]
    restored = pd.DataFrame(made, index=range(len(table)))
    restored.columns, restored.index = table.columns, cells.index(levels, table.index.names)
    return restored


def _as(values: pd.Series | pd.Index, dtype: str) -> pd.Series:
    if str(values.dtype) == dtype:
        return pd.Series(values.array, dtype=values.dtype)
    return cells.column([None if pd.isna(value) else value for value in values.astype(object)], dtype)


def _typed(values: list[Any], dtype: str) -> pd.Series:
    """Return values, possibly as text, as a column of this dtype."""
    kind = dtype.lower()
    if kind.startswith("bool"):
        values = [value == "True" if isinstance(value, str) else value for value in values]
    elif _WHOLE.match(kind):
        values = [int(value) if isinstance(value, str) else value for value in values]
    elif kind.startswith("float"):
        values = [float(value) if isinstance(value, str) else value for value in values]
    return cells.column(values, dtype)


def _header(name: object) -> str:
    return "" if name is None else " ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _schema_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.schema.json")


def _suffix(path: Path, others: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        message = f"{path.name!r}: give the file one of the suffixes {', '.join(_WRITERS)}; {others}"
        raise ValueError(message)
    return suffix


def _need_pyarrow() -> None:
    if find_spec("pyarrow") is None:
        message = 'Parquet needs pyarrow: pip install "dicomove[parquet]"'
        raise ImportError(message)
