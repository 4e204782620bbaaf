"""A PACS whose answers lack what they are about, or are of other patients: no such image has a final name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.errors import DicomoveWarning
from dicomove.testing import faults
from dicomove.testing.faults.base import Fault, Request
from tests.model.world import World, shared
from tests.other_patients.archive import STUDIES, Study, archive
from tests.other_patients.arrival import (
    Arrival,
    arrive,
    no_other_patient_is_on_disk,
    no_request_has_a_hole,
    no_row_of_find_is_of_another_patient,
)
from tests.other_patients.meaning import Cell, named

pytestmark = pytest.mark.timeout(120)

JANE: Final = STUDIES[0]
#: Enough other patients: where an archive gives everything for each of its answers, the answers multiply.
FEW: Final = (STUDIES[0], STUDIES[2], STUDIES[10])
WAYS: Final = [(level, "StudyRoot") for level in ("STUDY", "SERIES", "IMAGE")] + [
    (level, "PatientRoot") for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")
]
SOME_WAYS: Final = [WAYS[0], WAYS[1], WAYS[3], WAYS[6]]
#: By what a row asks.
KEYS: Final = [
    ("PatientID",),
    ("AccessionNumber", "PatientID"),
    ("PatientID", "StudyInstanceUID"),
]
ABOUT_OTHERS: Final = [
    (faults.FindIgnoresAllKeys(),),
    (faults.FindIgnoresAllKeys(), faults.FindWithoutUid()),
    (faults.FindIgnoresAllKeys(), faults.FindWithEmptyUid()),
    (faults.FindIgnoresAllKeys(), faults.FindWithoutUpperUids()),
    (faults.FindIgnoresAllKeys(), faults.FindWithEmptyUpperUids()),
    (faults.FindIgnoresAllKeys(), faults.FindWithoutPatientId()),
    (faults.FindIgnoresAllKeys(), faults.FindWithWildcardUids()),
    (faults.FindIgnoresAllKeys(), faults.FindListsUids()),
    (faults.FindIgnoresAllKeys(), faults.MoveIgnoresKeys()),
    (faults.FindIgnoresAllKeys(), faults.FindFoldsPatientId()),
    (faults.FindIgnoresAllKeys(), faults.FindRepeatsAnswers()),
    (faults.IgnoresKeys(), faults.FindWithoutPatientId()),
    (faults.MatchesPrefixes(), faults.FindWithoutPatientId()),
    (faults.IgnoresCase(), faults.FindFoldsPatientId()),
    (faults.MoveIgnoresKeys(),),
    (faults.StoresAnotherStudy(),),
    (faults.OtherInstanceUids(), faults.MoveIgnoresKeys()),
    (faults.FindWithWildcardUids(), faults.MoveIgnoresKeys()),
]


def names(met: Sequence[Fault]) -> str:
    return "+".join(fault.name for fault in met)


def cohort(*studies: Study, keys: Sequence[str]) -> pd.DataFrame:
    rows = [
        {"line": f"line {number}"} | {key: study.values()[key] for key in keys} for number, study in enumerate(studies)
    ]
    return pd.DataFrame(rows, dtype=object)


def by(*studies: Study, keys: Sequence[str], level: str) -> list[set[str]]:
    return [named({key: Cell(study.values()[key], study.values()[key]) for key in keys}, level) for study in studies]


def met_by(
    *met: Fault,
    keys: Sequence[str],
    level: str = "STUDY",
    query_model: str = "StudyRoot",
    studies: Sequence[Study] = (JANE,),
) -> Arrival:
    with World(archive()) as world:
        world.meets(met)
        return arrive(world, lambda: cohort(*studies, keys=keys), level=level, query_model=query_model)


@pytest.mark.parametrize("keys", KEYS, ids="+".join)
@pytest.mark.parametrize("met", ABOUT_OTHERS, ids=names)
def test_unrequested_instances_have_no_final_name(met: tuple[Fault, ...], keys: tuple[str, ...]) -> None:
    with World(archive(FEW)) as world:
        world.meets(met)
        for level, query_model in SOME_WAYS:
            arrival = arrive(world, lambda: cohort(JANE, keys=keys), level=level, query_model=query_model)
            wanted = by(JANE, keys=keys, level=level)
            no_other_patient_is_on_disk(arrival, wanted)
            no_row_of_find_is_of_another_patient(arrival, wanted)
            no_request_has_a_hole(arrival)


@pytest.mark.parametrize(
    "fault", [faults.FindWithoutUid(), faults.FindWithEmptyUid(), faults.FindWithWildcardUids()], ids=str
)
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_an_answer_without_the_uid_of_its_level_is_not_a_match(fault: Fault, level: str) -> None:
    arrival = met_by(fault, keys=["PatientID"], level=level)
    assert arrival.found is not None
    row = arrival.found.iloc[0]
    assert row["outcome"] not in ("matched", "partial")
    assert isinstance(row["advice"], str)
    assert arrival.on_disk == set()


@pytest.mark.parametrize("fault", [faults.FindWithoutUpperUids(), faults.FindWithEmptyUpperUids()], ids=str)
@pytest.mark.parametrize(
    "keys", [("PatientID",), ("StudyInstanceUID",), ("StudyInstanceUID", "SeriesInstanceUID")], ids="+".join
)
@pytest.mark.parametrize(("level", "query_model"), WAYS)
def test_the_uids_above_are_carried_down(fault: Fault, keys: tuple[str, ...], level: str, query_model: str) -> None:
    if query_model == "PatientRoot":
        keys = ("PatientID", *(key for key in keys if key != "PatientID"))
    arrival = met_by(fault, keys=keys, level=level, query_model=query_model)
    assert arrival.moved is not None
    assert set(arrival.moved["outcome"]) == {"complete"}, arrival.moved["advice"].tolist()
    assert arrival.patients_on_disk == {"000123"}


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_an_answer_that_comes_twice_is_one_row(level: str) -> None:
    once, twice = (
        met_by(keys=["PatientID"], level=level),
        met_by(faults.FindRepeatsAnswers(), keys=["PatientID"], level=level),
    )
    assert once.found is not None
    assert twice.found is not None
    assert len(twice.found) == len(once.found)
    assert twice.moved is not None
    assert set(twice.moved["outcome"]) == {"complete"}


def test_a_padded_patient_id_is_the_same() -> None:
    arrival = met_by(faults.FindPadsPatientId(), keys=["PatientID"])
    assert arrival.moved is not None
    assert set(arrival.moved["outcome"]) == {"complete"}


def test_a_patient_id_in_another_case_is_said() -> None:
    arrival = met_by(faults.FindFoldsPatientId(), keys=["PatientID"], studies=STUDIES[6:7])
    assert arrival.found is not None
    row = arrival.found.iloc[0]
    assert row["outcome"] != "matched" or row["PatientID"] == "ABC-7"
    assert isinstance(row["advice"], str)


@pytest.mark.parametrize("keys", [("AccessionNumber",), ("PatientID",), ("PatientID", "AccessionNumber")], ids="+".join)
def test_images_of_another_patient_than_the_answer_said_are_told(keys: tuple[str, ...]) -> None:
    """The answers repeat the keys, whoever's study it is: only the images tell whose they are."""
    arrival = met_by(faults.FindEchoesKeys(), keys=keys)
    assert arrival.moved is not None
    others = ~arrival.moved["StudyInstanceUID"].isin([study.uid for study in STUDIES if study.patient == "000123"])
    told = arrival.moved["advice"].notna() | (arrival.moved["outcome"] != "complete")
    assert "PatientID" not in keys or told[others].all()


#: Her study has no PatientID in the archive.
LEA: Final = STUDIES[10]


@pytest.mark.parametrize(
    ("beside", "of"),
    [("PatientID", LEA), ("AccessionNumber", STUDIES[9])],
    ids=["the study has no PatientID", "the study has no accession number"],
)
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_a_uid_does_not_bring_a_study_that_lacks_what_stands_beside_it(beside: str, of: Study, level: str) -> None:
    mixed_up = pd.DataFrame({"StudyInstanceUID": [of.uid], beside: [JANE.values()[beside]]})
    with World(archive()) as world:
        arrival = arrive(world, lambda: mixed_up, level=level, query_model="StudyRoot")
    assert arrival.found is not None
    assert arrival.found["outcome"].tolist() == ["empty"]
    assert f"does not find it by the {beside} of the row" in arrival.found["advice"].iloc[0]
    assert arrival.on_disk == set()


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_a_uid_brings_its_study_where_the_pacs_does_not_tell_the_patient(level: str) -> None:
    arrival = met_by(faults.FindWithoutPatientId(), keys=["StudyInstanceUID", "PatientID"], level=level)
    assert arrival.moved is not None
    assert set(arrival.moved["outcome"]) == {"complete"}, arrival.moved["advice"].tolist()
    assert arrival.patients_on_disk == {JANE.patient}


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_a_move_by_a_uid_brings_no_study_of_another_patient_than_the_row_names(level: str) -> None:
    keys = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"][: ["STUDY", "SERIES", "IMAGE"].index(level) + 1]
    his, hers = STUDIES[2].values(), JANE.values()
    table = pd.DataFrame([{"PatientID": JANE.patient} | {key: one[key] for key in keys} for one in (his, hers)])
    with World(archive()) as world:
        world.forget_arrivals()
        moved = dm.move(table, world.pacs(), shared().receiver, journal=False, progress=False)
        landed = {one.uid for one in world.arrived("RECEIVER")}
    assert moved["outcome"].tolist() == ["invalid", "complete"], moved["advice"].tolist()
    assert moved["error"].iloc[0] == "other_patient"
    assert moved["attempts"].tolist() == [0, 1]
    assert not landed & {STUDIES[2].instance_uid(series) for series in (1, 2)}


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("123", None),
        ("000123 ", None),
        ("000123", faults.FindWithoutPatientId()),
        ("000123", faults.AnswersFind(0xA900)),
    ],
    ids=["leading zeros", "padding", "the PACS does not tell", "no C-FIND"],
)
def test_a_move_by_a_uid_goes_where_the_pacs_does_not_contradict_the_patient(named: str, fault: Fault | None) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [JANE.uid], "PatientID": [named]})
    with World(archive()) as world:
        world.forget_arrivals()
        world.meets([fault] if fault else [])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DicomoveWarning)  # of what C-FIND does not tell
            moved = dm.move(table, world.pacs(), shared().receiver, journal=False, progress=False)
    assert moved["outcome"].tolist() == ["complete"], moved["advice"].tolist()


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.parametrize("query_model", ["StudyRoot", "PatientRoot"])
def test_a_move_by_a_uid_brings_no_study_of_another_request_than_the_row_names(level: str, query_model: str) -> None:
    """The two columns of the table are not in the same order."""
    keys = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"][: ["STUDY", "SERIES", "IMAGE"].index(level) + 1]
    keys += ["PatientID"] if query_model == "PatientRoot" else []
    his, hers = STUDIES[3].values(), JANE.values()
    table = pd.DataFrame([{"accession": "A2"} | {key: one[key] for key in keys} for one in (his, hers)])
    moved, landed = moved_by(table, query_model=query_model)
    assert moved["outcome"].tolist() == ["invalid", "complete"], moved["advice"].tolist()
    assert moved["error"].iloc[0] == "invalid_row"
    assert "under another AccessionNumber than the row names" in moved["advice"].iloc[0]
    assert not {"A2", "A21"} & set(moved["advice"].iloc[0].split())
    assert landed <= {JANE.instance_uid(series) for series in (1, 2)}


class RepeatsAccession(Fault):
    """C-FIND tells two accession numbers of each study."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002
        for match in matches:
            if "AccessionNumber" in match:
                match.AccessionNumber = ["B1", match.AccessionNumber]
        return matches


@pytest.mark.parametrize(
    ("study", "named", "fault"),
    [
        (STUDIES[4], "0017 ", None),
        (STUDIES[4], 17, None),
        (STUDIES[7], "A3", None),
        (STUDIES[9], "A2", None),
        (JANE, "A2", RepeatsAccession()),
        (STUDIES[4], "A2", faults.AnswersFind(0xA900)),
        (STUDIES[4], "", None),
    ],
    ids=["zeros", "a number", "case", "blank in the PACS", "two requests", "no C-FIND", "blank in the row"],
)
def test_a_move_by_a_uid_goes_where_the_pacs_does_not_contradict_the_accession_number(
    study: Study, named: object, fault: Fault | None
) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [study.uid], "AccessionNumber": pd.Series([named], dtype=object)})
    moved, landed = moved_by(table, *([fault] if fault else []))
    assert moved["outcome"].tolist() == ["complete"], moved["advice"].tolist()
    assert study.instance_uid(1) in landed


def test_a_uid_that_was_typed_beside_a_patient_who_was_found_is_compared() -> None:
    """A search for patients leaves the UIDs of the cohort as they are; a move without a level goes by them."""
    mixed_up = pd.DataFrame({"PatientID": [JANE.patient] * 2, "StudyInstanceUID": [STUDIES[3].uid, JANE.uid]})
    with World(archive()) as world:
        found = dm.find(mixed_up, world.pacs(), level="PATIENT", query_model="PatientRoot", progress=False)
        planned = dm.plan(found, world.pacs(), progress=False)
    assert found["outcome"].tolist() == ["matched"] * 2
    assert planned["action"].tolist() == ["invalid", "move"]
    moved, landed = moved_by(found)
    assert moved["error"].iloc[0] == "other_patient"
    assert moved["outcome"].tolist() == ["invalid", "complete"]
    assert landed <= {JANE.instance_uid(series) for series in (1, 2)}


def test_of_the_rows_that_name_one_study_one_right_accession_number_is_enough() -> None:
    """Two requests may have led to one study, of which the PACS tells one."""
    moved, _ = moved_by(pd.DataFrame({"StudyInstanceUID": [JANE.uid] * 2, "AccessionNumber": ["A2", "A99"]}))
    assert moved["outcome"].tolist() == ["complete"] * 2
    assert moved_by(moved)[0]["outcome"].tolist() == ["complete"] * 2


def moved_by(table: pd.DataFrame, *met: Fault, **options: Any) -> tuple[pd.DataFrame, set[str]]:
    """Move a typed table; and what came."""
    with World(archive()) as world:
        world.forget_arrivals()
        world.meets(list(met))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DicomoveWarning)  # of what C-FIND does not tell
            moved = dm.move(table, world.pacs(), shared().receiver, journal=False, progress=False, **options)
        return moved, {one.uid for one in world.arrived("RECEIVER")}


class RefusesPatientId(faults.AnswersFind):
    """C-FIND by a PatientID is refused."""

    def on_request(self, request: Request) -> None:
        if request.keys.get("PatientID"):
            super().on_request(request)


def test_a_uid_brings_nothing_where_it_cannot_be_asked_whose_the_study_is() -> None:
    mixed_up = pd.DataFrame({"StudyInstanceUID": [LEA.uid], "PatientID": [JANE.patient]})
    with World(archive()) as world:
        world.meets([RefusesPatientId(0xC000)])
        arrival = arrive(world, lambda: mixed_up)
    assert arrival.found is not None
    assert arrival.found[["outcome", "status"]].to_numpy().tolist() == [["failed", "0xC000"]]
    assert arrival.on_disk == set()


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.filterwarnings("ignore::dicomove.errors.FindWarning")
def test_rows_that_were_added_to_a_table_of_find_are_compared(level: str, *, again: bool) -> None:
    keys = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"][: ["STUDY", "SERIES", "IMAGE"].index(level) + 1]
    his = {key: STUDIES[2].values()[key] for key in keys}
    added = pd.DataFrame([his | {"PatientID": named} for named in (JANE.patient, "#N/A")])
    with World(archive()) as world:
        found = dm.find(pd.DataFrame({"PatientID": [JANE.patient]}), world.pacs(), level=level, progress=False)
        both = pd.concat([found, added], ignore_index=True)
        if again:
            both = dm.find(both, world.pacs(), level=level, progress=False)
        planned = dm.plan(both, world.pacs(), level=level, progress=False)
    assert planned["action"].tolist() == ["move"] * len(found) + (["nothing", "invalid"] if again else ["invalid"] * 2)
    moved, landed = moved_by(both, level=level)
    assert moved["outcome"].tolist()[: len(found)] == ["complete"] * len(found)
    assert moved["attempts"].tolist()[len(found) :] == [0, 0]
    assert not landed & {STUDIES[2].instance_uid(1)}


@pytest.mark.parametrize("headers", [("mrn", "Patient ID"), ("PatientID", "PatientID"), ("accession", "acc no")])
def test_where_two_columns_may_be_the_key_one_of_them_has_to_be_right(headers: tuple[str, str]) -> None:
    right = JANE.accession if "accession" in headers else JANE.patient
    rows = [[JANE.uid, "SOMEBODY", "OTHER"], [STUDIES[1].uid, "SOMEBODY", ""], [STUDIES[1].uid, "#N/A", "X"]]
    moved, landed = moved_by(pd.DataFrame(rows, columns=["StudyInstanceUID", *headers]))
    assert moved["outcome"].tolist() == ["invalid"] * 3
    assert not landed
    moved, _ = moved_by(pd.DataFrame([[JANE.uid, "SOMEBODY", right]], columns=["StudyInstanceUID", *headers]))
    assert moved["outcome"].tolist() == ["complete"]
