"""The spans of a search by date, and what a run learns about the limits of a PACS: without a PACS."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dicomove.search.limits import FEW, KnownLimits, limit, may_be_cut
from dicomove.search.parts.spans import DAY, Moment, Span, in_order, moment, span_of

MONDAY = dt.date(2024, 5, 6).toordinal()
LONG_AGO = dt.date(1850, 1, 1).toordinal()


@pytest.mark.parametrize(
    ("span", "keys"),
    [
        (Span(), {}),
        (Span(MONDAY), {"StudyDate": "20240506-"}),
        (Span(last=MONDAY), {"StudyDate": "-20240506"}),
        (Span(MONDAY, MONDAY), {"StudyDate": "20240506"}),
        (Span(MONDAY, MONDAY + 1), {"StudyDate": "20240506-20240507"}),
        (Span(last=dt.date(999, 2, 1).toordinal()), {"StudyDate": "-09990201"}),
        (Span(MONDAY, MONDAY, 0, 11 * 60 + 59), {"StudyDate": "20240506", "StudyTime": "00-115959.999999"}),
        (Span(MONDAY, MONDAY, 485, 485), {"StudyDate": "20240506", "StudyTime": "0805-080559.999999"}),
        (Span(MONDAY, MONDAY, 22 * 60), {"StudyDate": "20240506", "StudyTime": "22-235959.999999"}),
    ],
)
def test_a_span_says_what_it_asks_for(span: Span, keys: dict[str, str]) -> None:
    assert span.keys == keys


@pytest.mark.parametrize(
    ("span", "is_all", "is_open"),
    [
        (Span(), True, True),
        (Span(MONDAY), False, True),
        (Span(last=MONDAY), False, True),
        (Span(MONDAY, MONDAY), False, False),
    ],
)
def test_a_span_may_have_no_end(span: Span, is_all: bool, is_open: bool) -> None:
    assert (span.is_all, span.is_open) == (is_all, is_open)


@pytest.mark.parametrize(
    ("span", "closed"),
    [
        (Span(), Span(LONG_AGO, MONDAY + 366)),
        (Span(MONDAY), Span(MONDAY, MONDAY + 366)),
        (Span(last=MONDAY), Span(LONG_AGO, MONDAY)),
        (Span(MONDAY, MONDAY, 60, 119), Span(MONDAY, MONDAY, 60, 119)),
        (Span(MONDAY + 1000), Span(MONDAY + 1000, MONDAY + 1000)),
    ],
)
def test_an_open_end_is_closed_so_that_all_studies_stay_in_it(span: Span, closed: Span) -> None:
    assert span.closed(MONDAY) == closed


@pytest.mark.parametrize(
    ("span", "minutes"),
    [
        (Span(MONDAY, MONDAY), [None, 0, 59, 60, 119, 120, DAY - 1]),
        (Span(MONDAY, MONDAY, 0, 59), [0, 59]),
        (Span(MONDAY, MONDAY, 60, 119), [60, 119]),
        (Span(MONDAY, MONDAY, 120), [120, DAY - 1]),
    ],
)
def test_a_study_without_a_time_is_in_whole_days_alone(span: Span, minutes: list[int | None]) -> None:
    assert [minute for minute in (None, 0, 59, 60, 119, 120, DAY - 1) if span.holds((MONDAY, minute))] == minutes


def test_the_ends_of_a_span_belong_to_it() -> None:
    span = Span(MONDAY, MONDAY + 2)
    assert [day for day in range(-1, 4) if span.holds((MONDAY + day, 7)) and span.holds((MONDAY + day, None))] == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("span", "halves"),
    [
        (Span(MONDAY, MONDAY + 1), [Span(MONDAY, MONDAY), Span(MONDAY + 1, MONDAY + 1)]),
        (Span(MONDAY, MONDAY + 2), [Span(MONDAY, MONDAY), Span(MONDAY + 1, MONDAY + 2)]),
        (Span(MONDAY, MONDAY + 9), [Span(MONDAY, MONDAY + 4), Span(MONDAY + 5, MONDAY + 9)]),
        (Span(MONDAY, MONDAY), [Span(MONDAY, MONDAY, 0, 719), Span(MONDAY, MONDAY, 720)]),
        (Span(MONDAY, MONDAY, 5, 6), [Span(MONDAY, MONDAY, 5, 5), Span(MONDAY, MONDAY, 6, 6)]),
        (Span(MONDAY, MONDAY, 5, 7), [Span(MONDAY, MONDAY, 5, 5), Span(MONDAY, MONDAY, 6, 7)]),
        (Span(MONDAY, MONDAY, 5, 5), []),
    ],
)
def test_halves(span: Span, halves: list[Span]) -> None:
    assert list(span.halves()) == halves


@pytest.mark.parametrize(
    ("at", "last", "begin"),
    [
        ((MONDAY - 5, 9), MONDAY, MONDAY + 1),
        ((MONDAY + 2, None), MONDAY + 1, MONDAY + 2),
        ((MONDAY + 9, 9), MONDAY + 2, MONDAY + 3),
    ],
)
def test_days_are_split_at_a_day_and_no_part_is_empty(at: Moment, last: int, begin: int) -> None:
    assert Span(MONDAY, MONDAY + 3).parts_at(at) == (Span(MONDAY, last), Span(begin, MONDAY + 3))


@pytest.mark.parametrize(("minute", "begin"), [(None, 61), (0, 61), (61, 61), (90, 90), (119, 119), (600, 119)])
def test_a_day_is_split_at_a_minute_and_no_part_is_empty(minute: int | None, begin: int) -> None:
    parts = Span(MONDAY, MONDAY, 60, 119).parts_at((MONDAY, minute))
    assert parts == (Span(MONDAY, MONDAY, 60, begin - 1), Span(MONDAY, MONDAY, begin, 119))


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20240506", "0930", (739_012, 570)),
        (" 20240506 ", " 09:30:15 ", (739_012, 570)),
        ("2024-05-06", "09", (739_012, 540)),
        ("20240506", "2359", (739_012, 1439)),
        ("20240506", "0000", (739_012, 0)),
        ("2024.05.06", "", (739_012, None)),
        ("20240506", "99", (739_012, None)),
        ("20240506", "24", (739_012, None)),
        ("20240506", "2360", (739_012, None)),
        ("20240506", "09xx", (739_012, None)),
        ("20240506", "xx30", (739_012, None)),
        ("", "0930", None),
        ("202411", "0930", None),
        ("20240231", "0930", None),
        ("20240506-20240507", "", None),
    ],
)
def test_the_moment_of_an_answer(date: str, time: str, expected: Moment | None) -> None:
    assert moment(date, time) == expected


@pytest.mark.parametrize(
    ("dates", "span"),
    [
        ("", Span()),
        ("-", Span()),
        ("20240506", Span(MONDAY, MONDAY)),
        ("20240506-", Span(MONDAY)),
        ("-20240506", Span(last=MONDAY)),
        ("20240506-20240506", Span(MONDAY, MONDAY)),
        ("20240506-20240507", Span(MONDAY, MONDAY + 1)),
        ("20240507-20240506", None),
        ("2024", None),
        ("2024-20240506", None),
        ("20240506-2024", None),
    ],
)
def test_the_span_of_the_dates_of_a_row(dates: str, span: Span | None) -> None:
    assert span_of(dates) == span


def test_moments_are_sorted_with_those_without_a_time_at_the_beginning_of_the_day() -> None:
    assert in_order([(1, 1), (1, None), (0, 9), (1, 0)]) == [(0, 9), (1, None), (1, 0), (1, 1)]


# --------------------------------------------------------------------------------------------- the limits of a PACS

STUDIES = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "A*"}
OF_A_PATIENT = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientID": "A"}


def matches(*patients: str, count: str = "") -> list[dict[str, str]]:
    return [{"PatientID": patient, "NumberOfPatientRelatedStudies": count} for patient in patients]


def of_many(number: int) -> list[dict[str, str]]:
    return matches(*map(str, range(number)))


def test_a_pacs_is_honest_and_has_no_limit_until_it_shows_another_side() -> None:
    limits = KnownLimits()
    assert (limits.most, limits.most_of_a_patient, limits.hides, limits.longest, limits.honest) == (*[None] * 3, 0, 0)
    assert [limits.is_unsteady, limits.needs_fresh_associations] == [False] * 2
    assert [limits.closes_ranges, limits.without_optional_keys] == [False] * 2


def test_each_level_has_limits_of_its_own() -> None:
    limits = KnownLimits()
    assert limits.of("STUDY") is limits
    assert limits.of("SERIES") is limits.of("SERIES") is not limits
    assert limits.of("IMAGE") is not limits.of("SERIES")


def test_a_list_is_never_longer_than_one_that_lacked_an_answer() -> None:
    limits = KnownLimits()
    assert (limits.most_in_list, limits.lists_are_known) == (50, False)
    for answered in (7, 9):
        limits.shorten_lists(answered)
        assert (limits.most_in_list, limits.lists_are_known) == (7, True)


def test_the_limit_of_one_request_is_the_smallest_that_was_seen() -> None:
    limits = KnownLimits()
    assert not limits.reached(of_many(100))
    limits.learn(of_many(5), of_many(6))
    limits.learn(of_many(4), of_many(6))
    limits.learn(of_many(6), of_many(7))
    assert (limits.most, limits.most_of_a_patient) == (4, None)
    assert [limits.reached_by_request(of_many(number)) for number in (3, 4, 5)] == [False, True, True]
    assert limits.reached(of_many(4))


def test_the_limit_of_one_patient_is_told_from_one_of_a_request() -> None:
    limits = KnownLimits()
    limits.learn(matches("A", "A", "A", "B"), matches("A"))
    assert (limits.most, limits.most_of_a_patient) == (None, 3)
    assert limits.full_patients(matches("A", "A", "A", "B", "B")) == ["A"]
    assert limits.full_patients(matches("", "", "", "B", "B")) == []
    assert limits.reached(matches("A", "A", "A"))
    assert not limits.reached_by_request(matches("A", "A", "A"))
    limits.learn(matches("A", "A", "B"), matches("A"))
    limits.learn(matches("A", "A", "A", "A"), matches("A"))
    assert limits.most_of_a_patient == 2


@pytest.mark.parametrize(
    ("given", "more"),
    [
        pytest.param(matches("A", "A", "B"), matches("B"), id="more of a patient with fewer"),
        pytest.param(matches("A", "A", "B"), matches("A", "C"), id="more of a patient without any"),
        pytest.param(matches("A", "B", "C"), matches("A"), id="one of each"),
        pytest.param(matches("A", "A", "B"), [], id="it is not known what is missing"),
    ],
)
def test_any_other_answer_that_was_cut_off_is_one_of_a_request(
    given: list[dict[str, str]], more: list[dict[str, str]]
) -> None:
    limits = KnownLimits()
    limits.learn(given, more)
    assert (limits.most, limits.most_of_a_patient) == (3, None)


def test_an_answer_beyond_a_limit_shows_that_the_limit_varies() -> None:
    limits = KnownLimits()
    limits.see(of_many(9))
    limits.most = 5
    limits.see(of_many(5))
    assert not limits.is_unsteady
    limits.see(of_many(6))
    assert limits.is_unsteady
    of_patient = KnownLimits()
    of_patient.most_of_a_patient = 2
    of_patient.see(matches("A", "A"))
    assert (of_patient.most_of_a_patient, of_patient.is_unsteady) == (2, False)
    of_patient.see(matches("A", "A", "A"))
    assert (of_patient.most_of_a_patient, of_patient.is_unsteady) == (None, True)


def test_an_answer_is_doubted_until_a_longer_one_was_verified() -> None:
    limits = KnownLimits()
    assert not limits.doubted(of_many(FEW - 1), STUDIES)
    assert limits.doubted(of_many(FEW), STUDIES)
    limits.verified(of_many(10), STUDIES)
    limits.verified(of_many(4), STUDIES)
    assert limits.longest == 10
    assert [limits.doubted(of_many(number), STUDIES) for number in (10, 11)] == [False, True]
    limits.is_unsteady = True
    assert [limits.doubted(of_many(number), STUDIES) for number in (2, 3, 10)] == [False, True, True]


def test_an_answer_of_one_patient_is_doubted_on_its_own() -> None:
    limits = KnownLimits()
    limits.verified(of_many(10), STUDIES)
    assert not limits.doubted(matches("A", "A"), STUDIES)
    assert limits.doubted(matches("A", "A", "A"), STUDIES)
    limits.verified(matches("A", "A", "A"), STUDIES)
    limits.verified(matches("A", "B"), STUDIES)
    assert not limits.doubted(matches("A", "A", "A"), STUDIES)
    assert not limits.doubted(matches("", "", "", ""), STUDIES)
    assert not limits.doubted([{"StudyInstanceUID": str(number)} for number in range(9)], STUDIES)


def test_an_answer_without_a_count_is_not_below_it() -> None:
    assert not KnownLimits().doubted([{"PatientID": "A"}], OF_A_PATIENT)
    assert not KnownLimits().doubted([], OF_A_PATIENT)


def test_a_count_that_was_wrong_once_is_never_believed_again() -> None:
    limits = KnownLimits()
    limits.verified(matches("A", "A", count="3"), OF_A_PATIENT)
    limits.verified(matches("A", "A", count="2"), OF_A_PATIENT)
    assert not limits.doubted(matches("A", "A", count="3"), OF_A_PATIENT)


@pytest.mark.parametrize(
    ("keys", "count", "is_doubted"),
    [
        (OF_A_PATIENT, "3", True),
        (OF_A_PATIENT, "2", False),
        (OF_A_PATIENT, "many", False),
        ({**OF_A_PATIENT, "StudyDate": "20240506"}, "3", False),
        ({**OF_A_PATIENT, "PatientID": "A*"}, "3", False),
        ({**OF_A_PATIENT, "PatientID": "A?"}, "3", False),
        (STUDIES, "3", False),
        ({"QueryRetrieveLevel": "STUDY"}, "3", False),
    ],
)
def test_a_pacs_that_counts_more_studies_of_a_patient_is_doubted(
    keys: dict[str, str], count: str, is_doubted: bool
) -> None:
    limits = KnownLimits()
    assert limits.doubted(matches("A", "A", count=count), keys) is is_doubted
    limits.verified(matches("A", "A", count=count), keys)
    assert limits.doubted(matches("A", "A", count="9"), OF_A_PATIENT) is not is_doubted, "such a count is believed once"


def learnt(**attributes: Any) -> KnownLimits:
    limits = KnownLimits()
    for name, value in attributes.items():
        setattr(limits, name, value)
    return limits


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (learnt(), "the PACS does not answer so broad a search"),
        (learnt(most_of_a_patient=4), "the PACS gives at most 4 answers of one patient"),
        (learnt(most=7, most_of_a_patient=4), "the PACS gives at most 7 answers"),
        (learnt(most=7, is_unsteady=True), "the PACS gives a limited number of answers, and not always the same"),
        (learnt(hides=0), "the PACS says Success and gives nothing where a search matches too much"),
        (learnt(hides=3, most=7), "the PACS says Success and gives 3 of the matches where a search matches too much"),
    ],
)
def test_what_is_said_about_a_limit(limits: KnownLimits, said: str) -> None:
    assert limit(limits) == said


def test_a_pacs_that_hides_matches() -> None:
    honest, hiding = learnt(), learnt(hides=2, searchable=("PatientID",))
    assert [honest.may_hide(of_many(number)) for number in (0, 2)] == [False, False]
    assert [hiding.may_hide(of_many(number)) for number in (0, 2, 3)] == [True, True, False]
    names = ("PatientID", "StudyID")
    assert [honest.may_search_by(name) for name in names] == [True, True]
    assert [hiding.may_search_by(name) for name in names] == [True, False]
    assert [learnt(hides=2).may_search_by(name) for name in names] == [True, True]


@pytest.mark.parametrize(("answers", "expected"), [(50, True), (100, True), (51, False), (25, False)])
def test_limits_are_round(answers: int, expected: bool) -> None:
    assert may_be_cut(answers) is expected
