"""The researcher's own names: columns of the cohort and keywords; two instances never share one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from pydicom import dcmread

from dicomove.headers import arrange, convert
from tests.images import slices

PATH = "sub-{subject}/ses-{session}/{SeriesNumber}_{SeriesDescription}/{InstanceNumber}.dcm"


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path / "images"
    first = slices(folder / "a", [0, 5], SeriesDescription="T1 / axial", SeriesNumber="3").StudyInstanceUID
    second = slices(folder / "b", [0, 5, 10], SeriesDescription="../../x", SeriesNumber="4").StudyInstanceUID
    slices(folder / "c", [0])
    results = {"subject": ["01", "02"], "session": ["base", "m 12"], "StudyInstanceUID": [first, second]}
    return folder, pd.DataFrame(results, index=["x", "x"])


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_columns_of_the_cohort_beside_keywords(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    made = arrange(folder, tmp_path / "out", PATH, cohort=results, progress=False)
    assert files(tmp_path / "out") == [
        *(f"sub-01/ses-base/3_T1_axial/{number}.dcm" for number in (1, 2)),
        *(f"sub-02/ses-m_12/4_x/{number}.dcm" for number in (1, 2, 3)),
    ]
    assert set(made["outcome"]) == {"made"}
    for old, new in zip(made["path"], made["arranged"], strict=True):
        assert (tmp_path / "out" / new).samefile(folder / old)
    again = arrange(folder, tmp_path / "out", PATH, cohort=results, progress=False)
    assert set(again["outcome"]) == {"kept"}


def test_copies_are_files_of_their_own(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = two
    path = "{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
    made = arrange(folder, tmp_path / "out", path, how="copy", progress=False).iloc[0]
    old, new = folder / made["path"], tmp_path / "out" / made["arranged"]
    assert not new.samefile(old)
    assert new.read_bytes() == old.read_bytes()
    assert len(files(tmp_path / "out")) == 6


def test_two_instances_never_share_a_name(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = two
    with pytest.raises(ValueError, match=r"5 instances would share their name .*a/0.dcm.*nothing was made"):
        arrange(folder, tmp_path / "out", "{InstanceNumber}.dcm", progress=False)
    assert not (tmp_path / "out").exists()


def test_two_subjects_who_share_a_study_both_have_it(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    shared = results.assign(StudyInstanceUID=results["StudyInstanceUID"].iloc[0], session="base")
    arrange(folder, tmp_path / "out", PATH, cohort=shared, progress=False)
    assert files(tmp_path / "out") == [
        f"sub-0{subject}/ses-base/3_T1_axial/{number}.dcm" for subject in (1, 2) for number in (1, 2)
    ]


def test_another_file_is_never_replaced(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    taken = tmp_path / "out" / "sub-01" / "ses-base" / "3_T1_axial" / "1.dcm"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    with pytest.raises(ValueError, match="other files have the names of 1 instances"):
        arrange(folder, tmp_path / "out", PATH, cohort=results, progress=False)
    assert files(tmp_path / "out") == ["sub-01/ses-base/3_T1_axial/1.dcm"]
    assert taken.read_text() == "mine"


def test_a_file_where_a_folder_has_to_be_is_found_before_anything_is_made(
    tmp_path: Path, two: tuple[Path, pd.DataFrame]
) -> None:
    folder, results = two
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub-02").write_text("mine")
    with pytest.raises(ValueError, match="other files have the names of"):
        arrange(folder, tmp_path / "out", PATH, cohort=results, progress=False)
    assert files(tmp_path / "out") == ["sub-02"]


def test_a_table_in_place_of_the_folder(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match="folder: give the folder with the images first"):
        arrange(two[1], tmp_path / "out", PATH)  # type: ignore[arg-type]


def test_a_link_in_the_target_does_not_lead_out_of_it(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub-01").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="nothing was made"):
        arrange(folder, tmp_path / "out", PATH, cohort=results, progress=False)
    assert files(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    "path",
    ["/{SOPInstanceUID}", "../{SOPInstanceUID}", "a//{SOPInstanceUID}", "{subjet}/{SOPInstanceUID}", "{", "{}", "a\\b"],
)
def test_a_path_that_cannot_be_is_an_error(tmp_path: Path, two: tuple[Path, pd.DataFrame], path: str) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        arrange(two[0], tmp_path / "out", path, progress=False)
    with pytest.raises(ValueError, match="inside the folder"):
        arrange(two[0], two[0] / "out", "{SOPInstanceUID}", progress=False)


@pytest.mark.parametrize(
    ("subjects", "says"),
    [
        (["01", None], "'subject' is blank in row 2"),
        (["01", "\u200e"], "'subject' is blank in row 2"),
        (["a b", "a_b"], "differ only"),
        (["A", "a"], "differ only"),
        (["頭部", "01"], "'subject' has no letter of A-Z and no digit in row 1"),
        (["..", "01"], "'subject' has no letter of A-Z and no digit in row 1"),
    ],
)
def test_two_subjects_never_share_a_folder(
    tmp_path: Path, two: tuple[Path, pd.DataFrame], subjects: list[str | None], says: str
) -> None:
    folder, results = two
    with pytest.raises(ValueError, match=says):
        arrange(folder, tmp_path / "out", PATH, cohort=results.assign(subject=pd.array(subjects)), progress=False)
    assert not (tmp_path / "out").exists()


def test_columns_that_run_into_each_other_are_refused(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    table = results.assign(subject=["a_b", "a"], session=["c", "b_c"])
    with pytest.raises(ValueError, match="row 1, 2 of the table make the same path of different values: nothing was"):
        arrange(folder, tmp_path / "out", "{subject}_{session}/{SOPInstanceUID}.dcm", cohort=table, progress=False)
    made = arrange(folder, tmp_path / "out", "{subject}/{session}/{SOPInstanceUID}.dcm", cohort=table, progress=False)
    assert {Path(name).parent.as_posix() for name in made["arranged"]} == {"a_b/c", "a/b_c"}


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        ([1.0, 2.0], ["1", "2"]),
        (pd.to_datetime(["2026-11-25", "2026-11-26"]), ["2026-11-25", "2026-11-26"]),
        ([" 01", "02\0"], ["01", "02"]),
        (["CON", "aux.txt"], ["_CON", "_aux.txt"]),
        (["Rene\u0301", "01"], ["Ren", "01"]),
    ],
)
def test_cells_of_any_type_become_names(
    tmp_path: Path, two: tuple[Path, pd.DataFrame], subjects: object, expected: list[str]
) -> None:
    folder, results = two
    table = results.assign(subject=subjects)  # type: ignore[arg-type]  # it takes any column
    made = arrange(folder, tmp_path / "out", "{subject}/{SOPInstanceUID}.dcm", cohort=table, progress=False)
    assert list(dict.fromkeys(Path(name).parent.as_posix() for name in made["arranged"])) == expected


def test_a_column_that_the_table_lacks_is_named(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    path = "{participant}/{SOPInstanceUID}.dcm"
    with pytest.raises(ValueError, match="'participant' is neither a keyword nor a column of the table: the table has"):
        arrange(folder, tmp_path / "out", path, cohort=results, progress=False)
    with pytest.raises(ValueError, match="no table with columns of your own was given"):
        arrange(folder, tmp_path / "out", path, progress=False)


def test_a_name_of_several_columns_or_none_is_an_error(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, results = two
    twice = pd.concat([results, results[["subject"]]], axis=1)
    with pytest.raises(ValueError, match="'subject' is the name of several columns"):
        arrange(folder, tmp_path / "out", PATH, cohort=twice, progress=False)
    with pytest.raises(ValueError, match=r"do you mean \{subject\}\?"):
        arrange(folder, tmp_path / "out", "{subjekt}/{SOPInstanceUID}.dcm", cohort=results, progress=False)
    assert not (tmp_path / "out").exists()


def test_a_way_that_does_not_exist_is_an_error(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match="how='move': give 'link' or 'copy'"):
        arrange(two[0], tmp_path / "out", "{SOPInstanceUID}.dcm", how="move", progress=False)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_stops_all(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = two
    whole = folder / "a" / "0.dcm"
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"1 files cannot be read, for example a/0\.dcm: nothing was made"):
        arrange(folder, tmp_path / "out", "{SOPInstanceUID}.dcm", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_link_to_another_disk_says_how_to_copy(tmp_path: Path, two: tuple[Path, pd.DataFrame]) -> None:
    other = Path("/dev/shm")  # noqa: S108 (another disk, where Linux has one)
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no other disk to write to")
    with TemporaryDirectory(dir=other) as target:
        with pytest.raises(OSError, match="is on another disk, where links cannot lead: give how='copy'"):
            arrange(two[0], Path(target, "out"), "{SOPInstanceUID}.dcm", progress=False)
        made = arrange(two[0], Path(target, "out"), "{SOPInstanceUID}.dcm", how="copy", progress=False)
        assert set(made["outcome"]) == {"made"}


def test_of_copies_the_first_is_arranged(tmp_path: Path) -> None:
    images = tmp_path / "images"
    slices(images / "a", [0, 5, 10])
    shutil.copytree(images / "a", images / "backup")
    path = "{SeriesInstanceUID}/{InstanceNumber}.dcm"
    made = arrange(images, tmp_path / "out", path, progress=False).set_index("path")["outcome"]
    assert made.to_dict() == {f"a/{n}.dcm": "made" for n in range(3)} | {f"backup/{n}.dcm": "kept" for n in range(3)}
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 3
    message = convert(images, tmp_path / "nifti", progress=False)["message"].tolist()
    assert message == [
        "images lie at a place that has its image already: 3; files with the SOPInstanceUID of another one: 3"
    ]
    changed = dcmread(images / "backup" / "1.dcm")
    changed.PatientComments = "other"
    changed.save_as(images / "backup" / "1.dcm")
    with pytest.raises(ValueError, match=r"2 instances .*a/1.dcm, backup/1.dcm.* remove all but one of them"):
        arrange(images, tmp_path / "other", path, progress=False)


@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_names_that_are_not_text_are_told_before_anything_is_made(tmp_path: Path) -> None:
    slices(tmp_path / "images", [0, 5])
    first = min((tmp_path / "images").iterdir())
    first.rename(first.with_name(os.fsdecode(b"M\xfcller.dcm")))
    with pytest.raises(ValueError, match=r"1 names are not text, for example M\?ller.dcm: nothing was made"):
        arrange(tmp_path / "images", tmp_path / "out", "{InstanceNumber}.dcm", progress=False)
    assert not (tmp_path / "out").exists()
