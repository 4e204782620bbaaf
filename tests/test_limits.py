"""Limits of what a run may bring: they are kept before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.run.table.estimates import Sizes
from dicomove.testing import RunningPacs, Synthetic, faults
from tests import receiving

ARCHIVE = Synthetic(studies=4, series=2, instances=3, size=64)
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def pacs(rehearsal_pacs: Callable[..., RunningPacs]) -> RunningPacs:
    return rehearsal_pacs(ARCHIVE)


def moved(pacs: RunningPacs, **options: object) -> pd.DataFrame:
    return dm.move(receiving.studies(ARCHIVE, 4), pacs, pacs.destination, progress=False, **options)  # type: ignore[arg-type]  # of a test


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_studies": 3}, "would bring 4 studies, and max_studies is 3. Nothing was sent"),
        ({"max_instances": 23}, "would bring 24 instances, and max_instances is 23"),
        ({"max_bytes": 1_000_000}, "bytes, as far as can be estimated, and max_bytes is 1,000,000"),
        ({"max_studies": 3, "max_per_row": 6}, "would bring 4 studies"),
    ],
)
def test_a_run_that_would_bring_more_is_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        with pytest.raises(dm.CohortError, match=said):
            receiving.move(receiving.studies(ARCHIVE, 4), pacs, receiver, **options)
        assert receiving.files(tmp_path) == {}


@pytest.mark.parametrize("options", [{"max_studies": 4, "max_instances": 24}, {"max_bytes": 10**9}, {"max_per_row": 6}])
def test_a_run_within_the_limits_goes(pacs: RunningPacs, options: dict[str, object]) -> None:
    assert moved(pacs, **options)["outcome"].tolist() == ["complete"] * 4


def test_a_row_that_is_too_large_stays_and_the_others_go(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        series = dm.find(receiving.studies(ARCHIVE, 2), pacs, level="SERIES", progress=False)
        rows = pd.concat([receiving.studies(ARCHIVE, 1), series.iloc[2:3][["StudyInstanceUID", "SeriesInstanceUID"]]])
        rows["QueryRetrieveLevel"] = ["STUDY", "SERIES"]
        result = receiving.move(rows, pacs, receiver, max_per_row=3)
    assert result["outcome"].tolist() == ["invalid", "complete"]
    assert result["error"].iloc[0] == "too_large"
    assert result["advice"].iloc[0].startswith("6 instances, and max_per_row is 3")
    assert result["expected"].tolist() == [6, 3]
    assert len(receiving.files(tmp_path)) == 3


def test_rows_without_a_number_cannot_keep_a_limit(tmp_path: Path) -> None:
    hides = faults.NoRelatedCounts()
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, hides, source=ARCHIVE) as pacs:
        with pytest.raises(dm.CohortError, match="does not say how many instances 4 of 4 rows hold"):
            receiving.move(receiving.studies(ARCHIVE, 4), pacs, receiver, max_instances=100)
        result = receiving.move(receiving.studies(ARCHIVE, 1), pacs, receiver, max_per_row=100)
    assert receiving.row(result, "outcome", "error") == ("invalid", "too_large")
    assert "limit cannot be kept" in result["advice"].iloc[0]


PATIENTS = Synthetic(studies=5, instances=1, size=64, patients=2)
WHOLE = pd.DataFrame({"PatientID": list(dict.fromkeys(one.patient_id for one in PATIENTS.instances_of_all()))})
OF_PATIENTS: Any = {"level": "PATIENT", "query_model": "PatientRoot"}


def test_each_study_of_a_whole_patient_counts(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=PATIENTS) as pacs:
        with pytest.raises(dm.CohortError, match="would bring 5 studies, and max_studies is 4"):
            receiving.move(WHOLE, pacs, receiver, max_studies=4, **OF_PATIENTS)
        assert receiving.files(tmp_path) == {}
        result = receiving.move(WHOLE, pacs, receiver, max_studies=5, **OF_PATIENTS)
    assert set(result["outcome"]) == {"complete"}


def test_a_patient_whose_studies_are_unknown_cannot_keep_a_limit(tmp_path: Path) -> None:
    refuses = faults.AnswersFind(status=0xA700)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, refuses, source=PATIENTS) as pacs:
        with pytest.raises(dm.CohortError, match="how many studies 2 of 2 patients have"):
            receiving.move(WHOLE, pacs, receiver, max_studies=5, **OF_PATIENTS)
        assert receiving.files(tmp_path) == {}


def test_instances_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    rows = receiving.studies(ARCHIVE, 4)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        dm.move(rows[:2], pacs, receiver, progress=False)
        result = dm.move(rows, pacs, receiver, progress=False, max_studies=2, max_instances=12)
    assert result["outcome"].tolist() == ["complete"] * 4
    assert result["resumed"].tolist() == [True, True, False, False]


@pytest.mark.parametrize("name", ["max_studies", "max_instances", "max_bytes", "max_per_row"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_a_limit_that_cannot_be_right(pacs: RunningPacs, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}="):
        moved(pacs, **{name: value})


def test_sizes_are_learnt_from_the_folder() -> None:
    sizes = Sizes([(CT, 1000 + number) for number in range(21)])
    assert sizes.of("CT\\SR").median == 1010
    assert sizes.of("CT").low < 1010 < sizes.of("CT").high
    assert sizes.of("MR") == Sizes([]).of("MR")
