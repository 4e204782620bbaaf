"""Cells and labels of the caller's table as JSON, and back; the hash of a cohort. Pure.

Text, numbers, truth values and nulls are JSON's own. A time is ``{"time": "2026-11-24T03:15:21"}``, a day
``{"day": ...}``, a span of time ``{"span": ...}`` (all in ISO 8601), a tuple ``{"tuple": [...]}``. Anything else
becomes its text.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from json.encoder import encode_basestring, encode_basestring_ascii
from numbers import Integral, Real
from typing import Any, Final

import pandas as pd

_FROM_JSON: Final[dict[str, Callable[[Any], Any]]] = {
    "time": pd.Timestamp,
    "day": date.fromisoformat,
    "span": pd.Timedelta,
    "tuple": lambda parts: tuple(map(from_json, parts)),
}


#: Fast encoders for the most frequent types of millions of cells: JSON's own encoder takes ten times as long.
_SIMPLE: Final[Mapping[type, Callable[[Any], str]]] = {
    str: encode_basestring_ascii,
    int: int.__repr__,
    type(None): lambda _: "null",
}
_HASHED: Final[Mapping[type, Callable[[Any], str]]] = {
    str: encode_basestring,
    int: '"{}"'.format,
    type(None): lambda _: "null",
}


def encode(value: object) -> str:
    """Return a label as JSON."""
    return _SIMPLE.get(type(value), _encode)(value)


def encode_all(values: Iterable[object]) -> str:
    """Return the cells of a row as JSON.

    Examples
    --------
    >>> encode_all(["000123", 7, None, date(2026, 11, 24)])
    '["000123", 7, null, {"day": "2026-11-24"}]'
    """
    return f"[{', '.join(map(encode, values))}]"


def encode_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of text as JSON.

    Examples
    --------
    >>> encode_pairs([("PatientID", "007")])
    '[["PatientID", "007"]]'
    """
    return f"[{', '.join(f'[{encode(name)}, {encode(value)}]' for name, value in pairs)}]"


def _encode(value: object) -> str:
    return json.dumps(to_json(value))


def decode(text: str) -> Any:
    """Return the encoded value.

    Examples
    --------
    >>> decode(encode(("000123", 7, None, date(2026, 11, 24))))
    ('000123', 7, None, datetime.date(2026, 11, 24))
    """
    return from_json(json.loads(text))


def from_json(value: Any) -> Any:
    """Return the original of a label, or of cells, from its JSON value."""
    if isinstance(value, list):
        return [from_json(part) for part in value]
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return _FROM_JSON[kind](content)
    return value


def to_json(value: object) -> object:
    """Return a value in its JSON form."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, tuple):
        return {"tuple": [to_json(part) for part in value]}
    if not pd.api.types.is_scalar(value):
        return str(value)
    if pd.isna(value):  # type: ignore[call-overload]  # it takes every scalar
        return None
    return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    if isinstance(value, timedelta):
        return {"span": pd.Timedelta(value).isoformat()}
    # A number or a truth value from NumPy.
    item = getattr(value, "item", None)
    return str(value) if item is None else to_json(item())


def column(values: Sequence[object], dtype: str) -> pd.Series:
    """Return cells as a column with their original dtype, if possible.

    Examples
    --------
    >>> column([7, None], "Int64").tolist()
    [7, <NA>]
    """
    made = pd.Series(list(values), dtype=object)
    with suppress(TypeError, ValueError, OverflowError):
        # pandas 2 reads a journal of pandas 3: it has no separate type for text, and null would become "None".
        if dtype == "object" or pd.api.types.pandas_dtype(dtype).kind == "U":
            return made
        if dtype.startswith("datetime64["):
            # Times in a zone with daylight saving have two offsets, which pandas treats as two zones.
            made = pd.Series(pd.to_datetime(made, utc="," in dtype, format="ISO8601"))
        restored: pd.Series = made.astype(dtype)  # type: ignore[call-overload]  # it is a dtype's name
        return restored
    return made


def labels(found: Iterable[str | None]) -> pd.Series:
    """Return encoded labels as a column."""
    return pd.Series([None if label is None else decode(label) for label in found], dtype=object)


def index(levels: Sequence[pd.Series], names: Sequence[Hashable]) -> pd.Index:
    """Return the original index from its levels."""
    if len(names) == 1:
        made: pd.Index = pd.Index(levels[0], name=names[0])
        return made
    return pd.MultiIndex.from_arrays(list(levels), names=list(names))


def columns(labels: Sequence[Hashable], names: Sequence[Hashable] = ()) -> pd.Index:
    """Return the original index of columns from their labels."""
    made: pd.Index = pd.Index(labels, tupleize_cols=True) if len(labels) else pd.Index([], dtype="str")
    if names and len(names) == made.nlevels:
        made.names = list(names)
    return made


def cohort_sha256(table: pd.DataFrame) -> str:
    r"""Return the SHA-256 of a cohort's columns and cells, without its index and its dtypes.

    The order of rows and columns counts. The hashed text is one line of JSON for the columns, and one for each row, as
    UTF-8, with ``"\n"`` between them. Every name and every cell is text there: a whole number has no decimal point, a
    time is in ISO 8601, a missing cell is ``null``.

    Examples
    --------
    >>> as_text = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"], "Images": ["7", None]})
    >>> as_number = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"], "Images": [7, None]}, index=["a", "b"])
    >>> cohort_sha256(as_text) == cohort_sha256(as_number)
    True

    Without dicomove:

    >>> lines = ['["StudyInstanceUID", "Images"]', '["1.2.3", "7"]', '["1.2.4", null]']
    >>> hashlib.sha256("\n".join(lines).encode()).hexdigest() == cohort_sha256(as_text)
    True
    """
    digest = hashlib.sha256(_line(list(table.columns)))
    columns = [table.iloc[:, number].tolist() for number in range(table.shape[1])]
    for row in zip(*columns, strict=True):
        digest.update(b"\n" + _line(row))
    return digest.hexdigest()


def _line(values: Iterable[object]) -> bytes:
    line = f"[{', '.join(_HASHED.get(type(value), _hashed)(value) for value in values)}]"
    # A table may contain invalid characters (half a surrogate pair), and still needs a hash.
    return line.encode("utf-8", "surrogatepass")


def _hashed(value: object) -> str:
    return json.dumps(_hashed_text(to_json(value)), ensure_ascii=False)


def _hashed_text(plain: object) -> str | None:
    if plain is None or isinstance(plain, str):
        return plain
    if isinstance(plain, dict):
        ((kind, content),) = plain.items()
        return (
            json.dumps([_hashed_text(part) for part in content], ensure_ascii=False)
            if kind == "tuple"
            else str(content)
        )
    return str(int(plain)) if isinstance(plain, float) and plain.is_integer() else str(plain)
