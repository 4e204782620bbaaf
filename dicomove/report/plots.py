"""`plot`: the cohort's flow, throughput, durations and hours as pictures, also for colour-blind readers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from dicomove.report.flow import SIZE, cohort_rows, draw_flow, flow
from dicomove.report.table import Results, busy_seconds, by_run, counted_once, in_order, instances, table_of
from dicomove.words import OUTCOME_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_INK: Final = "#222222"
_PAPER: Final = "#FFFFFF"
_PALE: Final = "#E0E0E0"
_RATE: Final = "#0072B2"
_HATCH: Final = "////"
#: Inches: about the width of a notebook beside another window, so that the letters keep their size.
_WIDTH: Final = 8.0
_CHARTS: Final = 5.6
_MOST_POINTS: Final = 5000
_MOST_BINS: Final = 60
_MB: Final = 1e6
_UNITS: Final = (("hours", 3600), ("minutes", 60), ("seconds", 1))


def plot(results: Results) -> Figure:
    """Draw a run: the cohort's flow, throughput over time, duration against size, and outcomes by hour.

    Colour-blind readers can distinguish the colours. The background is white, even in a dark notebook.

    Parameters
    ----------
    results
        A table that `move` returned, or the path of a journal.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it as the result of a cell. In a script, save it: ``figure.savefig("run.png")``.

    Raises
    ------
    CohortError
        The table is not a result table.
    JournalError
        There is no journal, or it cannot be read.
    ImportError
        matplotlib is not installed: ``pip install dicomove[plot]``.
    """
    show_in_notebooks()
    return draw(table_of(results))


def draw(table: pd.DataFrame) -> Figure:
    """Return the picture of a run, without showing it."""
    figure = new_figure(_WIDTH, SIZE[1] + _CHARTS, _PAPER)
    grid = figure.add_gridspec(2, 1, height_ratios=(SIZE[1], _CHARTS))
    top, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    draw_flow(top.add_axes((0, 0, SIZE[0] / _WIDTH, 1)), flow(table), cohort_rows(table), _INK)
    charts = below.subplot_mosaic([["throughput", "throughput"], ["durations", "hours"]])
    for axis in charts.values():
        _prepare(axis)
    moved = counted_once(by_run(table))
    _draw_throughput(charts["throughput"], moved)
    _draw_durations(charts["durations"], moved)
    _draw_hours(charts["hours"], by_run(table))
    _draw_legend(below, table)
    return figure


def _prepare(axis: Axes) -> None:
    axis.set_facecolor(_PAPER)
    axis.tick_params(colors=_INK, labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, loc="left", fontsize=11, fontweight="bold", color=_INK)


def _draw_throughput(axis: Axes, moved: pd.DataFrame) -> None:
    """Draw the throughput over time: the instances of a row are spread over its duration."""
    import numpy as np

    _title(axis, "Throughput")
    axis.set_ylabel("instances / s", color=_INK)
    ended = moved[moved["finished_at"].notna() & (moved["duration_s"] > 0)]
    if ended.empty:
        _say_nothing(axis)
        axis.set_xlabel("time", color=_INK)
        return
    start = ended["started_at"].min()
    end = (ended["finished_at"] - start).dt.total_seconds().to_numpy()
    length = ended["duration_s"].to_numpy()
    brought = instances(ended).fillna(0).to_numpy(dtype=float)
    unit, seconds = next((unit for unit in _UNITS if end.max() >= 3 * unit[1]), _UNITS[-1])
    edges = np.linspace(0, max(float(end.max()), 1e-6), _MOST_BINS + 1)
    done = np.array([(brought * np.clip((edge - end) / length + 1, 0, 1)).sum() for edge in edges])
    axis.stairs(np.clip(np.diff(done), 0, None) / np.diff(edges), edges / seconds, fill=True, color=_RATE)
    axis.set_xlim(0, edges[-1] / seconds)
    axis.set_ylim(bottom=0)
    axis.set_xlabel(f"{unit} since {start:%Y-%m-%d %H:%M:%S} UTC", color=_INK)
    busy = busy_seconds(moved)
    axis.set_title(f"{brought.sum() / busy:,.1f} instances/s while moving", loc="right", fontsize=8.5, color=_INK)


def _draw_durations(axis: Axes, moved: pd.DataFrame) -> None:
    _title(axis, "Duration against size")
    has_bytes = bool(moved["bytes"].notna().any())
    size = moved["bytes"].astype("Float64") / _MB if has_bytes else instances(moved).astype("Float64")
    axis.set_xlabel("size (MB)" if has_bytes else "size (instances)", color=_INK)
    axis.set_ylabel("duration (s)", color=_INK)
    known = moved[(size.fillna(0) > 0).to_numpy(bool) & (moved["duration_s"] > 0).to_numpy(bool)]
    if known.empty:
        _say_nothing(axis)
        return
    if len(known) > _MOST_POINTS:
        known = known.sample(_MOST_POINTS, random_state=0)
        axis.text(1, 1, f"{_MOST_POINTS:,} of the rows", transform=axis.transAxes, ha="right", va="top", fontsize=8)
    for outcome in in_order(known["outcome"].tolist()):
        of_it = known[known["outcome"] == outcome]
        sizes = of_it["bytes"].astype(float) / _MB if has_bytes else instances(of_it).astype(float)
        axis.scatter(
            sizes, of_it["duration_s"], s=16, color=OUTCOME_COLOURS.get(outcome, _PALE), edgecolors=_INK, linewidths=0.2
        )
    _decades(axis, size[known.index].astype(float), known["duration_s"])


def _decades(axis: Axes, *values: pd.Series) -> None:
    """Show whole powers of ten, because a narrower range may have no label at all."""
    import numpy as np
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set(xscale="log", yscale="log")
    plain = FuncFormatter(lambda value, _: f"{value:,.12g}" if value >= 1 else f"{value:.12f}".rstrip("0"))
    for one, found in zip((axis.xaxis, axis.yaxis), values, strict=True):
        low, high = np.floor(np.log10(found.min() * 0.8)), np.ceil(np.log10(found.max() * 1.25))
        one.set_view_interval(10.0**low, 10.0 ** max(high, low + 1), ignore=True)
        one.set_major_formatter(plain)
        one.set_minor_formatter(NullFormatter())


def _draw_hours(axis: Axes, moved: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    _title(axis, "Outcomes by hour")
    axis.set_xlabel("hour of the row's start (UTC)", color=_INK)
    axis.set_ylabel("rows", color=_INK)
    if moved.empty:
        _say_nothing(axis)
        return
    hours = moved["started_at"].dt.hour
    bottom = pd.Series(0, index=range(24))
    for outcome in in_order(moved["outcome"].tolist()):
        counts = hours[moved["outcome"] == outcome].value_counts().reindex(range(24), fill_value=0)
        axis.bar(range(24), counts, bottom=bottom, width=0.85, **_look(outcome))
        bottom = bottom + counts
    axis.set_xlim(-0.6, 23.6)
    axis.set_xticks(range(0, 24, 3))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.yaxis.set_major_formatter("{x:,.0f}")


def _draw_legend(figure: SubFigure, table: pd.DataFrame) -> None:
    from matplotlib.patches import Patch

    found = in_order(table["outcome"].tolist())
    handles = [Patch(label=outcome, **_look(outcome)) for outcome in found]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(5, len(handles)), frameon=False, labelcolor=_INK
        )


def _look(outcome: str) -> dict[str, Any]:
    """Return the style of an outcome's area: two outcomes share a colour, so one of them is hatched."""
    hatched = {"hatch": _HATCH} if outcome == "unreachable" else {}
    return {"facecolor": OUTCOME_COLOURS.get(outcome, _PALE), "edgecolor": _INK, "linewidth": 0, **hatched}


def _say_nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "nothing was moved", transform=axis.transAxes, ha="center", va="center", color="#666666")
    axis.set_xticks([])
    axis.set_yticks([])


def new_figure(width: float, height: float, paper: str) -> Figure:
    """Return an empty figure.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    kind = _figure()
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return kind(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1), facecolor=paper)


def show_in_notebooks() -> None:
    """Tell the notebook, if this is one, how to show figures: otherwise pyplot does so only with its first figure."""
    if "IPython" in sys.modules:
        from matplotlib import pyplot as plt

        plt.close(plt.figure())


def _figure() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        message = 'pictures need one more package: pip install "dicomove[plot]"'
        raise ImportError(message) from None
    return Figure
