"""Forms in which databases and pandas write what they know: moments with a zone, floats, OIDs, labels of two levels."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dicomove import find, move, read_cohort
from dicomove.cohort import Query, find_queries, keyword, unasked_columns
from dicomove.errors import CohortWarning, IdentifierError
from dicomove.testing import demo_pacs

LATE = pd.Timestamp("2024-01-04 23:00", tz="UTC")  # midnight in Berlin, the day after


def asked(level: str = "STUDY", **cells: object) -> Query:
    (query,) = find_queries(
        pd.DataFrame({"AccessionNumber": ["A1"], **{name: [cell] for name, cell in cells.items()}}), level
    )
    assert isinstance(query, Query)
    return query


@pytest.mark.parametrize(
    ("cell", "zone"),
    [
        (LATE, "UTC"),
        (LATE.tz_convert("Europe/Berlin"), None),
        (LATE.to_pydatetime(), "UTC"),
        (LATE.tz_localize(None), None),
        (pd.Timestamp("2024-01-05", tz="UTC"), None),
        (dt.date(2024, 1, 5), None),
    ],
)
def test_a_moment_in_a_time_zone_says_which_day_counts(cell: object, zone: str | None) -> None:
    notes = asked(StudyDate=cell).notes
    assert notes == ((f"StudyDate was a moment: its day in the time zone {zone} counts",) if zone else ())


def test_a_moment_in_a_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"AccessionNumber": ["A1"], "StudyDate": [LATE]}).to_parquet(tmp_path / "a.parquet")
    with pytest.warns(CohortWarning, match="StudyDate: a moment in the time zone UTC"):
        read_cohort(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("103045.0", "103045-103045.999999"),
        ("10:30:45.000", "103045-103045.999999"),
        ("103045.5", "103045.5"),
        ("103045.0-110000.0", "103045-110000.999999"),
    ],
)
def test_a_time_with_a_fraction_of_zero_is_its_second(written: str, sent: str) -> None:
    assert dict(asked(StudyTime=written).steps[0].keys)["StudyTime"] == sent


def test_a_whole_number_with_a_fraction_of_zero() -> None:
    assert dict(asked("SERIES", SeriesNumber="3.0").steps[-1].keys)["SeriesNumber"] == "3"
    (query,) = find_queries(pd.DataFrame({"AccessionNumber": ["A1"], "SeriesNumber": ["3.5"]}), "SERIES")
    assert isinstance(query, IdentifierError)


@pytest.mark.parametrize("prefix", ["oid:", "OID:", "OID: ", "urn:oid: ", "URN:OID:"])
def test_a_uid_that_is_written_as_an_oid(prefix: str) -> None:
    (query,) = find_queries(pd.DataFrame({"StudyInstanceUID": [f"{prefix}1.2.3"]}))
    assert isinstance(query, Query)
    assert dict(query.steps[0].keys) == {"StudyInstanceUID": "1.2.3"}


@pytest.mark.parametrize("second", ["", " ", None, np.nan, pd.NA, "Unnamed: 0_level_1"])
def test_a_label_with_a_blank_second_level(second: object) -> None:
    assert keyword(("PatientID", second)) == "PatientID"
    assert keyword((second, "Patient ID")) == "PatientID"
    assert keyword(("PatientID", "first")) is None
    assert keyword(("Unnamed: 0_level_0", second)) is None


def test_no_study_is_nearest_to_a_date_of_another_calendar() -> None:
    with demo_pacs() as pacs:
        found = find(
            pd.DataFrame({"PatientName": ["*"], "PatientID": ["P001"], "StudyDate": ["2567-01-10"]}),
            pacs,
            matches="nearest",
            progress=False,
        )
    assert found["outcome"].tolist() == ["invalid"]
    assert "another calendar" in found["advice"][0]


def test_the_columns_of_results_are_not_taken_for_overlooked_ones() -> None:
    with demo_pacs() as pacs:
        found = find(pd.DataFrame({"AccessionNumber": ["A0001", "A9999"]}), pacs, progress=False)
        results = move(found, pacs, pacs.destination, progress=False)
        assert unasked_columns(results, by_uid=True) == []
        assert find(results, pacs, level="SERIES", progress=False)["outcome"].iloc[-1] == "empty"
