"""A row that names one patient, in a PACS that has the PatientID or the accession number of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

import dicomove as dm
from dicomove.testing import RunningPacs, faults
from dicomove.testing.faults.base import Fault, FindFault, Request, Response

JOHN = {"PatientID": "123", "PatientName": "DOE^JOHN", "PatientBirthDate": "19500101", "AccessionNumber": "A1"}
ANNA = {"PatientID": "456", "PatientName": "ROE^ANNA", "PatientBirthDate": "19801231", "AccessionNumber": "A2"}

SOURCE = Path(pydicom.__file__).with_name("data") / "test_files" / "CT_small.dcm"

Archive = Callable[..., RunningPacs]


@dataclass(frozen=True)
class HoldsTwo(FindFault):
    """Each study has a second copy with another PatientID: the archives of two sites were joined."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002 (as in `Fault`)
        copies = [deepcopy(match) for match in matches]
        for copy in copies:
            copy.PatientID = ANNA["PatientID"]
        return [*matches, *copies]


@dataclass(frozen=True)
class BreaksOff(Fault):
    """A C-FIND gives its matches, and then says that it failed."""

    commands = ("C-FIND",)

    def on_response(self, _: Request, response: Response) -> Iterable[Response]:
        return [replace(response, status=0xC001) if response.final else response]


@pytest.fixture
def pacs(rehearsal_pacs: Archive, tmp_path: Path) -> Archive:
    """Makes a PACS with one study for each of these patients."""

    def made(*studies: dict[str, str], faults: Sequence[Fault] = ()) -> RunningPacs:
        for number, values in enumerate(studies):
            image = dcmread(SOURCE)
            image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
            for name, value in values.items():
                setattr(image, name, value)
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            image.save_as(tmp_path / f"{number}.dcm")
        return rehearsal_pacs(tmp_path, faults)

    return made


@pytest.mark.parametrize(
    ("key", "studies", "told"),
    [
        ("AccessionNumber", [JOHN, ANNA | {"AccessionNumber": "A1"}], "2 different PatientIDs"),
        ("PatientName", [JOHN, JOHN | {"PatientID": "789"}], "2 different PatientIDs"),
        ("PatientID", [JOHN | {"IssuerOfPatientID": site} for site in "ABC"], "3 different IssuerOfPatientID"),
        ("PatientID", [JOHN, ANNA | {"PatientID": "123"}], "2 different PatientBirthDate"),
    ],
)
@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_matches_of_several_patients_are_told(
    pacs: Archive, key: str, studies: list[dict[str, str]], told: str, level: str
) -> None:
    cohort = pd.DataFrame({key: [studies[0][key], "Roe^A-1"]})
    with pytest.warns(dm.errors.FindWarning, match="1 rows match studies of more than one patient"):
        found = dm.find(cohort, pacs(*studies), level=level, progress=False)
    matched = found[found["outcome"] == "matched"]
    assert len(matched) == len(studies)
    assert matched["advice"].str.contains(told).all()
    assert found["advice"].iloc[-1:].isna().all()


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_two_patients_of_one_study_instance_uid_are_told(pacs: Archive, level: str) -> None:
    here = pacs(JOHN | {"StudyInstanceUID": "1.2.3"}, faults=[HoldsTwo()])
    with pytest.warns(dm.errors.FindWarning, match="1 rows match studies of more than one patient"):
        found = dm.find(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), here, level=level, progress=False)
    assert found["advice"].str.contains("2 different PatientIDs").tolist() == [True, True]
    with pytest.warns(dm.errors.FindWarning, match="answers to 1 rows are not what the rows ask for"):
        one = dm.find(found[["StudyInstanceUID", "PatientID"]][:1], here, level=level, progress=False)
    assert one["PatientID"].tolist() == ["123"]
    assert not one["advice"].str.contains("2 different PatientIDs").any()


def test_two_spellings_of_one_patient_id_in_a_study_need_no_word(pacs: Archive) -> None:
    study = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
    here = pacs(JOHN | study, JOHN | study | {"PatientID": "000123"}, JOHN | study | {"PatientID": "123^^^A"})
    found = dm.find(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), here, level="IMAGE", progress=False)
    assert found["PatientID"].nunique() == 3
    assert found["advice"].isna().all()


def test_two_patients_of_one_name_are_told_in_patient_root(pacs: Archive) -> None:
    here, cohort = pacs(JOHN, JOHN | {"PatientID": "789"}), pd.DataFrame({"PatientName": ["DOE^JOHN"]})
    with pytest.warns(dm.errors.FindWarning, match="more than one patient"):
        found = dm.find(cohort, here, query_model="PatientRoot", progress=False)
    assert found["advice"].str.contains("2 different PatientIDs").tolist() == [True, True]


@pytest.mark.parametrize(
    ("cohort", "studies"),
    [
        ({"PatientID": ["123"]}, [JOHN, JOHN | {"AccessionNumber": "A3"}]),
        ({"PatientID": ["123"]}, [JOHN, JOHN | {"PatientBirthDate": ""}]),
        ({"PatientID": ["123"], "IssuerOfPatientID": ["A"]}, [JOHN | {"IssuerOfPatientID": site} for site in "AB"]),
        ({"PatientName": ["?O*"]}, [JOHN, ANNA]),
    ],
)
def test_matches_of_one_patient_and_of_wildcards_are_not(
    pacs: Archive, cohort: dict[str, list[str]], studies: list[dict[str, str]]
) -> None:
    found = dm.find(pd.DataFrame(cohort), pacs(*studies), broad="allow", progress=False)
    assert set(found["outcome"]) == {"matched"}
    assert not found["advice"].str.contains("different", na=False).any()
    assert "PatientBirthDate" not in found


@dataclass(frozen=True)
class KnowsNoIssuer(FindFault):
    """C-FIND ignores the issuer of the PatientID, and returns none."""

    def on_query(self, request: Request, identifier: Dataset) -> None:  # noqa: ARG002 (as in `Fault`)
        identifier.IssuerOfPatientID = ""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002
        for match in matches:
            match.IssuerOfPatientID = ""
        return matches


@pytest.mark.parametrize("model", ["StudyRoot", "PatientRoot"])
@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_an_issuer_that_the_pacs_does_not_return_is_told(pacs: Archive, level: str, model: str) -> None:
    """Two sites have given the same PatientID, and nothing else tells the patients apart."""
    two = [JOHN | {"IssuerOfPatientID": site, "PatientBirthDate": ""} for site in "AB"]
    here, cohort = pacs(*two, faults=[KnowsNoIssuer()]), pd.DataFrame({"PatientID": ["123"], "IssuerOfPatientID": "A"})
    with pytest.warns(dm.errors.FindWarning, match="does not return IssuerOfPatientID for 1 rows"):
        found = dm.find(cohort, here, level=level, query_model=model, progress=False)
    assert found["advice"].str.contains("does not return IssuerOfPatientID").tolist() == [True, True]
    assert found["advice"].str.count("another site").tolist() == [1, 1]
    by_uid = found.iloc[:1][["PatientID", "IssuerOfPatientID", "StudyInstanceUID"]]
    with_number = cohort.assign(AccessionNumber=found["AccessionNumber"].iloc[0])
    for quiet in (cohort[["PatientID"]], by_uid, with_number):
        again = dm.find(quiet, here, level=level, query_model=model, progress=False)
        assert set(again["outcome"]) == {"matched"}
        assert not again["advice"].str.contains("Issuer", na=False).any()


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_a_study_of_another_issuer_is_left_out_in_patient_root(pacs: Archive, level: str) -> None:
    """Only the level PATIENT is asked with the issuer: the PACS returns it with the studies, if it is asked for."""
    here = pacs(*(JOHN | {"IssuerOfPatientID": site, "PatientBirthDate": ""} for site in "AB"))
    cohort = pd.DataFrame({"PatientID": ["123"], "IssuerOfPatientID": ["A"]})
    with pytest.warns(dm.errors.FindWarning, match="are not what the rows ask for"):
        found = dm.find(cohort, here, level=level, query_model="PatientRoot", progress=False)
    assert found[["matches", "filtered"]].to_numpy().tolist() == [[1, 1]]
    assert "1 had another IssuerOfPatientID" in found["advice"].iloc[0]


def test_an_answer_that_was_kept_says_it_again(pacs: Archive, tmp_path: Path) -> None:
    here, cohort = pacs(JOHN, ANNA | {"AccessionNumber": "A1"}), pd.DataFrame({"AccessionNumber": ["A1"]})
    for _ in range(2):
        with pytest.warns(dm.errors.FindWarning, match="more than one patient"):
            found = dm.find(cohort, here, journal=tmp_path / "found.sqlite", progress=False)
        assert found["advice"].str.contains("2 different PatientIDs").all()


def test_an_answer_that_was_kept_names_the_issuer_again(pacs: Archive, tmp_path: Path) -> None:
    here, cohort = pacs(JOHN, faults=[KnowsNoIssuer()]), pd.DataFrame({"PatientID": ["123"], "IssuerOfPatientID": "A"})
    for _ in range(2):
        with pytest.warns(dm.errors.FindWarning, match="does not return IssuerOfPatientID for 1 rows"):
            found = dm.find(cohort, here, journal=tmp_path / "found.sqlite", progress=False)
        assert found["advice"].str.count("another site").tolist() == [1]


def test_an_answer_that_broke_off_says_it_and_keeps_no_more(pacs: Archive) -> None:
    here = pacs(JOHN, ANNA | {"AccessionNumber": "A1"}, faults=[BreaksOff()])
    with pytest.warns(dm.errors.FindWarning, match="more than one patient"):
        found = dm.find(pd.DataFrame({"AccessionNumber": ["A1"]}), here, progress=False)
    assert found["outcome"].tolist() == ["partial", "partial"]
    assert found["advice"].str.contains("2 different PatientIDs").all()


def test_a_study_without_an_accession_number_is_not_that_of_the_row(pacs: Archive) -> None:
    """The PACS ignores accession numbers, and one study of the patient came from another hospital without one."""
    here = pacs(JOHN, JOHN | {"AccessionNumber": ""}, faults=[faults.IgnoresKeys()])
    cohort = pd.DataFrame({"PatientID": ["123"], "AccessionNumber": ["A1"]})
    with pytest.warns(dm.errors.FindWarning, match="are not what the rows ask for"):
        found = dm.find(cohort, here, progress=False)
    assert found[["matches", "filtered"]].to_numpy().tolist() == [[1, 1]]
    assert "1 came without AccessionNumber, by which the row asked" in found["advice"].iloc[0]


@pytest.mark.parametrize(("header", "there"), [("AccessionNumber", "A1"), ("accession", None)])
def test_a_typed_cell_stays_where_the_pacs_returns_a_blank(pacs: Archive, header: str, there: str | None) -> None:
    here = pacs(JOHN | {"AccessionNumber": ""}, faults=[faults.IgnoresKeys()])
    cohort = pd.DataFrame({"PatientID": ["123", "999"], header: ["A1", "A9"]})
    found = dm.find(cohort, here, progress=False)
    assert found["outcome"].tolist() == ["matched", "empty"]
    assert [None if pd.isna(cell) else cell for cell in found["AccessionNumber"]] == [there, "A9"]
    assert found[header].iloc[0] == "A1"
    assert "AccessionNumber_asked" not in found.columns


def test_the_only_answer_without_an_accession_number_is_told(pacs: Archive) -> None:
    here = pacs(JOHN | {"AccessionNumber": ""}, faults=[faults.IgnoresKeys()])
    found = dm.find(pd.DataFrame({"PatientID": ["123"], "AccessionNumber": ["A1"]}), here, progress=False)
    assert found["outcome"].tolist() == ["matched"]
    assert "does not repeat AccessionNumber" in found["advice"].iloc[0]


@pytest.mark.parametrize("verb", [dm.plan, dm.move, dm.retrieve])
def test_a_whole_patient_of_one_issuer_is_warned_of(pacs: Archive, verb: Callable[..., pd.DataFrame]) -> None:
    """A C-MOVE of a patient names the PatientID alone."""
    here = pacs(*(JOHN | {"IssuerOfPatientID": site} for site in "AB"))
    cohort = pd.DataFrame({"PatientID": ["123", "456"], "IssuerOfPatientID": ["A", None]})
    options: dict[str, Any] = {"level": "PATIENT", "query_model": "PatientRoot", "progress": False}
    with pytest.warns(dm.errors.CohortWarning, match="1 of 2 rows bring a whole patient and name an IssuerOfPatientID"):
        verb(cohort, here, here.destination, **options)
    verb(cohort[["PatientID"]], here, here.destination, **options)
