"""Multi-frame files of many kinds: where their frames lie, which are volumes, and what dcm2niix makes of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pydicom.uid
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicomove.headers import convert, index
from tests.images import real

AXIAL, CORONAL, PRONE = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, -1, 0]
STEPS = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0)
Made = Callable[[], Dataset]


def image(kind: str, modality: str, frames: int = 6, **elements: Any) -> Dataset:
    """An image, or several frames, of 8 rows and 10 columns."""
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = getattr(pydicom.uid, kind)
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    found.StudyInstanceUID, found.SeriesInstanceUID = generate_uid(), generate_uid()
    found.Modality, found.SeriesNumber, found.InstanceNumber = modality, 1, 1
    found.Rows, found.Columns, found.SamplesPerPixel = 8, 10, 1
    found.PhotometricInterpretation, found.PixelRepresentation = "MONOCHROME2", 0
    found.BitsAllocated, found.BitsStored, found.HighBit = 16, 16, 15
    found.PixelData = np.random.default_rng(frames).integers(0, 900, (frames, 8, 10), np.uint16).tobytes()
    if frames > 1:
        found.NumberOfFrames = frames
    for name, value in elements.items():
        setattr(found, name, value)
    return found


def of(keyword: str, **elements: Any) -> Dataset:
    """A sequence with one item."""
    item, outer = Dataset(), Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    setattr(outer, keyword, [item])
    return outer


def together(*parts: Dataset) -> Dataset:
    found = Dataset()
    for part in parts:
        found.update(part)
    return found


def enhanced(kind: str, modality: str, steps: Sequence[float] = STEPS, *, name: str = "", **elements: Any) -> Dataset:
    """An image with functional groups; an ultrasound volume has other ones."""
    found = image(kind, modality, len(steps), **elements)
    of_volume = "Volume" if name else "Patient"
    orientation = of(f"PlaneOrientation{name}Sequence", **{f"ImageOrientation{of_volume}": AXIAL})
    measures = of("PixelMeasuresSequence", PixelSpacing=[2, 2], SliceThickness=3, SpacingBetweenSlices=3)
    found.SharedFunctionalGroupsSequence = [together(measures, orientation)]
    found.PerFrameFunctionalGroupsSequence = [
        of(f"PlanePosition{name}Sequence", **{f"ImagePosition{of_volume}": [-10, -20, 5 + step]}) for step in steps
    ]
    return found


def dose(offsets: Sequence[float] | None, orientation: Sequence[float] = AXIAL, z: float = 5, **more: Any) -> Dataset:
    found = image("RTDoseStorage", "RTDOSE", **more)
    found.PixelSpacing, found.ImageOrientationPatient, found.ImagePositionPatient = [2, 2], orientation, [-10, -20, z]
    found.DoseGridScaling = "0.001"
    if offsets is not None:
        found.GridFrameOffsetVector = list(offsets)
    return found


def nuclear(kind: str = "RECON TOMO", step: float | None = 3, frames: int = 6, **more: Any) -> Dataset:
    found = image("NuclearMedicineImageStorage", "NM", frames, **more)
    found.ImageType, found.PixelSpacing = ["ORIGINAL", "PRIMARY", kind, "EMISSION"], [2, 2]
    found.SliceThickness, found.SpacingBetweenSlices = 3, step
    found.update(of("DetectorInformationSequence", ImagePositionPatient=[-10, -20, 5], ImageOrientationPatient=AXIAL))
    found.SliceVector = [place % 6 + 1 for place in range(frames)]
    return found


def segmentation(slices: Sequence[int], segments: Sequence[int]) -> Dataset:
    found = enhanced("SegmentationStorage", "SEG", [3.0 * place for place in slices])
    for frame, number in zip(found.PerFrameFunctionalGroupsSequence, segments, strict=True):
        frame.update(of("SegmentIdentificationSequence", ReferencedSegmentNumber=number))
    return found


def placed(kind: str, modality: str) -> Dataset:
    """Frames with one place beside them."""
    found = image(kind, modality, PixelSpacing=[2, 2])
    found.ImageOrientationPatient, found.ImagePositionPatient = AXIAL, [0, 0, 0]
    return found


def shared(steps: Sequence[float] = STEPS) -> Dataset:
    """Frames that all lie at one place."""
    found = enhanced("EnhancedMRImageStorage", "MR", steps)
    del found.PerFrameFunctionalGroupsSequence
    place = of("PlanePositionSequence", ImagePositionPatient=[0, 0, 0])
    found.SharedFunctionalGroupsSequence[0].update(place)
    return found


def cut(found: Dataset, frames: int) -> Dataset:
    found.PerFrameFunctionalGroupsSequence = found.PerFrameFunctionalGroupsSequence[:frames]
    return found


def row(made: Dataset, folder: Path) -> pd.Series:
    folder.mkdir(exist_ok=True)
    made.save_as(folder / "one.dcm", enforce_file_format=True)
    return index(folder, progress=False).iloc[0]


ABSOLUTE = [5 + step for step in STEPS]
VOLUMES: dict[str, Made] = {
    "dose": lambda: dose(STEPS),
    "dose downwards": lambda: dose([-step for step in STEPS]),
    "dose by z": lambda: dose(ABSOLUTE),
    "dose by z, prone": lambda: dose(ABSOLUTE, PRONE),
    "dose by z at 0": lambda: dose(STEPS, z=0),
    "coronal dose": lambda: dose(STEPS, CORONAL),
    "nuclear medicine": nuclear,
    "nuclear medicine downwards": lambda: nuclear(step=-3),
    "tomosynthesis": lambda: enhanced("BreastTomosynthesisImageStorage", "MG"),
    "X-ray 3D": lambda: enhanced("XRay3DAngiographicImageStorage", "XA"),
    "eye": lambda: enhanced("OphthalmicTomographyImageStorage", "OPT"),
    "parametric map": lambda: enhanced("ParametricMapStorage", "OT"),
    "ultrasound volume": lambda: enhanced("EnhancedUSVolumeStorage", "US", name="Volume"),
    "one segment": lambda: segmentation(range(6), [1] * 6),
    "two segments": lambda: segmentation([0, 1, 2, 3, 2, 3, 4, 5], [1] * 4 + [2] * 4),
}


@pytest.mark.parametrize("kind", VOLUMES)
def test_frames_that_are_a_volume(kind: str, tmp_path: Path) -> None:
    found = row(VOLUMES[kind](), tmp_path)
    assert found[["orientations", "volumes", "gaps", "duplicates", "spacing"]].tolist() == [1, 1, 0, 0, 3]
    assert found["is_volume"]


NO_PLACE: dict[str, Made] = {
    "dose without distances": lambda: dose(None),
    "dose with too few": lambda: dose(STEPS[:3]),
    "dose that begins elsewhere": lambda: dose([step + 7 for step in STEPS]),
    "coronal dose by z": lambda: dose(ABSOLUTE, CORONAL),
    "projections": lambda: nuclear("TOMO"),
    "planar": lambda: nuclear("STATIC", frames=1),
    "no distance of slices": lambda: nuclear(step=None),
    "cine": lambda: image("UltrasoundMultiFrameImageStorage", "US"),
    "one place for all": lambda: placed("UltrasoundMultiFrameImageStorage", "US"),
    "angiography": lambda: image("XRayAngiographicImageStorage", "XA"),
    "fluoroscopy": lambda: image("XRayRadiofluoroscopicImageStorage", "RF"),
    "slide": lambda: image("VLWholeSlideMicroscopyImageStorage", "SM", ImageOrientationSlide=[0, -1, 0, -1, 0, 0]),
    "fewer groups than frames": lambda: cut(enhanced("EnhancedCTImageStorage", "CT"), 3),
    "more frames than memory": lambda: image("EnhancedCTImageStorage", "CT", NumberOfFrames=99_999_999),
    "more frames than can be": lambda: image("EnhancedCTImageStorage", "CT", NumberOfFrames=2**31 - 1),
}


@pytest.mark.parametrize("kind", NO_PLACE)
def test_frames_without_a_place_of_their_own(kind: str, tmp_path: Path) -> None:
    found = row(NO_PLACE[kind](), tmp_path / "images")
    assert (found["orientations"], found["is_volume"], pd.isna(found["gaps"])) == (0, False, True)
    made = convert(tmp_path / "images", tmp_path / "out", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("no_volume", "no_positions")
    assert made["message"] == "its images, or the frames in them, have no place in space"


@pytest.mark.parametrize(("lacks", "gaps"), [([], 0), ([8], 1), ([6, 7, 8, 9, 10, 11], 0)])
def test_points_in_time_in_one_file(lacks: list[int], gaps: int, tmp_path: Path) -> None:
    steps = [step for place, step in enumerate(STEPS * 3) if place not in lacks]
    found = row(enhanced("EnhancedMRImageStorage", "MR", steps), tmp_path)
    assert (found["volumes"], found["gaps"], found["duplicates"]) == (3 if gaps or not lacks else 2, gaps, 0)
    assert found["is_volume"] == (not gaps)


def test_distances_of_a_dose_that_are_irregular(tmp_path: Path) -> None:
    assert row(dose([0, 3, 6, 12, 15, 18]), tmp_path)["gaps"] == 1
    found = row(dose([0, 3, 6, 10, 13, 16]), tmp_path)
    assert (found["gaps"], found["spacing_uniform"], found["is_volume"]) == (0, False, False)


def test_frames_at_one_place(tmp_path: Path) -> None:
    found = row(shared(), tmp_path)
    assert (found["orientations"], found["volumes"], found["is_volume"]) == (1, 6, False)
    found = row(shared([0]), tmp_path)
    assert (found["volumes"], found["is_volume"]) == (1, False)


def test_gated_slices_are_several_volumes(tmp_path: Path) -> None:
    found = row(nuclear("RECON GATED TOMO", frames=12), tmp_path)
    assert (found["volumes"], found["spacing"], found["is_volume"]) == (2, 3, True)


def test_a_dose_with_one_file_for_each_plane(tmp_path: Path) -> None:
    series, study = generate_uid(), generate_uid()
    for number, step in enumerate(STEPS):
        found = dose([0], z=5 + step, frames=1)
        found.SeriesInstanceUID, found.StudyInstanceUID, found.InstanceNumber = series, study, number
        found.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    (one,) = index(tmp_path, progress=False).to_dict("records")
    assert (one["instances"], one["spacing"], one["is_volume"]) == (6, 3, True)


def test_a_real_dose_is_a_volume_that_dcm2niix_converts_wrongly(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    found = row(dcmread(real("rtdose.dcm")), images)
    assert found[["instances", "orientations", "volumes", "spacing"]].tolist() == [1, 1, 1, 5]
    assert found["is_volume"]
    made = convert(images, out, progress=False).iloc[0]
    assert (made["outcome"], made["reason"], pd.isna(made["files"])) == ("failed", "wrong_in_dcm2niix", True)
    assert "DoseGridScaling" in made["message"]
    made = convert(images, out, despite="wrong_in_dcm2niix", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", "wrong_in_dcm2niix\\other_spacing")
    assert "voxels of 10 x 10 x 1 mm, and the images lie as voxels of 10 x 10 x 5 mm" in made["message"]
    # If this fails, dcm2niix has learnt it.
    (name,) = [name for name in made["files"].split("\\") if name.endswith(".nii.gz")]
    assert nibabel.load(out / name).get_fdata().max() == dcmread(real("rtdose.dcm")).pixel_array.max()  # type: ignore[attr-defined]


def test_segmentations_are_left_to_other_programs(tmp_path: Path) -> None:
    row(segmentation([0, 1, 2, 3, 2, 3, 4, 5], [1] * 4 + [2] * 4), tmp_path / "images")
    made = convert(tmp_path / "images", tmp_path / "out", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("failed", "wrong_in_dcm2niix")
    made = convert(tmp_path / "images", tmp_path / "out", despite="all", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", "wrong_in_dcm2niix\\other_place")


@pytest.mark.parametrize(("step", "reason"), [(3, "warned"), (-3, "other_place")])
def test_slices_on_the_other_side_of_the_first_are_a_mirrored_volume(step: int, reason: str, tmp_path: Path) -> None:
    row(nuclear(step=step), tmp_path / "images")
    made = convert(tmp_path / "images", tmp_path / "out", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", reason)


def test_a_volume_whose_place_dcm2niix_does_not_know(tmp_path: Path) -> None:
    row(enhanced("EnhancedUSVolumeStorage", "US", name="Volume"), tmp_path / "images")
    made = convert(tmp_path / "images", tmp_path / "out", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", "other_place")
    assert "or has no place" in made["message"]


def test_frames_that_are_numbered_in_another_order_than_they_lie(tmp_path: Path) -> None:
    found = enhanced("EnhancedCTImageStorage", "CT", [STEPS[place] for place in (3, 1, 0, 5, 2, 4)])
    for number, frame in enumerate(found.PerFrameFunctionalGroupsSequence):
        frame.update(of("FrameContentSequence", DimensionIndexValues=[1, number + 1]))
    row(found, tmp_path / "images")
    made = convert(tmp_path / "images", tmp_path / "out", progress=False).iloc[0]
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", "other_place")


def test_headers_that_an_earlier_version_kept_are_read_again(tmp_path: Path) -> None:
    before = row(dose(STEPS), tmp_path)
    with closing(sqlite3.connect(tmp_path / ".dicomove" / "headers.sqlite")) as kept, kept:
        keys = json.loads(kept.execute("SELECT keys FROM key_sets").fetchone()[0])
        kept.execute("UPDATE key_sets SET keys = ?", (json.dumps(keys[:-1]),))
        kept.execute("UPDATE files SET planes = x''")
    pd.testing.assert_series_equal(index(tmp_path, progress=False).iloc[0], before)
