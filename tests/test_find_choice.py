"""Which of several studies a row means: `matches=` and `within=` of `find`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom import dcmread
from pydicom.uid import UID

import dicomove as dm
from dicomove.testing import RunningPacs, Synthetic, faults
from tests import receiving
from tests.servers import Here, Server

#: Each of the two patients has ten studies, 36.6 days apart from the next: SYN000001 from 2024-01-01.
ARCHIVE = Synthetic(studies=20, instances=1, size=64, patients=2)


@pytest.fixture
def pacs(rehearsal_pacs: Callable[..., RunningPacs]) -> RunningPacs:
    return rehearsal_pacs(ARCHIVE)


def found(table: pd.DataFrame, pacs: dm.Pacs, **options: object) -> pd.DataFrame:
    return dm.find(table, pacs, progress=False, **options)  # type: ignore[arg-type]  # the options of a test


def cohort(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"PatientID": ["SYN000001"], **{name: [value] for name, value in columns.items()}})


@pytest.mark.parametrize(("matches", "date"), [("newest", "20241125"), ("oldest", "20240101")])
def test_the_newest_and_the_oldest(pacs: RunningPacs, matches: str, date: str) -> None:
    studies = found(cohort(), pacs, matches=matches)
    assert studies["StudyDate"].tolist() == [date]
    assert f"the {matches} of 10 studies that match" in studies["advice"].iloc[0].lower()
    assert studies["outcome"].tolist() == ["matched"]


def test_one_is_ambiguous_where_several_match(pacs: RunningPacs) -> None:
    studies = found(cohort(), pacs, matches="one")
    row = studies.iloc[0]
    assert (row["outcome"], row["error"], row["matches"]) == ("ambiguous", "ambiguous", 10)
    assert pd.isna(row["StudyInstanceUID"])
    assert row["advice"].startswith("10 studies match")
    results = dm.move(studies, pacs, pacs.destination, progress=False)
    assert results[["outcome", "error", "attempts"]].to_dict("records") == [
        {"outcome": "invalid", "error": "ambiguous", "attempts": 0}
    ]
    assert dm.plan(studies, pacs, progress=False)["action"].tolist() == ["invalid"]


def test_one_is_found_where_one_matches(pacs: RunningPacs) -> None:
    studies = found(cohort(AccessionNumber="000003"), pacs, matches="one")
    assert studies["outcome"].tolist() == ["matched"]


@pytest.mark.parametrize(
    ("date", "within", "expected"),
    [
        ("2024-02-10", None, ["20240206"]),
        (dt.date(2024, 2, 10), "4 days", ["20240206"]),
        ("2024-02-10", "3 days", [None]),
        ("20240206", "0 days", ["20240206"]),
        ("19990101", None, ["20240101"]),
    ],
)
def test_the_nearest(pacs: RunningPacs, date: object, within: str | None, expected: list[str | None]) -> None:
    studies = found(cohort(StudyDate=date), pacs, matches="nearest", within=within)
    told = [None if pd.isna(value) else value for value in studies["StudyDate"]] if expected != [None] else [None]
    assert told == expected
    assert studies["outcome"].tolist() == ["matched" if expected != [None] else "empty"]


def test_two_that_are_equally_near(pacs: RunningPacs) -> None:
    """2024-01-01 and 2024-02-06 are 36 days apart."""
    studies = found(cohort(StudyDate="20240119"), pacs, matches="nearest")
    assert studies["outcome"].tolist() == ["ambiguous"]
    assert "2 of them are equally nearest" in studies["advice"].iloc[0]


def test_each_row_has_its_own_date(pacs: RunningPacs) -> None:
    table = pd.DataFrame(
        {"PatientID": ["SYN000001"] * 4, "StudyDate": ["2024-01-03", "", "20241231", "2024-01-01-2024-02-01"]}
    )
    studies = found(table, pacs, matches="nearest", within="60 days")
    assert studies["outcome"].tolist() == ["matched", "invalid", "matched", "invalid"]
    assert studies["StudyDate"].tolist()[0] == "20240101"
    assert studies["StudyDate_asked"].tolist()[0] == "2024-01-03"
    assert studies["cohort_row"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("date", ["202411", "2024-1-15", "15.1.2024", "5.1.2024", "24-01-15", "20240101-", "-20240601"])
def test_a_date_in_another_form_is_not_guessed(pacs: RunningPacs, date: str) -> None:
    """Python reads 202411 as the first of January, and 2024-1-15 as the fifth of November."""
    studies = found(cohort(StudyDate=date), pacs, matches="nearest")
    assert studies["outcome"].tolist() == ["invalid"]
    assert "StudyDate is not" in studies["advice"].iloc[0]


def test_all_series_of_the_chosen_study(here: Here) -> None:
    table = pd.DataFrame({"PatientID": ["000123"]})
    everything = found(table, here.pacs, level="SERIES")
    oldest = found(table, here.pacs, level="SERIES", matches="oldest")
    assert len(set(oldest["StudyInstanceUID"])) == 1
    assert len(oldest) == (everything["StudyInstanceUID"] == oldest["StudyInstanceUID"].iloc[0]).sum() > 1


def test_real_pacs(server: Server) -> None:
    newest = found(pd.DataFrame({"PatientID": ["000123"]}), server.pacs, matches="newest")
    assert newest["StudyDate"].tolist() == ["20240617"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"matches": "best"}, "matches='best' is not one of all, one, newest, oldest, nearest"),
        ({"matches": "one", "within": "3 days"}, "belongs to matches"),
        ({"matches": "nearest", "within": "soon"}, "is not a whole number of days"),
        ({"matches": "nearest", "within": "-3 days"}, "is not a whole number of days"),
        ({"matches": "nearest", "within": "12 hours"}, "is not a whole number of days"),
        ({"matches": "nearest", "within": 3}, 'within=3 has no unit: write within="3 days"'),
        ({"matches": "nearest"}, "needs the column StudyDate"),
    ],
)
def test_rows_that_cannot_be_asked(pacs: RunningPacs, options: dict[str, object], said: str) -> None:
    with pytest.raises(dm.CohortError, match=said):
        found(cohort(), pacs, **options)


def test_retrieve_takes_them(pacs: RunningPacs) -> None:
    results = dm.retrieve(cohort(), pacs, pacs.destination, matches="newest", progress=False)
    assert results["outcome"].tolist() == ["complete"]
    verdicts = dm.verdicts(cohort(), dm.retrieve(cohort(), pacs, pacs.destination, matches="one", progress=False))
    assert verdicts["outcome"].tolist() == ["invalid"]


# --------------------------------------------------------------------------------------------------- two studies a day


def day(pacs: dm.Pacs, **columns: object) -> pd.DataFrame:
    """Ask for the patient of `TWO_A_DAY` with one row."""
    options = {name: columns.pop(name) for name in ("matches", "within") if name in columns}
    return found(cohort(**columns), pacs, **options)


#: One patient, with studies at 00:00 and 12:00 of each day of the year.
TWO_A_DAY = Synthetic(studies=2 * 366, instances=1, size=64, patients=1)


@pytest.fixture
def two_a_day(rehearsal_pacs: Callable[..., RunningPacs]) -> RunningPacs:
    return rehearsal_pacs(TWO_A_DAY)


@pytest.mark.parametrize(("matches", "accession"), [("newest", "000732"), ("oldest", "000001")])
def test_the_newest_of_two_on_one_day_is_that_of_the_later_time(
    two_a_day: RunningPacs, matches: str, accession: str
) -> None:
    assert day(two_a_day, matches=matches)["AccessionNumber"].tolist() == [accession]


@pytest.mark.parametrize(
    ("time", "accession"), [("11:15", "000004"), ("0100", "000003"), (dt.time(23, 59), "000004"), ("06:00:00", None)]
)
def test_the_nearest_of_two_on_one_day_is_decided_by_the_time(
    two_a_day: RunningPacs, time: object, accession: str | None
) -> None:
    one = day(two_a_day, matches="nearest", within="1 day", StudyDate="2024-01-02", StudyTime=time)
    if accession is None:
        assert one["outcome"].tolist() == ["ambiguous"]
    else:
        assert one["AccessionNumber"].tolist() == [accession]


def test_the_nearest_of_two_on_one_day_without_a_time_is_ambiguous(two_a_day: RunningPacs) -> None:
    for columns in ({}, {"StudyTime": ""}):
        one = day(two_a_day, matches="nearest", within="1 day", StudyDate="2024-01-02", **columns)
        assert one["outcome"].tolist() == ["ambiguous"]
        assert "2 of them are equally nearest. A StudyTime in the row would decide." in one["advice"].iloc[0]


@pytest.mark.parametrize("time", ["0800-0900", "10:75", "morning"])
def test_a_time_that_is_not_one_is_invalid(two_a_day: RunningPacs, time: str) -> None:
    one = day(two_a_day, matches="nearest", StudyDate="2024-01-02", StudyTime=time)
    assert one["outcome"].tolist() == ["invalid"]
    assert "StudyTime is not" in one["advice"].iloc[0]


# ------------------------------------------------------------------------------ several studies of one accession number


@pytest.fixture
def of_one_number(rehearsal_pacs: Callable[..., RunningPacs], tmp_path: Path) -> Callable[..., RunningPacs]:
    """Makes a PACS with two studies of one accession number on one day."""

    def made(*patients: str) -> RunningPacs:
        for number, patient in enumerate(patients):
            image = dcmread(Path(pydicom.__file__).with_name("data") / "test_files" / "CT_small.dcm")
            image.PatientID, image.AccessionNumber = patient, "A1"
            image.StudyDate, image.StudyTime = "20240105", f"{8 + number:02}0000"
            study = f"1.2.{number + 1}"
            image.StudyInstanceUID, image.SeriesInstanceUID = UID(study), UID(f"{study}.1")
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{study}.1.1")
            image.save_as(tmp_path / f"{number}.dcm")
        return rehearsal_pacs(tmp_path)

    return made


@pytest.mark.parametrize(
    ("options", "uid"),
    [({"matches": "newest"}, "1.2.2"), ({"matches": "oldest"}, "1.2.1"), ({"time": "8:15"}, "1.2.1")],
)
def test_the_time_decides_also_for_an_accession_number(
    of_one_number: Callable[..., RunningPacs], options: dict[str, str], uid: str
) -> None:
    table = pd.DataFrame({"AccessionNumber": ["A1"]})
    if "time" in options:
        table, options = table.assign(StudyDate="2024-01-05", StudyTime=options["time"]), {"matches": "nearest"}
    studies = found(table, of_one_number("1", "1"), **options)
    assert studies["StudyInstanceUID"].tolist() == [uid]


def test_no_key_of_studies_is_asked_of_patients() -> None:
    seen: list[tuple[str, ...]] = []

    class Noting(faults.Fault):
        commands = ("C-FIND",)

        def on_request(self, request: faults.Request) -> None:
            seen.append(request.keywords)

    with receiving.pacs({}, Noting(), source=ARCHIVE) as pacs:
        patients = found(cohort(), pacs, level="PATIENT", query_model="PatientRoot", matches="newest")
    assert patients["outcome"].tolist() == ["matched"]
    assert seen
    assert not any("StudyTime" in keywords for keywords in seen)


@pytest.mark.parametrize("matches", ["newest", "oldest", "nearest", "one"])
def test_no_date_decides_between_two_patients(of_one_number: Callable[..., RunningPacs], matches: str) -> None:
    table = pd.DataFrame({"AccessionNumber": ["A1"], "StudyDate": "20240105", "StudyTime": "0810"})
    table = table if matches == "nearest" else table[["AccessionNumber"]]
    studies = found(table, of_one_number("1", "2"), matches=matches)
    assert studies["outcome"].tolist() == ["ambiguous"]
    assert matches == "one" or "2 studies match, and they are of more than one patient" in studies["advice"].iloc[0]
