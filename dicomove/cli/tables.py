"""Reads the table for a command: from a file, or as CSV or JSON from standard input."""

from __future__ import annotations

import csv
import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from dicomove.cohort import read_cohort
from dicomove.errors import CohortError

_STANDARD_INPUT = "standard input"


def table_of(chosen: Namespace) -> pd.DataFrame:
    """Return the table that the arguments name; ``-`` is CSV, or what ``--json`` prints, from standard input."""
    if chosen.table != "-":
        return _read(chosen.table, chosen.table)
    given = sys.stdin.buffer.read() if isinstance(sys.stdin, io.TextIOWrapper) else sys.stdin.read().encode()
    if given.lstrip()[:1] in (b"{", b"["):
        given = as_csv(given.decode("utf-8", "replace")).encode()
    with TemporaryDirectory(prefix="dicomove-") as folder:
        path = Path(folder, "standard_input.csv")
        path.write_bytes(given)
        return _read(path, _STANDARD_INPUT)


def _read(path: str | Path, name: str) -> pd.DataFrame:
    """Read a table; an error begins with its name."""
    try:
        return read_cohort(path)
    except CohortError as error:
        message = f"{name}: {error}"
        raise CohortError(message) from error


def as_csv(text: str) -> str:
    r"""Return JSON objects, one after another or in lists, as CSV, which is then read like any other CSV.

    Raises
    ------
    CohortError
        The text is not JSON, or has something else than objects.

    Examples
    --------
    >>> as_csv('{"mrn": "007", "visits": 2}\n{"mrn": "008", "arm": null}')
    'mrn,visits,arm\r\n007,2,\r\n008,,\r\n'
    """
    rows = list(_objects(text))
    written = io.StringIO()
    writer = csv.DictWriter(written, dict.fromkeys(name for row in rows for name in row), restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return written.getvalue()


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        try:
            found, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            message = f"{_STANDARD_INPUT}: line {error.lineno} is not valid JSON: {error.msg}"
            raise CohortError(message) from None
        for one in found if isinstance(found, list) else [found]:
            if not isinstance(one, dict):
                message = f"{_STANDARD_INPUT}: JSON is read as one object for each row, as --json prints it"
                raise CohortError(message)
            yield one
        while place < len(text) and text[place].isspace():
            place += 1


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
