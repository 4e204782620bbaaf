"""Cells and labels of the caller's table as JSON, and back; and the hash of a cohort. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime
from numbers import Integral, Real
from typing import Any

import pandas as pd


def encode(value: object) -> str:
    """Return a label as JSON: numbers, text, dates and tuples of them come back as they were."""
    return json.dumps(_plain(value), ensure_ascii=False)


def encode_all(values: Iterable[object]) -> str:
    """Return the cells of a row as JSON."""
    return json.dumps([_plain(value) for value in values], ensure_ascii=False)


def decode(text: str) -> Any:
    """Return what was encoded."""
    return back(json.loads(text))


def back(value: Any) -> Any:
    """Return what JSON made of a label, or of cells, as it was."""
    if isinstance(value, list):
        return [back(part) for part in value]
    if isinstance(value, dict):
        return tuple(map(back, value["tuple"])) if "tuple" in value else pd.Timestamp(value["time"])
    return value


def column(values: Sequence[object], dtype: str) -> pd.Series:
    """Return cells as a column of the dtype that they had, if that is possible."""
    made = pd.Series(list(values), dtype=object)
    with suppress(TypeError, ValueError, OverflowError):
        return made if dtype == "object" else made.astype(dtype)  # type: ignore[call-overload]  # it is a dtype's name
    return made


def index(levels: Sequence[pd.Series], names: Sequence[Hashable]) -> pd.Index:
    """Return the levels of an index as the index that they were."""
    if len(names) == 1:
        made: pd.Index = pd.Index(levels[0], name=names[0])
        return made
    return pd.MultiIndex.from_arrays(list(levels), names=list(names))


def cohort_sha256(table: pd.DataFrame) -> str:
    """Return the SHA-256 of what a cohort says: its columns and cells, whatever its index and its dtypes.

    Every cell counts as text, and as nothing where it is missing; the order of rows and columns counts.

    Parameters
    ----------
    table
        The cohort.

    Examples
    --------
    >>> as_text = pd.DataFrame({"StudyInstanceUID": ["1.2.3"], "Images": ["7"]})
    >>> as_number = pd.DataFrame({"StudyInstanceUID": ["1.2.3"], "Images": [7]}, index=["a"])
    >>> cohort_sha256(as_text) == cohort_sha256(as_number)
    True
    """
    digest = hashlib.sha256(encode_all(map(str, table.columns)).encode())
    cells = [table.iloc[:, number].tolist() for number in range(table.shape[1])]
    for row in zip(*cells, strict=True):
        digest.update(b"\n" + json.dumps([_text(cell) for cell in row], ensure_ascii=False).encode())
    return digest.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return {"tuple": [_plain(part) for part in value]}
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, datetime | date):
        return None if pd.isna(value) else {"time": value.isoformat()}
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return None if math.isnan(number) else number
    with suppress(TypeError, ValueError):
        if pd.isna(value):  # type: ignore[call-overload]  # it takes anything
            return None
    return str(value)


def _text(cell: object) -> str | None:
    plain = _plain(cell)
    return plain if plain is None or isinstance(plain, str) else json.dumps(plain)
