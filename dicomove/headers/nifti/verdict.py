"""Decides which series are converted, and judges the results: outcome, reason and message. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from pydicom.uid import RTDoseStorage, SegmentationStorage

from dicomove.headers.nifti.voxels import Voxels, is_same

Converted = Literal["converted", "converted_with_warning", "no_volume", "failed"]
"""The outcome of a series."""

Reason = Literal[
    "no_positions",
    "single_slice",
    "several_orientations",
    "gaps",
    "duplicates",
    "not_uniform",
    "tilted",
    "other_sizes",
    "wrong_in_dcm2niix",
]
"""Why a series is not a volume, or not given to dcm2niix."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
_FAULT: Final = "wrong_in_dcm2niix"

#: The messages, with columns of `index` in braces.
_MEANS: Final[Mapping[Reason, str]] = {
    "no_positions": "its images, or the frames in them, have no place in space",
    "single_slice": "all images lie at one place",
    "several_orientations": "the images have {orientations} orientations",
    "gaps": "slices are missing between the first and the last: {gaps}",
    "duplicates": "images lie at a place that has its image already: {duplicates}",
    "not_uniform": "the distances from slice to slice differ",
    "tilted": "the slices are shifted against each other",
    "other_sizes": "images lack a position or a pixel spacing, or differ in matrix or pixel spacing",
}
#: Kinds of files that dcm2niix treats as ordinary images.
_WRONG: Final[Mapping[str, str]] = {
    RTDoseStorage: "dcm2niix leaves out the scaling of a dose (DoseGridScaling), and the places of its frames",
    SegmentationStorage: "dcm2niix does not tell the segments of a segmentation apart, nor which slices it leaves out",
}
#: Messages for series with unusable files.
_FILES: Final = {
    "not_dicom": "files of the series are not DICOM any more",
    "unreadable": "files of the series cannot be read",
    "missing": "files of the series are no longer on disk",
}
#: The program's exit codes with a specific meaning (nii_dicom_batch.h).
_CODES: Final = {
    2: "the series is a volume, and dcm2niix reads none of its images",
    4: "dcm2niix finds the file damaged",
    7: "dcm2niix cannot write into the folder",
}
_NO_IMAGES: Final = 2
#: The exit code for a conversion that left out some images.
_SOME: Final = frozenset({8, 10})
_SAID: Final = re.compile(r"\b(?:warning|error)\b", re.IGNORECASE)
_LONGEST: Final = 2000
#: The relative tolerance of voxel sizes.
_SAME: Final = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of dcm2niix.

    Attributes
    ----------
    exit_code
        Negative for a signal that ended it; ``None`` if it did not end in time.
    lines
        The printed lines.
    images
        The written images, by file name.
    """

    exit_code: int | None
    lines: tuple[str, ...] = ()
    images: Mapping[str, Voxels] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a series.

    Attributes
    ----------
    outcome
        The word.
    reason
        Why it was not converted, or not completely: words, joined by a backslash.
    exit_code
        Of dcm2niix; ``None`` if it did not run, or did not end.
    message
        The reason for a person; ``None`` if there is none.
    """

    outcome: Converted
    reason: str | None = None
    exit_code: int | None = None
    message: str | None = None


def ruled_out(row: Mapping[Any, Any], despite: Collection[str]) -> Verdict | None:
    """Return why a series is not converted; ``None`` if it is.

    Parameters
    ----------
    row
        The row of `index`, with ``None`` instead of nulls, and with ``copies``: the number of its files that have the
        SOPInstanceUID of another file.
    despite
        The reasons to ignore.

    Examples
    --------
    >>> row = {"is_volume": False, "orientations": 1, "gaps": 2, "duplicates": 0, "spacing_uniform": True}
    >>> ruled_out(row, ()).message
    'slices are missing between the first and the last: 2'
    >>> ruled_out(row, ["gaps"]) is None
    True
    """
    error = str(row.get("error") or "")
    if error:
        said = "; ".join(_FILES.get(word, word) for word in error.split("\\"))
        return Verdict("failed", error, message=f"{said}: look at index(level='INSTANCE')")
    found = [reason for reason in _not_a_volume(row) if reason not in despite]
    if not found:
        wrong = doubt(row)
        return Verdict("failed", _FAULT, message=wrong) if wrong and _FAULT not in despite else None
    means = [_MEANS[reason].format(**row) for reason in found]
    if "duplicates" in found and row.get("copies"):
        means.append(f"files with the SOPInstanceUID of another one: {row['copies']}")
    return Verdict("no_volume", "\\".join(found), message="; ".join(means))


def _not_a_volume(row: Mapping[Any, Any]) -> list[Reason]:
    r"""Return why a series is not a volume; empty if it is one.

    Examples
    --------
    >>> row = {"is_volume": False, "orientations": 1, "gaps": 0, "duplicates": 0, "spacing_uniform": None}
    >>> _not_a_volume(row), _not_a_volume(row | {"ImageType": "ORIGINAL\\PRIMARY\\MOSAIC"})
    (['single_slice'], [])
    """
    if row.get("is_volume") or is_mosaic(row):
        return []
    if not row.get("orientations"):
        return ["no_positions"]
    alone = row.get("orientations") == 1
    found: dict[Reason, bool] = {
        "several_orientations": not alone,
        "gaps": bool(row.get("gaps")),
        "duplicates": bool(row.get("duplicates")),
        "single_slice": alone and row.get("spacing_uniform") is None,
        "not_uniform": row.get("spacing_uniform") is False,
        "tilted": row.get("tilted") is True,
    }
    return [reason for reason, is_so in found.items() if is_so] or ["other_sizes"]


def doubt(row: Mapping[Any, Any]) -> str | None:
    """Return the known fault of dcm2niix with files of this kind; ``None`` if there is none."""
    kinds = str(row.get("SOPClassUID") or "").split("\\")
    return next((_WRONG[kind] for kind in kinds if kind in _WRONG), None)


def is_mosaic(row: Mapping[Any, Any]) -> bool:
    """Whether each image is a mosaic, with all slices of a volume side by side, as Siemens writes time series."""
    return "MOSAIC" in str(row.get("ImageType") or "").split("\\")


def judged(answer: Answer, expected: Voxels, wrong: str | None = None) -> Verdict:
    """Return the verdict on a series after dcm2niix.

    Parameters
    ----------
    answer
        The answer of dcm2niix.
    expected
        The voxels of the images.
    wrong
        The known fault of dcm2niix with files of this kind.

    Examples
    --------
    >>> judged(Answer(0, ("Convert 9 DICOM as x (64x64x9x1)",), {"x.nii": Voxels(36864)}), Voxels(36864)).outcome
    'converted'
    >>> judged(Answer(0, (), {"x.nii": Voxels(32768)}), Voxels(36864)).reason
    'fewer_voxels'
    >>> judged(Answer(-9), Voxels(0)).message
    'dcm2niix was ended by signal 9 (SIGKILL)'
    """
    said = _said(answer.lines)
    code = answer.exit_code
    if code is None:
        return Verdict("failed", "timeout", message=_joined("dcm2niix did not end in time", *said))
    if code == _NO_IMAGES and not expected.sizes:
        return Verdict("no_volume", "no_images", code, _joined("dcm2niix finds no image in the series", *said))
    if code and code not in _SOME:
        return Verdict("failed", "program_failed", code, _joined(_failure(code), *said))
    if not answer.images:
        return Verdict("failed", "nothing_written", code, _joined("dcm2niix wrote no image", *said))
    found = ({_FAULT: wrong} if wrong else {}) | _differences(answer, expected)
    if not found and not said:
        return Verdict("converted", exit_code=code)
    return Verdict("converted_with_warning", "\\".join(found or ["warned"]), code, _joined(*found.values(), *said))


def _differences(answer: Answer, expected: Voxels) -> dict[str, str]:
    """Return how the written images differ from their source."""
    images = [image for name, image in answer.images.items() if not _is_derived(name)]
    made = sum(image.count for image in images)
    other = [image.sizes for image in images if not _alike(image.sizes, expected.sizes)]
    found: dict[str, str] = {}
    if answer.exit_code in _SOME:
        found["some_left_out"] = "dcm2niix left out some of the images"
    if made < expected.count:
        found["fewer_voxels"] = f"the NIfTI files have {made} voxels, and the images {expected.count}"
    if other:
        found["other_spacing"] = (
            f"the NIfTI file has voxels of {_mm(other[0])} mm, and the images lie as voxels of {_mm(expected.sizes)} mm"
        )
    elif any(not _is_there(image, expected) for image in images):
        found["other_place"] = "the NIfTI file lies at another place than the images, is mirrored, or has no place"
    return found


def _alike(sizes: Sequence[float], expected: Sequence[float]) -> bool:
    # dcm2niix permutes the axes of 3D images.
    pairs = zip(sorted(sizes), sorted(expected), strict=False)
    return all(abs(one - other) <= _SAME * other for one, other in pairs)


def _is_there(image: Voxels, expected: Voxels) -> bool:
    if expected.box is None:
        return True
    return image.box is not None and is_same(image.box, expected.box, expected.sizes)


def _mm(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


def _failure(code: int) -> str:
    if code >= 0:
        return _CODES.get(code, f"dcm2niix failed with exit code {code}")
    names = {one.value: one.name for one in signal.Signals}
    name = names.get(-code)
    return f"dcm2niix was ended by signal {-code}{f' ({name})' if name else ''}"


def _said(lines: Sequence[str]) -> list[str]:
    # A line may contain values of the header, with control characters for a terminal.
    plain = ("".join(one if one.isprintable() else "?" for one in line.strip()) for line in lines)
    return list(dict.fromkeys(line for line in plain if _SAID.search(line)))


def _joined(*parts: str) -> str:
    text = "; ".join(part.rstrip(".;") for part in parts)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _is_derived(name: str) -> bool:
    """Whether an image is derived from another written one: with equal distances, or without the tilt."""
    return bool(re.search(r"_(?:Eq|Tilt)(?:_\d+)?\.nii", name))
