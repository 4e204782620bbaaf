"""Number, size and position of the voxels of a volume: from the planes of its images, and from a NIfTI file.

dcm2niix may permute and flip the axes, and then begins at another corner than DICOM. The set of eight corners stays the
same.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

_Numbers = npt.NDArray[np.float64]

#: The tolerance for corners: in parts of the smallest voxel size, and of the longest diagonal.
_OF_VOXEL: Final = 0.5
_OF_DIAGONAL: Final = 0.002
#: From the patient's axes in DICOM to those in NIfTI.
_AXES: Final = np.array([-1.0, -1.0, 1.0])
_CORNERS: Final = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], dtype=np.float64)
#: The length of the header of a NIfTI file, and the places of its fields.
_HEADER: Final = 348
_AXES_AT, _SIZES_AT, _HAS_PLACE_AT, _PLACE_AT = 40, 80, 254, 280
#: The number of axes of an image without slices.
_PLANAR: Final = 2


@dataclass(frozen=True, slots=True)
class Box:
    """The centres of the voxels at the corners, in mm, with the axes of NIfTI.

    Attributes
    ----------
    origin
        The position of the first voxel.
    edges
        The vectors from there to the last voxel along each axis.
    """

    origin: tuple[float, ...]
    edges: tuple[tuple[float, ...], ...]

    def corners(self) -> _Numbers:
        """Return the eight corners."""
        corners: _Numbers = np.asarray(self.origin) + _CORNERS @ np.asarray(self.edges)
        return corners


@dataclass(frozen=True, slots=True)
class Voxels:
    """The number of voxels, and the size of one.

    Attributes
    ----------
    count
        The number; 0 if it is unknown.
    sizes
        In mm, along each axis; empty if they are unknown.
    box
        Their position; ``None`` if it is unknown.
    """

    count: int
    sizes: tuple[float, ...] = ()
    box: Box | None = None


def is_same(one: Box, other: Box, sizes: Sequence[float]) -> bool:
    """Whether two boxes have the same corners, within the tolerance.

    Examples
    --------
    >>> box = Box((0, 0, 0), ((9, 0, 0), (0, 9, 0), (0, 0, 30)))
    >>> turned = Box((0, 9, 30), ((0, 0, -30), (9, 0, 0), (0, -9, 0)))
    >>> is_same(box, turned, (1, 1, 3)), is_same(box, Box((0, 0, 0), ((9, 0, 0), (0, 9, 0), (0, 0, -30))), (1, 1, 3))
    (True, False)
    """
    corners, others = one.corners(), other.corners()
    within = _OF_VOXEL * min(sizes) + _OF_DIAGONAL * float(np.linalg.norm(np.ptp(corners, axis=0)))
    far = np.linalg.norm(corners[:, None] - others[None], axis=2)
    return bool((far.min(axis=0) <= within).all() and (far.min(axis=1) <= within).all())


def box_of_planes(planes: _Numbers) -> Box | None:
    """Return the box of the parallel slices of one volume; ``None`` if numbers are absent.

    Parameters
    ----------
    planes
        As `dicomove.headers.geometry` takes them.
    """
    across, down, (rows, columns, between_rows, between_columns) = planes[0, :3], planes[0, 3:6], planes[0, 9:13]
    along = planes[:, 6:9] @ np.cross(across, down)
    first, last = planes[int(along.argmin()), 6:9], planes[int(along.argmax()), 6:9]
    edges = np.array([(columns - 1) * between_columns * across, (rows - 1) * between_rows * down, last - first])
    return _box(first * _AXES, edges * _AXES)


def voxels_of(path: Path) -> Voxels:
    """Return the voxels of all volumes, from the header of a NIfTI file; none if it cannot be read."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            header = file.read(_HEADER)
    except (OSError, EOFError):
        return Voxels(0)
    if len(header) < _HEADER:
        return Voxels(0)
    order = "<" if header[:4] == struct.pack("<i", _HEADER) else ">"
    count, *lengths = struct.unpack_from(f"{order}8h", header, _AXES_AT)
    number = prod(max(1, length) for length in lengths[: max(0, count)])
    if count <= _PLANAR:
        return Voxels(number)
    sizes = struct.unpack_from(f"{order}3f", header, _SIZES_AT)
    return Voxels(number, sizes, _box_of_header(header, order, lengths[:3]))


def _box_of_header(header: bytes, order: str, lengths: Sequence[int]) -> Box | None:
    """Return the box of a NIfTI file; ``None`` if its header does not have it."""
    (code,) = struct.unpack_from(f"{order}h", header, _HAS_PLACE_AT)
    if not code:
        return None
    affine = np.array(struct.unpack_from(f"{order}12f", header, _PLACE_AT), dtype=np.float64).reshape(3, 4)
    return _box(affine[:, 3], affine[:, :3].T * (np.array(lengths)[:, None] - 1))


def _box(origin: _Numbers, edges: _Numbers) -> Box | None:
    if not (np.isfinite(origin).all() and np.isfinite(edges).all()):
        return None
    return Box(tuple(origin.tolist()), tuple(tuple(edge) for edge in edges.tolist()))
