"""Archives that limit their answers, and take or tell dates, times and UIDs in a way of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.dimse import FindResult
from dicomove.search.limits import KnownLimits
from dicomove.testing.faults.base import FindFault, Request
from tests import capped, receiving
from tests.capped import Capped, Keys, Study, asked, studies, uids

KINDS = ["plain", "one minute", "without dates", "one day"]


@dataclass
class Odd(Capped):
    """It does not take some keys, and tells its studies in another way."""

    refuses: Callable[[str, str], bool] = lambda *_: False
    refusal: FindResult = field(default_factory=lambda: FindResult((), "0xA900", "identifier_mismatch"))
    tells: Callable[[Study], Study] = dict

    def ask(self, keys: Keys) -> FindResult:
        """Answer one C-FIND."""
        if self.refuses(str(keys.get("StudyDate") or ""), str(keys.get("StudyTime") or "")):
            self.requests += 1
            return self.refusal
        found = super().ask(keys)
        return replace(found, matches=tuple(map(self.tells, found)))


REFUSALS: dict[str, Callable[[str, str], bool]] = {
    "ranges of dates": lambda date, _: "-" in date,
    "ranges with an open end": lambda date, _: date.startswith("-") or date.endswith("-"),
    "ranges of times": lambda _, time: "-" in time,
    "dates": lambda date, _: bool(date),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("refused", REFUSALS)
@pytest.mark.parametrize("status", ["0xA900", "0xC001", "0x0000"])
def test_keys_that_a_pacs_with_a_limit_does_not_take(status: str, refused: str, kind: str) -> None:
    """It refuses them, or finds nothing by them."""
    error = {"0xA900": "identifier_mismatch", "0xC001": "unable_to_process", "0x0000": None}[status]
    refusal = FindResult((), status, error)
    archive = Odd(studies(kind), capped.first(20), refuses=REFUSALS[refused], refusal=refusal)
    result = asked(archive)
    assert (result.error, result.status, len(set(uids(result)))) == (None, "0x0000", 200)
    assert archive.requests < 900


def test_ranges_with_an_open_end_are_refused_a_few_times_only() -> None:
    archive, limits = (
        Odd(studies("plain"), capped.first(20), refuses=REFUSALS["ranges with an open end"]),
        KnownLimits(),
    )
    refused = 0

    def count(keys: Keys) -> FindResult:
        nonlocal refused
        found = Odd.ask(archive, keys)
        refused += found is archive.refusal
        return found

    archive.ask = count  # type: ignore[method-assign]
    asked(archive, limits=limits)
    assert refused == 1
    assert limits.closes_ranges


def _with_dots(study: Study) -> Study:
    date, time = study["StudyDate"], study["StudyTime"]
    return {
        **study,
        "StudyDate": f"{date[:4]}.{date[4:6]}.{date[6:]}" if date else "",
        "StudyTime": f"{time[:2]}:{time[2:4]}:{time[4:]}" if time else "",
    }


def _a_day_later(study: Study) -> Study:
    date = study["StudyDate"]
    return {**study, "StudyDate": f"{dt.date.fromisoformat(date) + dt.timedelta(1):%Y%m%d}" if date else ""}


TOLD: dict[str, Callable[[Study], Study]] = {
    "dates with dots": _with_dots,
    "no times": lambda study: {**study, "StudyTime": ""},
    "neither dates nor times": lambda study: {**study, "StudyDate": "", "StudyTime": ""},
    "dates of another zone": _a_day_later,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", TOLD)
def test_dates_that_are_told_in_another_way(told: str, kind: str) -> None:
    result = asked(Odd(studies(kind), capped.first(20), tells=TOLD[told]))
    assert (result.error, len(set(uids(result)))) == (None, 200)


def _without_some_uids(study: Study) -> Study:
    return {**study, "StudyInstanceUID": ""} if study["StudyInstanceUID"].endswith("7") else study


def test_matches_without_a_uid_are_told_apart() -> None:
    result = asked(Odd(studies("plain"), capped.first(20), tells=_without_some_uids))
    assert (result.error, len(result), uids(result).count("")) == (None, 200, 20)


@pytest.mark.parametrize("error", ["association_aborted", "connection_lost"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pacs_that_breaks_off_at_its_limit(kind: str, error: str) -> None:
    class BreaksOff(Capped):
        def ask(self, keys: Keys) -> FindResult:
            found = super().ask(keys)
            return replace(found, status=None, error=error) if found.error else found

    result = asked(BreaksOff(studies(kind), capped.first(20), status="0xA700"))
    assert (result.error, result.status, len(set(uids(result)))) == (None, "0x0000", 200)


@pytest.mark.parametrize("most", [20, 70])
@pytest.mark.parametrize(
    "times", [["235959.999999"], ["235959.999999", "000000", "2359", "00", "0000"], ["240000", "0000"], ["09", "0930"]]
)
def test_studies_at_the_ends_of_a_day(times: list[str], most: int) -> None:
    made = [
        {**study, "StudyDate": f"2024050{6 + place % 3}", "StudyTime": times[place % len(times)]}
        for place, study in enumerate(studies("plain"))
    ]
    result = asked(Capped(made, capped.first(most)))
    assert (result.error, len(set(uids(result)))) == (None, 200)


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_a_uid_that_cannot_be_sent_ends_no_search(level: str) -> None:
    """One such study ended the search of the whole table with an exception."""

    class NotAscii(FindFault):
        def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002
            for match in matches:
                match["StudyInstanceUID"]._value = "1.2.\u00e4"
            return matches

    table = pd.DataFrame({"PatientID": [next(receiving.SMALL.instances_of_all()).patient_id]})
    with receiving.pacs({}, NotAscii()) as pacs, pytest.warns(dm.errors.FindWarning, match="left out"):
        result = dm.find(table, pacs, level=level, progress=False)
    assert "came with StudyInstanceUID that holds characters that a UID cannot have" in result["advice"][0]
