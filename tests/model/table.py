"""What a table says, and what is meant by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.model.words import FIRST_KEY, KEYS, LEVELS


@dataclass(frozen=True)
class Cell:
    """A cell, and the value that a C-MOVE may be sent with for it: none where it is blank, or cannot be sent."""

    raw: object
    value: str | None = None
    blank: bool = False

    def __repr__(self) -> str:
        return repr(self.raw) if self.value == self.raw or self.blank else f"<{self.raw!r} means {self.value!r}>"

    @property
    def is_number(self) -> bool:
        return isinstance(self.raw, int | float) and not self.blank


NOTHING: Final = Cell(None, blank=True)
#: In place of a keyword: the outcome of a row that `find` could not match.
SAID_BY_FIND: Final = "said by find"
#: The cells of one row, by keyword.
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Asked:
    """What one C-MOVE is to ask for."""

    level: str
    query_model: str
    keys: tuple[tuple[str, str], ...]


def asked(row: Row, level: str | None, query_model: str) -> Asked | None:
    """Return what a row asks for, or nothing where it cannot be asked."""
    word = level or _level_of(row)
    if SAID_BY_FIND in row:
        return None
    if word not in LEVELS[FIRST_KEY[query_model] :]:
        return None
    names = KEYS[FIRST_KEY[query_model] : LEVELS.index(word) + 1]
    values = [row.get(name, NOTHING).value for name in names]
    if None in values:
        return None
    return Asked(word, query_model, tuple(zip(names, map(str, values), strict=True)))


def _level_of(row: Row) -> str | None:
    cell = row.get("QueryRetrieveLevel", NOTHING)
    if not cell.blank:
        return cell.value
    deepest = [level for level, name in zip(LEVELS, KEYS, strict=True) if not row.get(name, NOTHING).blank]
    return deepest[-1] if deepest and deepest[-1] != "PATIENT" else None


def is_hopeless(rows: Sequence[Row], level: str | None, query_model: str) -> bool:
    """Whether no row of a table could be right, so that it is refused as a whole."""
    if level == "PATIENT" and query_model == "StudyRoot":
        return True
    if not rows:
        return False
    top = "PATIENT" if query_model == "PatientRoot" and "QueryRetrieveLevel" in rows[0] else "STUDY"
    first = FIRST_KEY[query_model]
    needed = KEYS[first : LEVELS.index(level or top) + 1]
    read = needed if level else KEYS[first:]
    columns = [[row[name] for row in rows if not row[name].blank] for name in read if name in rows[0]]
    if any(column and all(cell.is_number for cell in column) for column in columns):
        return True
    levels = [row["QueryRetrieveLevel"] for row in rows if not row.get("QueryRetrieveLevel", NOTHING).blank]
    no_level = bool(levels) and not any(cell.value for cell in levels) and level is None
    return no_level or any(name not in rows[0] for name in needed)
