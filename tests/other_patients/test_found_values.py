"""What a PACS gave goes back to it as it is, whatever its shape; a typed UID asks alone, whatever narrows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pandas as pd
import pytest

import dicomove as dm
from tests.model.world import World, shared
from tests.other_patients.archive import ROOT, STUDIES, Study, archive

pytestmark = pytest.mark.timeout(60)

PLAIN: Final = replace(STUDIES[4], patient="P7", accession="A77", series=2)
ODD: Final = {
    "a UID with leading zeros": replace(PLAIN, other_uid=f"{ROOT}.2011.05453119.1"),
    "a UID that ends in a zero component": replace(PLAIN, other_uid=f"{ROOT}.00.1"),
    "a description with a backslash": replace(PLAIN, description="CT HEAD\\NECK"),
    "a description of 90 characters": replace(PLAIN, description="x" * 90),
    "a description with a line break": replace(PLAIN, description="CT HEAD\r\nNECK"),
    "a description with a wildcard": replace(PLAIN, description="CT *"),
    "an accession number with a point": replace(PLAIN, accession="20240.0"),
    "an accession number with a backslash": replace(PLAIN, accession="2024\\17"),
    "an accession number in scientific notation": replace(PLAIN, accession="1.2E+05"),
    "an accession number that is an error": replace(PLAIN, accession="#N/A"),
    "a patient ID of 70 characters": replace(PLAIN, patient="7" * 70),
    "a patient ID with a tab": replace(PLAIN, patient="00\t7"),
    "a patient ID with an apostrophe": replace(PLAIN, patient="'007"),
    "a patient ID with thousands points": replace(PLAIN, patient="1.234.567"),
    "a time of 24 o'clock": replace(PLAIN, time="240000"),
    "a date of before 1985": replace(PLAIN, date="1984.01.05"),
}


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.parametrize("name", sorted(ODD))
def test_found_values_are_found_again_and_moved(name: str, level: str) -> None:
    study = ODD[name]
    keys = ["StudyDescription", "StudyTime", "AccessionNumber"]
    with World(archive((study, STUDIES[0]))) as world:
        world.forget_arrivals()
        table = pd.DataFrame({"StudyInstanceUID": [study.uid]})
        found = dm.find(table, world.pacs(), keys=keys, progress=False)
        again = dm.find(found, world.pacs(), level=level, keys=keys, progress=False)
        moved = dm.move(again, world.pacs(), shared().receiver, level=level, journal=False, progress=False)
        landed = {one.uid for one in world.arrived("RECEIVER")}
    assert found["outcome"].tolist() == ["matched"], found["advice"].tolist()
    assert set(again["outcome"]) == {"matched"}, again["advice"].tolist()
    assert set(moved["outcome"]) == {"complete"}, moved["advice"].tolist()
    assert landed == {study.instance_uid(series) for series in (1, 2)}


BESIDE: Final = {
    "a date with the month first": {"StudyDate": "01-31-2000"},
    "a time with noise": {"StudyDate": "20240105", "StudyTime": "101500.00000000002"},
    "a birth date of Excel": {"PatientBirthDate": "18264"},
}
#: Keys that name a patient or a study: with what they held, nothing can be compared.
UNKNOWN_BESIDE: Final = {
    "AccessionNumber": "1.2E+05",
    "PatientID": "=B2",
    "PatientName": "#NAME?",
    "StudyID": "1.0",
}


@pytest.mark.parametrize("name", sorted(BESIDE))
@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_a_uid_asks_alone_whatever_stands_beside_it(name: str, level: str) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [PLAIN.uid], **{key: [value] for key, value in BESIDE[name].items()}})
    with World(archive((PLAIN, STUDIES[0]))) as world:
        found = dm.find(table, world.pacs(), level=level, progress=False)
    assert set(found["outcome"]) == {"matched"}, found["advice"].tolist()
    assert set(found["asked_by"]) == {"StudyInstanceUID"}
    assert found["advice"].notna().all()


@pytest.mark.parametrize("name", sorted(UNKNOWN_BESIDE))
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_a_uid_brings_nothing_beside_a_name_that_cannot_be_read(name: str, level: str) -> None:
    """And its neighbour, where the cell is blank, is asked for."""
    table = pd.DataFrame({"StudyInstanceUID": [PLAIN.uid] * 2, name: [UNKNOWN_BESIDE[name], ""]})
    with World(archive((PLAIN, STUDIES[0]))) as world:
        found = dm.find(table, world.pacs(), level=level, progress=False)
    unread, *asked = found.to_dict("records")
    assert (unread["outcome"], unread["error"]) == ("invalid", "invalid_row")
    assert pd.isna(unread["asked_by"])
    assert unread["advice"].startswith(f"{name} ")
    assert "Leave the cell blank" in unread["advice"]
    assert {row["outcome"] for row in asked} == {"matched"}


@pytest.mark.parametrize("uid", ["urn:oid:{}", "\u200e{}", "{}\u00a0", "\ufeff{}"])
def test_a_uid_in_other_clothes_is_asked_for_or_said(uid: str) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [uid.format(PLAIN.uid)]})
    with World(archive((PLAIN, STUDIES[0]))) as world:
        found = dm.find(table, world.pacs(), progress=False)
    row = found.iloc[0]
    assert row["outcome"] == "matched" or (row["outcome"] == "invalid" and "StudyInstanceUID" in row["advice"])


@pytest.mark.parametrize(
    ("headers", "mine"), [(["StudyInstanceUID", "acc", "auc"], "acc"), (["study_id", "accession"], "study_id")]
)
def test_words_of_research_tables_are_not_keys(headers: list[str], mine: str) -> None:
    """acc is an accuracy, and study_id the number of a case."""
    values = {
        "StudyInstanceUID": PLAIN.uid,
        "accession": PLAIN.accession,
        "acc": "0.93",
        "auc": "0.95",
        "study_id": "1",
    }
    study: Study = PLAIN
    with World(archive((study, STUDIES[0]))) as world:
        found = dm.find(pd.DataFrame({name: [values[name]] for name in headers}), world.pacs(), progress=False)
    assert found["outcome"].tolist() == ["matched"]
    assert found[mine].tolist() == [values[mine]]
    assert mine not in found["asked_by"].iloc[0]
    assert "StudyID" not in found["asked_by"].iloc[0].split(", ")
