"""The picture: instances per second over the distance. matplotlib is imported here, and is no dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.distance.results import Results
from benchmarks.receiving.results import REFERENCE

_OURS = ("#b7d7e2", "#7fb6c9", "#4a93ac", "#1f6f8b", "#c0392b")
_OTHERS = ("#555555", "#888888", "#a08050", "#c0a070", "#2a9d5c", "#8860a0")


def draw(results: Results, path: Path) -> None:
    """Write the picture; without matplotlib, say so."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("No picture: matplotlib is not installed.")
        return
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "distance"  # the same picture has the same text
    from matplotlib import pyplot as plt

    kinds = results.kinds()
    figure, axes = plt.subplots(1, len(kinds), figsize=(6 * len(kinds), 4.8), squeeze=False)
    for axis, (kind, mbit_per_s) in zip(axes[0], kinds, strict=True):
        _panel(axis, results, kind, mbit_per_s)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=min(4, 2 * len(kinds)), frameon=False
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _panel(axis: Any, results: Results, kind: str, mbit_per_s: float) -> None:
    for name, style in _styles(results).items():
        delays = results.delays(kind, mbit_per_s)
        spreads = {delay: one for delay in delays if (one := results.rates(kind, mbit_per_s, delay, name))}
        if spreads:
            medians = [one.median for one in spreads.values()]
            low = [one.median - min(one.values) for one in spreads.values()]
            high = [max(one.values) - one.median for one in spreads.values()]
            axis.errorbar(list(spreads), medians, yerr=[low, high], label=name, marker="o", ms=4, capsize=2, **style)
    rate = f", {mbit_per_s:g} Mbit/s" if mbit_per_s else ""
    axis.set(title=f"{kind}{rate}", xlabel="ms each way", ylabel="instances per second", yscale="log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)


def _styles(results: Results) -> dict[str, dict[str, str]]:
    names = results.contestants()
    ours = [name for name in names if name.startswith(REFERENCE)]
    others = [name for name in names if name not in ours]
    return {
        **{name: {"color": colour, "linestyle": "-"} for name, colour in zip(ours, _OURS, strict=False)},
        **{name: {"color": colour, "linestyle": "--"} for name, colour in zip(others, _OTHERS, strict=False)},
    }
