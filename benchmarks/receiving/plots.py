"""Pictures of the results. matplotlib is imported here, and is no dependency of the project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.receiving.results import MEMORY, REFERENCE, Results, Spread
from benchmarks.receiving.workloads import Workload

_UNITS = {
    "instances": ("instances per second", 1),
    "studies": ("studies per second", 1),
    "bytes": ("MB per second", 1e6),
}
_OURS, _OTHERS = "#1f6f8b", "#a9b4bd"


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the pictures into a folder; none without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("No pictures: matplotlib is not installed.")
        return []
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    pictures = {"rates.png": _rates, "ratios.png": _ratios, "memory.png": _memory}
    for name, picture in pictures.items():
        figure = picture(plt, results)
        figure.savefig(folder / name, dpi=120, bbox_inches="tight")
        plt.close(figure)
    return [folder / name for name in pictures]


def _rates(pyplot: Any, results: Results) -> Any:
    """How fast each contestant is, in each workload."""
    figure, axes = _panels(pyplot, results.workloads)
    for axis, workload in zip(axes, results.workloads, strict=True):
        label, divisor = _UNITS[workload.unit]
        spreads = {name: results.rates(workload, name) for name in results.contestants(workload.name)}
        known = {name: Spread([value / divisor for value in one.values]) for name, one in spreads.items() if one}
        _bars(axis, known)
        axis.set(title=f"{workload.name}: {workload.title}", xlabel=f"{label}, median and range")
    return figure


def _ratios(pyplot: Any, results: Results) -> Any:
    """How many times as fast dicomove is."""
    figure, axes = _panels(pyplot, results.workloads)
    for axis, workload in zip(axes, results.workloads, strict=True):
        names = [name for name in results.contestants(workload.name) if name != REFERENCE]
        known = {name: one for name in names if (one := results.ratio(workload, name))}
        _bars(axis, known)
        axis.set(title=f"{workload.name}: {workload.title}", xlabel="dicomove is so many times as fast", xscale="log")
        axis.axvline(1, color="black", linewidth=0.8)
    return figure


def _memory(pyplot: Any, results: Results) -> Any:
    """The peak memory of the process that receives."""
    figure, axes = _panels(pyplot, results.workloads)
    for axis, workload in zip(axes, results.workloads, strict=True):
        names = results.contestants(workload.name)
        _bars(axis, {name: Spread([run.peak / 1e6 for run in results.of(workload.name, name)]) for name in names})
        axis.set(title=f"{workload.name}: {workload.title}", xlabel="peak memory of the receiving process, MB")
        axis.axvline(MEMORY / 1e6, color="black", linewidth=0.8, linestyle=":")
    return figure


def _panels(pyplot: Any, workloads: Sequence[Workload]) -> tuple[Any, list[Any]]:
    figure, axes = pyplot.subplots(len(workloads), 1, figsize=(8, 2.8 * len(workloads)), squeeze=False)
    figure.subplots_adjust(hspace=0.6)
    return figure, [row[0] for row in axes]


def _bars(axis: Any, spreads: dict[str, Spread]) -> None:
    names = list(spreads)[::-1]
    medians = [spreads[name].median for name in names]
    low = [spreads[name].median - min(spreads[name].values) for name in names]
    high = [max(spreads[name].values) - spreads[name].median for name in names]
    colours = [_OURS if name.startswith(REFERENCE) else _OTHERS for name in names]
    axis.barh(names, medians, xerr=[low, high], color=colours, capsize=3)
    for place, median in enumerate(medians):
        text = f" {median:,.0f}" if median >= 100 else f" {median:.3g}"
        axis.annotate(text, (median, place), va="bottom", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
