"""Renders one image by its header (PS3.3 C.7.6.3, C.11), or gives the reason why it cannot."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from pydicom.dataset import Dataset

#: Tiles are smaller than this, so finer detail is dropped.
_PIXELS: Final = 512
#: A header may claim any size; this is the most memory that an image may take.
_LARGEST: Final = 1 << 28
_MODALITY: Final = re.compile("[A-Z0-9_]{1,16}")
_STRANGEST: Final = 20.0
#: Larger than every possible value.
_BOTH_ENDS: Final = (-1e12, 1e12)
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
