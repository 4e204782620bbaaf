"""The flow of a cohort, as in CONSORT 2010 and STARD 2015: the rows at each step, the losses, and their picture.

A row stays in the flow until the result shows that it is lost. `draw_flow` makes a picture of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandas as pd

from dicomove.report.table import OTHER, counted_once, instances
from dicomove.words import ERROR_WORDS, GOOD, MOVED, OUTCOME_COLOURS, OUTCOME_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes


#: The name of a temporary column for counting.
_COUNTED: Final = "instances counted"
#: The outcome of a row without a match in the PACS.
UNMATCHED: Final = "unmatched"
#: The reason of each outcome, in words for readers who do not know dicomove.
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
        reason = REASONS[self.outcome]
        adds = self.error is not None and ERROR_WORDS[self.error].adds == "its name"
        return f"{reason} ({_words(self.error)})" if adds else reason

    @property
    def brief(self) -> str:
        """Outcome and error, in the words of the result table."""
        outcome = "no match in C-FIND" if self.outcome == UNMATCHED else _words(self.outcome)
        return f"{outcome}: {_words(self.error)}" if self.error else outcome


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One step of the flow.

    Attributes
    ----------
    name
        The name of the step.
    rows
        The number of rows that reached it.
    patients, studies
        The numbers of different patients and studies in these rows; ``None`` if the table names none.
    instances
        The number of instances in the PACS, or of those that the rows brought; ``None`` if it is unknown.
    lost
        The rows lost since the previous step, by reason, the most frequent first.
    """

    name: str
    rows: int
    patients: int | None
    studies: int | None
    instances: int | None
    lost: tuple[Loss, ...] = ()


def flow(table: pd.DataFrame) -> list[FlowStep]:
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
) -> FlowStep:
    lost = before & ~here
    rows = table[here]
    once = counted_once(rows.assign(**{_COUNTED: counts[here]})) if counts is not None else None
    known = once[_COUNTED].dropna() if once is not None else ()
    why = zip(outcomes[lost].tolist(), table.loc[lost, "error"].tolist(), strict=True)
    losses = Counter((outcome, _error_to_name(error)) for outcome, error in why).most_common()
    return FlowStep(
        name=name,
        rows=len(rows),
        patients=_different(rows["PatientID"]),
        studies=_different(rows["StudyInstanceUID"]),
        instances=int(sum(known)) if len(known) else None,
        lost=tuple(Loss(outcome, error, rows) for (outcome, error), rows in losses),
    )


def _error_to_name(word: object) -> str | None:
    """Return an error if it adds something to the outcome."""
    error = known_error(word)
    return None if error is None or ERROR_WORDS[error].adds == "nothing" else error


def _words(word: str | None) -> str:
    return (word or "").replace("_", " ")


def _different(keys: pd.Series) -> int | None:
    return int(keys.nunique()) or None


#: Width and height of the picture.
SIZE: Final = (6.4, 7.6)
_BOX: Final = (0.15, 3.0)
_LOSSES: Final = (3.5, 2.75)
_HEIGHT: Final = 1.06
_LINE: Final = 0.21
_MOST: Final = 4
#: The number of letters that fit into a box.
_FITS: Final = 43
_BEFORE: Final = "#56B4E9"
_PALE: Final = "#E0E0E0"
_PLAIN: Final = "#999999"


def draw_flow(axes: Axes, steps: Sequence[FlowStep], cohort_rows: int | None, ink: str) -> None:
    """Draw a flow on axes that are as large as a figure of this `SIZE`."""
    axes.set(xlim=(0, SIZE[0]), ylim=(SIZE[1], 0))
    axes.axis("off")
    chart = _Chart(axes, ink)
    chart.text(_BOX[0], 0.2, "Flow of the cohort", size=11, bold=True)
    if cohort_rows is not None:
        chart.text(_LOSSES[0], 0.2, f"{cohort_rows:,} rows of a cohort; one row per match", size=8.5)
    gap = (SIZE[1] - 0.5 - len(steps) * _HEIGHT) / max(len(steps) - 1, 1)
    for number, step in enumerate(steps):
        top = 0.4 + number * (_HEIGHT + gap)
        if number:
            chart.arrow(step, top - gap, gap)
        chart.step(step, steps[0].rows, top, last=number == len(steps) - 1)


class _Chart:
    def __init__(self, axes: Axes, ink: str) -> None:
        self._axes = axes
        self._ink = ink

    def text(self, x: float, y: float, line: str, *, size: float, bold: bool = False, right: bool = False) -> None:
        """Write a line of text, with its middle at the height `y`."""
        weight, side = "bold" if bold else "normal", "right" if right else "left"
        self._axes.text(x, y, line, size=size, weight=weight, color=self._ink, ha=side, va="center")

    def step(self, step: FlowStep, whole: int, top: float, *, last: bool) -> None:
        """Draw the numbers of a step, and a bar for its share of all rows."""
        left, width = _BOX
        self._frame(left, top, width, _HEIGHT)
        self.text(left + 0.12, top + 0.19, step.name, size=11, bold=True)
        self.text(left + 0.12, top + 0.42, _counted("row", step.rows), size=10)
        self.text(left + width - 0.12, top + 0.42, share(step.rows, whole), size=10, right=True)
        known = (("patient", step.patients), ("study", step.studies), ("instance", step.instances))
        units = " · ".join(_counted(name, count) for name, count in known if count is not None)
        self.text(left + 0.12, top + 0.64, units, size=min(8.5, 8.5 * _FITS / max(len(units), 1)))
        self._bar(left + 0.12, top + _HEIGHT - 0.21, width - 0.24, 0.1, _PALE)
        part = step.rows / whole if whole else 0
        self._bar(
            left + 0.12,
            top + _HEIGHT - 0.21,
            (width - 0.24) * part,
            0.1,
            OUTCOME_COLOURS["complete"] if last else _BEFORE,
        )

    def arrow(self, step: FlowStep, top: float, height: float) -> None:
        """Draw the arrow to a step, and the losses before it."""
        middle = _BOX[0] + _BOX[1] / 2
        self._draw_arrow((middle, top), (middle, top + height))
        losses = _most(step)
        if not losses:
            return
        left, width = _LOSSES
        deep = _LINE * len(losses) + 0.16
        begin = top + (height - deep) / 2
        self._draw_arrow((middle, top + height / 2), (left, top + height / 2))
        self._frame(left, begin, width, deep)
        for number, (outcome, line) in enumerate(losses):
            y = begin + 0.08 + _LINE * (number + 0.5)
            self._bar(left + 0.1, y - 0.06, 0.12, 0.12, OUTCOME_COLOURS.get(outcome, _PLAIN))
            self.text(left + 0.3, y, line, size=8.5)

    def _frame(self, x: float, y: float, width: float, height: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        style = "round,pad=0,rounding_size=0.06"
        frame = FancyBboxPatch((x, y), width, height, boxstyle=style, fill=False, edgecolor=self._ink, linewidth=0.9)
        self._axes.add_patch(frame)

    def _bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))

    def _draw_arrow(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        arrow = {"arrowstyle": "-|>", "color": self._ink, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        self._axes.annotate("", xy=end, xytext=begin, arrowprops=arrow)


def _most(step: FlowStep) -> list[tuple[str, str]]:
    """Return outcome and text of the most frequent losses, and one line for the others."""
    lines = [
        ("empty" if loss.outcome == UNMATCHED else loss.outcome, f"{loss.rows:,}  {loss.brief}") for loss in step.lost
    ]
    if len(lines) <= _MOST:
        return lines
    rest = step.lost[_MOST - 1 :]
    return [*lines[: _MOST - 1], ("", f"{sum(loss.rows for loss in rest):,}  for {len(rest)} other reasons")]


def _counted(name: str, count: int) -> str:
    several = "studies" if name == "study" else f"{name}s"
    return f"{count:,} {name if count == 1 else several}"
