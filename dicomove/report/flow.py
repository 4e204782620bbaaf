"""The flow of a cohort, as in CONSORT 2010 and STARD 2015: the number of rows at each step, and the losses. Pure.

A row stays in the flow until the result shows that it is lost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove.report.table import OTHER, counted_once, instances
from dicomove.words import ERROR_WORDS, GOOD, MOVED, OUTCOME_WORDS

#: The name of a temporary column for counting.
_HELD: Final = "instances held"
#: The outcome of a row without a match in the PACS.
UNMATCHED: Final = "unmatched"
#: In words for readers who do not know dicomove.
REASONS: Final = {
    **{name: word.reason for name, word in OUTCOME_WORDS.items() if word.reason},
    UNMATCHED: "C-FIND found nothing for it",
    OTHER: "another outcome",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that did not reach a step, for one reason."""

    outcome: str
    error: str | None
    rows: int

    @property
    def reason(self) -> str:
        """The reason, for readers who do not know dicomove."""
        said = REASONS[self.outcome]
        adds = self.error is not None and ERROR_WORDS[self.error].adds == "its name"
        return f"{said} ({_words(self.error)})" if adds else said

    @property
    def brief(self) -> str:
        """Outcome and error, in the words of the result table."""
        outcome = "no match in C-FIND" if self.outcome == UNMATCHED else _words(self.outcome)
        return f"{outcome}: {_words(self.error)}" if self.error else outcome


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the flow.

    Attributes
    ----------
    name
        The name of the step.
    rows
        The number of rows that reached it.
    patients, studies
        How many different ones they name; ``None`` if the table names none.
    instances
        How many they hold, or brought; ``None`` if the number is unknown.
    lost
        The rows lost since the previous step, by reason, the most frequent first.
    """

    name: str
    rows: int
    patients: int | None
    studies: int | None
    instances: int | None
    lost: tuple[Loss, ...] = ()


def flow(table: pd.DataFrame) -> list[Step]:
    """Return the steps with their rows and losses: rows of the table, found, moved, complete."""
    brought = instances(table).fillna(0)
    outcomes = _outcomes(table, brought)
    found = ~outcomes.isin(["invalid", "empty", UNMATCHED])
    moved = found & (outcomes.isin(MOVED) | (brought > 0))
    complete = moved & outcomes.isin(GOOD)
    whole = pd.Series([True] * len(table), dtype=bool)
    kept = zip((whole, whole, found, moved), (whole, found, moved, complete), strict=True)
    names = ("Rows of the table", _name_of_found(table, found, brought), "Moved, all or in part", "Complete")
    moved_by = instances(table)
    held = (None, table["expected"] if table.loc[found, "expected"].notna().all() else None, moved_by, moved_by)
    return [
        _step(name, table, before, here, outcomes, counts)
        for name, (before, here), counts in zip(names, kept, held, strict=True)
    ]


def cohort_rows(table: pd.DataFrame) -> int | None:
    """Return the number of rows of the cohort, before `find` made a row for each match; ``None`` without `find`."""
    return int(table["cohort_row"].nunique()) or None


def known_error(word: object) -> str | None:
    """Return a word of the column ``error`` if it is one of ours: any other text may identify a patient."""
    return word if isinstance(word, str) and word in ERROR_WORDS else None


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent.

    Examples
    --------
    >>> share(1999, 2000), share(0, 0), share(1, 3)
    ('99.9 %', '0 %', '33.3 %')
    """
    if part == whole:
        return "100 %" if whole else "0 %"
    # A part never rounds to 0 % or to 100 %.
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f} %" if part else "0 %"


def _outcomes(table: pd.DataFrame, brought: pd.Series) -> pd.Series:
    outcomes = table["outcome"].astype(object)
    unknown = table["outcome"].eq("failed") & table["error"].eq("no_match")
    outcomes = outcomes.mask(unknown.fillna(value=False), "empty")
    unmatched = (table["matches"] == 0) & (brought == 0) & (outcomes == "empty")
    return outcomes.mask(unmatched.fillna(value=False), UNMATCHED)


def _name_of_found(table: pd.DataFrame, found: pd.Series, brought: pd.Series) -> str:
    numbers = table[["expected", "matches"]].assign(brought=brought)
    known = (numbers.fillna(0) > 0).any(axis="columns") | table["outcome"].isin(MOVED)
    return "Found in the PACS" if known[found].all() else "Found, or not ruled out"


def _step(
    name: str,
    table: pd.DataFrame,
    before: pd.Series,
    here: pd.Series,
    outcomes: pd.Series,
    counts: pd.Series | None,
) -> Step:
    lost = before & ~here
    rows = table[here]
    once = counted_once(rows.assign(**{_HELD: counts[here]})) if counts is not None else None
    known = once[_HELD].dropna() if once is not None else ()
    why = zip(outcomes[lost].tolist(), table.loc[lost, "error"].tolist(), strict=True)
    losses = Counter((outcome, _telling(error)) for outcome, error in why).most_common()
    return Step(
        name=name,
        rows=len(rows),
        patients=_different(rows["PatientID"]),
        studies=_different(rows["StudyInstanceUID"]),
        instances=int(sum(known)) if len(known) else None,
        lost=tuple(Loss(outcome, error, rows) for (outcome, error), rows in losses),
    )


def _telling(word: object) -> str | None:
    error = known_error(word)
    return None if error is None or ERROR_WORDS[error].adds == "nothing" else error


def _words(word: str | None) -> str:
    return (word or "").replace("_", " ")


def _different(keys: pd.Series) -> int | None:
    return int(keys.nunique()) or None
