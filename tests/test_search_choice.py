"""Which of several studies a row means, without a PACS."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.search.choice import Choice, ask_loosely, checked_loose, loose_table
from dicomove.search.row import Answer

#: A Wednesday at noon.
NOON = dt.datetime(2024, 1, 10, 12)  # noqa: DTZ001 (a study has no zone)


def study(uid: str, date: str = "", time: str = "", **more: str) -> dict[str, str]:
    return {"StudyInstanceUID": uid, "StudyDate": date, "StudyTime": time, **more}


def chosen(matches: Any, date: Any, *studies: dict[str, str], **more: Any) -> Answer:
    return Choice(matches).made(Answer("matched", studies, **more), date)


def uids(answer: Answer) -> list[str]:
    return [match["StudyInstanceUID"] for match in answer.matches]


# Newest, oldest, nearest.


DAYS = [study("1.1", "20240101"), study("1.2", "20240110"), study("1.3", "20231231")]


@pytest.mark.parametrize(
    ("matches", "date", "uid"),
    [
        ("newest", None, "1.2"),
        ("oldest", None, "1.3"),
        ("nearest", dt.date(2024, 1, 6), "1.2"),
        ("nearest", dt.date(2024, 1, 5), "1.1"),
        ("nearest", dt.date(2020, 1, 1), "1.3"),
        ("nearest", dt.date(2030, 1, 1), "1.2"),
    ],
)
def test_the_days_decide(matches: str, date: dt.date | None, uid: str) -> None:
    answer = chosen(matches, date, *DAYS, advice="One thing more.")
    assert (answer.outcome, uids(answer)) == ("matched", [uid])
    assert answer.advice == f"One thing more. The {matches} of 3 studies that match."
    assert chosen(matches, date, *DAYS).advice == f"The {matches} of 3 studies that match."


@pytest.mark.parametrize(
    ("matches", "date", "uid"),
    [
        ("newest", None, "1.3"),
        ("oldest", None, "1.1"),
        ("nearest", NOON, "1.2"),
        ("nearest", NOON.replace(hour=23, minute=59), "1.3"),
        ("nearest", NOON.replace(hour=0), "1.1"),
    ],
)
def test_the_times_decide_among_studies_of_one_day(matches: str, date: dt.date | None, uid: str) -> None:
    times = ["0830", "12:15:00.5", "201500"]
    same_day = [study(f"1.{number}", "20240110", time) for number, time in enumerate(times, 1)]
    assert uids(chosen(matches, date, *same_day)) == [uid]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        *(("12", "1201"), ("1200", "120001"), ("0959", "10")),
        *(("120000", "120000.5"), ("120000.25", "120000.5"), ("000000", "000000.5")),
    ],
)
def test_a_time_may_be_short_or_have_a_fraction(earlier: str, later: str) -> None:
    both = study("1.1", "20240110", later), study("1.2", "20240110", earlier)
    assert (uids(chosen("oldest", None, *both)), uids(chosen("newest", None, *both))) == (["1.2"], ["1.1"])


@pytest.mark.parametrize("seconds", [0, 1, 29])
def test_the_second_of_the_row_counts(seconds: int) -> None:
    both = study("1.1", "20240110", "120000"), study("1.2", "20240110", "120059")
    assert uids(chosen("nearest", NOON.replace(second=seconds), *both)) == ["1.1"]
    assert uids(chosen("nearest", NOON.replace(second=seconds + 30), *both)) == ["1.2"]


def test_a_part_of_a_second_of_the_row_counts() -> None:
    both = study("1.1", "20240110", "120000"), study("1.2", "20240110", "120001")
    assert uids(chosen("nearest", NOON.replace(microsecond=400_000), *both)) == ["1.1"]
    assert uids(chosen("nearest", NOON.replace(microsecond=600_000), *both)) == ["1.2"]


def test_the_minute_of_the_row_counts() -> None:
    both = study("1.1", "20240110", "0900"), study("1.2", "20240110", "1020")
    assert chosen("nearest", NOON.replace(hour=9, minute=40), *both).outcome == "ambiguous"
    assert uids(chosen("nearest", NOON.replace(hour=9, minute=39), *both)) == ["1.1"]
    assert uids(chosen("nearest", NOON.replace(hour=9, minute=41), *both)) == ["1.2"]


def test_the_days_decide_before_the_times() -> None:
    """The study of the day before at 23:00 is nearer to 08:00 than the one at 20:00."""
    both = study("1.1", "20240109", "230000"), study("1.2", "20240110", "200000")
    assert uids(chosen("nearest", NOON.replace(hour=8), *both)) == ["1.2"]


def test_studies_before_and_after_the_day_of_the_row_are_compared_by_their_times() -> None:
    both = study("1.1", "20240109", "230000"), study("1.2", "20240111", "200000")
    assert uids(chosen("nearest", NOON, *both)) == ["1.1"]


@pytest.mark.parametrize("time", ["", "1", "123", "ab", "12-13", "1200.x"])
@pytest.mark.parametrize("matches", ["newest", "oldest", "nearest"])
def test_studies_of_one_day_are_equal_if_one_has_no_time(time: str, matches: str) -> None:
    both = study("1.1", "20240110", "0830"), study("1.2", "20240110", time)
    answer = chosen(matches, NOON, *both)
    assert (answer.outcome, answer.error, answer.ambiguous, answer.matches) == ("ambiguous", "ambiguous", 2, ())
    said = f"2 studies match, and 2 of them are equally {matches}. "
    assert (answer.advice or "").startswith(said)
    assert "StudyTime" not in (answer.advice or ""), "a time in the row would not help"


def test_a_time_in_the_row_would_help_only_if_it_has_none_and_the_studies_have_times() -> None:
    both = study("1.1", "20240110", "0830"), study("1.2", "20240110", "1530")
    hint = "A StudyTime in the row would decide."
    assert hint in (chosen("nearest", NOON.date(), *both).advice or "")
    without = study("1.1", "20240110"), study("1.2", "20240110", "1530")
    assert hint not in (chosen("nearest", NOON.date(), *without).advice or "")
    equal = study("1.1", "20240110", "0800"), study("1.2", "20240110", "1600")
    assert hint not in (chosen("nearest", NOON, *equal).advice or "")


def test_the_number_of_equal_studies_is_that_of_the_best() -> None:
    answer = chosen("newest", None, *DAYS, study("1.4", "20240110"))
    assert (answer.advice or "").startswith("4 studies match, and 2 of them are equally newest. ")


def test_a_pacs_may_leave_out_dates_and_times() -> None:
    without_time = [{"StudyInstanceUID": uid, "StudyDate": "20240110"} for uid in ("1.1", "1.2")]
    for matches in ("newest", "nearest"):
        answer = chosen(matches, NOON.date(), *without_time)
        assert (answer.advice or "").startswith(f"2 studies match, and 2 of them are equally {matches}. ")
        assert "StudyTime" not in (answer.advice or "")
    answer = chosen("newest", None, *DAYS, {"StudyInstanceUID": "1.4"})
    assert (answer.advice or "").startswith("4 studies match, and one of them has no date. ")


@pytest.mark.parametrize("date", ["", "2024", "soon"])
def test_a_study_without_a_date_may_be_the_one(date: str) -> None:
    answer = chosen("newest", None, *DAYS, study("1.4", date))
    assert (answer.outcome, answer.matches) == ("ambiguous", ())
    assert (answer.advice or "").startswith("4 studies match, and one of them has no date. ")


def test_one_is_all_of_a_study() -> None:
    """Its series are several matches."""
    series = [study("1.1", "20240101", SeriesInstanceUID=f"1.1.{number}") for number in range(3)]
    for matches in ("all", "one", "newest"):
        answer = chosen(matches, None, *series)
        assert (answer.outcome, answer.matches, answer.advice) == ("matched", tuple(series), None)
    later = study("1.2", "20240102", SeriesInstanceUID="1.2.0")
    assert uids(chosen("oldest", None, *series, later)) == ["1.1"] * 3
    answer = chosen("one", None, *series, later)
    assert (answer.outcome, answer.ambiguous) == ("ambiguous", 4)
    assert (answer.advice or "").startswith("2 studies match. ")
    assert chosen("all", None, *series, later).matches == (*series, later)


def test_patients_count_if_there_are_no_studies() -> None:
    patients = {"PatientID": "7"}, {"PatientID": "8"}
    assert chosen("one", None, *patients).outcome == "ambiguous"
    assert chosen("one", None, patients[0]).outcome == "matched"


def test_no_date_decides_between_studies_of_several_patients() -> None:
    answer = chosen("newest", None, *DAYS, several_patients=True)
    assert answer.outcome == "ambiguous"
    assert (answer.advice or "").startswith("3 studies match, and they are of more than one patient. ")
    assert "StudyTime" not in (answer.advice or "")
    said = chosen("one", None, *DAYS, several_patients=True).advice or ""
    assert said.startswith("3 studies match. ")
    assert chosen("all", None, *DAYS, several_patients=True).outcome == "matched"


# The dates of the rows.


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("2024-01-10", NOON.date()),
        ("20240110", NOON.date()),
        (dt.date(2024, 1, 10), NOON.date()),
        ("", 'StudyDate is blank, and matches="nearest" needs it'),
        (None, 'StudyDate is blank, and matches="nearest" needs it'),
        ("20240110-20240112", 'StudyDate is not one date, and matches="nearest" needs one'),
        ("20240110-", 'StudyDate is not one date, and matches="nearest" needs one'),
    ],
)
def test_the_date_of_a_row(cell: object, date: object) -> None:
    table = pd.DataFrame({"PatientID": ["7"], "StudyDate": pd.Series([cell], dtype=object)})
    assert Choice("nearest").dates(table) == [date]
    assert Choice("newest").dates(table) == [None]


@pytest.mark.parametrize(("cell", "words"), [("soon", "StudyDate"), ("19000101", "measures from it")])
def test_a_date_that_cannot_be_right_is_said(cell: str, words: str) -> None:
    (date,) = Choice("nearest").dates(pd.DataFrame({"StudyDate": [cell]}))
    assert isinstance(date, str)
    assert words in date


@pytest.mark.parametrize(
    ("time", "hour", "minute"),
    [("09:30", 9, 30), ("0930", 9, 30), (dt.time(9, 30), 9, 30), ("23", 23, 0)],
)
def test_the_time_of_a_row(time: object, hour: int, minute: int) -> None:
    table = pd.DataFrame({"StudyDate": ["20240110"], "StudyTime": pd.Series([time], dtype=object)})
    assert Choice("nearest").dates(table) == [NOON.replace(hour=hour, minute=minute)]


@pytest.mark.parametrize("time", ["0800-0900", "0800-", "-0900"])
def test_several_times_of_a_row_are_an_error(time: str) -> None:
    table = pd.DataFrame({"StudyDate": ["20240110", "", "20240110"], "StudyTime": [time, time, ""]})
    first, second, third = Choice("nearest").dates(table)
    assert first == 'StudyTime is not one time, and matches="nearest" needs one, or none'
    assert second == 'StudyDate is blank, and matches="nearest" needs it'
    assert third == NOON.date()
    assert type(third) is dt.date


def test_a_time_that_is_none_is_an_error() -> None:
    (said,) = Choice("nearest").dates(pd.DataFrame({"StudyDate": ["20240110"], "StudyTime": ["morning"]}))
    assert isinstance(said, str)
    assert "StudyTime" in said


def test_the_table_to_ask_with_has_ranges_and_no_times() -> None:
    columns = {"PatientID": ["7", "8"], "StudyDate": ["2024-01-10", ""], "StudyTime": ["0930", ""]}
    table = pd.DataFrame(columns, index=["a", "b"])
    asked = Choice("nearest", 3).asked(table)
    assert asked["StudyDate"].fillna("").tolist() == ["20240107-20240113", ""]
    assert asked["StudyTime"].isna().all()
    assert (asked["PatientID"].tolist(), asked.index.tolist()) == (["7", "8"], ["a", "b"])
    assert table.to_dict("list") == columns, "the table of the caller is unchanged"
    assert Choice("nearest").asked(table)["StudyDate"].isna().all()
    assert Choice("nearest", 0).asked(table)["StudyDate"].fillna("").tolist() == ["20240110-20240110", ""]
    assert Choice("newest").asked(table) is table


def test_a_date_without_times_is_asked_for_too() -> None:
    asked = Choice("nearest", 1).asked(pd.DataFrame({"date of study": ["x"], "StudyDate": ["20240101"]}))
    assert asked["StudyDate"].tolist() == ["20231231-20240102"]


def test_other_columns_may_mean_one_key_twice() -> None:
    table = pd.DataFrame({"mrn": ["7"], "Patient ID": ["A-7"], "StudyDate": ["20240110"], "StudyTime": ["12"]})
    assert Choice("nearest").dates(table) == [NOON]
    assert Choice("nearest", 0).asked(table)["StudyDate"].tolist() == ["20240110-20240110"]


# Keywords.


@pytest.mark.parametrize(
    ("within", "days"),
    [("3 days", 3), ("48 hours", 2), ("0 days", 0), (dt.timedelta(days=2), 2), ("1 day", 1), (None, None)],
)
def test_within_is_whole_days(within: object, days: int | None) -> None:
    assert Choice.of("nearest", within) == Choice("nearest", days)


@pytest.mark.parametrize(
    ("matches", "within", "said"),
    [
        ("nearest", 3, 'within=3 has no unit: write within="3 days"'),
        ("nearest", 0, 'within=0 has no unit: write within="3 days"'),
        ("nearest", 3.5, 'within=3.5 has no unit: write within="3 days"'),
        ("nearest", "36 hours", "within='36 hours' is not a whole number of days: write within=\"3 days\""),
        ("nearest", "-1 day", "within='-1 day' is not a whole number of days: write within=\"3 days\""),
        ("nearest", "soon", "within='soon' is not a whole number of days: write within=\"3 days\""),
        ("nearest", [3], 'within=[3] is not a whole number of days: write within="3 days"'),
        ("newest", "3 days", "within='3 days' belongs to matches=\"nearest\", and not to 'newest'"),
        ("best", None, "matches='best' is not one of all, one, newest, oldest, nearest"),
    ],
)
def test_keywords_that_are_wrong(matches: Any, within: object, said: str) -> None:
    with pytest.raises(dm.CohortError) as caught:
        Choice.of(matches, within)
    assert said in str(caught.value)


def test_the_default_is_all() -> None:
    assert Choice.of("all", None) == Choice() == Choice("all", None)


# Other zeros and blanks.


def test_keys_that_may_match_loosely() -> None:
    assert checked_loose("AccessionNumber") == checked_loose(["AccessionNumber"]) == ("AccessionNumber",)
    assert checked_loose(()) == ()
    wrong: Any
    for wrong in ("PatientID", ["AccessionNumber", "PatientID"]):
        with pytest.raises(dm.CohortError, match=r"^loose='PatientID': only AccessionNumber may match"):
            checked_loose(wrong)
    wrong = 3
    with pytest.raises(dm.CohortError, match=r"^loose=3: only"):
        checked_loose(wrong)


@pytest.mark.parametrize(
    ("cell", "wildcard"),
    [
        ("00 123", "*123*"),
        ("A-007", "*A-*7*"),
        ("000", "*0*"),
        ("A", "*A*"),
        ("10", "*10*"),
        ("A00", "*A*"),
        ("X07", "*X*7*"),
    ],
)
def test_the_wildcard_of_a_loose_search(cell: str, wildcard: str) -> None:
    table = pd.DataFrame({"PatientID": ["007", "007"], "AccessionNumber": ["x", cell]})
    loose = loose_table(table, ["AccessionNumber"], [1])
    assert loose.to_dict("list") == {"PatientID": ["007"], "AccessionNumber": [wildcard]}
    assert table["AccessionNumber"].tolist() == ["x", cell]


def test_a_blank_cell_stays_blank() -> None:
    assert loose_table(pd.DataFrame({"AccessionNumber": [""]}), ["AccessionNumber"], [0])["AccessionNumber"][0] == ""


def loosely(cells: list[str], answers: list[Answer], *found: Answer) -> tuple[list[Answer], list[list[int]]]:
    """Ask loosely for accession numbers; return the answers, and the rows of each further search."""
    asked: list[list[int]] = []

    def ask(table: pd.DataFrame) -> list[Answer]:
        asked.append(table.index.tolist())
        return list(found)

    table = pd.DataFrame({"PatientID": "7", "AccessionNumber": cells})
    return ask_loosely(table, answers, ["AccessionNumber"], ask), asked


EMPTY = Answer("empty", status="0x0000")


def test_only_rows_without_a_match_are_asked_for_loosely() -> None:
    matched, failed = Answer("matched", ({"AccessionNumber": "2"},)), Answer("failed")
    found = Answer("matched", ({"AccessionNumber": "001"}, {"AccessionNumber": "0010"}), advice="One thing more.")
    made, asked = loosely(["1", "2", "3", "", "5"], [EMPTY, matched, failed, EMPTY, EMPTY], found, EMPTY)
    assert asked == [[0, 4]]
    assert made[1:] == [matched, failed, EMPTY, EMPTY]
    assert made[0].matches == ({"AccessionNumber": "001"},)
    assert made[0].advice == "AccessionNumber differs in zeros or blanks. One thing more."
    assert (made[0].outcome, made[0].loose, made[0].several_patients) == ("matched", "AccessionNumber", False)


def test_nothing_is_asked_if_all_rows_have_a_match() -> None:
    matched = Answer("matched", ({"AccessionNumber": "2"},))
    assert loosely(["2"], [matched]) == ([matched], [])


def test_a_loose_match_of_other_numbers_is_none() -> None:
    other = Answer("matched", ({"AccessionNumber": "10"}, {"AccessionNumber": "11"}), advice="One thing more.")
    assert loosely(["1"], [EMPTY], other)[0] == [EMPTY]


def test_loose_matches_of_several_patients_are_said() -> None:
    found = Answer("matched", tuple({"AccessionNumber": "01", "PatientID": patient} for patient in "78"))
    (made,), _ = loosely(["1"], [EMPTY], found)
    assert made.several_patients
    assert "2 different PatientIDs" in (made.advice or "")


@pytest.mark.parametrize(
    ("asked", "there", "is_one"),
    [
        ("A 7", "a007", True),
        ("A07B1", "a7b01", True),
        ("0", "000", True),
        ("7", "70", False),
        ("A7", "A 8", False),
        ("A7", "", False),
    ],
)
def test_what_is_alike_in_zeros_and_blanks(asked: str, there: str, is_one: object) -> None:
    (made,), _ = loosely([asked], [EMPTY], Answer("matched", ({"AccessionNumber": there},)))
    assert (made.outcome == "matched") == is_one


def test_a_match_that_is_equal_is_not_loose() -> None:
    """A PACS may find with a wildcard what it does not find without one."""
    (made,), _ = loosely([" 1 "], [EMPTY], Answer("matched", ({"AccessionNumber": "1"},)))
    assert (made.outcome, made.loose, made.advice) == ("matched", None, None)
