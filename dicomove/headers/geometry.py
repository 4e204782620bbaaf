"""Decides whether the images of a series are a volume: slices of one orientation, at equal distances, each once. Pure.

Distances are measured along the normal of the slices. A distance of two steps or more is a gap. A position with more
images than its neighbours has a duplicate. If all positions have the same number of images, and the images at one
position differ in InstanceNumber, time, echo or the like, the series has several volumes. Two images that do not differ
in these count as one image twice.

If every second slice is missing, the distances alone look regular. Such gaps are detected if the numbers that are
missing among the InstanceNumbers fit the distance of slices in the headers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dicomove.headers.planes import PLANE

Planes = npt.NDArray[np.float64]

#: Cosines that differ by less belong to one orientation (0.06 degrees).
_COSINE: Final = 1e-3
#: Positions that differ by less are the same: in mm, and for images of small objects in parts of a pixel.
_SAME_MM: Final = 0.01
_SAME_PIXEL: Final = 0.1
#: The tolerance of a distance, as a part of the step.
_UNIFORM: Final = 0.05
_MULTIPLE: Final = 0.15
#: The columns that follow those of a plane.
_MARK, _NUMBER = PLANE, PLANE + 1
#: The tolerance of the normal's length, which is 1 if rows and columns have unit length and are at right angles.
_RIGHT_ANGLES: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The geometry of the images of a series.

    Attributes
    ----------
    orientations
        The number of different orientations; 0 if the headers have none.
    gaps
        The number of missing slices between the first and the last; ``None`` without positions.
    duplicates
        The number of images at a position that has its image already.
    spacing
        The distance from slice to slice, in mm; ``None`` for a single slice, and for several orientations.
    spacing_uniform
        Whether the distances are equal, apart from gaps; ``None`` as for `spacing`.
    tilted
        Whether the slices are shifted against each other, as with a tilted gantry; ``None`` as for `spacing`.
    volumes
        The number of images at each position.
    lowest_instance_number
        The lowest InstanceNumber; ``None`` without numbers.
    instance_numbers_missing
        The number of absent numbers between the lowest and the highest InstanceNumber; ``None`` without numbers.
    is_volume
        Whether the images are one or several complete volumes.
    """

    orientations: int = 0
    gaps: int | None = None
    duplicates: int | None = None
    spacing: float | None = None
    spacing_uniform: bool | None = None
    tilted: bool | None = None
    volumes: int | None = None
    lowest_instance_number: int | None = None
    instance_numbers_missing: int | None = None
    is_volume: bool = False


@dataclass(frozen=True, slots=True)
class FromHeaders:
    """Further facts from the headers, beside the planes.

    Attributes
    ----------
    frames
        The number of planes of each file; empty if each file has one.
    states
        For each file, the values that distinguish images at the same position: time, echo; or empty.
    step
        The distance from slice to slice according to the headers.
    """

    frames: Sequence[int] = ()
    states: Sequence[Hashable] = ()
    step: float | None = None


def geometry(planes: Planes, numbers: Sequence[int | None], further: FromHeaders | None = None) -> Geometry:
    """Return the geometry of a series.

    Parameters
    ----------
    planes
        One row for each image or frame: ImageOrientationPatient (6), ImagePositionPatient (3), Rows, Columns,
        PixelSpacing (2); NaN for absent numbers.
    numbers
        The InstanceNumber of each file.
    further
        Further facts from the headers.

    Examples
    --------
    >>> planes = np.array([[1, 0, 0, 0, 1, 0, 0, 0, z, 64, 64, 1, 1] for z in (0, 2, 4, 8, 10)], dtype=float)
    >>> found = geometry(planes, [1, 2, 3, 5, 6])
    >>> found.gaps, found.spacing, found.spacing_uniform, found.instance_numbers_missing, found.is_volume
    (1, 2.0, True, 1, False)
    """
    known, further = {number for number in numbers if number is not None}, further or FromHeaders()
    lowest = min(known, default=None)
    lacking = max(known) - lowest + 1 - len(known) if lowest is not None else None
    planes = planes.reshape(-1, PLANE)
    placed = np.column_stack([planes, _marks(len(planes), numbers, further)])[_is_placed(planes)]
    groups = _by_orientation(placed)
    if not groups:
        return Geometry(lowest_instance_number=lowest, instance_numbers_missing=lacking)
    stacks = [_stack(group, further.step) for group in groups]
    alone = stacks[0] if len(stacks) == 1 else _Stack()
    gaps, duplicates = sum(stack.gaps for stack in stacks), sum(stack.duplicates for stack in stacks)
    whole = not gaps and not duplicates and len(placed) == len(planes) and _have_one_size(placed)
    return Geometry(
        orientations=len(groups),
        gaps=gaps,
        duplicates=duplicates,
        spacing=alone.spacing,
        spacing_uniform=alone.uniform,
        tilted=alone.tilted,
        volumes=alone.volumes,
        lowest_instance_number=lowest,
        instance_numbers_missing=lacking,
        is_volume=bool(whole and alone.uniform and not alone.tilted),
    )


def _have_one_size(planes: Planes) -> bool:
    sizes = np.unique(np.nan_to_num(planes[:, 9:PLANE].round(6), nan=-1), axis=0)
    return len(sizes) == 1 and bool((sizes > 0).all())


@dataclass(frozen=True, slots=True)
class _Stack:
    """Images of one orientation."""

    gaps: int = 0
    duplicates: int = 0
    spacing: float | None = None
    uniform: bool | None = None
    tilted: bool | None = None
    volumes: int | None = None


def _marks(count: int, numbers: Sequence[int | None], further: FromHeaders) -> Planes:
    """Return for each plane a number that distinguishes it from others at its position, and its InstanceNumber."""
    frames = further.frames or ([count] if len(numbers) == 1 else [1] * len(numbers))
    if sum(frames) != count:
        # It is unknown which plane belongs to which file.
        return np.column_stack([np.arange(count), np.full(count, np.nan)])
    own = [np.nan if number is None else number for number in numbers]
    if count == len(set(numbers)) and set(frames) == {1}:
        return np.column_stack([np.arange(count), np.array(own, dtype=float)])
    states = further.states or [None] * len(numbers)
    known: dict[Hashable, int] = {}
    marks = [
        (known.setdefault((number, state, frame), len(known)), place)
        for number, place, state, ours in zip(numbers, own, states, frames, strict=True)
        for frame in range(ours)
    ]
    return np.array(marks, dtype=float).reshape(-1, 2)


def _stack(planes: Planes, step: float | None) -> _Stack:
    normal, same = _normals(planes[:1])[0], _same(planes)
    planes = planes[np.argsort(planes[:, 6:9] @ normal, kind="stable")]
    along = planes[:, 6:9] @ normal
    begins = np.concatenate([[True], np.diff(along) > same])
    counts, different = _counts(np.cumsum(begins) - 1, planes[:, _MARK])
    volumes = _usual(different.tolist())
    duplicates = int((counts - np.minimum(different, volumes)).sum())
    absent = int(np.maximum(volumes - different, 0).sum())
    steps = np.diff(along[begins])
    if not len(steps):
        return _Stack(absent, duplicates, volumes=volumes)
    left_out = _left_out(steps, planes[begins][:, _NUMBER], step) if volumes == 1 else None
    times, spacing = _grid(steps) if left_out is None else (left_out, float(steps.sum() / left_out.sum()))
    off = np.abs(steps - times * spacing)
    in_plane = planes[:, 6:9] - along[:, None] * normal
    shift = float(np.linalg.norm(in_plane - in_plane[0], axis=1).max())
    return _Stack(
        gaps=absent + int((times - 1).sum()) * volumes,
        duplicates=duplicates,
        spacing=round(float(spacing), 6),
        uniform=bool((off <= max(same, _UNIFORM * spacing)).all()),
        tilted=bool(shift > max(10 * same, _UNIFORM * spacing, _COSINE * (along[-1] - along[0]))),
        volumes=volumes,
    )


def _same(planes: Planes) -> float:
    """Return the largest distance between two positions of one slice."""
    sizes = planes[:, 11:13]
    known = sizes[np.isfinite(sizes) & (sizes > 0)]
    return min(_SAME_MM, _SAME_PIXEL * float(known.min())) if known.size else _SAME_MM


def _counts(places: npt.NDArray[np.int64], marks: Planes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of images at each position, and the number of different ones."""
    counts = np.bincount(places)
    most = int(marks.max()) + 1
    pairs = np.unique(places * most + marks.astype(np.int64))
    return counts, np.bincount(pairs // most, minlength=len(counts))


def _left_out(steps: Planes, numbers: Planes, step: float | None) -> npt.NDArray[np.int64] | None:
    """Return the length of each distance in slices, if InstanceNumbers and the distance in the headers agree on it."""
    between = np.abs(np.diff(numbers))
    if not step or step <= 0 or not np.isfinite(between).all() or between.min() < 1:
        return None
    off = np.abs(steps / step - between)
    return between.astype(np.int64) if (off <= _MULTIPLE * np.sqrt(between)).all() else None


def _grid(steps: Planes) -> tuple[npt.NDArray[np.int64], float]:
    """Return the length of each distance in slices, and the distance of one slice."""
    usual = float(np.median(steps[steps <= 1.5 * steps.min()]))
    times = np.maximum(1, np.round(steps / usual)).astype(np.int64)
    # A distance that is not a multiple is irregular, and not a gap.
    times[np.abs(steps / usual - times) > _MULTIPLE * np.sqrt(times)] = 1
    regular = np.abs(steps / usual - times) <= _MULTIPLE * np.sqrt(times)
    return times, float(steps[regular].sum() / times[regular].sum()) if regular.any() else usual


def _by_orientation(planes: Planes) -> list[Planes]:
    rest, groups = planes, []
    while len(rest):
        same = np.asarray(np.abs(rest[:, :6] - rest[0, :6]).max(axis=1)) <= _COSINE
        groups.append(rest[same])
        rest = rest[~same]
    return groups


def _is_placed(planes: Planes) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = np.all(np.isfinite(planes[:, :9]), axis=1, keepdims=True)
    length = np.linalg.norm(_normals(np.where(known, planes, 0)), axis=1)
    upright: npt.NDArray[np.bool_] = np.less(np.abs(length - 1), _RIGHT_ANGLES)
    return np.logical_and(known[:, 0], upright)


def _normals(planes: Planes) -> Planes:
    (a, b, c), (d, e, f) = planes[:, :3].T, planes[:, 3:6].T
    return np.column_stack([b * f - c * e, c * d - a * f, a * e - b * d])  # np.cross needs five times as long


def _usual(counts: Sequence[int]) -> int:
    return max(Counter(counts).items(), key=lambda found: (found[1], -found[0]))[0]
