"""Images as their header wants them to be seen, and a montage of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, SecondaryCaptureImageStorage

import dicomove as dm
from dicomove.errors import CohortError
from dicomove.report.preview import modality_and_number, picture
from dicomove.store import read_manifest
from dicomove.testing import demo_pacs
from tests import receiving

mpl.use("agg")
COHORT = Path(__file__).parents[1] / "datasets" / "demo_cohort.csv"
MARK = "XYZZY"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[pd.DataFrame, Path]]:
    """Real images, and a study that there is not."""
    folder = tmp_path_factory.mktemp("real")
    with receiving.receiver(folder) as receiver, demo_pacs(destinations=receiver.as_destination()) as pacs:
        yield dm.move(dm.find(dm.read_cohort(COHORT), pacs, progress=False), pacs, receiver, progress=False), folder


def captions(figure: Figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def problems(figure: Figure) -> list[str]:
    return sorted(text.get_text().splitlines()[0] for axis in figure.axes for text in axis.texts)


def test_there_is_a_tile_for_each_series(images: tuple[pd.DataFrame, Path]) -> None:
    figure = dm.preview(images[1])
    assert len(captions(figure)) == 17
    assert sum(bool(axis.images) for axis in figure.axes) == 11
    assert problems(figure) == ["cannot be decoded:", *["no image"] * 5]
    assert {caption.split(",")[0] for caption in captions(figure)} >= {"CT", "MR", "US", "CR", "SR", "ECG"}
    assert figure.get_suptitle() == "17 series, 27 instances"


def test_a_study_of_which_nothing_arrived_has_a_tile(images: tuple[pd.DataFrame, Path]) -> None:
    results, folder = images
    figure = dm.preview(results, folder=folder)
    assert len(captions(figure)) == 18
    assert problems(figure)[-1] == "nothing arrived"
    assert figure.get_suptitle() == "17 series, 27 instances, nothing of 1 study"
    few = dm.preview(results.assign(outcome="complete"), folder=folder, most=3)
    assert len(captions(few)) == 3
    assert few.get_suptitle().endswith("15 more are not shown")


def test_a_journal_knows_the_folder(images: tuple[pd.DataFrame, Path]) -> None:
    results, folder = images
    assert captions(dm.preview(dm.read_journal(folder))) == captions(dm.preview(results, folder=folder))
    of_file = dm.preview(folder / ".dicomove" / "journal.sqlite")
    assert sorted(captions(of_file)) == sorted(captions(dm.preview(folder)))


def test_only_what_the_table_names_is_shown(images: tuple[pd.DataFrame, Path]) -> None:
    results, folder = images
    one = results[results["AccessionNumber"] == "A0010"]
    assert captions(dm.preview(one, folder=folder)) == ["CR, 1 instance"] * 3


def test_a_table_of_series_does_not_name_the_files(images: tuple[pd.DataFrame, Path]) -> None:
    each = dm.index(images[1], level="INSTANCE", progress=False)
    assert captions(dm.preview(each)) == captions(dm.preview(images[1]))
    with pytest.raises(CohortError, match="one row per series: give index"):
        dm.preview(dm.index(images[1], progress=False))


def test_no_caption_names_a_patient(images: tuple[pd.DataFrame, Path]) -> None:
    figure = dm.preview(images[0], folder=images[1])
    said = " ".join([*captions(figure), *problems(figure), figure.get_suptitle()])
    for name in ("DEMO", "0001", *images[0]["AccessionNumber"].dropna(), *images[0]["StudyInstanceUID"].dropna()):
        assert name not in said


def test_missing_files_are_shown_as_missing(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    figure = dm.preview(read_manifest(images[1]), folder=tmp_path, most=2)
    assert problems(figure) == ["missing", "missing"]


def test_the_folder_of_the_files_is_unknown(images: tuple[pd.DataFrame, Path]) -> None:
    with pytest.raises(ValueError, match="folder="):
        dm.preview(images[0])
    with pytest.raises(ValueError, match="StudyInstanceUID"):
        dm.preview(images[0][["outcome"]], folder=images[1])
    with pytest.raises(dm.CohortError, match="outcome"):
        dm.preview(pd.DataFrame({"x": [1]}))


def test_a_preview_of_nothing(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path):
        figure = dm.preview(tmp_path)
    figure.savefig(tmp_path / "nothing.png")
    assert figure.get_suptitle() == "0 series, 0 instances"


Change = Callable[[Dataset], None]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file of values from 0 to 255, one for each pixel, and what else the header says."""

    def written(*changes: Change, frames: int = 1, **header: Any) -> Path:
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
        made.Rows = made.Columns = 16
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        one = np.arange(256, dtype="<u2")
        made.PixelData = b"".join((one // (frame + 1)).astype("<u2").tobytes() for frame in range(frames))
        if frames > 1:
            made.NumberOfFrames = frames
        for keyword, value in header.items():
            setattr(made, keyword, value)
        for change in changes:
            change(made)
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = tmp_path / "one.dcm"
        made.save_as(path, enforce_file_format=True)
        return path

    return written


def test_the_window_of_the_header_decides(write: Write) -> None:
    shown = picture(write(WindowCenter=100.5, WindowWidth=101)).pixels.ravel()
    assert shown[50] == 0
    assert shown[100] == pytest.approx(0.5, abs=0.01)
    assert shown[150] == shown[255] == 1
    assert shown[75] == pytest.approx(0.25, abs=0.01)


def test_a_window_is_one_of_rescaled_values(write: Write) -> None:
    rescaled = picture(write(WindowCenter=0.5, WindowWidth=101, RescaleIntercept=-100, RescaleSlope=1)).pixels.ravel()
    assert rescaled[100] == pytest.approx(0.5, abs=0.01)
    assert (rescaled[0], rescaled[200]) == (0, 1)


@pytest.mark.parametrize("blank", [{"RescaleSlope": None}, {"RescaleIntercept": None}, {"RescaleSlope": ""}])
def test_a_blank_rescaling_changes_nothing(write: Write, blank: dict[str, Any]) -> None:
    plain = {"WindowCenter": 100.5, "WindowWidth": 101}
    as_usual = picture(write(**plain)).pixels
    found = picture(write(**plain, **{"RescaleSlope": 1, "RescaleIntercept": 0} | blank))
    assert not found.problem
    assert np.array_equal(found.pixels, as_usual)


def test_of_several_windows_the_first_is_taken(write: Write) -> None:
    shown = picture(write(WindowCenter=[100.5, 1000], WindowWidth=[101, 10])).pixels.ravel()
    assert shown[100] == pytest.approx(0.5, abs=0.01)


def test_monochrome1_is_white_where_it_is_0(write: Write) -> None:
    shown = picture(write(PhotometricInterpretation="MONOCHROME1")).pixels.ravel()
    assert (shown[0], shown[255]) == (1, 0)


WINDOWS = [{}, {"WindowCenter": 9000, "WindowWidth": 2}, {"WindowCenter": 128, "WindowWidth": 0}]


@pytest.mark.parametrize("window", WINDOWS)
def test_without_a_window_that_shows_anything_nearly_all_is_told_apart(write: Write, window: dict[str, int]) -> None:
    shown = picture(write(**window)).pixels.ravel()
    assert len(np.unique(shown)) > 250


def test_a_voi_lut_goes_before_a_window(write: Write) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], list(range(255, -1, -1))

    def inverted(made: Dataset) -> None:
        made.VOILUTSequence = Sequence([table])
        made["VOILUTSequence"].value[0]["LUTDescriptor"].VR = "US"
        made["VOILUTSequence"].value[0]["LUTData"].VR = "US"

    shown = picture(write(inverted, WindowCenter=100, WindowWidth=10)).pixels.ravel()
    assert (shown[0], shown[255]) == (1, 0)


def test_the_middle_frame_is_shown_with_its_own_window(write: Write) -> None:
    """The frames hold 0 to 255, 0 to 127, 0 to 85; in an enhanced image each has its window."""

    def enhanced(made: Dataset) -> None:
        made.PerFrameFunctionalGroupsSequence = Sequence([])
        for center in (9000.0, 64.5, 9000.0):
            group, voi = Dataset(), Dataset()
            voi.WindowCenter, voi.WindowWidth = center, 101
            group.FrameVOILUTSequence = Sequence([voi])
            made.PerFrameFunctionalGroupsSequence.append(group)

    shown = picture(write(enhanced, frames=3)).pixels.ravel()
    assert shown[128] == pytest.approx(0.5, abs=0.01)
    assert (shown[20], shown[255]) == (0, 1)


def test_pixels_that_are_not_squares_keep_their_shape(write: Write) -> None:
    assert picture(write(PixelSpacing=[2, 0.5])).aspect == 4
    assert picture(write(PixelSpacing=[1, 0])).aspect == 1


def test_colours_come_from_the_palette() -> None:
    path = get_testdata_file("examples_palette.dcm", download=False)
    shown = picture(Path(str(path))).pixels
    assert shown.ndim == 3
    assert 0 <= shown.min() < shown.max() <= 1
    assert not np.array_equal(shown[..., 0], shown[..., 2])


def test_an_image_that_claims_to_be_huge_is_not_read(write: Write) -> None:
    assert picture(write(Rows=65535, Columns=65535)).problem == "too large to be shown"


def test_truncated_files_and_other_files_cannot_be_read(write: Write, tmp_path: Path) -> None:
    whole = write().read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[:-300])
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    assert [picture(path).problem for path in (cut, text)] == ["cannot be read"] * 2


def test_a_compressed_image_that_is_damaged_names_its_compression(tmp_path: Path) -> None:
    damaged = dcmread(str(get_testdata_file("MR_small_jp2klossless.dcm", download=False)))
    assert damaged.file_meta.TransferSyntaxUID == JPEG2000Lossless
    damaged.PixelData = damaged.PixelData[:200] + bytes(len(damaged.PixelData) - 200)
    damaged.save_as(tmp_path / "damaged.dcm")
    assert picture(tmp_path / "damaged.dcm").problem.startswith("cannot be decoded:\nJPEG 2000")


@pytest.mark.filterwarnings("error")
def test_a_header_that_names_a_patient_in_the_wrong_place_is_not_quoted(write: Write) -> None:
    def strange(made: Dataset) -> None:
        made.add_new("Modality", "LO", f"{MARK}^Jane")

    path = write(strange, InstanceNumber=7)
    assert modality_and_number(path) == ("", 7)
    assert picture(path).pixels is not None
