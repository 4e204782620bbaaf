"""`plot`: the cohort's flow, throughput, durations and hours as pictures, readable for everybody."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Final

import pandas as pd

from dicomove.panel.html import COLOURS
from dicomove.report.flow import by_run, flow, in_order, instances, table_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK: Final = "#222222"
_PAPER: Final = "#FFFFFF"
_PALE: Final = "#E0E0E0"
_MOST_POINTS: Final = 5000
_MOST_BINS: Final = 60
_MIB: Final = 1 << 20
_UNITS: Final = (("hours", 3600), ("minutes", 60), ("seconds", 1))


def plot(results: pd.DataFrame | str | os.PathLike[str]) -> Figure:
    """Draw what happened: the cohort's flow, throughput over time, duration against size, and outcomes by hour.

    The colours can be told apart with any kind of colour vision, and the paper is white, also in a dark notebook.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal.

    Returns
    -------
    matplotlib.figure.Figure
        It is not shown by itself in a script: ``figure.savefig("run.png")``.

    Raises
    ------
    ValueError
        It is no result table.
    ImportError
        matplotlib is not installed: ``pip install dicomove[plot]``.
    """
    from matplotlib.figure import Figure

    table = table_of(results)
    figure = Figure(figsize=(11, 7.5), layout="constrained", facecolor=_PAPER)
    axes = figure.subplots(2, 2)
    for axis in axes.flat:
        _prepare(axis)
    _draw_flow(axes[0, 0], table)
    moved = by_run(table)
    _draw_throughput(axes[0, 1], moved)
    _draw_durations(axes[1, 0], moved)
    _draw_hours(axes[1, 1], moved)
    _draw_legend(figure, table)
    return figure


def flow_figure(table: pd.DataFrame) -> Figure:
    """Draw the cohort's flow alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained", facecolor=_PAPER)
    axis = figure.subplots()
    _prepare(axis)
    _draw_flow(axis, table)
    return figure


def _prepare(axis: Axes) -> None:
    axis.set_facecolor(_PAPER)
    axis.tick_params(colors=_INK, labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, loc="left", fontsize=11, fontweight="bold", color=_INK)


def _draw_flow(axis: Axes, table: pd.DataFrame) -> None:
    steps = flow(table)
    most = max(1, steps[0].rows)
    for number, step in enumerate(steps):
        colour = COLOURS["complete"] if number == len(steps) - 1 else "#56B4E9"
        axis.barh(number, step.rows, color=colour, height=0.5)
        lost = "; ".join(f"{count:,} ({reason})" for reason, count in step.lost)
        axis.text(0, number - 0.33, f"{step.name}: {step.rows:,}", fontsize=9, color=_INK, va="bottom")
        if lost:
            text = textwrap.shorten(f"lost: {lost}", 88, placeholder=" \N{HORIZONTAL ELLIPSIS}")
            axis.text(most * 0.01, number, text, fontsize=8, color=_INK, va="center")
    axis.set_ylim(len(steps) - 0.5, -0.75)
    axis.set_xlim(0, most)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("rows", color=_INK)
    _title(axis, "What became of the cohort")


def _draw_throughput(axis: Axes, moved: pd.DataFrame) -> None:
    _title(axis, "Throughput")
    axis.set_ylabel("instances per second", color=_INK)
    ended = moved[moved["finished_at"].notna()]
    if ended.empty:
        _say_nothing(axis)
        return
    start = ended["started_at"].min()
    after = (ended["finished_at"] - start).dt.total_seconds()
    unit, seconds = next((unit for unit in _UNITS if after.max() >= 3 * unit[1]), _UNITS[-1])
    bins = min(_MOST_BINS, max(1, len(ended)))
    width = max(float(after.max()), 1e-6) / bins
    number = (after / width).astype(int).clip(upper=bins - 1)
    rates = instances(ended).astype(float).groupby(number.to_numpy()).sum().reindex(range(bins), fill_value=0) / width
    axis.bar([(n + 0.5) * width / seconds for n in range(bins)], rates, width=width / seconds * 0.92, color="#0072B2")
    axis.set_xlim(0, width * bins / seconds)
    axis.set_xlabel(f"{unit} since the first move began", color=_INK)


def _draw_durations(axis: Axes, moved: pd.DataFrame) -> None:
    _title(axis, "Duration against size")
    has_bytes = bool(moved["bytes"].notna().any())
    size = moved["bytes"].astype("Float64") / _MIB if has_bytes else instances(moved).astype("Float64")
    axis.set_xlabel("size on disk in MiB" if has_bytes else "instances", color=_INK)
    axis.set_ylabel("duration in seconds", color=_INK)
    known = moved[(size.fillna(0) > 0).to_numpy(bool) & (moved["duration_s"] > 0).to_numpy(bool)]
    if known.empty:
        _say_nothing(axis)
        return
    if len(known) > _MOST_POINTS:
        known = known.sample(_MOST_POINTS, random_state=0)
        axis.text(1, 1, f"{_MOST_POINTS:,} of the rows", transform=axis.transAxes, ha="right", va="top", fontsize=8)
    for outcome in in_order(known["outcome"].tolist()):
        of_it = known[known["outcome"] == outcome]
        sizes = of_it["bytes"].astype(float) / _MIB if has_bytes else instances(of_it).astype(float)
        axis.scatter(
            sizes, of_it["duration_s"], s=16, color=COLOURS.get(outcome, _PALE), edgecolors=_INK, linewidths=0.2
        )
    axis.set_xscale("log")
    axis.set_yscale("log")


def _draw_hours(axis: Axes, moved: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    _title(axis, "Outcomes by hour")
    axis.set_xlabel("hour of the day in UTC", color=_INK)
    axis.set_ylabel("rows", color=_INK)
    if moved.empty:
        _say_nothing(axis)
        return
    hours = moved["started_at"].dt.hour
    bottom = pd.Series(0, index=range(24))
    for outcome in in_order(moved["outcome"].tolist()):
        counts = hours[moved["outcome"] == outcome].value_counts().reindex(range(24), fill_value=0)
        axis.bar(range(24), counts, bottom=bottom, color=COLOURS.get(outcome, _PALE), width=0.85)
        bottom = bottom + counts
    axis.set_xlim(-0.6, 23.6)
    axis.set_xticks(range(0, 24, 3))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_legend(figure: Figure, table: pd.DataFrame) -> None:
    from matplotlib.patches import Patch

    found = in_order(table["outcome"].tolist())
    handles = [
        Patch(facecolor=COLOURS.get(outcome, _PALE), edgecolor=_INK, linewidth=0.3, label=outcome) for outcome in found
    ]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False, labelcolor=_INK
        )


def _say_nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "nothing was moved", transform=axis.transAxes, ha="center", va="center", color="#666666")
    axis.set_xticks([])
    axis.set_yticks([])
