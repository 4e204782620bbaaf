"""`preview`: a montage of the images that arrived, with one image from the middle of each series.

The header of an image decides how it looks (PS3.3 C.7.6.3, C.11). If an image cannot be shown, its tile has the reason.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from dicomove.errors import CohortError
from dicomove.files import user_path
from dicomove.report.plots import new_figure, show_in_notebooks
from dicomove.report.table import Results, table_of
from dicomove.store import read_journal, read_manifest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
import re
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from pydicom.dataset import Dataset


_COLUMNS: Final = 4
_TILE_INCHES: Final = 1.9
_PAPER: Final = "#111111"
_INK: Final = "#EEEEEE"
_PROBLEM: Final = "#E69F00"
_SERIES: Final = ("StudyInstanceUID", "SeriesInstanceUID")
#: The most headers that `preview` reads of a series: for a longer series, the middle is approximate.
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
        A table that `move` returned: its studies are shown. Or the manifest of a `Receiver`, the table of `index` with
        one row per instance, or the path of a receiver's folder or of a journal: all images are shown.
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
        The table is neither a result table nor a manifest, or that of `index` with one row per series.
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
    line = f"{series} series, {count} instances"
    line += f", nothing of {absent} {'study' if absent == 1 else 'studies'}" if absent else ""
    left = series + absent - shown
    return line + (f", {left} more are not shown" if left else "")


def _sources(results: Results, folder: str | os.PathLike[str] | None) -> tuple[pd.DataFrame, Path, int]:
    """Return the manifest, its folder, and the number of studies without any file."""
    if not isinstance(results, pd.DataFrame):
        path = Path(results)
        if path.is_dir():
            return _accepted(read_manifest(path)), path, 0
        return _accepted(read_manifest(path)), _folder(folder, read_journal(path).attrs["run"]), 0
    if {"path", "instances", *_SERIES} <= set(results.columns):
        message = "the table has one row per series: give index(..., level='INSTANCE'), which names the files"
        raise CohortError(message)
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
    return user_path(folder)


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


#: Tiles are smaller than this, so finer detail is dropped.
_PIXELS: Final = 512
#: A header may claim any size; this is the most memory that an image may take.
_LARGEST: Final = 1 << 28
_MODALITY: Final = re.compile("[A-Z0-9_]{1,16}")
_STRANGEST: Final = 20.0
#: Values beyond every possible pixel value, which show both ends of a window.
_BOTH_ENDS: Final = (-1e12, 1e12)
#: The values of no rescaling, for blank ones.
_RESCALED: Final = (("RescaleSlope", 1), ("RescaleIntercept", 0))
_OF_A_FRAME: Final = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence")


@dataclass(frozen=True, slots=True)
class Picture:
    """One image: grey from 0 to 1, or RGB; without an image, `problem` gives the reason.

    Attributes
    ----------
    aspect
        The height of a pixel divided by its width.
    """

    pixels: Any = None
    aspect: float = 1.0
    problem: str = ""


def modality_and_number(path: Path) -> tuple[str, int]:
    """Return Modality and InstanceNumber of a file; blank and 0 if the file lacks them."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning may quote what it warns of
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["Modality", "InstanceNumber"])
            modality, number = str(header.get("Modality") or ""), int(header.get("InstanceNumber") or 0)
        except Exception:  # noqa: BLE001 (files come from anywhere, and pydicom raises any exception)
            return "", 0
    return modality if _MODALITY.fullmatch(modality) else "", number


def picture(path: Path) -> Picture:
    """Return the image of a file, the middle frame of several."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning may quote what it warns of
        try:
            header: Dataset = dcmread(path, stop_before_pixels=True)
            if "Rows" not in header or "Columns" not in header:
                return Picture(problem="no image")
            if problem := _too_large(header):
                return Picture(problem=problem)
            frame = int(header.get("NumberOfFrames") or 1) // 2
            _take_from_frame(header, frame)
            return Picture(_seen(_decoded(path, header, frame), header), _aspect(header))
        except Exception:  # noqa: BLE001 (one file is one tile, and a decoder raises any exception)
            return Picture(problem=_why(path))


def _too_large(header: Dataset) -> str:
    samples = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel") or 1)
    return "too large to be shown" if samples * int(header.get("BitsAllocated") or 8) // 8 > _LARGEST else ""


def _decoded(path: Path, header: Dataset, frame: int) -> np.ndarray:
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    deflated = header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    # pydicom can read a single frame from a file, but not from a deflated one.
    found: np.ndarray = pixel_array(dcmread(path) if deflated else path, index=frame)
    step = max(1, max(found.shape[:2]) // _PIXELS)
    return found[::step, ::step]


def _take_from_frame(header: Dataset, frame: int) -> None:
    """Copy the attributes of one frame of an enhanced image to the top level of its header (PS3.3 C.7.6.16)."""
    groups = list(header.get("SharedFunctionalGroupsSequence") or [])
    groups += list(header.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    for group in groups:
        for keyword in _OF_A_FRAME:
            for element in (group.get(keyword) or [[]])[0]:
                header[element.tag] = element


def _seen(image: np.ndarray, header: Dataset) -> np.ndarray:
    import numpy as np
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    kind = str(header.get("PhotometricInterpretation"))
    if kind == "PALETTE COLOR":
        image = apply_color_lut(image, header)
    if image.ndim == 3:
        return image / np.iinfo(image.dtype).max if image.dtype != np.uint8 else image
    for name, usual in _RESCALED:
        if name in header and header[name].is_empty:
            setattr(header, name, usual)
    values = apply_modality_lut(image, header)
    shown = _windowed(values, header)
    return 1 - shown if kind == "MONOCHROME1" else shown


def _windowed(values: np.ndarray, header: Dataset) -> np.ndarray:
    """Return values from 0 to 1: by the header's window, or without one over nearly the full range of values."""
    import numpy as np
    from pydicom.pixels.processing import apply_voi_lut, apply_windowing

    if header.get("VOILUTSequence"):
        bits = int(header.VOILUTSequence[0].LUTDescriptor[2])
        looked_up: np.ndarray = apply_voi_lut(values, header) / (2.0**bits - 1)
        return looked_up.clip(0, 1)
    if header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        with suppress(ValueError):  # a width below 1 is invalid
            low, high = apply_windowing(np.array(_BOTH_ENDS), header)
            shown: np.ndarray = (apply_windowing(values, header) - low) / ((high - low) or 1)
            if shown.min() < shown.max():  # a window outside all values shows nothing
                return shown.clip(0, 1)
    low, high = np.percentile(values, (0.5, 99.5))
    low, high = (low, high) if low < high else (values.min(), values.max())
    spread: np.ndarray = (values - low) / (float(high - low) or 1.0)
    return spread.clip(0, 1)


def _aspect(header: Dataset) -> float:
    given = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or header.get("PixelAspectRatio") or (1, 1)
    high, wide = (float(number) for number in given)
    return high / wide if wide > 0 and 1 / _STRANGEST < high / wide < _STRANGEST else 1.0


def _why(path: Path) -> str:
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    try:
        syntax = UID(read_file_meta_info(path).TransferSyntaxUID)
        is_available = get_decoder(syntax).is_available
    except Exception:  # noqa: BLE001 (not DICOM, or an unknown transfer syntax)
        return "cannot be read"
    if not syntax.is_compressed or syntax.is_deflated:
        return "cannot be read"
    what = f"cannot be decoded:\n{syntax.name.split('(')[0].split(',')[0].strip()}"
    return what if is_available else f"{what}\npip install\n'dicomove[images]'"
