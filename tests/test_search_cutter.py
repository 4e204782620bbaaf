"""The spans of a search by date, chosen so that each fits into one answer."""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st

from dicomove.search.parts.cutter import Cutter, _Hours
from dicomove.search.parts.spans import DAY, HOUR, Moment, Span

TODAY = dt.date(2026, 11, 25)
#: A Monday.
MONDAY = dt.date(2024, 1, 1).toordinal()
ARCHIVES_BEGIN = dt.date(1995, 1, 1).toordinal()


def questions(studies: Sequence[Moment], cap: int, whole: Span | None = None) -> tuple[int, int]:
    """Cut a search in an archive that gives the earliest studies; return its parts, and the studies found."""
    ordered = sorted((day, minute or 0) for day, minute in studies)
    cutter = Cutter(whole or Span(), cap, ordered[:cap], today=TODAY)
    number, found = 1, 0
    while (span := cutter.next()) is not None:
        number += 1
        begin = bisect.bisect_left(ordered, (span.first, span.begin))
        end = bisect.bisect_right(ordered, (span.last, span.end))
        if end - begin >= cap:
            assert cutter.is_cut_off(span)
        else:
            cutter.is_complete(span, list(ordered[begin:end]))
            found += end - begin
    return number, found


def evenly(studies: int, days: int) -> list[Moment]:
    minutes = (study * days * DAY // studies for study in range(studies))
    return [(MONDAY + minute // DAY, minute % DAY) for minute in minutes]


def spans(cutter: Cutter, *, per_day: int, cap: int, most: int = 10_000) -> list[Span]:
    """Return the spans that are asked for in an archive with so many studies on each day; those that are cut, too."""
    asked: list[Span] = []
    while (span := cutter.next()) is not None and len(asked) < most:
        asked.append(span)
        days = range(span.first, span.last + 1) if not span.is_open else ()
        every = DAY // per_day
        found = [(day, minute) for day in days for minute in range(0, DAY, every) if span.begin <= minute <= span.end]
        if len(found) >= cap:
            cutter.is_cut_off(span)
        else:
            cutter.is_complete(span, found)
    return asked


def test_an_hour_is_as_busy_as_the_studies_that_were_seen_in_it() -> None:
    hours = _Hours()
    hours.learn(Span(MONDAY, MONDAY), [(MONDAY, 9 * HOUR)] * 10)
    # Four hours of an average day count in advance.
    assert hours.business(MONDAY + 7, 9) == pytest.approx((DAY + 4 * HOUR) / (5 * HOUR))
    assert hours.business(MONDAY, 10) == pytest.approx(4 / 5)
    assert hours.business(MONDAY + 1, 9) == 1
    assert hours.mass(Span(MONDAY, MONDAY, 9 * HOUR + 30, 11 * HOUR - 1)) == pytest.approx(30 * 5.6 + 60 * 0.8)


def test_a_part_of_a_day_ends_in_a_busy_hour_as_soon_as_an_answer_is_full() -> None:
    cutter = Cutter(Span(MONDAY, MONDAY), 100, [], today=TODAY)
    cutter._hours.learn(Span(MONDAY, MONDAY), [(MONDAY, 9 * HOUR)] * 10)
    rest = Span(MONDAY, MONDAY, 8 * HOUR + 30, DAY - 1)
    # Half an hour of the quiet hour before, and half of the busy one.
    assert cutter._chosen(rest, 30 * 0.8 + 30 * 5.6) == Span(MONDAY, MONDAY, 8 * HOUR + 30, 9 * HOUR + 29)


@pytest.mark.parametrize(("per_day", "is_whole"), [(94, True), (96, False)])
def test_a_day_is_tried_whole_with_room_for_half_of_what_chance_may_add(per_day: int, is_whole: bool) -> None:
    cutter = Cutter(Span(MONDAY, MONDAY + 59), 100, [], today=TODAY)
    cutter._rate = per_day / DAY
    assert next_span(cutter).has_whole_days == is_whole


# No study is lost.


@settings(max_examples=200, deadline=None)
@given(
    moments=st.lists(st.tuples(st.integers(0, 20), st.integers(0, DAY - 1)), max_size=80),
    cap=st.integers(1, 20),
    first=st.integers(-2, 10),
    days=st.integers(0, 20),
    by_time=st.booleans(),
    guesses=st.booleans(),
)
def test_the_parts_hold_each_moment_of_a_search_once(
    moments: list[tuple[int, int]], cap: int, first: int, days: int, by_time: bool, guesses: bool
) -> None:
    studies = [(MONDAY + day, minute) for day, minute in moments]
    whole = Span(MONDAY + first, MONDAY + first + days)
    cutter = Cutter(whole, cap, [], today=TODAY, by_time=by_time)
    complete: list[Span] = []
    for _ in range(5000):
        span = cutter.next()
        if span is None:
            break
        found = [one for one in studies if span.holds(one)]
        if len(found) < cap or not cutter.is_cut_off(span, cap // 2 if guesses else None):
            if len(found) >= cap:
                assert span.first == span.last
                assert span.begin == span.end or not by_time
            assert span.has_whole_days or by_time, "a day may not be split"
            cutter.is_complete(span, found)
            complete.append(span)
    assert cutter.next() is None
    complete.sort()
    assert (complete[0].first, complete[-1].last) == (whole.first, whole.last)
    assert (complete[0].begin, complete[-1].end) == (0, DAY - 1)
    for one, other in itertools.pairwise(complete):
        if one.last == other.first:
            assert one.end + 1 == other.begin
        else:
            assert (one.last + 1, one.end, other.begin) == (other.first, DAY - 1, 0)
    assert cutter.cut_days == any(not span.has_whole_days for span in complete)


def test_a_search_that_fits_into_one_answer_is_one_part() -> None:
    whole = Span(MONDAY, MONDAY + 1)
    cutter = Cutter(whole, 100, [], today=TODAY)
    assert cutter.next() == whole
    cutter.is_complete(whole, [(MONDAY, 8 * HOUR)])
    assert cutter.next() is None
    assert not cutter.cut_days


def test_a_minute_or_a_day_without_times_cannot_be_cut() -> None:
    minute, day = Span(MONDAY, MONDAY, 60, 60), Span(MONDAY, MONDAY)
    assert not Cutter(minute, 100, [], today=TODAY).is_cut_off(minute)
    without_times = Cutter(day, 100, [], today=TODAY, by_time=False)
    assert not without_times.is_cut_off(day)
    assert not without_times.cut_days
    with_times = Cutter(day, 100, [], today=TODAY)
    assert with_times.is_cut_off(day)
    part = with_times.next()
    assert part is not None
    assert not part.has_whole_days
    assert with_times.cut_days
    days = Cutter(Span(MONDAY, MONDAY + 1), 100, [], today=TODAY, by_time=False)
    assert days.is_cut_off(Span(MONDAY, MONDAY + 1))
    assert not days.cut_days


# Where the search begins.


def test_the_parts_begin_with_the_eras_of_an_archive() -> None:
    today, known = TODAY.toordinal(), [(MONDAY + 5, 0), (MONDAY, 7)]
    cutter = Cutter(Span(), 100, known, today=TODAY)
    eras = []
    while (span := cutter.next()) is not None:
        eras.append((span.first, span.last))
        cutter.is_complete(span, [])
    long_ago, recent, known_days, future = eras
    assert long_ago == (Span().first, ARCHIVES_BEGIN - 1)
    assert recent == (ARCHIVES_BEGIN, MONDAY - 1)
    assert known_days == (MONDAY, today)
    assert future == (today + 1, Span().last)


@pytest.mark.parametrize(
    ("whole", "known", "eras"),
    [
        (Span(MONDAY, MONDAY + 9), [], [(MONDAY, MONDAY + 9)]),
        (Span(MONDAY, MONDAY + 9), [(MONDAY, 0)], [(MONDAY, MONDAY + 9)]),
        (Span(MONDAY, MONDAY + 9), [(MONDAY + 9, 0)], [(MONDAY, MONDAY + 8), (MONDAY + 9, MONDAY + 9)]),
        (Span(MONDAY, MONDAY + 9), [(MONDAY + 10, 0)], [(MONDAY, MONDAY + 9)]),
        (
            Span(TODAY.toordinal() - 1, TODAY.toordinal() + 1),
            [(TODAY.toordinal() + 1, 0)],
            [(TODAY.toordinal() - 1, TODAY.toordinal()), (TODAY.toordinal() + 1, TODAY.toordinal() + 1)],
        ),
        (
            Span(TODAY.toordinal() - 1, TODAY.toordinal() + 9),
            [(TODAY.toordinal() + 5, 0)],
            [(TODAY.toordinal() - 1, TODAY.toordinal()), (TODAY.toordinal() + 1, TODAY.toordinal() + 9)],
        ),
        (
            Span(TODAY.toordinal() - 1, TODAY.toordinal() + 9),
            [(TODAY.toordinal(), 0)],
            [
                (TODAY.toordinal() - 1, TODAY.toordinal() - 1),
                (TODAY.toordinal(), TODAY.toordinal()),
                (TODAY.toordinal() + 1, TODAY.toordinal() + 9),
            ],
        ),
    ],
)
def test_eras_outside_of_the_search_are_not_asked_for(
    whole: Span, known: list[Moment], eras: list[tuple[int, int]]
) -> None:
    cutter = Cutter(whole, 100, known, today=TODAY)
    found = []
    while (span := cutter.next()) is not None:
        found.append((span.first, span.last))
    assert found == eras


def test_a_long_time_ago_is_halved_at_once() -> None:
    cutter = Cutter(Span(), 100, [], today=TODAY)
    span = cutter.next()
    assert span is not None
    assert cutter.is_cut_off(span)
    first, second = cutter.next(), cutter.next()
    assert first is not None
    assert second is not None
    assert (first.first, first.last + 1, second.last) == (span.first, second.first, span.last)


# How many answers it takes.


@pytest.mark.parametrize("cap", [100, 500, 1000])
def test_a_million_studies_take_at_most_twice_the_number_of_full_answers(cap: int) -> None:
    million = 1_000_000
    number, found = questions(evenly(million, 366), cap)
    assert found == million
    assert number <= 2 * million / cap


@pytest.mark.parametrize(("cap", "most"), [(100, 1.45), (1000, 1.6)])
def test_the_better_part_of_an_answer_is_used(cap: int, most: float) -> None:
    number, found = questions(evenly(30_000, 366), cap, Span(MONDAY, MONDAY + 365))
    assert found == 30_000
    assert number <= most * 30_000 / cap


def test_busy_hours_and_weekends_are_learnt() -> None:
    chance = random.Random(1)
    first = dt.date(2016, 1, 1).toordinal()
    days = [day for day in range(first, first + 3650) if day % 7 not in (0, 6)]
    studies = [(chance.choice(days), int(60 * min(max(chance.gauss(12, 3), 0), 23.9))) for _ in range(200_000)]
    number, found = questions(studies, 500)
    assert found == 200_000
    assert number <= 2 * 200_000 / 500


def test_a_night_without_studies_is_learnt() -> None:
    """30 studies a day between 8 and 18 o'clock, for a limit of 20: about two answers for a day."""
    studies = [(MONDAY + day, 8 * HOUR + 20 * study) for day in range(60) for study in range(30)]
    number, found = questions(studies, 20, Span(MONDAY, MONDAY + 59))
    assert found == len(studies)
    assert number <= 60 * 4.5


def test_whole_days_are_asked_for_where_they_fit() -> None:
    """Ten studies a day, and a limit of 35: most parts have two or three days, from 0 to 24 o'clock."""
    cutter = Cutter(Span(MONDAY, MONDAY + 99), 35, [], today=TODAY)
    asked = spans(cutter, per_day=10, cap=35)
    assert all(span.has_whole_days for span in asked)
    assert not cutter.cut_days
    assert len(asked) <= 58


def test_a_day_that_just_fills_an_answer_is_tried_whole() -> None:
    cutter = Cutter(Span(MONDAY, MONDAY + 59), 100, [], today=TODAY)
    asked = spans(cutter, per_day=90, cap=100)
    assert len([span for span in asked[-30:] if span.has_whole_days]) >= 28


def test_a_day_that_is_split_before_it_was_asked_for_whole_is_a_split_day() -> None:
    """Studies without a time are in none of its parts."""
    cutter = Cutter(Span(MONDAY, MONDAY + 39), 100, [], today=TODAY)
    asked = spans(cutter, per_day=97, cap=100)
    assert not all(span.has_whole_days for span in asked)
    assert cutter.cut_days
    whole_days = Cutter(Span(MONDAY, MONDAY + 39), 100, [], today=TODAY, by_time=False)
    assert all(span.has_whole_days for span in spans(whole_days, per_day=97, cap=100))
    assert not whole_days.cut_days


def test_long_spans_of_many_weeks_are_asked_for_where_there_are_few_studies() -> None:
    cutter = Cutter(Span(MONDAY, MONDAY + 3649), 200, [], today=TODAY)
    asked = spans(cutter, per_day=1, cap=200)
    assert len(asked) <= 34
    assert max(span.last - span.first for span in asked[5:]) >= 140


# What it learns.


def learnt(cap: int = 100, per_day: int = 10) -> Cutter:
    """Return a cutter after it has seen so many studies on each of some days."""
    cutter = Cutter(Span(MONDAY, MONDAY + 99_999), cap, [], today=TODAY)
    spans(cutter, per_day=per_day, cap=cap, most=40)
    return cutter


def next_span(cutter: Cutter) -> Span:
    span = cutter.next()
    assert span is not None
    return span


def length(cutter: Cutter) -> int:
    span = next_span(cutter)
    return span.last - span.first + 1


def week(cutter: Cutter) -> float:
    """Return the expected number of studies in a week."""
    return cutter.expected(Span(MONDAY, MONDAY + 6))


@pytest.mark.parametrize(
    ("cap", "per_day", "days"), [(100, 10, (7, 8)), (50, 1, (35, 36)), (10, 1, (4, 5)), (10, 2, (2, 2)), (2, 1, (1, 1))]
)
def test_a_span_fills_an_answer_with_room_for_chance(cap: int, per_day: int, days: tuple[int, int]) -> None:
    assert days[0] <= length(learnt(cap, per_day)) <= days[1]


def test_parts_of_a_day_fill_an_answer_with_room_for_chance() -> None:
    """96 studies a day, one every 15 minutes, and a limit of 20: 11 in each part but the last of a day."""
    cutter = learnt(20, 96)
    for _ in range(40):
        span = next_span(cutter)
        found = [(span.first, minute) for minute in range(0, DAY, 15) if span.begin <= minute <= span.end]
        assert span.end == DAY - 1 or 10 <= len(found) <= 12
        cutter.is_complete(span, found)


def test_a_complete_era_says_nothing_about_the_next_one() -> None:
    cutter = Cutter(Span(MONDAY, MONDAY + 9), 100, [(MONDAY + 5, 0)], today=TODAY)
    era = next_span(cutter)
    cutter.is_complete(era, [(era.first, minute) for minute in range(99)])
    assert next_span(cutter) == Span(MONDAY + 5, MONDAY + 9)
    assert week(cutter) == 0.0


def test_an_era_with_an_open_end_says_nothing_about_others() -> None:
    cutter = learnt()
    before = week(cutter)
    cutter.is_complete(Span(MONDAY + 100_000), [])
    assert week(cutter) == before


def test_how_much_an_answer_teaches() -> None:
    """A span that was cut has a third more than the limit, and 60 % more than expected, at least."""
    for per_day, times in ((10, 130 / 70), (90, 1.6)):
        cutter = learnt(100, per_day)
        before = week(cutter)
        assert cutter.is_cut_off(next_span(cutter))
        assert week(cutter) / before == pytest.approx(times, rel=0.03)
    cutter = learnt()
    before = week(cutter)
    cutter.is_complete(next_span(cutter), [])
    assert week(cutter) / before == pytest.approx(0.54, abs=0.01), "days without studies may be holidays"


def test_the_expected_number_is_that_of_the_days_before() -> None:
    cutter = learnt()
    assert cutter.expected(Span(MONDAY, MONDAY + 6)) == pytest.approx(70, rel=0.1)
    assert cutter.expected(Span(MONDAY, MONDAY)) == pytest.approx(10, rel=0.2)
    assert cutter.expected(Span(MONDAY, MONDAY, 0, 12 * HOUR - 1)) == pytest.approx(5, rel=0.4)
    assert cutter.expected(Span(MONDAY, MONDAY + 9)) == pytest.approx(100, rel=0.1)
    assert cutter.expected(Span(last=MONDAY)) == 0.0


@pytest.mark.parametrize(
    "span",
    [
        Span(MONDAY, MONDAY, 8 * HOUR, 9 * HOUR - 1),
        Span(MONDAY, MONDAY, 7 * HOUR + 20, 12 * HOUR + 44),
        Span(MONDAY + 3, MONDAY + 4),
        Span(MONDAY + 2, MONDAY + 30),
        Span(MONDAY, MONDAY + 399),
    ],
)
def test_the_parts_of_a_span_have_as_many_studies_as_the_span(span: Span) -> None:
    """Also if hours and days differ."""
    cutter = Cutter(Span(MONDAY, MONDAY + 999), 20, [], today=TODAY)
    for part in iter(cutter.next, None):
        if part.first > MONDAY + 60:
            break
        days = [day for day in range(part.first, part.last + 1) if (day - MONDAY) % 7 < 5]
        moments = [(day, minute) for day in days for minute in range(8 * HOUR, 18 * HOUR, 20)]
        found = [one for one in moments if part.holds(one)]
        if len(found) >= 20:
            cutter.is_cut_off(part)
        else:
            cutter.is_complete(part, found)
    assert sum(map(cutter.expected, span.halves())) == pytest.approx(cutter.expected(span))
    minutes = [
        cutter.expected(Span(day, day, minute, minute))
        for day in range(span.first, min(span.last, span.first + 1) + 1)
        for minute in range(span.begin, span.end + 1)
    ]
    if span.last <= span.first + 1:
        assert sum(minutes) == pytest.approx(cutter.expected(span))


def test_nothing_is_expected_before_anything_is_known() -> None:
    assert Cutter(Span(), 100, [], today=TODAY).expected(Span(MONDAY, MONDAY + 99)) == 0.0


def test_a_lower_limit_makes_spans_shorter_and_a_higher_one_changes_nothing() -> None:
    for limit in (None, 0, 100, 1000):
        cutter = learnt()
        cutter.lower(limit)
        assert length(cutter) == length(learnt())
    cutter = learnt()
    cutter.lower(50)
    assert length(cutter) in (3, 4)
    cutter.lower(1)
    assert length(cutter) == 1


def test_an_answer_that_was_cut_makes_the_next_span_shorter() -> None:
    cutter = learnt()
    span = cutter.next()
    assert span is not None
    assert cutter.is_cut_off(span)
    shorter = cutter.next()
    assert shorter is not None
    assert shorter.first == span.first
    assert shorter.last < span.last


def test_busier_days_are_learnt_quickly_and_quieter_days_too() -> None:
    cutter = learnt()
    for _ in range(5):
        span = cutter.next()
        assert span is not None
        days = range(span.first, span.last + 1)
        cutter.is_complete(span, [(day, minute) for day in days for minute in range(0, DAY, DAY // 5)])
    assert length(cutter) >= 12


def test_the_limit_of_a_pacs_that_gives_nothing_beyond_it_is_guessed() -> None:
    """The longest answer so far had 50 matches: the limit is at least that, and grows again if more fit."""
    cutter = learnt(100)
    span, before = next_span(cutter), week(cutter)
    assert cutter.is_cut_off(span, longest=50)
    assert week(cutter) / before == pytest.approx(1.2)
    lengths = []
    for _ in range(4):
        shorter = next_span(cutter)
        lengths.append(shorter.last - shorter.first + 1)
        days = range(shorter.first, shorter.last + 1)
        cutter.is_complete(shorter, [(day, minute) for day in days for minute in range(0, DAY, DAY // 10)])
    assert shorter.first > span.first
    assert lengths == [3, 4, 7, 13]


def test_days_without_studies_do_not_make_it_forget_that_others_have_some() -> None:
    cutter = learnt(100)
    cutter.is_complete(next_span(cutter), [])
    span, before = next_span(cutter), week(cutter)
    assert cutter.is_cut_off(span, longest=50)
    assert week(cutter) / before == pytest.approx(1.2)


def test_no_limit_is_guessed_before_it_is_known_how_many_studies_there_are() -> None:
    cutter = Cutter(Span(MONDAY, MONDAY + 99), 100, [], today=TODAY)
    assert cutter.is_cut_off(next_span(cutter), longest=50)
    assert cutter.expected(Span(MONDAY, MONDAY + 99)) == pytest.approx(130)


def test_a_guess_is_not_below_the_longest_answer() -> None:
    cutter = learnt(100)
    span = cutter.next()
    assert span is not None
    assert cutter.is_cut_off(span, longest=99)
    shorter = cutter.next()
    assert shorter is not None
    assert shorter.last - shorter.first + 1 >= 0.7 * (span.last - span.first + 1)


def test_weekends_without_studies_are_learnt() -> None:
    cutter = Cutter(Span(MONDAY, MONDAY + 699), 40, [], today=TODAY)
    for _ in range(200):
        span = cutter.next()
        if span is None:
            break
        days = [day for day in range(span.first, span.last + 1) if (day - MONDAY) % 7 < 5]
        found = [(day, minute) for day in days for minute in range(0, DAY, DAY // 10) if span.holds((day, minute))]
        if len(found) >= 40:
            cutter.is_cut_off(span)
        else:
            cutter.is_complete(span, found)
    saturday, monday = Span(MONDAY + 5, MONDAY + 5), Span(MONDAY, MONDAY)
    assert cutter.expected(saturday) < 1.5
    assert cutter.expected(monday) > 7
    assert cutter.expected(Span(MONDAY, MONDAY + 6)) == pytest.approx(50, rel=0.2)


def test_studies_without_a_time_are_learnt_as_studies_of_no_hour() -> None:
    cutter = learnt()
    span = cutter.next()
    assert span is not None
    before = cutter.expected(Span(MONDAY, MONDAY + 6))
    cutter.is_complete(span, [(day, None) for day in range(span.first, span.last + 1) for _ in range(10)])
    assert cutter.expected(Span(MONDAY, MONDAY + 6)) == pytest.approx(before, rel=0.1)
