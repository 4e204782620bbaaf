"""A PACS answers a search that matches too much with nothing, or with a match or two, and Success."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pandas as pd
import pytest

import dicomove as dm
from dicomove.dimse import FindResult
from dicomove.search.limits import KnownLimits
from dicomove.testing import RunningPacs, Synthetic, faults
from tests import capped
from tests.capped import BROAD, KINDS, Capped, Study, asked, studies, uids

TEXTS = ("PatientID", "AccessionNumber", "StudyID")


def hiding(made: list[Study], most: int = 20, few: int = 0, **more: frozenset[str]) -> Capped:
    return Capped(made, capped.or_few(most, few), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("most", "few"), [(20, 0), (60, 0), (150, 0), (20, 1), (20, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_matches_are_found(kind: str, most: int, few: int) -> None:
    archive = hiding(studies(kind), most, few)
    result = asked(archive)
    found = uids(result)
    assert (result.error, len(found), len(set(found))) == (None, 200, 200)
    assert "says Success and gives" in (result.advice or "")
    assert archive.requests < 1_200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ignored", [("PatientID",), ("StudyDate", "StudyTime")])
def test_a_pacs_that_hides_and_ignores_keys(kind: str, ignored: tuple[str, ...]) -> None:
    archive = hiding(studies(kind), ignores=frozenset(ignored))
    result = asked(archive)
    assert (result.error, len(set(uids(result)))) == (None, 200)
    assert archive.requests < 1_200


def test_matches_that_no_search_can_find_leave_the_answer_incomplete() -> None:
    """Of the narrower searches, a day brings some; no other one does."""
    archive = hiding(studies("plain"), ignores=frozenset(TEXTS))
    result = asked(archive, {**BROAD, "StudyDate": "20240401-20240630"})
    assert result.error == "capped"
    assert 0 < len(result) <= 200


@pytest.mark.parametrize("dates", ["20240101-20241231", "20240506", "20240501-", "-20240630", "20240505-20240506"])
def test_hidden_matches_of_some_dates_are_found(dates: str) -> None:
    archive = hiding(studies("one minute"))
    inside = Capped(archive.studies, capped.first(1_000)).ask({"StudyDate": dates})
    result = asked(archive, {**BROAD, "StudyDate": dates})
    assert (result.error, uids(result)) == (None, uids(inside))


def test_an_honest_answer_stays_empty_and_costs_little() -> None:
    limits, requests = KnownLimits(), []
    for number in range(8):
        archive = hiding([])
        result = asked(archive, {**BROAD, "PatientName": f"X{number}*"}, limits)
        assert (result.error, len(result), result.advice) == (None, 0, None)
        requests.append(archive.requests)
    assert requests == [9] * 4 + [4] * 4


@pytest.mark.parametrize("key", ["PatientID", "AccessionNumber", "StudyInstanceUID"])
def test_a_row_that_names_a_patient_or_a_study_is_asked_once(key: str) -> None:
    archive = hiding([])
    result = asked(archive, {**BROAD, "PatientName": "", key: "1.2.3"})
    assert (result.error, len(result), archive.requests) == (None, 0, 1)


def test_a_single_match_of_a_broad_search_is_taken_for_one() -> None:
    limits, archive = KnownLimits(), Capped(studies("plain", 10)[:1], capped.first(20))
    assert len(asked(archive, limits=limits)) == 1
    assert archive.requests <= 9
    for _ in range(5):
        asked(archive, limits=limits)
    before = archive.requests
    assert len(asked(archive, limits=limits)) == 1
    assert archive.requests == before + 1


class Filled(Capped):
    """An archive to which studies come after the first question."""

    def ask(self, keys: capped.Keys) -> FindResult:
        if self.requests == 1:
            self.studies = studies("plain", 10)[:5]
        return super().ask(keys)


def test_new_matches_do_not_count_as_hidden() -> None:
    archive, limits = Filled([], capped.or_few(20, 0)), KnownLimits()
    result = asked(archive, limits=limits)
    assert (result.error, len(result), limits.hides) == (None, 5, None)


def test_that_a_pacs_hides_is_used_for_the_rest_of_the_run() -> None:
    limits, archive = KnownLimits(), hiding(studies("plain"))
    asked(archive, limits=limits)
    assert limits.hides == 0
    mine = [{**study, "PatientID": "7"} for study in studies("plain", 60)]
    result = asked(hiding(mine), {**BROAD, "PatientName": "", "PatientID": "7"}, limits)
    assert (result.error, len(set(uids(result)))) == (None, 60)


@pytest.mark.parametrize("has_dates", [True, False])
def test_patients_that_are_hidden(has_dates: bool) -> None:
    born = [dt.date(1930, 1, 1) + dt.timedelta(days=97 * number) for number in range(200)]
    made = [
        {"PatientID": f"P{number:05}", "PatientName": "X", "PatientBirthDate": f"{day:%Y%m%d}" if has_dates else ""}
        for number, day in enumerate(born)
    ]
    archive = Capped(made, capped.or_few(20, 0), unique="PatientID")
    keys = {"QueryRetrieveLevel": "PATIENT", "PatientID": "", "PatientName": "*", "PatientBirthDate": ""}
    result = asked(archive, keys)
    assert (result.error, len({match["PatientID"] for match in result})) == (None, 200)


@pytest.mark.parametrize("ignored", [("PatientID",), TEXTS])
def test_patterns_that_a_pacs_ignores_are_given_up_soon(ignored: tuple[str, ...]) -> None:
    """It gives nothing and 0xA700 for each of them. It took 40,000 questions."""
    archive = Capped(studies("plain"), capped.first(20), status="0xA700", is_bare=True, ignores=frozenset(ignored))
    result = asked(archive)
    assert (result.error, len(set(uids(result)))) == (None, 200)
    assert archive.requests < 2_000


# ------------------------------------------------------------------------------------------------- over the network


def test_a_pacs_that_hides_over_the_network(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    archive = Synthetic(studies=200, instances=1, size=64, patients=50)
    pacs = rehearsal_pacs(archive, faults=[faults.CapsFind(most=40, is_bare=True)])
    all_of_2024 = dm.query(study_date=("2024-01-01", "2024-12-31"))
    found = dm.find(all_of_2024, pacs, progress=False)
    assert found["StudyInstanceUID"].nunique() == len(found) == 200
    assert set(found["outcome"]) == {"matched"}
    assert found["error"].isna().all()
    assert "The PACS says Success and gives nothing where a search matches too much" in found["advice"].iloc[0]
    rows = pd.DataFrame({"PatientID": ["SYN*", "SYN000001", "other"]})
    outcomes = dm.find(rows, pacs, progress=False).groupby("cohort_row")["outcome"].first()
    assert outcomes.tolist() == ["matched", "matched", "empty"]
