"""The numbers of a run: rows, what became of them, and why. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove.journal import read_journal

#: Those by whom a row is lost, from the first step to the last, with the words for a reader.
_STEPS: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("Rows of the cohort", (), ""),
    ("Sent to the PACS", ("invalid", "not_attempted", "unreachable"), "not sent"),
    ("Known to the PACS", ("empty",), "not found"),
    ("Moved, in part at least", ("failed", "interrupted", "cancelled"), "not moved"),
    ("Complete", ("partial", "unconfirmed"), "not known to be whole"),
)
_UNKNOWN_TO_PACS: Final = ("no_match",)
#: In words for a reader who was not there.
REASONS: Final = {
    "invalid": "the row cannot be asked for",
    "not_attempted": "the run ended before its turn",
    "unreachable": "the PACS could not be reached",
    "empty": "the PACS has nothing for it",
    "failed": "the PACS could not move it",
    "interrupted": "the connection was lost",
    "cancelled": "cancelled by the user",
    "partial": "some instances are missing",
    "unconfirmed": "the PACS does not say what it moved",
}
#: Results in the order in which they are shown.
OUTCOMES: Final = (
    *("complete", "skipped", "partial", "unconfirmed", "empty", "failed", "interrupted"),
    *("cancelled", "unreachable", "invalid", "not_attempted"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the flow.

    Attributes
    ----------
    name
        What the rows have reached.
    rows
        How many have.
    lost
        Those that were lost since the step before, by reason.
    """

    name: str
    rows: int
    lost: tuple[tuple[str, int], ...] = ()


def table_of(results: pd.DataFrame | str | os.PathLike[str]) -> pd.DataFrame:
    """Return the result table, also of a journal.

    Raises
    ------
    ValueError
        It is no result table.
    """
    table = results if isinstance(results, pd.DataFrame) else read_journal(results)
    if "outcome" not in table.columns or "attempts" not in table.columns:
        message = "a result table of move() has the columns outcome, attempts, ...: this one has not"
        raise ValueError(message)
    return table


def flow(table: pd.DataFrame) -> list[Step]:
    """Return how many rows reached each step, and why the others did not (after CONSORT 2010 and STARD 2015)."""
    outcomes = table["outcome"].astype(object).where(~table["error"].isin(_UNKNOWN_TO_PACS), "empty")
    left = len(table)
    steps = [Step(_STEPS[0][0], left)]
    for name, losing, _ in _STEPS[1:]:
        lost = [(REASONS[outcome], int((outcomes == outcome).sum())) for outcome in losing]
        left -= sum(count for _, count in lost)
        steps.append(Step(name, left, tuple((reason, count) for reason, count in lost if count)))
    return steps


def instances(table: pd.DataFrame) -> pd.Series:
    """Return how many instances each row brought: on disk, or else moved, as the PACS says."""
    moved = table["completed"].fillna(0) + table["warning"].fillna(0)
    return table["received"].fillna(moved).astype("Int64")


def in_order(outcomes: Sequence[str]) -> list[str]:
    """Return the outcomes that there are, best first."""
    found = set(outcomes)
    return [outcome for outcome in OUTCOMES if outcome in found]


def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that this run moved: those that it skipped were moved by another."""
    return table[table["started_at"].notna() & (table["outcome"] != "skipped")]
