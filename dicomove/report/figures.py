"""Figures that a notebook shows only as the result of a cell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
