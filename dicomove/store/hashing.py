"""The hash of a cohort: it shows whether two runs had the same cohort. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from dicomove.store import cells


def cohort_sha256(table: pd.DataFrame) -> str:
    r"""Return the SHA-256 of a cohort's columns and cells, without its index and its dtypes.

    The order of rows and columns counts. The hashed text is one line of JSON for the columns, and one for each row, as
    UTF-8, with ``"\n"`` between them. Every name and every cell is text there: a whole number has no decimal point, a
    time is in ISO 8601, a missing cell is ``null``.

    Parameters
    ----------
    table
        The cohort.

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


def _line(values: Any) -> bytes:
    line = json.dumps([_text(cells.plain(value)) for value in values], ensure_ascii=False)
    # A table may contain invalid characters (half a surrogate pair), and still needs a hash.
    return line.encode("utf-8", "surrogatepass")


def _text(plain: object) -> str | None:
    if plain is None or isinstance(plain, str):
        return plain
    if isinstance(plain, dict):
        ((kind, content),) = plain.items()
        return json.dumps([_text(part) for part in content], ensure_ascii=False) if kind == "tuple" else str(content)
    return str(int(plain)) if isinstance(plain, float) and plain.is_integer() else str(plain)
