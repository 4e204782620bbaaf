"""The rows of a file, as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dicomove.cohort.values import is_blank

NAMED = 10
"""The most places that one sentence names."""


class Shown(NamedTuple):
    """A number of a spreadsheet, and how the spreadsheet shows it.

    Parameters
    ----------
    value
        The number.
    text
        The text that a person sees: ``000123`` for 123, ``1,234,567`` for 1234567, ``####`` if that is unknown.
    """

    value: object
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The rows of a text file, of a sheet or of a Parquet file, with the header among them.

    Parameters
    ----------
    rows
        The cells, as they are stored. Rows of a text file may differ in length.
    lines
        The line of each row in the file, from 1; empty for a file without lines.
    name
        The name of the sheet.
    is_hidden
        Whether the spreadsheet hides the sheet.
    problems
        Problems of single cells, by row and column.
    merged
        The cells that were filled from the first one of merged cells, by row and column.
    hidden
        The rows that the spreadsheet hides.
    blank_is_unknown
        Whether a cell that looks empty may be an error, or a formula without its result.
    notes
        Sentences about the file, for the user.
    """

    rows: list[list[object]]
    lines: list[int] = field(default_factory=list)
    name: str | None = None
    is_hidden: bool = False
    problems: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: frozenset[tuple[int, int]] = frozenset()
    hidden: frozenset[int] = frozenset()
    blank_is_unknown: bool = False
    notes: list[str] = field(default_factory=list)


def places(lines: Sequence[int]) -> str:
    """Return lines as text for a message, at most ten of them.

    Examples
    --------
    >>> places([3]), places([3, 4, 7])
    ('line 3', 'lines 3, 4, 7')
    """
    named = ", ".join(map(str, lines[:NAMED]))
    more = f", and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {named}{more}"


class Range(NamedTuple):
    """Merged cells: the first and the last line and column, from 1."""

    first_line: int
    last_line: int
    first_column: int
    last_column: int


@dataclass(slots=True)
class Cells:
    """The cells of a sheet while it is read, by line and column, from 1."""

    values: dict[tuple[int, int], object] = field(default_factory=dict)
    problems: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: list[Range] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)

    def as_grid(self, name: str, *, is_hidden: bool = False, blank_is_unknown: bool = False) -> Grid:
        """Return the rows that are not empty, with merged cells filled from their first one."""
        filled = dict(_fillings(self.values, self.merged))
        values = self.values | filled
        taken = {place: value for place, value in values.items() if not is_blank(value)}
        lines = sorted({line for line, _ in taken})
        width = max((column for _, column in taken), default=0)
        row_of = {line: row for row, line in enumerate(lines)}
        return Grid(
            name=name,
            is_hidden=is_hidden,
            blank_is_unknown=blank_is_unknown,
            lines=lines,
            rows=[[values.get((line, column), "") for column in range(1, width + 1)] for line in lines],
            problems={(row_of[line], column - 1): said for (line, column), said in self.problems.items()},
            merged=frozenset((row_of[line], column - 1) for line, column in filled),
            hidden=frozenset(row_of[line] for line in self.hidden if line in row_of),
        )


def _fillings(
    values: dict[tuple[int, int], object], merged: Sequence[Range]
) -> Iterable[tuple[tuple[int, int], object]]:
    last = max((line for (line, _), value in values.items() if not is_blank(value)), default=0)
    for area in merged:
        first = values.get((area.first_line, area.first_column))
        if is_blank(first):
            continue
        # Whole columns may be merged, but a sheet ends at its last cell.
        for line in range(area.first_line, max(min(area.last_line, last), area.first_line) + 1):
            for column in range(area.first_column, area.last_column + 1):
                if (line, column) != (area.first_line, area.first_column):
                    yield (line, column), first
