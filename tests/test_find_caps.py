"""A PACS gives a limited number of answers: the search is asked in parts, and no study with a date is lost."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from pydicom import Dataset, dcmread

import dicomove as dm
from dicomove.dimse import FindResult
from dicomove.search.limits import KnownLimits
from dicomove.search.parts.capped import ask_whole
from dicomove.testing import RunningPacs, Synthetic, faults
from dicomove.testing.faults.base import Fault, Refuse, Request
from dicomove.testing.synthetic import synthetic_instances
from tests import receiving, servers

TODAY = dt.date(2026, 11, 25)
SUCCESS = "0x0000"
ALL = pd.DataFrame({"PatientID": ["SYN*"]})
Study = dict[str, str]


# ------------------------------------------------------------------------------------ any archive, with any limit


class CappedArchive:
    """Answers like a PACS with a limit, in some order; it counts the requests."""

    def __init__(self, studies: Sequence[Study], cap: int, *, of_a_patient: bool, status: str, order: int) -> None:
        self.studies = list(studies)
        random.Random(order).shuffle(self.studies)
        self.cap, self.of_a_patient, self.status, self.requests = cap, of_a_patient, status, 0

    def ask(self, keys: Mapping[str, str | list[str]]) -> FindResult:
        """Answer one C-FIND."""
        self.requests += 1
        fitting = [study for study in self.studies if all(_fits(study, name, keys[name]) for name in _RANGES)]
        counts: dict[str, int] = {}
        kept = []
        for study in fitting:
            who = study["PatientID"] if self.of_a_patient else ""
            counts[who] = counts.get(who, 0) + 1
            if counts[who] <= self.cap:
                kept.append(dict(study))
        is_cut = len(kept) < len(fitting)
        status = self.status if is_cut else SUCCESS
        error = {"0x0000": None, "0xA700": "out_of_resources", "0xFE00": "cancelled_by_pacs"}[status]
        return FindResult(tuple(kept), status, error)


_RANGES = ("StudyDate", "StudyTime")


def _fits(study: Study, name: str, asked: object) -> bool:
    if not asked:
        return True
    if not study[name]:
        return False
    first, hyphen, last = str(asked).partition("-")
    return first <= study[name] <= ((last or "9") if hyphen else f"{first}~")


def _uids(result: FindResult) -> set[str]:
    return {match["StudyInstanceUID"] for match in result}


def _archive(moments: Iterable[tuple[int, int]], patients: int) -> list[Study]:
    return [
        {
            "StudyInstanceUID": f"1.2.{number}",
            "PatientID": f"P{number % patients}",
            "StudyDate": f"{dt.date(2024, 1, 1) + dt.timedelta(days=day):%Y%m%d}",
            "StudyTime": f"{minute // 60:02}{minute % 60:02}{number % 60:02}",
        }
        for number, (day, minute) in enumerate(moments)
    ]


@settings(max_examples=150, deadline=None)
@given(
    moments=st.lists(
        st.tuples(st.one_of(st.integers(0, 3), st.integers(-20_000, 9_000)), st.integers(0, 1439)), max_size=120
    ),
    cap=st.integers(3, 40),
    of_a_patient=st.booleans(),
    patients=st.sampled_from([1, 2, 100]),
    status=st.sampled_from(["0x0000", "0xA700", "0xFE00"]),
    order=st.integers(0, 100),
)
def test_no_study_with_a_date_and_a_time_is_lost_in_silence(
    moments: list[tuple[int, int]], cap: int, of_a_patient: bool, patients: int, status: str, order: int
) -> None:
    studies = _archive(moments, patients)
    archive = CappedArchive(studies, cap, of_a_patient=of_a_patient, status=status, order=order)
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "*", "StudyDate": "", "StudyTime": ""}
    result = ask_whole(archive.ask, keys, KnownLimits(), TODAY)
    assert len(_uids(result)) == len(result)
    if result.error != "capped":
        assert _uids(result) == {study["StudyInstanceUID"] for study in studies}
        return
    minutes = [(study["StudyDate"], study["StudyTime"][:4]) for study in studies]
    assert max(map(minutes.count, minutes)) >= cap  # one minute has too many


def test_studies_without_a_time_in_a_day_that_is_cut_are_said_to_be_in_doubt() -> None:
    studies = _archive([(5, minute) for minute in range(60)], 100)
    studies[7]["StudyTime"] = ""
    archive = CappedArchive(studies, 20, of_a_patient=False, status=SUCCESS, order=0)
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "*"}
    result = ask_whole(
        lambda asked: archive.ask({"StudyDate": "", "StudyTime": "", **asked}), keys, KnownLimits(), TODAY
    )
    timed = {study["StudyInstanceUID"] for study in studies if study["StudyTime"]}
    assert timed <= _uids(result)
    assert result.error == "capped" or len(result) == 60


def busy(a_day: int) -> list[Study]:
    """Return so many studies on each of 40 days: nearly as many as the limit of 100."""
    return _archive([(day, study * 1440 // a_day) for day in range(40) for study in range(a_day)], 100)


@pytest.mark.parametrize(("place", "error"), [(0, "capped"), (1, None)], ids=["one is known", "none is known"])
def test_studies_without_a_time_in_busy_days_are_said_to_be_in_doubt(place: int, error: str | None) -> None:
    """No day has too many, and still some are asked in parts."""
    studies = busy(97)
    studies[97 * 30]["StudyTime"] = ""
    archive = CappedArchive(studies, 100, of_a_patient=False, status=SUCCESS, order=0)
    archive.studies.sort(key=lambda study: bool(study["StudyTime"]) != bool(place))
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "*", "StudyDate": "", "StudyTime": ""}
    result = ask_whole(archive.ask, keys, KnownLimits(), TODAY)
    assert {study["StudyInstanceUID"] for study in studies if study["StudyTime"]} <= _uids(result)
    assert result.error == error
    assert error or "Studies without a date or time may be lacking" in (result.advice or "")


def test_patients_are_asked_by_whole_days() -> None:
    """A date of birth has no time."""
    births = busy(97)
    archive = CappedArchive(births, 100, of_a_patient=False, status=SUCCESS, order=0)
    asked: set[str] = set()

    def ask(keys: Mapping[str, str | list[str]]) -> FindResult:
        asked.update(keys)
        found = archive.ask({"StudyDate": keys["PatientBirthDate"], "StudyTime": ""})
        matches = [{"PatientID": one["StudyInstanceUID"], "PatientBirthDate": one["StudyDate"]} for one in found]
        return FindResult(tuple(matches), found.status, found.error)

    keys = {"QueryRetrieveLevel": "PATIENT", "PatientID": "", "PatientName": "*", "PatientBirthDate": ""}
    result = ask_whole(ask, keys, KnownLimits(), TODAY)
    assert asked == {*keys}
    assert (len(result), result.error) == (len(births), None)


def test_a_limit_within_one_minute_is_said() -> None:
    studies = _archive([(5, 600)] * 10 + [(9, 3)], 100)
    archive = CappedArchive(studies, 5, of_a_patient=False, status=SUCCESS, order=0)
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "*", "StudyDate": "", "StudyTime": ""}
    result = ask_whole(archive.ask, keys, KnownLimits(), TODAY)
    assert result.error == "capped"
    assert "ask by patient" in (result.advice or "")


def test_a_limit_that_was_learnt_is_used_at_once() -> None:
    studies = _archive([(day, 600) for day in range(300)], 100)
    archive = CappedArchive(studies, 50, of_a_patient=False, status=SUCCESS, order=0)
    limits = KnownLimits()
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "*", "StudyDate": "", "StudyTime": ""}
    numbers = []
    for _ in range(2):
        archive.requests = 0
        assert len(ask_whole(archive.ask, keys, limits, TODAY)) == 300
        numbers.append(archive.requests)
    assert limits.most == 50
    assert numbers[1] < numbers[0]


BROAD = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "*", "StudyDate": "", "StudyTime": ""}


def test_many_answers_without_a_date_are_taken_as_they_are() -> None:
    studies = [{**study, "StudyDate": ""} for study in _archive([(0, 0)] * 2_500, 100)]
    archive = CappedArchive(studies, 10_000, of_a_patient=False, status=SUCCESS, order=0)
    assert len(ask_whole(archive.ask, BROAD, KnownLimits(), TODAY)) == 2_500
    assert archive.requests < 20


def test_parts_without_an_answer_prove_nothing() -> None:
    archive = CappedArchive(
        _archive([(day, 600) for day in range(30)], 100), 99, of_a_patient=False, status=SUCCESS, order=0
    )
    limits = KnownLimits()

    def ask(keys: Mapping[str, str | list[str]]) -> FindResult:
        return FindResult((), None, "connection_lost") if keys["StudyDate"] else archive.ask(keys)

    for _ in range(2):
        assert len(ask_whole(ask, BROAD, limits, TODAY)) == 30
    assert archive.requests == 2
    assert limits.doubted(archive.ask(BROAD).matches, BROAD), "the next answer of this size is doubted, too"


def test_a_count_of_something_else_is_doubted_once() -> None:
    """The PACS counts studies of the patient that it does not show."""
    archive = CappedArchive(
        _archive([(day, 600) for day in range(4)], 1), 99, of_a_patient=False, status=SUCCESS, order=0
    )

    def ask(keys: Mapping[str, str | list[str]]) -> FindResult:
        found = archive.ask(keys)
        counted = tuple({**match, "NumberOfPatientRelatedStudies": "7"} for match in found)
        return FindResult(counted, found.status)

    limits, requests = KnownLimits(), []
    for _ in range(3):
        before = archive.requests
        assert len(ask_whole(ask, {**BROAD, "PatientName": "", "PatientID": "P0"}, limits, TODAY)) == 4
        requests.append(archive.requests - before)
    assert requests == [3, 1, 1]


# ------------------------------------------------------------------------------------------------- over the network


@dataclass(frozen=True)
class RefusesCounts(Fault):
    """The PACS refuses a C-FIND with a key of another level."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)

    def on_query(self, request: Request, identifier: Dataset) -> None:
        del request
        if "NumberOfPatientRelatedStudies" in identifier:
            raise Refuse(0xC000, "NumberOfPatientRelatedStudies is not supported")


def test_a_pacs_that_refuses_the_count_is_asked_without_it() -> None:
    with receiving.pacs({}, RefusesCounts(), source=Synthetic(studies=4, instances=1, size=64, patients=2)) as pacs:
        found = _found(pacs, pd.DataFrame({"PatientID": ["SYN000001", "SYN000002"]}))
    assert found["outcome"].tolist() == ["matched"] * 4


def _found(pacs: dm.Pacs, table: pd.DataFrame = ALL) -> pd.DataFrame:
    return dm.find(table, pacs, progress=False)


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xFE00])
@pytest.mark.parametrize("most", [50, 67])
def test_a_capped_pacs_tells_all_studies(most: int, status: int, rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    archive = Synthetic(studies=250, instances=1, size=64)
    pacs = rehearsal_pacs(archive, faults=[faults.CapsFind(most=most, status=status)])
    found = _found(pacs)
    assert found["StudyInstanceUID"].nunique() == len(found) == 250
    assert set(found["outcome"]) == {"matched"}
    assert found["error"].isna().all()
    assert re.search(f"[Tt]he PACS gives at most {most} answers: it was asked in [0-9]+ parts", found["advice"].iloc[0])


def test_a_pacs_that_caps_each_patient(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    archive = Synthetic(studies=200, instances=1, size=64, patients=4)
    pacs = rehearsal_pacs(archive, faults=[faults.CapsFind(most=15, of="patient")])
    found = _found(pacs)
    assert found["StudyInstanceUID"].nunique() == len(found) == 200
    one = _found(pacs, pd.DataFrame({"PatientID": ["SYN000002"]}))
    assert len(one) == 50


def test_orthanc_with_a_limit(tmp_path: Path) -> None:
    """Four studies a day: it has to be asked by time, too."""
    images = servers.write(list(synthetic_instances(studies=4 * 366, instances=1, size=64))[:20], tmp_path / "images")
    with servers.orthanc(tmp_path, images, {}, LimitFindResults=3) as server:
        found = _found(dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}"))
    assert found["StudyInstanceUID"].nunique() == len(found) == 20
    assert found["error"].isna().all()


# ------------------------------------------------------------------------------------- patients, series and instances


def _at(pacs: dm.Pacs, table: pd.DataFrame, level: str, *keys: str) -> pd.DataFrame:
    return dm.find(table, pacs, level=level, keys=keys, query_model=_model(level), progress=False)


def _model(level: str) -> str:
    return "PatientRoot" if level == "PATIENT" else "StudyRoot"


@pytest.fixture(scope="module")
def orthanc_with_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dm.Pacs, str]]:
    """One study of 8 series of 12 instances each, at a limit of 5 for any list."""
    folder = tmp_path_factory.mktemp("orthanc")
    made = list(Synthetic(studies=1, series=8, instances=12, size=64).instances_of_all())
    images = servers.write(made, folder / "images")
    for path in images.rglob("*.dcm"):
        image = dcmread(path)
        image.SeriesDate, image.SeriesTime = "20240506", f"09{int(image.SeriesNumber):02}00"
        image.save_as(path)
    with servers.orthanc(folder, images, {}, LimitFindResults=5, LimitFindInstances=5) as server:
        yield dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}"), made[0].study_instance_uid


def test_orthanc_lists_all_series_at_a_limit(orthanc_with_limits: tuple[dm.Pacs, str]) -> None:
    pacs, study = orthanc_with_limits
    found = _at(pacs, pd.DataFrame({"StudyInstanceUID": [study]}), "SERIES")
    assert found["SeriesInstanceUID"].nunique() == len(found) == 8
    assert set(found["outcome"]) == {"matched"}


def test_a_cut_list_of_instances_of_orthanc_is_completed_by_number(orthanc_with_limits: tuple[dm.Pacs, str]) -> None:
    pacs, study = orthanc_with_limits
    series = _at(pacs, pd.DataFrame({"StudyInstanceUID": [study]}), "SERIES")
    table = series[["StudyInstanceUID", "SeriesInstanceUID"]].iloc[:1]
    found = _at(pacs, table, "IMAGE")
    assert found["SOPInstanceUID"].nunique() == len(found) == 12
    assert set(found["outcome"]) == {"matched"}
    assert "at most 5 answers" in found["advice"].iloc[0]


def test_a_list_of_orthanc_at_its_limit_is_not_an_inventory(
    orthanc_with_limits: tuple[dm.Pacs, str], tmp_path: Path
) -> None:
    """A study of 96 instances, of which Orthanc lists 5: all have to come."""
    pacs, study = orthanc_with_limits
    with dm.Receiver(tmp_path, port=None) as receiver:
        results = dm.move(
            pd.DataFrame({"StudyInstanceUID": [study]}), pacs, receiver, method="get", progress=False, journal=False
        )
    assert results[["outcome", "expected", "received"]].iloc[0].tolist() == ["complete", 96, 96]


def _below(level: str, number: int) -> tuple[Synthetic, pd.DataFrame]:
    """A study of so many series, or a series of so many instances, and the table that asks for them."""
    series = level == "SERIES"
    archive = Synthetic(studies=1, series=number if series else 1, instances=1 if series else number, size=64)
    study = next(iter(archive.instances_of_all()))
    keys = {"StudyInstanceUID": [study.study_instance_uid]}
    if level == "IMAGE":
        keys["SeriesInstanceUID"] = [study.series_instance_uid]
    return archive, pd.DataFrame(keys)


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_series_and_instances_without_dates_are_asked_by_number(
    level: str, rehearsal_pacs: Callable[..., RunningPacs]
) -> None:
    archive, table = _below(level, 7)
    found = _at(rehearsal_pacs(archive, faults=[faults.CapsFind(most=4)]), table, level)
    assert found[f"{'SOP' if level == 'IMAGE' else 'Series'}InstanceUID"].nunique() == len(found) == 7
    assert set(found["outcome"]) == {"matched"}


@pytest.mark.parametrize("status", [0x0000, 0xA700])
@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_series_and_instances_that_are_not_listed_at_all_are_asked_by_number(
    level: str, status: int, rehearsal_pacs: Callable[..., RunningPacs]
) -> None:
    archive, table = _below(level, 7)
    pacs = rehearsal_pacs(archive, faults=[faults.CapsFind(most=4, is_bare=True, status=status)])
    found = _at(pacs, table, level)
    assert found[f"{'SOP' if level == 'IMAGE' else 'Series'}InstanceUID"].nunique() == len(found) == 7
    assert set(found["outcome"]) == {"matched"}


@dataclass(frozen=True)
class IgnoresNumbers(Fault):
    """The PACS ignores the number and the modality of a search."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)

    def on_query(self, request: Request, identifier: Dataset) -> None:
        del request
        for name in ("SeriesNumber", "InstanceNumber", "Modality"):
            if name in identifier:
                setattr(identifier, name, None)


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_series_and_instances_that_cannot_be_told_apart_are_not_matched(level: str) -> None:
    archive, table = _below(level, 7)
    with receiving.pacs({}, faults.CapsFind(most=4), IgnoresNumbers(), source=archive) as pacs:
        found = _at(pacs, table, level)
    assert set(found["outcome"]) == {"partial"}
    assert set(found["error"]) == {"capped"}
    assert f"lists {len(found)} of 7" in found["advice"].iloc[0]


@dataclass(frozen=True)
class CountsHidden(Fault):
    """The PACS counts three series and three instances that it does not list."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        del request
        for match in matches:
            for name in ("NumberOfStudyRelatedSeries", "NumberOfSeriesRelatedInstances"):
                if name in match and match.get(name) is not None:
                    setattr(match, name, int(match.get(name)) + 3)
        return matches


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_a_pacs_that_counts_more_than_it_lists_is_told_from_one_with_a_limit(
    level: str,
) -> None:
    archive, table = _below(level, 7)
    with receiving.pacs({}, CountsHidden(), source=archive) as pacs:
        found = _at(pacs, table, level)
        again = _at(pacs, table, level)
    assert len(found) == len(again) == 7
    assert set(found["outcome"]) == {"matched"}
    assert found["error"].isna().all()
    assert re.search("The PACS counts 10 [a-z]+, and lists 7, also where it is asked by", found["advice"].iloc[0])


def test_patients_of_one_date_of_birth_are_asked_by_number(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    archive = Synthetic(studies=60, instances=1, size=64, patients=60)
    pacs = rehearsal_pacs(archive, faults=[faults.CapsFind(most=50)])
    found = _at(pacs, pd.DataFrame({"PatientID": ["SYN*"]}), "PATIENT")
    assert found["PatientID"].nunique() == len(found) == 60
    assert found["error"].isna().all()
