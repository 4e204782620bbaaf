"""The flow as a picture: steps from top to bottom, losses at the side. Lengths are in inches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicomove.report.flow import UNMATCHED, Step, share
from dicomove.words import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

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


def draw_flow(axes: Axes, steps: Sequence[Step], cohort_rows: int | None, ink: str) -> None:
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
            chart.way(step, top - gap, gap)
        chart.step(step, steps[0].rows, top, last=number == len(steps) - 1)


class _Chart:
    def __init__(self, axes: Axes, ink: str) -> None:
        self._axes = axes
        self._ink = ink

    def text(self, x: float, y: float, said: str, *, size: float, bold: bool = False, right: bool = False) -> None:
        """Write a line around its middle."""
        weight, side = "bold" if bold else "normal", "right" if right else "left"
        self._axes.text(x, y, said, size=size, weight=weight, color=self._ink, ha=side, va="center")

    def step(self, step: Step, whole: int, top: float, *, last: bool) -> None:
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
            COLOURS["complete"] if last else _BEFORE,
        )

    def way(self, step: Step, top: float, height: float) -> None:
        """Draw the arrow to a step, and the losses before it."""
        middle = _BOX[0] + _BOX[1] / 2
        self._arrow((middle, top), (middle, top + height))
        losses = _most(step)
        if not losses:
            return
        left, width = _LOSSES
        deep = _LINE * len(losses) + 0.16
        begin = top + (height - deep) / 2
        self._arrow((middle, top + height / 2), (left, top + height / 2))
        self._frame(left, begin, width, deep)
        for number, (outcome, said) in enumerate(losses):
            y = begin + 0.08 + _LINE * (number + 0.5)
            self._bar(left + 0.1, y - 0.06, 0.12, 0.12, COLOURS.get(outcome, _PLAIN))
            self.text(left + 0.3, y, said, size=8.5)

    def _frame(self, x: float, y: float, width: float, height: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        style = "round,pad=0,rounding_size=0.06"
        frame = FancyBboxPatch((x, y), width, height, boxstyle=style, fill=False, edgecolor=self._ink, linewidth=0.9)
        self._axes.add_patch(frame)

    def _bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))

    def _arrow(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        arrow = {"arrowstyle": "-|>", "color": self._ink, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        self._axes.annotate("", xy=end, xytext=begin, arrowprops=arrow)


def _most(step: Step) -> list[tuple[str, str]]:
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
