"""Rows whose images the PACS does not have at hand (Instance Availability, PS3.3 C.4.23). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from dicomove.cohort import keyword_columns
from dicomove.pacs import Pacs
from dicomove.results import left_nearline
from dicomove.run.options import Nearline
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.words import SLOW

AVAILABILITY: Final = "InstanceAvailability"
_SLOWEST_FIRST: Final = ("UNAVAILABLE", "OFFLINE", "NEARLINE", "ONLINE")
#: A tape robot takes minutes, where a disk takes seconds.
TIMES_AS_LONG: Final = 10


def availabilities(table: pd.DataFrame) -> list[str | None]:
    """Return what the PACS said of each row of a table of `find`; ``None`` where it said nothing."""
    places = keyword_columns(table.columns, [AVAILABILITY])
    cells = table.iloc[:, places[AVAILABILITY]].tolist() if places else [None] * len(table)
    # One series may be on tape, and another one of the study on disk: several values are in one cell.
    return [availability(cell.upper().split("\\")) if isinstance(cell, str) else None for cell in cells]


def availability(values: Collection[str]) -> str | None:
    """Return the word for something whose parts are here and there: the slowest of them decides.

    Examples
    --------
    >>> availability(["ONLINE", "NEARLINE"]), availability([])
    ('NEARLINE', None)
    """
    words = [value.strip() for value in values]
    return next((word for word in _SLOWEST_FIRST if word in words), None)


def slow_rows(table: pd.DataFrame) -> set[int]:
    """Return the positions of the rows that the PACS does not have at hand."""
    return {position for position, word in enumerate(availabilities(table)) if word in SLOW}


def in_order(tasks: Sequence[Task], nearline: Nearline, results: RowResults) -> list[Task]:
    """Return the tasks in the order in which they begin; those that are left get their result."""
    if nearline == "as_is":
        return [replace(task, is_slow=False) for task in tasks]
    at_hand = [task for task in tasks if not task.is_slow]
    slow = [task for task in tasks if task.is_slow]
    if nearline == "last":
        return [*at_hand, *slow]
    for task in slow:
        results.settle(task, left_nearline())
    return at_hand


def with_longer_limit(pacs: Pacs) -> Pacs:
    """Return the PACS with the longer limit until the first response."""
    limit = pacs.first_response_timeout
    if not isinstance(limit, int | float):
        return pacs
    return replace(pacs, first_response_timeout=limit * TIMES_AS_LONG)
