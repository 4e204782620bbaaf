"""A table of what arrived: values, nested and private ones, broken files, what is read again, and which row asked."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

import dicomove as dm
from dicomove.errors import DicomoveWarning
from dicomove.headers import arrange, convert, folder as headers_folder, index
from dicomove.testing import demo_pacs
from tests import receiving
from tests.images import enhanced, mosaic, real, slices

COHORT = Path(__file__).parents[1] / "datasets" / "demo_cohort.csv"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read."""
    seen: list[str] = []

    read = headers_folder.read_headers

    def watched(paths: list[str], *others: object) -> Iterator[object]:
        seen.extend(paths)
        return read(paths, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(headers_folder, "read_headers", watched)
    return seen


def test_one_row_per_series(tmp_path: Path) -> None:
    slices(tmp_path / "a", [0, 5, 10, 20], SeriesDescription="Thorax", SliceThickness="5.000")
    slices(tmp_path / "b", [0, 1, 2], SeriesDescription="Größe", SpecificCharacterSet="ISO_IR 100")
    found = index(tmp_path, progress=False).set_index("path")
    assert found["instances"].to_dict() == {"a": 4, "b": 3}
    assert found["SeriesDescription"].to_dict() == {"a": "Thorax", "b": "Größe"}
    assert found["SliceThickness"].to_dict() == {"a": "5", "b": "5"}
    assert found["ImageType"].to_dict() == dict.fromkeys("ab", "ORIGINAL\\PRIMARY\\AXIAL")
    assert found["is_volume"].to_dict() == {"a": False, "b": True}
    assert found["gaps"].to_dict() == {"a": 1, "b": 0}
    assert int(found["bytes"].astype(int).sum()) == sum(path.stat().st_size for path in tmp_path.glob("?/*.dcm"))
    assert found["error"].isna().all()


def test_one_row_per_instance(tmp_path: Path) -> None:
    slices(tmp_path / "a", [0, 5, 10])
    found = index(tmp_path, level="INSTANCE", progress=False)
    assert found["InstanceNumber"].tolist() == ["1", "2", "3"]
    assert found["path"].tolist() == ["a/0.dcm", "a/1.dcm", "a/2.dcm"]
    assert found["SOPInstanceUID"].is_unique
    pd.testing.assert_frame_equal(found, index(tmp_path, level="IMAGE", progress=False))


def test_a_series_with_several_values_has_all_of_them(tmp_path: Path) -> None:
    last = slices(tmp_path, [0, 5])
    last.EchoTime, last.SOPInstanceUID = "30", generate_uid()
    last.save_as(tmp_path / "2.dcm")
    found = index(tmp_path, keys=["Modality", "EchoTime", "InstanceNumber"], progress=False).iloc[0]
    assert (found["Modality"], found["EchoTime"], found["InstanceNumber"]) == ("CT", "30", "1\\2")
    assert found["varies"] == "InstanceNumber"


def test_nested_and_private_attributes(tmp_path: Path) -> None:
    enhanced(tmp_path / "enhanced.dcm", [0, 2.5, 5])
    groups = "SharedFunctionalGroupsSequence.PixelMeasuresSequence"
    found = index(tmp_path, keys=[f"{groups}.SliceThickness", f"{groups}.(0028,0030)"], progress=False).iloc[0]
    assert found[f"{groups}.SliceThickness"] == "2.5"
    assert found[f"{groups}.(0028,0030)"] == "0.5\\0.5"
    other = slices(tmp_path / "private", [0])
    other.private_block(0x0019, "dicomove test", create=True).add_new(0x0C, "DS", "1000")
    other.save_as(tmp_path / "private" / "0.dcm")
    tag = next(
        f"(0019,{element.tag.element:04x})" for element in other if element.value == 1000 and element.tag.is_private
    )
    assert index(tmp_path / "private", keys=[tag], progress=False)[tag].tolist() == ["1000"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("Modalty", "did you mean 'Modality'"),
        ("PixelMeasuresSequence", "is a sequence"),
        ("Modality.Rows", "is not a sequence"),
        ("PixelData", "holds bytes"),
        ("", "is not the keyword"),
    ],
)
def test_a_key_that_cannot_be_is_an_error(tmp_path: Path, key: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        index(tmp_path, keys=[key])


def test_broken_files_are_rows(tmp_path: Path) -> None:
    whole = real("CT_small.dcm").read_bytes()
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "short.dcm").write_bytes(whole[:400])
    (tmp_path / "whole.dcm").write_bytes(whole)
    (tmp_path / "noise.dcm").write_bytes(whole[:140] + os.urandom(3000))
    found = index(tmp_path, progress=False).set_index("path")["error"]
    assert found.dropna().to_dict() == {
        "empty.dcm": "not_dicom",
        "noise.dcm": "unreadable",
        "notes.txt": "not_dicom",
        "short.dcm": "unreadable",
    }


def test_a_value_whose_length_is_impossible_costs_its_own_file_only(tmp_path: Path) -> None:
    whole = real("CT_small.dcm").read_bytes()
    rows = b"\x28\x00\x10\x00US\x02\x00"
    at = whole.index(rows)
    (tmp_path / "rows.dcm").write_bytes(whole[:at] + rows[:-2] + b"\x03\x00\x80\x00\x00" + whole[at + len(rows) + 2 :])
    (tmp_path / "meta.dcm").write_bytes(whole[:138] + b"\xf7" + whole[139:])
    (tmp_path / "whole.dcm").write_bytes(whole)
    found = index(tmp_path, progress=False).set_index("path")["error"]
    assert found.fillna("").to_dict() == {"rows.dcm": "unreadable", "meta.dcm": "unreadable", "whole.dcm": ""}


def test_a_file_of_which_only_zeros_are_left_is_soon_read(tmp_path: Path) -> None:
    whole = real("CT_small.dcm").read_bytes()
    for name, size in {"meta.dcm": 132, "some.dcm": 1200}.items():
        with (tmp_path / name).open("wb") as file:
            file.write(whole[:size])
            file.truncate(4 << 30)  # as after a power cut; it takes no room
    found = index(tmp_path, progress=False).set_index("path")
    assert found["error"].fillna("").to_dict() == {"meta.dcm": "unreadable", "some.dcm": ""}


def test_unreadable_files_are_tried_again(tmp_path: Path, reads: list[str]) -> None:
    # A right to read does not change the file.
    slices(tmp_path, [0, 5])
    (tmp_path / "short.dcm").write_bytes(real("CT_small.dcm").read_bytes()[:400])
    first = index(tmp_path, progress=False)
    del reads[:]
    pd.testing.assert_frame_equal(index(tmp_path, progress=False), first)
    assert [Path(path).name for path in reads] == ["short.dcm"]


def test_a_folder_that_cannot_be_listed_is_a_row(tmp_path: Path) -> None:
    slices(tmp_path / "a", [0, 5])
    folder, name = os.open(tmp_path, os.O_RDONLY), "b" * 200
    for _ in range(25):  # deeper than a path can be long
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    found = index(tmp_path, progress=False)
    assert found["error"].fillna("").tolist() == ["", "unreadable"]
    assert found["path"].str.slice(0, 2).tolist() == ["a", "bb"]
    made = convert(tmp_path, tmp_path.with_suffix(".out"), progress=False)
    assert made["outcome"].tolist() == ["converted", "failed"]


def test_the_folder_itself_has_a_path(tmp_path: Path) -> None:
    slices(tmp_path, [0, 5])
    assert index(tmp_path, progress=False)["path"].tolist() == ["."]


def test_files_are_read_only_once(tmp_path: Path, reads: list[str]) -> None:
    slices(tmp_path / "a", [0, 5, 10])
    first = index(tmp_path, progress=False)
    assert len(reads) == 3
    pd.testing.assert_frame_equal(index(tmp_path, progress=False), first)
    assert len(reads) == 3
    slices(tmp_path / "b", [0, 5])
    (tmp_path / "a" / "0.dcm").unlink()
    assert index(tmp_path, progress=False)["instances"].tolist() == [2, 2]
    assert [Path(path).parent.name for path in reads[3:]] == ["b", "b"]
    del reads[:]
    other = slices(tmp_path / "a", [0, 5, 10, 15], SeriesDescription="changed and longer")
    assert index(tmp_path, progress=False)["SeriesInstanceUID"].tolist()[0] == other.SeriesInstanceUID
    assert len(reads) == 4


def test_a_new_key_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    slices(tmp_path, [0, 5], RepetitionTime="30")
    usual = index(tmp_path, progress=False)
    assert index(tmp_path, more_keys=["RepetitionTime"], progress=False)["RepetitionTime"].tolist() == ["30"]
    assert len(reads) == 4
    pd.testing.assert_frame_equal(index(tmp_path, progress=False), usual)
    index(tmp_path, keys=["EchoTime"], progress=False)
    assert len(reads) == 4


def test_processes_give_the_same_table(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    slices(tmp_path / "a", [float(place) for place in range(130)])
    (tmp_path / "a" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM\xff")
    (tmp_path / "a" / "ø \udcff.dcm").write_bytes(real("MR_small.dcm").read_bytes())
    alone = index(tmp_path, processes=1, progress=False)
    shutil.rmtree(tmp_path / ".dicomove")
    monkeypatch.setattr(headers_folder, "_FEW", 0)
    pd.testing.assert_frame_equal(index(tmp_path, processes=2, progress=False), alone)
    assert len(reads) == 2 * 132


def test_a_file_that_ends_its_process_is_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, program = tmp_path / "images", tmp_path / "program.py"
    slices(images, [float(place) for place in range(70)])
    (images / "deadly.dcm").write_bytes(real("MR_small.dcm").read_bytes())
    program.write_text(
        f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from dicomove.headers import reading
read = reading.Reader.read
def fatal(self, path):
    if path.endswith("deadly.dcm"):
        os.kill(os.getpid(), 9)
    return read(self, path)
reading.Reader.read = fatal
reading.main()
"""
    )
    monkeypatch.setattr(headers_folder, "own_program", lambda _: [sys.executable, str(program)])
    monkeypatch.setattr(headers_folder, "_FEW", 0)
    found = index(images, processes=2, progress=False)
    assert found["instances"].tolist() == [70, 1]
    assert found["error"].fillna("").tolist() == ["", "unreadable"]


def test_without_processes_the_files_are_read_nevertheless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices(tmp_path, [float(place) for place in range(130)])
    (tmp_path / "short.dcm").write_bytes(real("CT_small.dcm").read_bytes()[:400])
    monkeypatch.setattr(headers_folder, "own_program", lambda _: [str(tmp_path / "no such program")])
    monkeypatch.setattr(headers_folder, "_FEW", 0)
    found = index(tmp_path, processes=2, progress=False)
    assert found["instances"].tolist() == [130, 1]
    assert found["error"].fillna("").tolist() == ["", "unreadable"]


def test_a_damaged_table_of_headers_is_not_believed(tmp_path: Path) -> None:
    slices(tmp_path, [float(place) for place in range(200)])
    before = index(tmp_path, progress=False)
    kept = tmp_path / ".dicomove" / "headers.sqlite"
    content = kept.read_bytes()
    kept.write_bytes(content[:8192] + b"?" * (len(content) - 8192))
    with pytest.warns(DicomoveWarning, match="cannot be kept"):
        after = index(tmp_path, progress=False)
    pd.testing.assert_frame_equal(after, before)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE files SET shared = NULL",
        "UPDATE key_sets SET keys = NULL",
        "UPDATE key_sets SET keys = '[1'",
        "UPDATE shared SET cells = '[]'",
    ],
)
def test_a_table_of_headers_with_wrong_cells_is_not_believed(damage: str, tmp_path: Path) -> None:
    slices(tmp_path, [0, 5])
    before = index(tmp_path, progress=False)
    with closing(sqlite3.connect(tmp_path / ".dicomove" / "headers.sqlite")) as kept, kept:
        kept.execute(damage)
    pd.testing.assert_frame_equal(index(tmp_path, progress=False), before)


def test_a_table_of_headers_that_cannot_be_kept_is_a_warning(tmp_path: Path) -> None:
    slices(tmp_path, [0, 5])
    (tmp_path / ".dicomove").write_text("not a folder")
    with pytest.warns(DicomoveWarning, match="cannot be kept"):
        found = index(tmp_path, progress=False)
    assert found["instances"].tolist() == [2]


@pytest.mark.parametrize(("places", "gaps"), [([0, 2.5, 5, 7.5], 0), ([0, 2.5, 7.5, 10], 1)])
def test_enhanced_multi_frame(tmp_path: Path, places: list[float], gaps: int) -> None:
    enhanced(tmp_path / "one.dcm", places)
    row = index(tmp_path, progress=False).iloc[0]
    assert (row["instances"], row["NumberOfFrames"], row["orientations"]) == (1, "4", 1)
    assert (row["spacing"], row["gaps"], row["is_volume"]) == (2.5, gaps, not gaps)


def test_mosaics_are_volumes(tmp_path: Path) -> None:
    mosaic(tmp_path / "a", 3)
    for path in (tmp_path / "a").iterdir():
        found = dcmread(path)
        found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        found.SeriesInstanceUID = "1.2.3"
        (tmp_path / "implicit").mkdir(exist_ok=True)
        found.save_as(tmp_path / "implicit" / path.name, implicit_vr=True, little_endian=True)
    one = dcmread(tmp_path / "a" / "0.dcm")
    one.SeriesInstanceUID = "1.2.4"
    one.save_as(tmp_path / "one.dcm")
    one.SeriesInstanceUID, one.Columns = "1.2.5", 63
    one.save_as(tmp_path / "odd.dcm")
    table = index(tmp_path, progress=False).set_index("path")
    assert table["volumes"].to_dict() == {"a": 3, "implicit": 3, "one.dcm": 1, "odd.dcm": 1}
    assert table["spacing"].dropna().to_dict() == {"a": 3.6, "implicit": 3.6, "one.dcm": 3.6}
    assert table.index[table["is_volume"]].tolist() == ["a", "implicit", "one.dcm"]


def test_points_in_time_with_the_same_numbers(tmp_path: Path) -> None:
    slices(tmp_path, [0, 2, 4], TemporalPositionIdentifier=1)
    for name in ("0", "1", "2"):
        found = dcmread(tmp_path / f"{name}.dcm")
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        found.TemporalPositionIdentifier = 2
        found.save_as(tmp_path / f"later{name}.dcm")
    table = index(tmp_path, keys=["Modality"], progress=False)
    assert table[["volumes", "duplicates", "is_volume"]].iloc[0].tolist() == [2, 0, True]
    assert list(table.columns[:3]) == ["StudyInstanceUID", "SeriesInstanceUID", "Modality"]
    assert table["varies"].isna().all()


def test_every_second_slice_is_missing(tmp_path: Path) -> None:
    slices(tmp_path, [*range(8)], SpacingBetweenSlices="1")
    for number in (1, 3, 5, 7):
        (tmp_path / f"{number}.dcm").unlink()
    table = index(tmp_path, progress=False)
    assert table[["gaps", "spacing", "is_volume"]].iloc[0].tolist() == [3, 1, False]


def test_private_attributes_by_their_creator(tmp_path: Path) -> None:
    key, inner = "(0019,{dicomove. test}0c)", "(0019,{dicomove. test}0d).(0019,{dicomove. test}0c)"
    for name, others in {"a": 0, "b": 2, "implicit": 1}.items():
        found = slices(tmp_path / name, [0])
        found.remove_private_tags()
        for number in range(others):
            found.private_block(0x0019, f"other {number}", create=True).add_new(0x0C, "LO", "of another")
        block = found.private_block(0x0019, "dicomove. test", create=True)
        item = Dataset()
        item.private_block(0x0019, "first", create=True)
        item.private_block(0x0019, "dicomove. test", create=True).add_new(0x0C, "LO", "inner")
        block.add_new(0x0C, "LO", "ours")
        if name != "implicit":
            block.add_new(0x0D, "SQ", [item])
        else:
            found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        found.save_as(tmp_path / name / "0.dcm", implicit_vr=name == "implicit", little_endian=True)
    slices(tmp_path / "none", [0])
    table = index(tmp_path, keys=[key, inner], progress=False).set_index(pd.Index(["a", "b", "implicit", "none"]))
    assert table[key].fillna("").tolist() == ["ours", "ours", "ours", ""]
    assert table[inner].fillna("").tolist() == ["inner", "inner", "", ""]
    with pytest.raises(ValueError, match="cannot be read"):
        index(tmp_path, keys=["(0018,{dicomove. test}0c)"])


def test_directories_of_media_are_not_images(tmp_path: Path) -> None:
    directory = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests" / "DICOMDIR"
    for name in ("dicomdir", "DICOMDIR", "index.dcm"):
        shutil.copy(directory, tmp_path / name)
    assert index(tmp_path, progress=False).set_index("path")["error"].to_dict() == {
        "dicomdir": "not_dicom",
        "index.dcm": "not_dicom",
    }


def test_a_link_that_leads_nowhere_is_a_missing_file(tmp_path: Path) -> None:
    slices(tmp_path / "store", [0])
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.dcm").symlink_to(tmp_path / "store" / "0.dcm")
    (images / "b.dcm").symlink_to(tmp_path / "gone.dcm")
    found = index(images, progress=False).set_index("path")["error"]
    assert found.fillna("").to_dict() == {"a.dcm": "", "b.dcm": "missing"}
    # What appears later is read.
    shutil.copy(real("MR_small.dcm"), tmp_path / "gone.dcm")
    assert index(images, progress=False)["error"].isna().all()


def test_a_folder_that_vanishes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices(tmp_path / "a", [0, 5])
    slices(tmp_path / "b", [0, 5])
    scan = os.scandir

    def scanned(path: str) -> object:
        # As if another program were faster.
        if path == str(tmp_path / "b"):
            Path(path).rename(tmp_path.with_suffix(".gone"))
        return scan(path)

    monkeypatch.setattr("dicomove.headers.sources.os.scandir", scanned)
    assert index(tmp_path, progress=False)["path"].tolist() == ["a"]


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("GB18030", "头部誠"),
        (["", "ISO 2022 IR 87"], "頭部"),
        ("ISO_IR 192", "Schädel"),
        ("ISO_IR 100", "Schädel"),
    ],
)
def test_text_in_any_character_set(tmp_path: Path, charset: object, text: str) -> None:
    slices(tmp_path, [0], SpecificCharacterSet=charset, SeriesDescription=text, SeriesNumber="1")
    assert index(tmp_path, progress=False)["SeriesDescription"].tolist() == [text]


@pytest.mark.parametrize(
    ("keyword", "written", "expected"),
    [
        ("SeriesDescription", b"Sch\xe4del\xff", "Sch"),
        ("SliceThickness", b"ca. 3 mm", "ca. 3 mm"),
        ("SliceThickness", b"3,50", "3,50"),
        ("SeriesNumber", b"1.0", "1"),
        ("SeriesNumber", b"one", "one"),
        ("SeriesDescription", b"a\\ b", "a\\b"),
    ],
)
def test_values_that_the_standard_forbids(tmp_path: Path, keyword: str, written: bytes, expected: str) -> None:
    slices(tmp_path, [0], SpecificCharacterSet="ISO_IR 192", **{keyword: "77777777"})
    content = (tmp_path / "0.dcm").read_bytes()
    assert content.count(b"77777777") == 1
    (tmp_path / "0.dcm").write_bytes(content.replace(b"77777777", written.ljust(8)))
    found = index(tmp_path, keys=[keyword], progress=False)
    assert found["error"].isna().all()
    assert found[keyword].iloc[0].startswith(expected)


def test_private_attributes_without_their_creator(tmp_path: Path) -> None:
    for name, syntax in {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian}.items():
        found = slices(tmp_path / name, [0])
        found.file_meta.TransferSyntaxUID = syntax
        found[0x00211001] = DataElement(0x00211001, "LO", "no creator")
        found.save_as(tmp_path / name / "0.dcm", implicit_vr=name == "implicit", little_endian=True)
    assert index(tmp_path, keys=["(0021,1001)"], progress=False)["(0021,1001)"].tolist() == ["no creator"] * 2


def test_every_real_file_has_a_row(tmp_path: Path) -> None:
    names = list(real("CT_small.dcm").parent.glob("*.dcm"))
    assert len(names) > 50
    for path in names:
        shutil.copy(path, tmp_path)
    found = index(tmp_path, level="INSTANCE", progress=False)
    assert len(found) == len(names)
    assert int(found["error"].isna().sum()) > 0.8 * len(names)
    assert found.set_index("path").loc["waveform_ecg.dcm", "Modality"] == "ECG"


def test_one_file_or_one_key_is_told_what_to_give(tmp_path: Path) -> None:
    slices(tmp_path, [0])
    for call in (
        index,
        lambda path: convert(path, tmp_path / "out"),
        lambda path: arrange(path, tmp_path / "out", "a"),
    ):
        with pytest.raises(ValueError, match="is neither a folder nor a journal: give the folder of the images"):
            call(tmp_path / "0.dcm")
    with pytest.raises(ValueError, match=r"more_keys='EchoTime': give a list of keys, \['EchoTime'\]"):
        index(tmp_path, more_keys="EchoTime")


def test_an_unknown_folder_level_or_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        index(tmp_path / "absent")
    with pytest.raises(ValueError, match="level='STUDY'"):
        index(tmp_path, level="STUDY")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give folder="):
        index(pd.DataFrame({"StudyInstanceUID": ["1.2"]}))
    assert index(tmp_path, progress=False).empty


def test_results_bring_the_row_of_the_cohort(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, demo_pacs(destinations=receiver.as_destination()) as pacs:
        results = dm.move(dm.find(dm.read_cohort(COHORT), pacs, progress=False), pacs, receiver, progress=False)
        manifest = receiver.manifest()
    everything = index(tmp_path, progress=False)
    assert everything["instances"].sum() == len(manifest) == 27
    assert everything["error"].isna().all()
    pd.testing.assert_frame_equal(index(manifest, progress=False), everything)
    found = index(results, folder=tmp_path, progress=False)
    assert found.columns[0] == "cohort_row"
    expected = results.set_index("StudyInstanceUID")["cohort_row"].groupby(level=0).agg(set).to_dict()
    assert found.groupby("StudyInstanceUID")["cohort_row"].agg(set).to_dict() == {
        study: rows for study, rows in expected.items() if study in set(everything["StudyInstanceUID"])
    }
    one = results[results["received"] > 0].head(1)
    assert set(index(one, folder=tmp_path, progress=False)["StudyInstanceUID"]) == set(one["StudyInstanceUID"])
    twice = pd.concat([one, one.assign(cohort_row="other")], ignore_index=True)
    assert index(twice, folder=tmp_path, progress=False)["cohort_row"].nunique() == 2
    inside = index(tmp_path / one["StudyInstanceUID"].iloc[0], progress=False)
    assert len(inside) == len(index(one, folder=tmp_path, progress=False))
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


@pytest.mark.skipif(os.name != "posix", reason="pipes in folders are of POSIX systems")
def test_a_pipe_and_a_link_to_a_folder_are_left_alone(tmp_path: Path) -> None:
    slices(tmp_path / "a", [0, 5])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert index(tmp_path, progress=False)["path"].tolist() == ["a"]
