"""Accession numbers with other zeros or blanks: found only where that is asked for, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

import dicomove as dm
from dicomove.search.choice import loose_table
from dicomove.testing import RunningPacs, Synthetic
from tests.servers import Server

#: Accession numbers 000001 to 000012.
ARCHIVE = Synthetic(studies=12, instances=1, size=64)


def found(pacs: dm.Pacs, *accessions: str, **options: object) -> pd.DataFrame:
    table = pd.DataFrame({"accession": list(accessions), "arm": "a"})
    return dm.find(table, pacs, progress=False, **options)  # type: ignore[arg-type]  # the options of a test


def test_other_zeros_are_found_only_where_that_is_asked_for(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    pacs = rehearsal_pacs(ARCHIVE)
    assert found(pacs, "1")["outcome"].tolist() == ["empty"]
    assert "loose" not in found(pacs, "1")
    studies = found(pacs, "1", "000002", "99", "0000 12", "", loose=("AccessionNumber",))
    assert studies["outcome"].tolist() == ["matched", "matched", "empty", "matched", "invalid"]
    assert studies["loose"].fillna("").tolist() == ["AccessionNumber", "", "", "AccessionNumber", ""]
    assert studies["AccessionNumber"].tolist()[:2] == ["000001", "000002"]
    assert studies["AccessionNumber"].iloc[3] == "000012"
    assert studies["arm"].tolist() == ["a"] * 5
    assert "differs in zeros or blanks" in studies["advice"].iloc[0]
    assert dm.move(studies.head(1), pacs, pacs.destination, progress=False)["outcome"].tolist() == ["complete"]


def test_a_longer_number_is_another_one(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    """The wildcard for 1 matches 10, 11 and 12, too."""
    studies = found(rehearsal_pacs(ARCHIVE), "01", loose="AccessionNumber")
    assert studies["AccessionNumber"].tolist() == ["000001"]


def test_a_real_pacs(server: Server) -> None:
    """But for zeros, A01 is A0001 and A001, of two patients; A 0010 is one number."""
    with pytest.warns(dm.errors.FindWarning, match="1 rows match studies of more than one patient"):
        studies = found(server.pacs, "A01", "A 0010", loose=("AccessionNumber",))
    assert studies["outcome"].iloc[-1] == "matched"
    assert studies["AccessionNumber"].iloc[-1] == "A0010"


@pytest.mark.parametrize("loose", ["PatientID", ("AccessionNumber", "StudyDate")])
def test_other_keys_never_match_loosely(rehearsal_pacs: Callable[..., RunningPacs], loose: object) -> None:
    with pytest.raises(dm.CohortError, match="only AccessionNumber may match"):
        found(rehearsal_pacs(ARCHIVE), "1", loose=loose)


def test_the_wildcards() -> None:
    cells = ["00123", "A 012", "A0012", "000", None]
    made = loose_table(pd.DataFrame({"AccessionNumber": cells}), ["AccessionNumber"], range(5))
    assert made["AccessionNumber"].fillna("").tolist() == ["*123*", "*A*12*", "*A*12*", "*0*", ""]


def test_loose_matches_of_several_patients_are_told(rehearsal_pacs: Callable[..., RunningPacs], tmp_path: Path) -> None:
    """With other zeros, one number may be that of two sites."""
    for number, (patient, accession) in enumerate([("7", "0012"), ("8", "00012"), ("9", "120")]):
        image = dcmread(Path(pydicom.__file__).with_name("data") / "test_files" / "CT_small.dcm")
        image.PatientID, image.AccessionNumber = patient, accession
        image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.save_as(tmp_path / f"{number}.dcm")
    with pytest.warns(dm.errors.FindWarning, match="1 rows match studies of more than one patient"):
        studies = found(rehearsal_pacs(tmp_path), "12", loose=("AccessionNumber",))
    assert sorted(studies["PatientID"]) == ["7", "8"]
    assert studies["advice"].str.contains("2 different PatientIDs").all()
