"""What spreadsheets, databases and people do to a cell, each with what a person then reads in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

import pandas as pd

from tests.other_patients.meaning import BLANK, UNKNOWN, Cell

Damage = Callable[[str], Cell]
_FULL_WIDTH: Final = {code: code + 0xFEE0 for code in (*range(ord("0"), ord("9") + 1), *range(ord("A"), ord("[")))}

#: Cells that hold nothing.
_BLANKS: Final = ("", " ", "  \t", "\u00a0", "\u200b", "\ufeff")
#: Nothing but wildcards.
_WILDCARDS: Final = ("?", "*", "**", "??")
#: Words that programs and people write where there is nothing: to a PACS they are text (docs/tables.md).
_NO_VALUE: Final = ("nan", "NaN", "n/a", "N/A", "NA", "<NA>", "NULL", "null", "None", "NaT", "-")
#: What a spreadsheet shows instead of a value.
_ERRORS: Final = ("#N/A", "#REF!", "#NAME?", "#VALUE!", "#NV", "#WERT!", "#BEZUG!", "########", "#DIV/0!")


def _fixed(cell: Cell) -> Damage:
    return lambda _: cell


def _kept(change: Callable[[str], object]) -> Damage:
    """The value is there, and written in another way; a product may read it, or say that it cannot."""
    return lambda value: Cell(change(value), value) if value else Cell(value, BLANK)


def _lost(change: Callable[[str], object]) -> Damage:
    """What was there cannot be known."""
    return lambda value: Cell(change(value), UNKNOWN) if value else Cell(value, BLANK)


def _other(change: Callable[[str], str]) -> Damage:
    """It reads as another value, and a person cannot know."""

    def damaged(value: str) -> Cell:
        changed = change(value)
        return Cell(changed, changed if changed.strip() else BLANK)

    return damaged


def _digits(value: str) -> int:
    return int("".join(filter(str.isdigit, value)) or "7")


#: Damage that text in a file can have.
OF_TEXT: Final[dict[str, Damage]] = {
    **{f"blank {text!r}": _fixed(Cell(text, BLANK)) for text in _BLANKS},
    **{f"wildcard {text!r}": _fixed(Cell(text, BLANK)) for text in _WILDCARDS},
    **{f"no value {text!r}": _fixed(Cell(text, text)) for text in _NO_VALUE},
    **{f"error {text!r}": _fixed(Cell(text, UNKNOWN)) for text in _ERRORS},
    "scientific notation": _lost(lambda value: f"{_digits(value[-5:]):.2E}"),
    "scientific notation with a comma": _lost(lambda value: f"{_digits(value[-5:]):.2E}".replace(".", ",")),
    "the .0 of a number": _lost(lambda value: f"{_digits(value[-5:])}.0"),
    "thousands points": _lost(lambda value: f"{10000 + _digits(value[-4:]):,}".replace(",", ".")),
    "a formula as text": _kept(lambda value: f'="{value}"'),
    "an apostrophe": _kept(lambda value: f"'{value}"),
    "trailing blanks": _kept(lambda value: f" {value}   "),
    "a NUL": _kept(lambda value: f"{value}\0"),
    "marks of direction": _kept(lambda value: f"\u202a{value}\u202c"),
    "a zero-width space within": _kept(lambda value: f"{value[:2]}\u200b{value[2:]}"),
    "a soft hyphen within": _kept(lambda value: f"{value[:2]}\u00ad{value[2:]}"),
    "full-width characters": _kept(lambda value: value.translate(_FULL_WIDTH)),
    "a Cyrillic letter": _kept(lambda value: value.replace("A", "\u0410")),
    "a tab within": _lost(lambda value: f"A{value[:1]}\t{value[1:]}B"),
    "a line break within": _lost(lambda value: f"{value[:1]}\n{value[1:]}2"),
    "a list": _lost(lambda value: f"{value}\\A2"),
    "two values": _lost(lambda value: f"{value}, A2"),
    "lost zeros": _other(lambda value: value.lstrip("0")),
    "a lost last character": _other(lambda value: value[:-1]),
    "one character more": _other(lambda value: f"{value}4"),
    "the other case": _other(str.swapcase),
    "a wildcard at the end": _other(lambda value: f"{value}*" if value else value),
    "a wildcard within": _other(lambda value: f"{value[:-1]}?" if value else value),
}
#: And what a cell of a DataFrame can hold besides.
OF_OBJECTS: Final[dict[str, Damage]] = OF_TEXT | {
    **{
        f"null {kind}": _fixed(Cell(null, BLANK))
        for kind, null in {"None": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}.items()
    },
    "a number": lambda value: Cell(_digits(value[-6:]), str(_digits(value[-6:]))),
    "a fraction": _lost(lambda value: _digits(value[-6:]) + 0.5),
    "a float": lambda value: Cell(float(_digits(value[-6:])), str(_digits(value[-6:]))),
    "bytes": _kept(str.encode),
    "a list object": _lost(lambda value: [value]),
    "a dict": _lost(lambda value: {"id": value}),
    "a date": _lost(lambda _: dt.date(2024, 1, 5)),
    "a timestamp": _lost(lambda _: pd.Timestamp("2024-02-12")),
    "a truth value": _lost(lambda _: True),
}
#: Dates in other shapes. They name nobody, whatever becomes of them.
DATES: Final[tuple[object, ...]] = (
    *("2024-01-05", "05.01.2024", "01/05/2024", "45296", "20240101-20241231", "2024-01-05 00:00:00", "", "20240230"),
    *("4.53E+04", "#NUM!", "*", "1704412800"),
)
