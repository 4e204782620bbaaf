"""Position and orientation of a volume: from the planes of its images, and from the header of a NIfTI file. Pure.

dcm2niix may permute and flip the axes, and then begins at another corner than DICOM. The set of eight corners stays the
same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

#: The tolerance for corners: in parts of the smallest voxel size, and of the longest diagonal.
_OF_VOXEL: Final = 0.5
_OF_DIAGONAL: Final = 0.002
#: From the patient's axes in DICOM to those in NIfTI.
_AXES: Final = np.array([-1.0, -1.0, 1.0])
_CORNERS: Final = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], dtype=np.float64)
_HAS_PLACE, _PLACE = 254, 280


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

    def corners(self) -> Numbers:
        """Return the eight corners."""
        corners: Numbers = np.asarray(self.origin) + _CORNERS @ np.asarray(self.edges)
        return corners


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


def box_of_planes(planes: Numbers) -> Box | None:
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


def box_of_header(header: bytes, order: str, lengths: Sequence[int]) -> Box | None:
    """Return the box of a NIfTI file; ``None`` if its header does not have it.

    Parameters
    ----------
    header
        The header.
    order
        The order of bytes, as `struct` takes it.
    lengths
        The numbers of voxels along the three axes.
    """
    (code,) = struct.unpack_from(f"{order}h", header, _HAS_PLACE)
    if not code:
        return None
    affine = np.array(struct.unpack_from(f"{order}12f", header, _PLACE), dtype=np.float64).reshape(3, 4)
    return _box(affine[:, 3], affine[:, :3].T * (np.array(lengths)[:, None] - 1))


def _box(origin: Numbers, edges: Numbers) -> Box | None:
    if not (np.isfinite(origin).all() and np.isfinite(edges).all()):
        return None
    return Box(tuple(origin.tolist()), tuple(tuple(edge) for edge in edges.tolist()))
