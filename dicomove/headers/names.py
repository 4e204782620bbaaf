"""File names from a template with DICOM keywords and columns of the cohort, and checks of the cells. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import pandas as pd

from dicomove.cohort import UNIQUE_KEYS, plain_text
from dicomove.headers.attributes import tags_of
from dicomove.receiver.paths import DEVICE, Component, check_component, checksum, components_of, refuse

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
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
    components
        The components of the path.
    columns
        The fields that are columns of the cohort.
    keys
        The fields that are DICOM attributes.
    """

    components: tuple[Component, ...]
    columns: tuple[str, ...]
    keys: tuple[str, ...]

    def path(self, values: Mapping[str, str]) -> str:
        """Return the path of an instance."""
        return "/".join(_name(one, values) for one in self.components)


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
    components = components_of(path, lambda name: None if name in columns else _check_key(path, name, columns))
    for component in components:
        check_component(path, component)
    names = dict.fromkeys(part.keyword for component in components for part in component if part.keyword)
    own, keys = [name for name in names if name in columns], [name for name in names if name not in columns]
    return Template(tuple(components), tuple(own), tuple(keys))


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
            refuse(path, f"{key!r} is neither a keyword nor a column of the table; do you mean {{{near[0]}}}?")
        if key.islower() and key.isidentifier():  # a column of the caller's, and not a keyword with a slip
            given = f"the table has {', '.join(columns)}" if columns else "no table with columns of your own was given"
            refuse(path, f"{key!r} is neither a keyword nor a column of the table: {given}")
        raise


def _name(component: Component, values: Mapping[str, str]) -> str:
    name = "".join(_safe(values.get(part.keyword, "")) if part.keyword else part.literal for part in component)
    if len(name) > _LONGEST:
        name = f"{name[:80]}~{checksum(name)}{name[-16:]}"
    return f"_{name}" if DEVICE.fullmatch(name) else name


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
