"""`preview`: a montage of what arrived, one middle image of each series."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from dicomove.receiver.manifest import manifest_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS: Final = 6
_TILE_INCHES: Final = 1.9
_PAPER: Final = "#111111"
_INK: Final = "#EEEEEE"
_HEADER: Final = ["InstanceNumber", "Modality", "NumberOfFrames", "SeriesNumber"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One series.

    Attributes
    ----------
    caption
        Modality and number of instances: nothing that names a patient.
    pixels
        The image, grey or RGB; ``None`` where `problem` says why not.
    problem
        Why there is none.
    """

    caption: str
    pixels: Any = None
    problem: str = ""


def preview(
    images: pd.DataFrame | str | os.PathLike[str], *, folder: str | os.PathLike[str] | None = None, most: int = 24
) -> Figure:
    """Show what arrived: one middle image of each series, windowed as its header says.

    Captions name modality and number of instances, and nothing of a patient; what is burnt into an image is there.

    Parameters
    ----------
    images
        The manifest of a `Receiver`, or its folder; or a table that `move` returned, whose studies are shown then.
    folder
        The folder, where `images` is a result table, or a manifest that was kept as a file.
    most
        Series at the most.

    Returns
    -------
    matplotlib.figure.Figure
        A tile for each series. One whose file is gone, or whose compression cannot be decoded, says so: the extra
        ``images`` decodes JPEG, JPEG-LS and JPEG 2000.

    Raises
    ------
    ValueError
        The table has no StudyInstanceUID, or nobody says in which folder the files are.
    ImportError
        matplotlib is not installed: ``pip install dicomove[plot]``.
    """
    from matplotlib.figure import Figure

    manifest, root = _manifest(images, folder)
    groups = [group for _, group in manifest.groupby(["StudyInstanceUID", "SeriesInstanceUID"], sort=False)]
    tiles = [_tile(group, root) for group in groups[:most]]
    columns = min(_COLUMNS, max(1, len(tiles)))
    lines = max(1, math.ceil(len(tiles) / columns))
    figure = Figure(
        figsize=(columns * _TILE_INCHES, lines * (_TILE_INCHES + 0.25) + 0.3), layout="constrained", facecolor=_PAPER
    )
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for axis in axes:
        axis.axis("off")
    for axis, tile in zip(figure.axes, tiles, strict=False):
        _draw(axis, tile)
    more = f", {len(groups) - most} more are not shown" if len(groups) > most else ""
    figure.suptitle(f"{len(groups)} series, {len(manifest)} instances{more}", color=_INK, fontsize=10)
    return figure


def _manifest(
    images: pd.DataFrame | str | os.PathLike[str], folder: str | os.PathLike[str] | None
) -> tuple[pd.DataFrame, Path]:
    if not isinstance(images, pd.DataFrame):
        root = Path(images)
        return _of_rows(manifest_of(root)), root
    if "path" in images.columns:
        given = folder if folder is not None else images.attrs.get("folder")
        if given is None:
            message = "say in which folder=... the files of this manifest are"
            raise ValueError(message)
        return _of_rows(images), Path(given)
    if folder is None or "StudyInstanceUID" not in images.columns:
        message = "a result table needs the column StudyInstanceUID, and the folder=... of the receiver"
        raise ValueError(message)
    manifest = _of_rows(manifest_of(Path(folder)))
    return manifest[manifest["StudyInstanceUID"].isin(set(images["StudyInstanceUID"].dropna()))], Path(folder)


def _of_rows(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[manifest["quarantine"].isna()] if "quarantine" in manifest.columns else manifest


def _tile(series: pd.DataFrame, root: Path) -> Tile:
    paths = [root / path for path in series["path"]]
    there = [path for path in paths if path.is_file()]
    count = f"{len(paths)} instance{'s' if len(paths) > 1 else ''}"
    if not there:
        return Tile(count, problem="missing")
    path, modality = _middle(there)
    caption = f"{modality}, {count}" if modality else count
    try:
        return Tile(caption, _pixels(path))
    except Exception as error:  # noqa: BLE001 (a decoder raises what it likes, and one image is one tile)
        return Tile(caption, problem=_why(error, str(series["TransferSyntaxUID"].iloc[0])))


def _middle(paths: Sequence[Path]) -> tuple[Path, str]:
    """Return the image in the middle of a series by its InstanceNumber, and the modality."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    found = []
    for path in paths:
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=_HEADER)
            number, modality = int(header.get("InstanceNumber") or 0), str(header.get("Modality") or "")
        except (InvalidDicomError, OSError, ValueError, TypeError):
            number, modality = 0, ""
        found.append((number, path, modality))
    found.sort()
    _, path, modality = found[len(found) // 2]
    return path, modality


def _pixels(path: Path) -> Any:
    """Return the image, the middle frame of several, as the header wants it to be seen (PS3.3 C.11)."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    data_set = dcmread(path)
    frames = int(data_set.get("NumberOfFrames") or 1)
    image = pixel_array(data_set, index=frames // 2)
    if image.ndim == 3:
        return (
            image.astype(np.uint8) if image.dtype == np.uint8 else (image / max(1, image.max()) * 255).astype(np.uint8)
        )
    values = apply_modality_lut(image, data_set)
    image = apply_voi_lut(values, data_set).astype(float)
    low, high = image.min(), image.max()
    if low == high or "WindowCenter" not in data_set:  # a window beside all that there is shows nothing
        image = values.astype(float)
        low, high = np.percentile(image, (0.5, 99.5))
    image = np.clip((image - low) / ((high - low) or 1.0), 0, 1)
    return 1 - image if data_set.get("PhotometricInterpretation") == "MONOCHROME1" else image


def _why(error: Exception, transfer_syntax: str) -> str:
    from pydicom.uid import UID

    syntax = UID(transfer_syntax)
    if isinstance(error, AttributeError | KeyError):
        return "no image"
    if not (syntax.is_transfer_syntax and syntax.is_compressed):
        return "cannot be decoded"
    what = f"cannot be decoded:\n{syntax.name.split('(')[0].strip()}"
    return what if find_spec("gdcm") else f"{what}\npip install dicomove[images]"


def _draw(axis: Axes, tile: Tile) -> None:
    axis.set_title(tile.caption, color=_INK, fontsize=8)
    if tile.pixels is None:
        axis.text(0.5, 0.5, tile.problem, color="#E69F00", fontsize=8, ha="center", va="center", wrap=True)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        return
    axis.imshow(tile.pixels, cmap="gray", vmin=0, vmax=1 if tile.pixels.ndim == 2 else None)
