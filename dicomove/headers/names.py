"""File names from a template with DICOM keywords and columns of the cohort, and checks of the cells. Pure."""

from __future__ import annotations

import difflib
import hashlib
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import pandas as pd

from dicomove.cohort import UNIQUE_KEYS, plain_text
from dicomove.headers.attributes import tags_of

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LITERAL: Final = re.compile(r"[A-Za-z0-9._=+-]*")
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_LONGEST: Final = 120
_NOTHING: Final = "none"

MOST_NAMED: Final = 5
"""How many rows or files an error names."""

#: A cohort may have these columns without values; the values of the files count.
_UIDS: Final = UNIQUE_KEYS["StudyRoot"]["IMAGE"]


@dataclass(frozen=True, slots=True)
class Template:
    """A path with fields in braces.

    Attributes
    ----------
    parts
        For each component: text and field in turn; a field is ``None`` after the last text.
    columns
        The fields that are columns of the cohort.
    keys
        The fields that are DICOM attributes.
    """

    parts: tuple[tuple[tuple[str, str | None], ...], ...]
    columns: tuple[str, ...]
    keys: tuple[str, ...]

    def path(self, values: Mapping[str, str]) -> str:
        """Return the path of an instance."""
        return "/".join(_component(part, values) for part in self.parts)


def template(path: str, columns: Collection[str]) -> Template:
    """Return a template. A column of the cohort comes before an attribute of the same name.

    Raises
    ------
    ValueError
        The template is invalid; the message has the reason.

    Examples
    --------
    >>> made = template("sub-{subject}/{SeriesNumber}_{SeriesDescription}/{InstanceNumber}.dcm", ["subject"])
    >>> made.columns, made.keys
    (('subject',), ('SeriesNumber', 'SeriesDescription', 'InstanceNumber'))
    >>> made.path({"subject": "01", "SeriesNumber": "3", "SeriesDescription": "T1 / axial", "InstanceNumber": "7"})
    'sub-01/3_T1_axial/7.dcm'
    """
    components: list[list[tuple[str, str | None]]] = [[]]
    try:
        parsed = list(string.Formatter().parse(path))
    except ValueError as error:
        _refuse(path, f"its braces do not match ({error})")
    for literal, name, form, conversion in parsed:
        *before, last = literal.split("/")
        for text in before:
            components[-1].append((text, None))
            components.append([])
        components[-1].append((last, name or None))
        if form or conversion or name == "":
            _refuse(path, "a field is a name in braces, and nothing else")
    for component in components:
        _check(path, component)
    names = list(dict.fromkeys(name for component in components for _, name in component if name))
    keys = [name for name in names if name not in columns]
    for key in keys:
        _check_key(path, key, columns)
    return Template(
        tuple(tuple(component) for component in components), tuple(n for n in names if n in columns), tuple(keys)
    )


def _safe(value: str) -> str:
    """Return a value as part of a name: other characters become ``_``.

    Examples
    --------
    >>> _safe("T1 / axial"), _safe("../etc"), _safe("")
    ('T1_axial', 'etc', 'none')
    """
    return _UNSAFE.sub("_", value).strip("._") or _NOTHING


def _check_key(path: str, key: str, columns: Collection[str]) -> None:
    try:
        tags_of(key)
    except ValueError:
        near = difflib.get_close_matches(key, columns, 1)
        if near:
            _refuse(path, f"{key!r} is neither a keyword nor a column of the table; do you mean {{{near[0]}}}?")
        if key.islower() and key.isidentifier():  # a column of the caller's, and not a keyword with a slip
            given = f"the table has {', '.join(columns)}" if columns else "no table with columns of your own was given"
            _refuse(path, f"{key!r} is neither a keyword nor a column of the table: {given}")
        raise


def _component(part: tuple[tuple[str, str | None], ...], values: Mapping[str, str]) -> str:
    name = "".join(text + (_safe(values.get(field, "")) if field else "") for text, field in part)
    if len(name) > _LONGEST:
        name = f"{name[:80]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}{name[-16:]}"
    return f"_{name}" if _DEVICE.fullmatch(name) else name


def _check(path: str, component: list[tuple[str, str | None]]) -> None:
    literal = "".join(text for text, _ in component)
    if not any(text or field for text, field in component):
        _refuse(path, "it begins or ends with '/', or has a component without a name")
    if not _LITERAL.fullmatch(literal):
        _refuse(path, "beside fields it may have letters of A-Z, digits, and '.', '_', '-', '=', '+'")
    if component[0][0].startswith(".") or (component[-1][1] is None and literal.endswith(".")):
        _refuse(path, "a component cannot begin or end with a dot")


def _refuse(path: str, reason: str) -> NoReturn:
    message = f"the path {path!r} cannot be used: {reason}"
    raise ValueError(message)


def own_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that a template may name."""
    return [name for name in table.columns if isinstance(name, str) and name not in _UIDS]


Cells = Sequence[Mapping[str, str]]
"""The caller's own columns of each row, as text."""


def own_cells(table: pd.DataFrame, made: Template) -> Cells:
    """Return the cells of the columns that a template names.

    Raises
    ------
    ValueError
        Several columns have one of these names.
    """
    for name in made.columns:
        if list(table.columns).count(name) > 1:
            _refuse_column(name, "is the name of several columns of the table", "give each a name of its own")
    cells = [[plain_text(cell) for cell in table[name].tolist()] for name in made.columns]
    return [dict(zip(made.columns, row, strict=True)) for row in zip(*cells, strict=True)] or [{}] * len(table)


def field_values(row: Mapping[object, object], cells: Cells) -> dict[str, str]:
    """Return the values of the fields; a cell of the caller's table comes before an attribute."""
    own = cells[int(str(row["cohort_row"]))] if "cohort_row" in row else {}
    of_row = {str(name): "" if pd.isna(value) else str(value) for name, value in row.items()}  # type: ignore[call-overload]
    return {**of_row, **own}


def refuse_cells(made: Template, cells: Cells, rows: Sequence[int], names: Collection[str]) -> None:
    """Refuse cells that cannot be part of a name, or that would put two subjects into one folder.

    Raises
    ------
    ValueError
        A cell is blank, or has no character for a file name; or different cells become the same name, alone or together
        with their neighbours (``a_b`` and ``c``, ``a`` and ``b_c``).
    """
    for name in names:
        blank = [row for row in rows if not cells[row][name]]
        if blank:
            _refuse_column(name, f"is blank in {_places(blank)}", "fill it")
        lost = [row for row in rows if _safe(cells[row][name]) == _NOTHING != cells[row][name]]
        if lost:
            _refuse_column(name, f"has no letter of A-Z and no digit in {_places(lost)}", "give other values")
        values = {cells[row][name] for row in rows}
        if len({_safe(value).casefold() for value in values}) < len(values):
            reason = "has values that differ only in characters that a name cannot have, or in upper and lower case"
            _refuse_column(name, reason, "give a column with other values")
    _refuse_same_path(made, [{name: cells[row][name] for name in names} for row in rows], rows)


def _refuse_same_path(made: Template, own: Cells, rows: Sequence[int]) -> None:
    seen: dict[str, int] = {}
    for place, row in enumerate(rows):
        before = seen.setdefault(made.path(own[place]).casefold(), place)
        if own[before] != own[place]:
            message = (
                f"the columns of {_places([rows[before], row])} make the same path of different values: nothing was "
                "made; put '/' between the columns"
            )
            raise ValueError(message)


def _refuse_column(name: str, reason: str, remedy: str) -> NoReturn:
    message = f"column {name!r} {reason}: nothing was made; {remedy}"
    raise ValueError(message)


def _places(rows: Sequence[int]) -> str:
    return f"row {', '.join(str(row + 1) for row in rows[:MOST_NAMED])} of the table"
