"""Series as NIfTI: the voxels, what is no volume, what is there already, names, and programs that end badly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pydicom.data
import pytest
from filelock import FileLock
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage, RLELossless, generate_uid

import dicomove as dm
from dicomove.headers import convert
from dicomove.headers.nifti import converting, jobs as dcm2niix
from dicomove.headers.nifti.voxels import voxels_of
from dicomove.testing import demo_pacs, phantoms
from tests import forks, receiving
from tests.images import enhanced, mosaic, real, slices
from tests.servers import wait_until

AXIAL, SAGITTAL, CORONAL = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)
FLIP = np.diag([-1.0, -1, 1, 1])  # from DICOM's axes to those of NIfTI


def volume(folder: Path, places: Sequence[float], orientation: Sequence[float] = AXIAL, **elements: Any) -> str:
    """Write a series with other pixels in each slice; return its UID."""
    written = slices(folder, list(places), **elements)
    normal = np.cross(orientation[:3], orientation[3:])
    random = np.random.default_rng(len(places))
    for path, place in zip(sorted(folder.glob("*.dcm"), key=lambda path: int(path.stem)), places, strict=True):
        found = dcmread(path)
        found.PixelData = random.integers(0, 2000, (32, 48), dtype=np.int16).tobytes()
        found.Rows, found.Columns, found.PixelSpacing = 32, 48, [0.5, 0.75]
        found.ImageOrientationPatient = list(orientation)
        found.ImagePositionPatient = [float(value) for value in normal * place + [3, -7, 11]]
        found.save_as(path)
    return str(written.SeriesInstanceUID)


def converted(source: object, out: Path, *others: str, **options: object) -> pd.DataFrame:
    return convert(source, out, *others, progress=False, **options)  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    """The files that a caller sees."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if ".dicomove" not in path.parts)


def row_of(table: pd.DataFrame, path: str | None = None) -> Any:
    """The row of a series, in a table by paths; or the first one."""
    return table.iloc[0] if path is None else table.loc[path]


def image(out: Path, row: Any) -> nibabel.Nifti1Image:
    (name,) = [name for name in row["files"].split("\\") if ".nii" in name]
    found = nibabel.load(out / name)
    assert isinstance(found, nibabel.Nifti1Image)
    return found


def assert_same_voxels(made: nibabel.Nifti1Image, sources: Sequence[Path]) -> None:
    """Each pixel of DICOM is at its place in space."""
    voxels, to_voxel = made.get_fdata(), np.linalg.inv(made.affine)
    seen = 0
    for path in sources:
        read = dcmread(path)
        pixels = read.pixel_array * float(read.RescaleSlope) + float(read.RescaleIntercept)
        orientation = np.array(read.ImageOrientationPatient, dtype=float)
        row, column = np.meshgrid(range(read.Rows), range(read.Columns), indexing="ij")
        along = np.multiply.outer(column * read.PixelSpacing[1], orientation[:3])
        down = np.multiply.outer(row * read.PixelSpacing[0], orientation[3:])
        place = np.array(read.ImagePositionPatient, dtype=float) + along + down
        patient = np.concatenate([place, np.ones((*place.shape[:2], 1))], axis=2)
        at = patient @ FLIP @ to_voxel.T
        assert np.abs(at - at.round()).max() < 0.01
        x, y, z = at[..., :3].round().astype(int).transpose(2, 0, 1)
        np.testing.assert_allclose(voxels[x, y, z], pixels)
        seen += pixels.size
    assert seen == voxels.size


def test_each_voxel_is_where_its_pixel_was(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    for name, orientation in {"a": AXIAL, "s": SAGITTAL, "c": CORONAL}.items():
        volume(images / name, [0, 2.5, 5, 7.5], orientation)
    for path in (images / "c").iterdir():
        compressed = dcmread(path)
        compressed.compress(RLELossless)
        compressed.save_as(path)
    made = converted(images, out)
    assert made["outcome"].unique().tolist() == ["converted"]
    assert list(made.columns) == list(converting.CONVERT_COLUMNS)
    for _, row in made.iterrows():
        assert row["name"] == f"{row['StudyInstanceUID']}/{row['SeriesInstanceUID']}"
        assert_same_voxels(image(out, row), list((images / row["path"]).iterdir()))
    assert len(files(out)) == 6


def test_real_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    stored = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    shutil.copytree(stored / "98892001" / "CT5N", images / "CT5N")
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "reportsi.dcm"):
        shutil.copy(real(name), images)
    made = converted(images, tmp_path / "out", "{Modality}_{SeriesInstanceUID}").set_index("path")
    assert made["outcome"].to_dict() == {
        "CT5N": "converted",
        "CT_small.dcm": "no_volume",
        "MR_small_implicit.dcm": "no_volume",
        "reportsi.dcm": "no_volume",
    }
    assert_same_voxels(image(tmp_path / "out", row_of(made, "CT5N")), list((images / "CT5N").iterdir()))
    made = converted(images, tmp_path / "out", "{Modality}_{SeriesInstanceUID}.nii", despite=["single_slice"])
    made = made.set_index("path")
    for name in ("CT_small.dcm", "MR_small_implicit.dcm"):
        assert row_of(made, name)["outcome"].startswith("converted")
        found = image(tmp_path / "out", row_of(made, name))
        pixels = dcmread(images / name).pixel_array
        np.testing.assert_array_equal(
            np.sort(found.get_fdata(), axis=None) - found.get_fdata().min(),
            np.sort(pixels, axis=None) - float(pixels.min()),
        )


def test_enhanced_multi_frame(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    enhanced(images / "whole.dcm", [0, 2.5, 5, 7.5])
    enhanced(images / "wrong.dcm", [0, 2.5, 5, 7.5])
    enhanced(images / "gap.dcm", [0, 2.5, 7.5])
    for number, path in enumerate(sorted(images.iterdir())):
        found = dcmread(path)
        found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        found.SeriesInstanceUID, found.SeriesNumber = generate_uid(), number
        if path.name != "wrong.dcm":
            del found.SpacingBetweenSlices
        found.save_as(path)
    made = converted(images, tmp_path / "out").set_index("path")
    assert made["outcome"].to_dict()["gap.dcm"] == "no_volume"
    assert row_of(made, "whole.dcm")["outcome"].startswith("converted")
    whole = image(tmp_path / "out", row_of(made, "whole.dcm"))
    assert whole.shape == (128, 128, 4)
    assert voxels_of(Path(str(whole.get_filename()))).sizes == (0.5, 0.5, 2.5)
    # Beside the frames stands another distance, which dcm2niix believes.
    assert (row_of(made, "wrong.dcm")["outcome"], row_of(made, "wrong.dcm")["reason"]) == (
        "converted_with_warning",
        "other_spacing",
    )
    assert row_of(made, "wrong.dcm")["message"] == (
        "the NIfTI file has voxels of 0.5 x 0.5 x 5 mm, and the images lie as voxels of 0.5 x 0.5 x 2.5 mm"
    )


def test_several_volumes_of_one_series(tmp_path: Path) -> None:
    images = tmp_path / "images"
    volume(images / "a", [0, 2, 4] * 2)
    for number in range(6):
        found = dcmread(images / "a" / f"{number}.dcm")
        found.AcquisitionNumber = found.TemporalPositionIdentifier = number // 3 + 1
        found.save_as(images / "a" / f"{number}.dcm")
    made = row_of(converted(images, tmp_path / "out"))
    assert made["outcome"].startswith("converted")
    whole = image(tmp_path / "out", made)
    assert whole.shape == (48, 32, 3, 2)
    for time in range(2):
        at_once = nibabel.Nifti1Image(whole.get_fdata()[..., time], whole.affine)
        assert_same_voxels(at_once, [images / "a" / f"{number}.dcm" for number in range(3 * time, 3 * time + 3)])


def test_mosaics(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    mosaic(images / "a", 3)
    made = converted(images, out)
    assert made["outcome"].tolist() == ["converted"]
    found = image(out, row_of(made))
    assert found.shape == (16, 16, 10, 3)
    tiles = dcmread(images / "a" / "0.dcm").pixel_array.reshape(4, 16, 4, 16).swapaxes(1, 2).reshape(16, 16, 16)[:10]
    np.testing.assert_array_equal(np.sort(found.get_fdata()[..., 0].ravel()), np.sort(tiles.ravel()))


def series_that_are_no_volumes(images: Path) -> None:
    """One for each reason, and one that is a volume."""
    volume(images / "gap", [0, 2, 4, 8])
    volume(images / "duplicate", [0, 2, 2, 4], InstanceNumber="1")
    volume(images / "uneven", [0, 2, 4.5, 6])
    volume(images / "one", [0])
    two = volume(images / "two", [0, 2])
    study = dcmread(images / "two" / "0.dcm").StudyInstanceUID
    volume(images / "more", [0, 2, 4], CORONAL)
    for path in (images / "more").iterdir():
        found = dcmread(path)
        found.StudyInstanceUID, found.SeriesInstanceUID = study, two
        found.save_as(images / "two" / f"more{path.name}")
        path.unlink()
    for path in (images / "duplicate").iterdir():
        found = dcmread(path)
        found.InstanceNumber = 1
        found.save_as(path)
    shutil.copy(real("reportsi.dcm"), images)
    volume(images / "whole", [0, 2, 4])


def test_series_that_are_not_volumes_have_a_reason(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    series_that_are_no_volumes(images)
    made = converted(images, out, "{SeriesInstanceUID}").set_index("path")
    whole = made.pop("outcome").to_dict()
    assert whole.pop("whole") == "converted"
    assert {path: word for path, word in whole.items() if word != "no_volume"} == {}
    assert made["reason"].dropna().to_dict() == {
        "gap": "gaps",
        "duplicate": "duplicates",
        "uneven": "not_uniform",
        "one/0.dcm": "single_slice",
        "two": "several_orientations",
        "reportsi.dcm": "no_positions",
    }
    assert row_of(made, "gap")["message"] == "slices are missing between the first and the last: 1"
    assert row_of(made, "two")["message"] == "the images have 2 orientations"
    assert len(files(out)) == 2
    again = converted(images, out, "{SeriesInstanceUID}", despite=["gaps", "single_slice"]).set_index("path")
    assert again["outcome"].value_counts().to_dict() == {
        "no_volume": 4,
        "converted": 2,
        "converted_with_warning": 1,
    }
    assert "distance varies" in row_of(again, "gap")["message"]
    assert again.index[again["resumed"]].tolist() == ["whole"]
    assert converted(images, out, "{SeriesInstanceUID}", despite="gaps")["resumed"].sum() == 2
    with pytest.raises(ValueError, match="give 'all', or some of no_positions"):
        converted(images, out, despite=["gap"])


def test_a_second_call_converts_only_what_is_new(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    volume(images / "a", [0, 2, 4])
    volume(images / "b", [0, 2, 4])
    path = "{SeriesInstanceUID}"
    first = converted(images, out, path)
    assert not first["resumed"].any()
    times = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    volume(images / "c", [0, 2, 4])
    second = converted(images, out, path).set_index("path")
    assert second["resumed"].to_dict() == {"a": True, "b": True, "c": False}
    assert set(second["outcome"]) == {"converted"}
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times
    assert row_of(second, "a")["files"] == row_of(first.set_index("path"), "a")["files"]
    # One more slice arrived, and one image was removed.
    found = dcmread(images / "a" / "0.dcm")
    found.SOPInstanceUID, found.InstanceNumber = generate_uid(), 4
    found.ImagePositionPatient = [3, -7, 17]
    found.save_as(images / "a" / "3.dcm")
    next(out.glob(f"{row_of(second, 'b')['SeriesInstanceUID']}.nii.gz")).unlink()
    third = converted(images, out, path).set_index("path")
    assert third["resumed"].to_dict() == {"a": False, "b": False, "c": True}
    assert image(out, row_of(third, "a")).shape == (48, 32, 4)
    assert converted(images, out, path)["resumed"].all()
    assert len(files(out)) == 6
    # The same images in another place.
    images.rename(tmp_path / "moved")
    assert converted(tmp_path / "moved", out, path)["resumed"].all()


def test_names_of_the_callers_own(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    for name in ("a", "b"):
        volume(images / name, [0, 2, 4], SeriesDescription="T1 / axial", SeriesNumber="3", ProtocolName=None)
    table = dm.index(images, progress=False)
    path = "sub-{subject}/anat/sub-{subject}_{SeriesDescription}{ProtocolName}_T1w.nii.gz"
    made = converted(table.assign(subject=["01", "02"]), out, path)
    assert made["name"].tolist() == [f"sub-0{one}/anat/sub-0{one}_T1_axialnone_T1w" for one in (1, 2)]
    assert files(out) == [f"{name}.{suffix}" for name in made["name"] for suffix in ("json", "nii.gz")]
    with pytest.raises(ValueError, match=r"2 series would share their name .*a/0.dcm, b/0.dcm: nothing was converted"):
        converted(images, tmp_path / "other", "{SeriesDescription}")
    with pytest.raises(ValueError, match="'subject' is blank in row 2"):
        converted(table.assign(subject=["01", ""]), tmp_path / "other", path)
    with pytest.raises(ValueError, match="inside the folder of the images"):
        converted(images, images / "out")
    with pytest.raises(ValueError, match="cannot be"):
        converted(images, tmp_path / "other", "../{Modality}")
    assert not (tmp_path / "other").exists()


def test_two_studies_with_the_same_series_uid(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    series = volume(images / "a", [0, 2, 4, 6])
    volume(images / "b", [0, 2, 4, 6, 8])
    for path in (images / "b").iterdir():
        found = dcmread(path)
        found.SeriesInstanceUID = series
        found.save_as(path)
    with pytest.raises(ValueError, match=r"2 series would share their name .*or \{StudyInstanceUID\} to the path"):
        converted(images, out, "{SeriesInstanceUID}")
    made = converted(images, out).set_index("path")
    assert [image(out, made.loc[name]).shape[2] for name in ("a", "b")] == [4, 5]
    assert converted(images, out)["resumed"].all()
    # One study after the other: the files of the first one stay.
    kept = converted(images / "a", tmp_path / "other", "{SeriesInstanceUID}").iloc[0]
    with pytest.raises(ValueError, match="other files have the names of 1 series"):
        converted(images / "b", tmp_path / "other", "{SeriesInstanceUID}")
    assert image(tmp_path / "other", kept).shape[2] == 4


def test_rows_of_a_result_table(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    series = volume(images / "a", [0, 2, 4])
    volume(images / "b", [0, 2, 4])
    study = str(dcmread(images / "a" / "0.dcm").StudyInstanceUID)
    results = pd.DataFrame({"cohort_row": ["x", "y"], "StudyInstanceUID": study, "subject": ["01", "02"]})
    made = converted(results, out, "sub-{subject}", folder=images)
    assert made["cohort_row"].tolist() == ["x", "y"]
    assert made["SeriesInstanceUID"].tolist() == [series, series]
    assert files(out) == ["sub-01.json", "sub-01.nii.gz", "sub-02.json", "sub-02.nii.gz"]
    both = converted(results, out, "{Modality}", folder=images)
    assert both["files"].tolist() == ["CT.json\\CT.nii.gz"] * 2


def test_a_journal_has_the_columns_of_the_cohort(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    cohort = pd.DataFrame({"AccessionNumber": ["P0003"], "participant": ["07"]})
    archive = phantoms(tmp_path / "archive")
    with receiving.receiver(images) as receiver, demo_pacs(archive, destinations=receiver.as_destination()) as pacs:
        dm.retrieve(cohort, pacs, receiver, progress=False)
    last = next(images.rglob("*.dcm"))
    made = converted(images / ".dicomove" / "journal.sqlite", out, "sub-{participant}_{Modality}")
    assert files(out) == ["sub-07_CT.json", "sub-07_CT.nii.gz"]
    assert_same_voxels(image(out, row_of(made)), list(images.rglob("*.dcm")))
    last.write_text("overwritten")
    made = converted(images, out)
    assert made[["outcome", "reason", "instances"]].to_numpy().tolist() == [["failed", "not_dicom", 33]]


def test_a_file_of_the_callers_own_is_never_replaced(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    volume(images / "a", [0, 2, 4])
    out.mkdir()
    (out / "CT.json").write_text("mine")
    with pytest.raises(ValueError, match=r"other files have the names of 1 series, .*a/0.dcm: nothing was converted"):
        converted(images, out, "{Modality}")
    assert files(out) == ["CT.json"]
    (out / "CT.json").unlink()
    converted(images, out, "{Modality}")
    (out / "CT.json").write_text("edited")
    assert converted(images, out, "{Modality}")["resumed"].all()
    os.utime(images / "a" / "0.dcm")
    with pytest.raises(ValueError, match="or the files were changed"):
        converted(images, out, "{Modality}")
    assert (out / "CT.json").read_text() == "edited"
    (out / "CT.json").unlink()
    converted(images, out, "{Modality}")
    (out / "CT.nii.gz").write_text("edited")
    with pytest.raises(ValueError, match="or the files were changed"):
        converted(images, out, "{Modality}")
    (tmp_path / "elsewhere").mkdir()
    (out / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="other files"):
        converted(images, out, "link/{Modality}")


def test_nothing_tells_the_patient(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    said: dict[str, Any] = {"PatientName": "SECRET^NAME", "PatientID": "SECRET1", "PatientBirthDate": "19010203"}
    volume(images / "a", [0, 2, 4], ImageComments="SECRET", PatientComments="SECRET", StudyDate="19010203", **said)
    made = converted(images, out, "{Modality}.nii")
    assert made["outcome"].tolist() == ["converted"]
    for name in files(out):
        assert b"SECRET" not in (out / name).read_bytes()
        assert b"1901" not in (out / name).read_bytes()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of dcm2niix, which a test writes."""
    path = tmp_path / "program"
    monkeypatch.setattr(converting, "program", lambda: str(path))
    return path


def write(program: Path, lines: str) -> None:
    program.write_text(f'#!/bin/sh\n"{dcm2niix.program()}" "$@"\n{lines}\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("lines", "reason", "says"),
    [
        ("kill -9 $$", "program_failed", "dcm2niix was ended by signal 9 (SIGKILL)"),
        ("exit 4", "program_failed", "dcm2niix finds the file damaged"),
        ("exit 77", "program_failed", "dcm2niix failed with exit code 77"),
        ("exec sleep 60", "timeout", "dcm2niix did not end in time"),
    ],
)
def test_a_program_that_ends_badly_leaves_nothing(
    tmp_path: Path, program: Path, lines: str, reason: str, says: str
) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    volume(images / "a", [0, 2, 4])
    write(program, lines)
    made = row_of(converted(images, out, timeout=1))
    assert (made["outcome"], made["reason"], made["message"]) == ("failed", reason, says)
    assert files(out) == []
    assert not list((out / ".dicomove").glob("converting/*"))
    write(program, "")
    assert converted(images, out)["outcome"].tolist() == ["converted"]


def test_a_volume_that_dcm2niix_cannot_read_has_failed(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    volume(images / "a", [0, 2, 4])
    for path in (images / "a").iterdir():
        found = dcmread(path)
        found.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        found.save_as(path)
    made = row_of(converted(images, out))
    assert (made["outcome"], made["reason"], made["exit_code"]) == ("failed", "program_failed", 2)
    assert "dcm2niix reads none of its images; Warning: Unsupported transfer syntax" in made["message"]
    assert files(out) == []


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless", "MR_small_jp2klossless", "MR_small_bigendian"])
def test_compressed_images_have_the_same_voxels(tmp_path: Path, name: str) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    shutil.copy(real(f"{name}.dcm"), images)
    row = row_of(converted(images, out, despite="single_slice"))
    pixels = dcmread(real("MR_small.dcm")).pixel_array
    np.testing.assert_array_equal(np.sort(image(out, row).get_fdata().ravel()), np.sort(pixels.ravel()))


def test_images_that_dcm2niix_leaves_out_are_reported(tmp_path: Path, program: Path) -> None:
    images = tmp_path / "images"
    volume(images / "a", [0, 2, 4])
    write(program, r"printf 'Warning: \033[2J\n'; exit 8")
    made = row_of(converted(images, tmp_path / "out"))
    assert (made["outcome"], made["reason"], made["exit_code"]) == ("converted_with_warning", "some_left_out", 8)
    assert made["message"] == "dcm2niix left out some of the images; Warning: ?[2J"
    write(program, 'rm "$(dirname "$0")"/out/.dicomove/converting/*/out/*.nii.gz')
    made = row_of(converted(images, tmp_path / "out", "{Modality}"))
    assert (made["outcome"], made["reason"]) == ("failed", "nothing_written")


def test_a_volume_without_pixel_spacing_is_none(tmp_path: Path) -> None:
    volume(tmp_path / "images", [0, 2, 4])
    for path in (tmp_path / "images").iterdir():
        found = dcmread(path)
        del found.PixelSpacing  # dcm2niix writes 1 mm, without a word
        found.save_as(path)
    made = row_of(converted(tmp_path / "images", tmp_path / "out"))
    assert (made["outcome"], made["reason"]) == ("no_volume", "other_sizes")
    assert made["message"] == "images lack a position or a pixel spacing, or differ in matrix or pixel spacing"


def test_each_frame_counts_also_without_a_place(tmp_path: Path, program: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    found = dcmread(real("CT_small.dcm"))
    del found.ImagePositionPatient
    found.NumberOfFrames, found.PixelData = 6, found.PixelData * 6
    found.save_as(images / "cine.dcm")
    write(program, "true")
    made = row_of(converted(images, tmp_path / "out", "{Modality}.nii", despite="all"))
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", "warned")
    # As if the program had written three of them.
    change = r"printf '\003' | dd bs=1 seek=46 conv=notrunc status=none"
    write(program, f'{change} of="$(ls "$(dirname "$0")"/less/.dicomove/converting/*/out/*.nii)"')
    made = row_of(converted(images, tmp_path / "less", "{Modality}.nii", despite="all"))
    assert (made["outcome"], made["reason"]) == ("converted_with_warning", "fewer_voxels")
    assert f"have {128 * 128 * 3} voxels, and the images {128 * 128 * 6}" in made["message"]


def test_a_call_that_is_killed_leaves_no_half_file(tmp_path: Path) -> None:
    images, out, program = tmp_path / "images", tmp_path / "out", tmp_path / "program"
    volume(images / "a", [0, 2, 4])
    write(program, "exec sleep 3")
    script = f"""
        from dicomove.headers.nifti import convert, converting
        converting.program = lambda: {str(program)!r}
        convert({str(images)!r}, {str(out)!r}, progress=False)
    """
    scratch = out / ".dicomove" / "converting"
    with subprocess.Popen(forks.python("-c", textwrap.dedent(script))) as process:
        wait_until(lambda: bool(list(scratch.glob("*/out/*.nii.gz"))), 20)
        process.send_signal(signal.SIGKILL)
    assert files(out) == []
    made = converted(images, out)
    assert made["outcome"].tolist() == ["converted"]
    assert not scratch.exists()


def test_a_call_that_is_stopped_ends_the_program(tmp_path: Path) -> None:
    images, out, program, started = (tmp_path / name for name in ("images", "out", "program", "started"))
    for name in ("a", "b", "c"):
        volume(images / name, [0, 2, 4])
    write(program, f"echo $$ > {started}; exec sleep 60")
    script = f"""
        from dicomove.headers.nifti import convert, converting
        converting.program = lambda: {str(program)!r}
        convert({str(images)!r}, {str(out)!r}, processes=1, progress=False)
    """
    command = forks.python("-c", textwrap.dedent(script))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: started.is_file() and bool(started.read_text().strip()), 30)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert files(out) == []
    assert not (out / ".dicomove" / "converting").exists()


def test_a_link_in_the_folder_for_the_results_does_not_lead_out_of_it(tmp_path: Path) -> None:
    images, out, other = (tmp_path / name for name in ("images", "out", "other"))
    volume(images / "a", [0, 2, 4])
    out.mkdir()
    other.mkdir()
    (out / "sub-01").symlink_to(other)
    with pytest.raises(ValueError, match="other files have the names of 1 series"):
        converted(images, out, "sub-01/{Modality}")
    assert files(other) == []


def test_a_call_that_ends_between_two_names_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    volume(images / "a", [0, 2, 4])
    converted(images, out, "{Modality}")
    os.utime(images / "a" / "0.dcm")
    replaced: list[Path] = []

    def once(path: Path, target: Path) -> Path:
        if replaced:
            raise OSError(28, "no room")
        replaced.append(path)
        return path.rename(target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", once)
        made = row_of(converted(images, out, "{Modality}"))
    assert (made["outcome"], made["reason"]) == ("failed", "system")
    assert "No space left" in made["message"]
    made = row_of(converted(images, out, "{Modality}"))
    assert (made["outcome"], made["resumed"]) == ("converted", False)
    assert converted(images, out, "{Modality}")["resumed"].tolist() == [True]


def test_broken_files_are_rows(tmp_path: Path) -> None:
    images = tmp_path / "images"
    volume(images / "a", [0, 2, 4])
    whole = (images / "a" / "0.dcm").read_bytes()
    (images / "broken.dcm").write_bytes(whole[:300])
    (images / "notes.txt").write_text("no DICOM")
    made = converted(images, tmp_path / "out").set_index("path")
    assert made["outcome"].to_dict() == {"a": "converted", "broken.dcm": "failed"}
    assert row_of(made, "broken.dcm")["reason"] == "unreadable"


def test_a_blank_cell_asks_for_nothing(tmp_path: Path) -> None:
    images = tmp_path / "images"
    volume(images / "a", [0, 2, 4])
    (images / "broken.dcm").write_bytes((images / "a" / "0.dcm").read_bytes()[:300])
    table = dm.index(images, progress=False)[["StudyInstanceUID", "SeriesInstanceUID"]].astype(object).fillna("")
    assert len(table) == 2
    made = converted(table.assign(SOPInstanceUID=""), tmp_path / "out", folder=images)
    assert made["path"].tolist() == ["a"]


def test_pixels_that_end_too_early(tmp_path: Path) -> None:
    images = tmp_path / "images"
    volume(images / "a", [0, 2, 4])
    last = images / "a" / "2.dcm"
    last.write_bytes(last.read_bytes()[:-1500])
    made = row_of(converted(images, tmp_path / "out"))
    assert made["outcome"] in {"failed", "converted_with_warning"}
    assert made["message"]


def test_one_call_at_a_time(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    volume(images / "a", [0, 2, 4])
    (out / ".dicomove").mkdir(parents=True)
    with FileLock(out / ".dicomove" / "converting.lock"), pytest.raises(BlockingIOError, match="another call"):
        converted(images, out)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match=r'pip install "dicomove\[nifti\]"'):
        converted(tmp_path, tmp_path / "out")
    (tmp_path / "dcm2niix").write_text("")
    (tmp_path / "dcm2niix").chmod(0o755)
    assert dcm2niix.program() == str(tmp_path / "dcm2niix")


def test_nothing_to_convert(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    made = converted(tmp_path / "images", tmp_path / "out")
    assert made.empty
    assert list(made.columns) == list(converting.CONVERT_COLUMNS)
    assert not (tmp_path / "out").exists()
