"""`preview`: a montage of what arrived, one middle image of each series."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from dicomove.report.pixels import Picture, modality_and_number, picture
from dicomove.report.plots import new_figure, show_in_notebooks
from dicomove.report.table import Results, table_of
from dicomove.store import read_journal, read_manifest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS: Final = 4
_TILE_INCHES: Final = 1.9
_PAPER: Final = "#111111"
_INK: Final = "#EEEEEE"
_PROBLEM: Final = "#E69F00"
_SERIES: Final = ("StudyInstanceUID", "SeriesInstanceUID")
#: The most headers that are read of a series: for a longer one, the middle is approximate.
_MOST_HEADERS: Final = 64


@dataclass(frozen=True, slots=True)
class Tile:
    """One series: modality and number of instances, without anything that names a patient."""

    caption: str
    picture: Picture


def preview(results: Results, *, folder: str | os.PathLike[str] | None = None, most: int = 24) -> Figure:
    """Show the images that arrived: one from the middle of each series, with the window from its header.

    Captions give only modality and number of instances. Text that is burnt into an image stays visible.

    Parameters
    ----------
    results
        A table that `move` returned: its studies are shown. Or the manifest of a `Receiver`, or the path of a
        receiver's folder or of a journal: all images are shown.
    folder
        The folder, for a result table or for a manifest from a file. The table of a journal contains it.
    most
        The largest number of tiles.

    Returns
    -------
    matplotlib.figure.Figure
        One tile for each series, and for each study of a result table without any image on disk. If a file is gone, is
        not an image, or has a compression that cannot be decoded, its tile says so. The extra ``images`` decodes JPEG,
        JPEG-LS and JPEG 2000.

    Raises
    ------
    CohortError
        The table is neither a result table nor a manifest.
    JournalError
        There is no journal, or it cannot be read.
    ValueError
        The folder of the files is unknown.
    ImportError
        matplotlib is not installed: ``pip install dicomove[plot]``.
    """
    manifest, root, absent = _sources(results, folder)
    groups = [group for _, group in manifest.groupby(list(_SERIES), sort=False, dropna=False)]
    tiles = [_tile(group, root) for group in groups[:most]]
    tiles += [Tile("study", Picture(problem="nothing arrived"))] * min(absent, most - len(tiles))
    columns = min(_COLUMNS, max(1, len(tiles)))
    lines = max(1, math.ceil(len(tiles) / columns))
    figure = new_figure(columns * _TILE_INCHES, lines * (_TILE_INCHES + 0.3) + 0.45, _PAPER)
    for axis in figure.subplots(lines, columns, squeeze=False).flat:
        axis.axis("off")
    for axis, tile in zip(figure.axes, tiles, strict=False):
        _draw(axis, tile)
    figure.suptitle(_headline(len(groups), len(manifest), absent, len(tiles)), color=_INK, fontsize=10)
    show_in_notebooks()
    return figure


def _headline(series: int, count: int, absent: int, shown: int) -> str:
    said = f"{series} series, {count} instances"
    said += f", nothing of {absent} {'study' if absent == 1 else 'studies'}" if absent else ""
    left = series + absent - shown
    return said + (f", {left} more are not shown" if left else "")


def _sources(results: Results, folder: str | os.PathLike[str] | None) -> tuple[pd.DataFrame, Path, int]:
    """Return the manifest, its folder, and the number of studies without any file."""
    if not isinstance(results, pd.DataFrame):
        path = Path(results)
        if path.is_dir():
            return _accepted(read_manifest(path)), path, 0
        return _accepted(read_manifest(path)), _folder(folder, read_journal(path).attrs["run"]), 0
    if {"path", *_SERIES} <= set(results.columns):
        return _accepted(results), _folder(folder, results.attrs), 0
    table = table_of(results)
    root = _folder(folder, table.attrs["run"])
    manifest = _accepted(read_manifest(root))
    wanted = set(table["StudyInstanceUID"].dropna())
    if not wanted:
        message = "the result table has no StudyInstanceUID: give the manifest, or the folder of the receiver"
        raise ValueError(message)
    return manifest[manifest["StudyInstanceUID"].isin(wanted)], root, len(wanted - set(manifest["StudyInstanceUID"]))


def _folder(given: str | os.PathLike[str] | None, known: object) -> Path:
    folder = given if given is not None else known.get("folder") if isinstance(known, dict) else None
    if folder is None:
        message = "give the folder of the receiver, folder=..., that has the files"
        raise ValueError(message)
    return Path(folder)


def _accepted(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[manifest["quarantine"].isna()] if "quarantine" in manifest.columns else manifest


def _tile(series: pd.DataFrame, root: Path) -> Tile:
    paths = [root / str(path) for path in series["path"]]
    there = [path for path in paths if path.is_file()]
    gone = f", {len(paths) - len(there)} missing" if len(there) < len(paths) else ""
    counted = f"{len(paths)} instance{'s' if len(paths) > 1 else ''}{gone}"
    if not there:
        return Tile(counted, Picture(problem="missing"))
    path, modality = _middle(there)
    return Tile(f"{modality}, {counted}" if modality else counted, picture(path))


def _middle(paths: Sequence[Path]) -> tuple[Path, str]:
    """Return the middle image of a series, ordered by InstanceNumber, and its modality."""
    known = [(path, *modality_and_number(path)) for path in paths[:: math.ceil(len(paths) / _MOST_HEADERS)]]
    known.sort(key=lambda one: (one[2], str(one[0])))
    path, modality, _ = known[len(known) // 2]
    return path, modality


def _draw(axis: Axes, tile: Tile) -> None:
    axis.set_title(tile.caption, color=_INK, fontsize=9)
    shown = tile.picture
    if shown.pixels is None:
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.text(0.5, 0.5, shown.problem, color=_PROBLEM, fontsize=9, ha="center", va="center")
        return
    axis.imshow(shown.pixels, cmap="gray", vmin=0, vmax=1, aspect=shown.aspect)
