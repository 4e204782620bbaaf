"""Names of the caller's own in the path of a receiver: columns of the table beside DICOM keywords."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cohort import move_identifiers
from dicomove.columns import RESULT_COLUMNS
from dicomove.receiver import AskedRow, RowId
from dicomove.run import path_cells
from tests import receiving, servers
from tests.receiving import LAYERED, instance

pytestmark = pytest.mark.timeout(60)

PATH = "sub-{subject}/ses-{session}/{SeriesNumber}_{SeriesDescription}/{InstanceNumber}.dcm"
TWO = receiving.studies(LAYERED, 2).assign(subject=["01", "02"], session=[1.0, 2.0])


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dm.Receiver]:
    with receiving.receiver(tmp_path_factory.mktemp("named"), path=PATH) as receiver:
        yield receiver


def refused(table: pd.DataFrame, receiver: dm.Receiver) -> str:
    """The error, from which the PACS has heard nothing."""
    with servers.counting() as counter:
        with pytest.raises(dm.CohortError) as caught:
            receiving.move(table, counter.pacs, receiver, level="STUDY")
        assert counter.connections == 0
    return str(caught.value)


@pytest.mark.parametrize("method", ["move", "get"])
def test_the_row_that_asked_names_the_images(tmp_path: Path, method: str) -> None:
    port = 0 if method == "move" else None
    options = {"method": method, "journal": None}
    with (
        receiving.receiver(tmp_path, path=PATH, port=port) as receiver,
        receiving.pacs(receiver, source=LAYERED) as pacs,
    ):
        results = receiving.move(TWO, pacs, receiver, **options)
        again = receiving.move(TWO, pacs, receiver, **options)
    assert results["outcome"].tolist() == again["outcome"].tolist() == ["complete", "complete"]
    assert again["resumed"].all()
    found = names(tmp_path)
    assert len(found) == 12
    assert {name.split("/")[0] + "/" + name.split("/")[1] for name in found} == {"sub-01/ses-1", "sub-02/ses-2"}
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}
    by_study = dm.read_manifest(tmp_path).groupby("StudyInstanceUID")["path"]
    assert by_study.apply(lambda paths: paths.str.split("/").str[0].nunique()).tolist() == [1, 1]


def test_images_that_would_share_a_name_are_told_apart(tmp_path: Path) -> None:
    table = TWO.assign(subject="01", session="a")
    with (
        receiving.receiver(tmp_path, path="{subject}/{InstanceNumber}.dcm") as receiver,
        receiving.pacs(receiver, source=LAYERED) as pacs,
    ):
        first = receiving.move(table, pacs, receiver)
        there = names(tmp_path)
        again = receiving.move(table, pacs, receiver)
    assert first["outcome"].tolist() == again["outcome"].tolist() == ["complete", "complete"]
    assert len(there) == 12
    assert "01/1.dcm" in there
    assert names(tmp_path) == there
    assert receiver.manifest()["times_received"].tolist() == [2] * 12
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_upper_and_lower_case_are_told_apart(tmp_path: Path) -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3"], "subject": ["x"]})
    sent = [
        instance(study="1.2.3", uid=f"1.2.3.{n}", InstanceNumber=str(n), SeriesDescription=text)
        for n, text in enumerate(["T1", "t1", "T1", "t1"])
    ]
    with receiving.receiver(tmp_path, path="{subject}/{SeriesDescription}/{InstanceNumber}.dcm") as receiver:
        row = receiver.runs.row(
            AskedRow(
                RowId(receiver.runs.begin_run(), 0), {"StudyInstanceUID": "1.2.3"}, "127.0.0.1", cells={"subject": "x"}
            )
        )
        with row:
            assert receiving.send(receiver, *sent) == [0] * 4
            assert row.await_arrivals(4).arrivals == 4
    assert table["subject"].tolist() == ["x"]
    folders = {name.split("/")[1] for name in names(tmp_path)}
    assert "T1" in folders
    assert len({name.casefold() for name in folders}) == len(folders) == 2


def test_unrequested_instances_have_a_separate_folder(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, path=PATH, accept="any") as receiver:
        assert receiving.send(receiver, instance()) == [0]
        (found,) = receiver.manifest()["path"]
    one = instance()
    assert found == f"unasked/{one.study_instance_uid}/{one.series_instance_uid}/{one.sop_instance_uid}.dcm"


def test_no_error_shows_a_label(named: dm.Receiver) -> None:
    table = TWO.assign(subject=["01", ""]).set_index(pd.Index(["P000123", "P000124"]))
    assert "P00012" not in (said := refused(table, named))
    assert "row 1 (counted from 0)" in said


def test_a_folder_is_never_left(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "images"
    table = TWO.assign(subject=["../../x", "/etc"], session=["CON", "a\0b" * 90])
    with receiving.receiver(folder, path=PATH) as receiver, receiving.pacs(receiver, source=LAYERED) as pacs:
        assert receiving.move(table, pacs, receiver)["outcome"].tolist() == ["complete", "complete"]
    assert [path for path in tmp_path.rglob("*.dcm") if not path.is_relative_to(folder)] == []
    assert len(names(folder)) == 12


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"subject": ["SECRET", None]}, "column 'subject' is blank in row 1 (counted from 0),"),
        ({"subject": [" ", ""]}, "column 'subject' is blank in rows 0, 1 (counted from 0),"),
        (
            {"subject": ["SECRET", "secret"]},
            "rows 0, 1 (counted from 0) differ in column 'subject' only in upper and lower case",
        ),
        (
            {"StudyInstanceUID": ["1.2.3", "1.2.3"]},
            "rows 0, 1 (counted from 0) ask for the same images and differ in column 'subject'",
        ),
    ],
)
def test_a_table_that_cannot_name_the_images_is_refused(
    named: dm.Receiver, change: dict[str, object], text: str
) -> None:
    said = refused(TWO.assign(**change).set_axis(["a", "b"]), named)  # type: ignore[arg-type]  # it takes any column
    assert text in said
    assert "Nothing was sent" in said
    assert "secret" not in said.casefold()


def test_a_series_and_its_study_are_the_same_images(named: dm.Receiver) -> None:
    table = TWO.assign(
        StudyInstanceUID="1.2.3", SeriesInstanceUID=["1.2.3.4", ""], QueryRetrieveLevel=["SERIES", "STUDY"]
    )
    with pytest.raises(dm.CohortError, match="rows 0, 1 ask for the same images and differ in column 'subject'"):
        path_cells(table, move_identifiers(table), [named])
    same = table.assign(subject="01", session="1")
    assert path_cells(same, move_identifiers(same), [named])[1] == (("subject", "01"), ("session", "1"))


def test_columns_that_run_into_each_other_are_refused(tmp_path: Path) -> None:
    table = TWO.assign(subject=["a_b", "a"], session=["c", "b_c"])
    with receiving.receiver(tmp_path, path="{subject}_{session}/{outcome}_{InstanceNumber}.dcm") as receiver:
        assert "{outcome}, a column that dicomove makes" in refused(results_of(table), receiver)
    with receiving.receiver(tmp_path, path="{subject}_{session}/{InstanceNumber}.dcm") as receiver:
        assert "the same path" in refused(table, receiver)


def results_of(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{**dict.fromkeys(RESULT_COLUMNS), "outcome": "failed"})


def test_an_unknown_column_is_named(named: dm.Receiver) -> None:
    said = refused(TWO.rename(columns={"subject": "subjects"}), named)
    assert "neither a column of the table nor a DICOM keyword (do you mean {subjects}?). Nothing was sent" in said
    assert "several columns" in refused(pd.concat([TWO, TWO[["session"]]], axis=1), named)


def test_the_same_under_one_name_and_rows_that_send_nothing(tmp_path: Path) -> None:
    table = pd.concat([TWO.iloc[[0, 0]], pd.DataFrame({"StudyInstanceUID": ["1.*"], "subject": [""]})])
    with receiving.receiver(tmp_path, path=PATH) as receiver, receiving.pacs(receiver, source=LAYERED) as pacs:
        assert receiving.move(table, pacs, receiver)["outcome"].tolist() == ["complete", "complete", "invalid"]
    assert len(names(tmp_path)) == 6


def test_one_subject_in_two_spellings_of_unicode_has_one_folder(tmp_path: Path) -> None:
    table = pd.concat([TWO, TWO.iloc[[0]]], ignore_index=True)
    table = table.assign(subject=["Ren\u00e9", "Rene\u0301", " Ren\u00e9\u200b"], session=pd.Timestamp("2026-11-26"))
    with receiving.receiver(tmp_path, path=PATH) as receiver, receiving.pacs(receiver, source=LAYERED) as pacs:
        assert receiving.move(table, pacs, receiver)["outcome"].tolist() == ["complete"] * 3
    folders = {tuple(name.split("/")[:2]) for name in names(tmp_path)}
    assert len(folders) == 1
    assert folders.pop()[1] == "ses-2026-11-26"
    assert len(names(tmp_path)) == 12


def test_a_cohort_is_checked_before_it_is_searched_for(named: dm.Receiver) -> None:
    cohort = pd.DataFrame(
        {"AccessionNumber": ["A0001", "A0002", ""], "subject": ["01", "", ""], "session": ["1", "1", ""]}
    )
    with servers.counting() as counter:
        with pytest.raises(dm.CohortError, match="'subject' is blank in row 1, "):
            dm.retrieve(cohort, counter.pacs, named, progress=False)
        with pytest.raises(dm.CohortError, match="neither a column"):
            dm.retrieve(cohort[["AccessionNumber"]], counter.pacs, named, progress=False)
        with pytest.raises(dm.CohortError, match="neither a column"):
            dm.plan(pd.DataFrame({"StudyInstanceUID": ["1.2"]}), counter.pacs, named, progress=False)
        assert counter.connections == 0


def test_retrieve_names_what_it_finds(tmp_path: Path) -> None:
    cohort = receiving.studies(count=3).assign(arm=["case", "control", "case"])
    path = "sub-{arm}/{Modality}/{InstanceNumber}.dcm"
    with receiving.receiver(tmp_path, path=path) as receiver, receiving.pacs(receiver) as pacs:
        results = dm.retrieve(cohort, pacs, receiver, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 3
    assert {name.split("/")[0] for name in names(tmp_path)} == {"sub-case", "sub-control"}
    assert len(names(tmp_path)) == 18


@pytest.mark.filterwarnings("ignore:the receiver's process was killed")
def test_a_receiver_that_is_started_anew_knows_the_names(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, path="{subject}/{InstanceNumber}.dcm") as receiver:
        row = receiver.runs.row(
            AskedRow(
                RowId(receiver.runs.begin_run(), 0), {"StudyInstanceUID": "1.2.3"}, "127.0.0.1", cells={"subject": "x"}
            )
        )
        with row:
            before = receiver.pid
            os.kill(before, signal.SIGKILL)
            servers.wait_until(lambda: receiver.pid != before)
            assert receiving.send(receiver, instance(study="1.2.3", InstanceNumber="7")) == [0]
        assert receiver.manifest()["path"].tolist() == ["x/7.dcm"]


@pytest.mark.parametrize("method", ["move", "get"])
def test_a_cohort_with_columns_of_its_own_is_named_from_orthanc(
    method: Literal["move", "get"], images: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("named-from-orthanc")
    cohort = pd.DataFrame(
        {"AccessionNumber": ["A0001", "A0002"], "arm": ["s01", "s02"], "visit": [1.0, 2.0]}, index=["x", "y"]
    )
    path = "sub-{arm}/ses-{visit}/{Modality}_{SeriesNumber}/{SOPInstanceUID}.dcm"
    with receiving.receiver(folder / "named", path=path) as receiver:
        modalities = {receiver.ae_title: receiver.port}
        with servers.orthanc(folder, images, modalities) as server:
            pacs = dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}")
            results = dm.retrieve(cohort, pacs, receiver, method=method, progress=False)
    assert results["outcome"].tolist() == ["complete", "complete"], results["advice"].tolist()
    received = results.set_index("cohort_row")["received"]
    where = [Path(name).parts[:2] for name in names(folder / "named")]
    assert where.count(("sub-s01", "ses-1")) == received["x"]
    assert where.count(("sub-s02", "ses-2")) == received["y"]
    assert len(where) == received.sum()


def test_a_subject_in_the_path_is_not_taken_for_a_patient(tmp_path: Path) -> None:
    """Accession numbers alone, and a number of the caller's own: warnings are errors here."""
    cohort = pd.DataFrame({"accession": ["000001", "000002"], "subject": ["01", "02"]})
    with (
        receiving.receiver(tmp_path, path="sub-{subject}/{SeriesNumber}/{InstanceNumber}.dcm") as receiver,
        receiving.pacs(receiver, source=LAYERED) as pacs,
    ):
        results = dm.retrieve(cohort, pacs, receiver, progress=False, journal=False)
        with pytest.warns(dm.errors.CohortWarning, match="'subject'"):
            dm.find(cohort, pacs, progress=False)
    assert results["outcome"].tolist() == ["complete", "complete"]
    assert "dicomove_own_columns" not in results.attrs
    assert {name.split("/")[0] for name in names(tmp_path)} == {"sub-01", "sub-02"}
