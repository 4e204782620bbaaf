"""Position and orientation of the images of a file: one plane for each image or frame.

The frames of a multi-frame file have their positions in functional groups (enhanced images, segmentations,
tomosynthesis), in a list of distances (doses), or by the number of each slice (nuclear medicine). A single position for
all frames does not count.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Final

from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicomove.headers.attributes import items_of, numbers_of, text_of

#: The numbers of a plane: orientation (6), position (3), rows and columns, distances of rows and of columns.
PLANE: Final = 13

_NAN: Final = float("nan")
_FRAMES: Final = keyword_dict["NumberOfFrames"]
_SHARED, _PER_FRAME = keyword_dict["SharedFunctionalGroupsSequence"], keyword_dict["PerFrameFunctionalGroupsSequence"]
_POSITION, _ORIENTATION = keyword_dict["ImagePositionPatient"], keyword_dict["ImageOrientationPatient"]
_ROWS, _COLUMNS, _SPACING = keyword_dict["Rows"], keyword_dict["Columns"], keyword_dict["PixelSpacing"]
#: The functional groups of each attribute. Ultrasound volumes have positions in the space of the volume, and not of the
#: patient.
_GROUPS: Final = {
    _POSITION: (
        (keyword_dict["PlanePositionSequence"], _POSITION),
        (keyword_dict["PlanePositionVolumeSequence"], keyword_dict["ImagePositionVolume"]),
    ),
    _ORIENTATION: (
        (keyword_dict["PlaneOrientationSequence"], _ORIENTATION),
        (keyword_dict["PlaneOrientationVolumeSequence"], keyword_dict["ImageOrientationVolume"]),
    ),
    _SPACING: ((keyword_dict["PixelMeasuresSequence"], _SPACING),),
}
_BETWEEN, _THICKNESS = keyword_dict["SpacingBetweenSlices"], keyword_dict["SliceThickness"]
_IMAGE_TYPE, _TILES = keyword_dict["ImageType"], 0x0019100A  # of Siemens: the number of slices in a mosaic
_SEGMENT: Final = keyword_dict["SegmentIdentificationSequence"]
_OFFSETS: Final = keyword_dict["GridFrameOffsetVector"]
_DETECTOR, _SLICES = keyword_dict["DetectorInformationSequence"], keyword_dict["SliceVector"]

TAGS: Final = (
    *(_FRAMES, _SHARED, _PER_FRAME, _POSITION, _ORIENTATION, _ROWS, _COLUMNS, _SPACING),
    *(_BETWEEN, _THICKNESS, _IMAGE_TYPE, _TILES, _OFFSETS, _DETECTOR, _SLICES),
)
"""The attributes of a data set that are read for its planes."""

_MOST_TILES: Final = 4096
_MOST_FRAMES: Final = 65536
_DIGITS: Final = 10
#: Positions that differ by less are the same: in mm, and in cosines.
_SAME: Final = 0.01
_COSINE: Final = 1e-3
#: The images of nuclear medicine that are slices.
_RECONSTRUCTED: Final = frozenset({"RECON TOMO", "RECON GATED TOMO"})


_Vector = Sequence[float]


def planes_of(found: Dataset) -> array[float]:
    """Return the plane of the image, or of each frame, with NaN for unknown numbers.

    If no frame has a position, there is one plane. A data set without rows and columns has none.
    """
    size = [*numbers_of(found, _ROWS, 1), *numbers_of(found, _COLUMNS, 1)]
    if not math.isfinite(size[0]):
        return array("d")
    shared, frames = items_of(found, _SHARED)[:1], items_of(found, _PER_FRAME)
    count = _count(found) or len(frames) or 1
    if frames:
        # If the number of groups differs from the number of frames, they do not belong together.
        sources = [[frame, *shared] for frame in frames] if len(frames) == count else []
        planes = [_plane(found, source, size, alone=count == 1) for source in sources]
        return _joined(_once(planes) if _SEGMENT in frames[0] else planes, size)
    plane = _plane(found, shared, size, alone=count == 1)
    if count == 1 and _is_known(plane):
        return _of_mosaic(found, plane)
    if count > _MOST_FRAMES:  # a damaged number; the places of so many frames would fill the memory
        return _joined([], size)
    if _is_known(plane):
        return _joined([plane] * count, size)
    places = _of_dose(found, count) or _of_slices(found, count)
    return _joined([array("d", [*place, *plane[9:]]) for place in places], size)


def _joined(planes: Sequence[array[float]], size: _Vector) -> array[float]:
    if not any(_is_known(plane) for plane in planes):
        return array("d", [*[_NAN] * 9, *size, _NAN, _NAN])
    return array("d", chain.from_iterable(planes))


def _plane(found: Dataset, sources: Sequence[Dataset], size: _Vector, *, alone: bool) -> array[float]:
    """Return a plane from the frame's functional groups, from those of all frames, or from the data set itself."""
    position = _in_groups(sources, _POSITION, 3)
    if position is None:
        position = numbers_of(found, _POSITION, 3) if alone else [_NAN] * 3
    orientation = _in_groups(sources, _ORIENTATION, 6) or numbers_of(found, _ORIENTATION, 6)
    spacing = _in_groups(sources, _SPACING, 2) or numbers_of(found, _SPACING, 2)
    return array("d", [*orientation, *position, *size, *spacing])


def _in_groups(sources: Sequence[Dataset], tag: int, count: int) -> list[float] | None:
    for source in sources:
        for group, inner in _GROUPS[tag]:
            for item in items_of(source, group)[:1]:
                if inner in item:
                    return numbers_of(item, inner, count)
    return None


def _is_known(plane: array[float]) -> bool:
    return all(math.isfinite(number) for number in plane[:9])


def _once(planes: Sequence[array[float]]) -> list[array[float]]:
    """Return each plane once: several segments of a segmentation may have a frame at the same position."""
    return [array("d", numbers) for numbers in dict.fromkeys(tuple(plane) for plane in planes)]


def _count(found: Dataset) -> int:
    text = text_of(found, _FRAMES) or ""
    return int(text) if text.isdecimal() and len(text) < _DIGITS else 0


def _of_dose(found: Dataset, count: int) -> list[_Vector]:
    """Return orientation and position of the frames of a dose (PS3.3 C.8.8.3.2); none if the data set lacks them.

    A list that begins with 0 has distances along the normal. A list that begins with the position's z has the z of each
    frame.
    """
    offsets = numbers_of(found, _OFFSETS, count)
    orientation, position = numbers_of(found, _ORIENTATION, 6), numbers_of(found, _POSITION, 3)
    axis = _normal(orientation)
    if abs(offsets[0]) > _SAME:
        # The z alone suffices only for transverse planes.
        is_z = abs(offsets[0] - position[2]) <= _SAME and 1 - abs(axis[2]) <= _COSINE
        axis, offsets = [0.0, 0.0, 1.0 if is_z else _NAN], [offset - position[2] for offset in offsets]
    return _stacked(orientation, position, axis, offsets)


def _of_slices(found: Dataset, count: int) -> list[_Vector]:
    """Return orientation and position of slices of nuclear medicine (PS3.3 C.8.4.15); none if the data set lacks them.

    Only reconstructed images are slices; the others are projections. The sign of SpacingBetweenSlices is the direction
    from the first slice to the others.
    """
    if not _RECONSTRUCTED & set((text_of(found, _IMAGE_TYPE) or "").split("\\")):
        return []
    sources = [*items_of(found, _DETECTOR)[:1], found]
    orientation = next((numbers_of(one, _ORIENTATION, 6) for one in sources if _ORIENTATION in one), [_NAN] * 6)
    position = next((numbers_of(one, _POSITION, 3) for one in sources if _POSITION in one), [_NAN] * 3)
    (step,) = numbers_of(found, _BETWEEN, 1)
    offsets = [(number - 1) * step for number in numbers_of(found, _SLICES, count)]
    return _stacked(orientation, position, _normal(orientation), offsets)


def _stacked(orientation: _Vector, position: _Vector, axis: _Vector, offsets: _Vector) -> list[_Vector]:
    places: list[_Vector] = [[*orientation, *(position[i] + offset * axis[i] for i in range(3))] for offset in offsets]
    return places if all(math.isfinite(number) for place in places for number in place) else []


def _normal(orientation: _Vector) -> list[float]:
    across, down = orientation[:3], orientation[3:]
    return [across[(i + 1) % 3] * down[(i + 2) % 3] - across[(i + 2) % 3] * down[(i + 1) % 3] for i in range(3)]


def _of_mosaic(found: Dataset, plane: array[float]) -> array[float]:
    """Return the plane of each slice of a mosaic: an image of Siemens with all slices of a volume side by side."""
    count, corner, normal = _tiles(found), plane[6:9], _normal(plane[:6])
    steps = [*numbers_of(found, _BETWEEN, 1), *numbers_of(found, _THICKNESS, 1)]
    step = next((step for step in steps if math.isfinite(step)), None)
    side = math.isqrt(count - 1) + 1
    if count == 1 or step is None or plane[9] % side or plane[10] % side:
        return plane
    planes = array("d")
    for tile in range(count):
        planes.extend(plane[:6])
        planes.extend(corner[i] + tile * step * normal[i] for i in range(3))
        planes.extend([plane[9] / side, plane[10] / side, *plane[11:]])
    return planes


def _tiles(found: Dataset) -> int:
    """Return the number of slices that a mosaic has side by side."""
    if _TILES not in found or "MOSAIC" not in (text_of(found, _IMAGE_TYPE) or "").split("\\"):
        return 1
    element = found.get_item(_TILES)
    if isinstance(element, RawDataElement) and element.VR in (None, "UN", "US"):
        number = int.from_bytes(element.value or b"", "little" if element.is_little_endian else "big")
    else:
        number = int(text) if (text := text_of(found, _TILES) or "").isdecimal() else 1
    return number if 1 < number <= _MOST_TILES else 1
