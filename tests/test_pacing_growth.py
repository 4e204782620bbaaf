"""How many associations are tried, with what was measured with more and with fewer."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dicomove.run.pacing.growth import Growth
from dicomove.run.pacing.throughput import Measured


def measured(per_second: float, number: int = 1, error: float = 0.01, seconds: float = 5.0) -> Measured:
    return Measured(per_second, error * per_second, per_second / number, seconds)


def test_it_waits_until_a_difference_is_clear() -> None:
    growth = Growth(8)
    assert not growth.look(None, 1.0)
    assert not growth.look(measured(40, seconds=0.4), 0.4), "too short"
    assert growth.look(measured(40), 1.0)
    assert growth.number == 2
    assert not growth.look(measured(65, 2, error=0.1, seconds=1.0), 2.0), "it may be noise"
    assert growth.number == 2
    assert growth.look(measured(80, 2, error=0.1), 3.0)
    assert growth.number == 4, "twice as many"


def test_it_goes_on_in_steps_of_one_where_twice_as_many_bring_less_than_half_as_much_again() -> None:
    growth = Growth(8)
    growth.look(measured(40), 1.0)
    growth.look(measured(80, 2), 2.0)
    assert not growth.look(measured(90, 4, seconds=1.0), 3.0), "it has only just begun"
    assert growth.look(measured(90, 4), 4.0)
    assert growth.number == 4
    growth.look(measured(90, 4), 6.0)
    assert growth.number == 3, "so little more: perhaps fewer do it, too"
    growth.look(measured(110, 3), 8.0)
    assert growth.number == 2
    growth.look(measured(80, 2), 10.0)
    assert growth.number == 3


def test_it_doubles_in_doubt_where_it_is_likely_and_says_so_after_some_seconds() -> None:
    growth = Growth(8)
    growth.look(measured(40, error=0.2), 3.0)
    assert growth.number == 2
    assert not growth.look(measured(55, 2, error=0.2, seconds=2.5), 5.5)
    assert growth.look(measured(55, 2, error=0.2, seconds=3.0), 6.0)
    assert growth.number == 4


def test_it_goes_back_where_twice_as_many_bring_nothing() -> None:
    growth = Growth(8)
    growth.look(measured(40), 1.0)
    growth.look(measured(80, 2), 2.0)
    growth.look(measured(75, 4), 4.0)
    assert growth.number == 2
    growth.look(measured(80, 2), 6.0)
    assert growth.number == 3, "the best may lie between"


def test_it_doubles_no_further_than_it_may() -> None:
    growth = Growth(3)
    growth.look(measured(40), 1.0)
    growth.look(measured(80, 2), 2.0)
    assert growth.number == 3
    assert growth.look(measured(110, 3), 3.0)
    assert growth.number == 3


def test_it_measures_again_what_was_measured_for_a_moment_only() -> None:
    growth = Growth(8)
    growth.look(measured(40, error=0.12, seconds=0.6), 0.6)
    assert growth.look(measured(48, 2, error=0.015, seconds=30.0), 30.6)
    assert growth.number == 1
    assert growth.look(measured(40), 35.6)
    assert growth.number == 2, "that was no verdict: it is tried at once"


def test_it_takes_one_away_when_response_times_rise() -> None:
    growth = Growth(2)
    growth.look(measured(40), 0.0)
    growth.look(measured(80, 2), 5.0)
    assert growth.look(measured(80, 2), 10.0)
    assert growth.number == 2
    growth.look(measured(40, 2), 15.0)
    assert growth.number == 1
    growth.look(measured(20), 20.0)
    assert growth.number == 2, "one gives less than two do"


def test_it_tries_again_after_twice_as_long_each_time_that_it_was_in_vain() -> None:
    growth, tried = Growth(8), []
    for now in range(3600):
        if growth.look(measured(50, growth.number), float(now)) and growth.number == 2:
            tried.append(now)
    waits = [after - before for before, after in pairwise(tried)]
    assert waits[:7] == [16, 31, 61, 121, 241, 301, 301], "and a second of each is the trial itself"


def test_with_one_association_allowed_it_stays_with_one() -> None:
    growth = Growth(1)
    for now in range(100):
        growth.look(measured(40), float(now))
        assert growth.number == 1


# While it doubles.


def doubled(before: Measured, after: Measured, most: int = 8) -> Growth:
    """Growth that has measured one association, and now two of them, at 10 s."""
    growth = Growth(most)
    assert growth.look(before, 5.0)
    assert growth.number == 2
    growth.look(after, 10.0)
    return growth


def test_a_gain_that_is_clear_is_enough_although_it_is_noisy() -> None:
    assert doubled(measured(40), measured(90, 2, error=0.1)).number == 4


def test_more_than_half_as_much_again_is_worth_doubling() -> None:
    """After two seconds, and with little noise."""
    assert doubled(measured(40), measured(60.5, 2, seconds=2.0)).number == 4


def test_half_as_much_again_is_worth_one_more() -> None:
    growth = doubled(measured(40), measured(60, 2, seconds=2.0))
    assert growth.number == 2
    growth.look(measured(60, 2), 12.0)
    assert growth.number == 3


@pytest.mark.parametrize(("per_second", "number"), [(51, 4), (50, 2)])
def test_in_doubt_more_than_a_quarter_as_much_again_is_worth_doubling(per_second: float, number: int) -> None:
    growth = doubled(measured(40), measured(per_second, 2, error=0.1, seconds=3.0))
    assert growth.number == number
    assert growth.is_on_trial(10.0), "it is measured on, or four are tried"


@pytest.mark.parametrize(("per_second", "number"), [(51, 3), (50, 1)])
def test_where_doubling_brought_more_than_a_quarter_one_more_is_tried_at_once(per_second: float, number: int) -> None:
    growth = doubled(measured(40), measured(per_second, 2, seconds=2.9))
    assert growth.number == 2
    assert growth.look(measured(per_second, 2), 12.0)
    assert growth.number == number


def test_where_doubling_brought_little_one_fewer_is_tried_at_once() -> None:
    growth = doubled(measured(40, error=0.005), measured(43.5, 2, error=0.0115))
    assert growth.number == 2, "it is a little more, and that is clear"
    assert growth.look(measured(43.5, 2), 12.0)
    assert growth.number == 1


def test_where_twice_one_brought_nothing_two_are_tried_again_later() -> None:
    growth = doubled(measured(40), measured(40, 2))
    assert growth.number == 1
    growth.look(measured(40), 12.0)
    assert growth.number == 1
    growth.look(measured(40), 25.0)
    assert growth.number == 2


@pytest.mark.parametrize(("seconds", "number"), [(2.9, 2), (3.0, 1)])
def test_a_short_measurement_does_not_decide_about_doubling(seconds: float, number: int) -> None:
    """A moment is less than 0.6 of the time that it is compared with."""
    growth = doubled(measured(40, error=0.08, seconds=seconds), measured(48, 2, error=0.08))
    assert growth.number == 1
    growth.look(measured(40), 12.0)
    assert growth.number == number


@pytest.mark.parametrize(("most", "per_second", "trial"), [(8, 95, 4), (3, 84, 3)], ids=["doubled", "at its limit"])
def test_after_another_measurement_the_number_doubles_again(most: int, per_second: float, trial: int) -> None:
    growth = doubled(measured(40), measured(80, 2, error=0.079, seconds=2.0), most)
    assert growth.number == trial
    growth.look(measured(per_second, trial, error=0.079), 20.0)
    assert growth.number == 2, "without a verdict"
    growth.look(measured(80, 2), 22.0)
    assert growth.number == trial


def test_at_its_limit_what_brought_nothing_goes() -> None:
    growth = doubled(measured(40), measured(80, 2), most=3)
    assert growth.number == 3
    assert growth.look(measured(80, 3), 20.0)
    assert growth.number == 2


def test_at_its_limit_it_doubles_no_more_and_measures_for_longer() -> None:
    growth = doubled(measured(40), measured(80, 2), most=2)
    assert growth.number == 2
    assert not growth.look(measured(80, 2, seconds=1.0), 11.0)
    assert growth.look(measured(80, 2, seconds=2.0), 12.0)


# In steps of one.


def in_steps(before: Measured) -> Growth:
    """Growth that has measured two associations so, and now tries three, at 20 s; the next decision is of one step."""
    growth = doubled(measured(40), measured(58, 2, error=0.05, seconds=2.9))
    assert growth.look(before, 20.0)
    assert growth.number == 3
    return growth


def test_one_more_is_kept_where_it_brings_three_per_cent_and_the_next_is_tried() -> None:
    growth = in_steps(measured(58, 2, error=0.003))
    assert growth.look(measured(60.5, 3, error=0.005), 25.0)
    assert growth.number == 4


def test_one_more_is_measured_until_it_is_clear_or_a_minute_has_passed() -> None:
    growth = in_steps(measured(58, 2, seconds=40.0))
    for seconds in (2.0, 10.0, 59.0):
        assert not growth.look(measured(62, 3, error=0.05, seconds=seconds), 20 + seconds)
        assert growth.number == 3
    assert growth.look(measured(62, 3, error=0.05, seconds=60.0), 80.0)
    assert growth.number == 2


def test_one_more_that_is_less_for_certain_goes_at_once() -> None:
    growth = in_steps(measured(58, 2))
    assert growth.look(measured(30, 3, error=0.1, seconds=2.0), 22.0)
    assert growth.number == 2


@pytest.mark.parametrize(("seconds", "number"), [(35.0, 3), (36.0, 1)])
def test_a_short_measurement_does_not_decide_about_one_more(seconds: float, number: int) -> None:
    growth = in_steps(measured(58, 2, seconds=seconds))
    assert growth.look(measured(62, 3, error=0.05, seconds=60.0), 80.0)
    assert growth.number == 2
    growth.look(measured(58, 2), 82.0)
    assert growth.number == number, "it is tried at once; or later, and one fewer before it"


def test_after_one_more_was_kept_the_next_trial_is_as_soon_as_the_first() -> None:
    growth = in_steps(measured(58, 2, error=0.003))
    growth.look(measured(60.5, 3, error=0.003, seconds=2.0), 22.0)
    assert growth.number == 4
    growth.look(measured(62.5, 4, error=0.005), 27.0)
    assert growth.number == 3, "measured for too short a time, to tell"
    growth.look(measured(60.5, 3), 29.0)
    assert growth.number == 4


@pytest.mark.parametrize(("per_second", "number"), [(99.5, 2), (100.0, 1), (101.0, 1)])
def test_one_fewer_is_kept_unless_the_last_one_brought_more_than_three_per_cent(per_second: float, number: int) -> None:
    growth = doubled(measured(100, error=0.005), measured(108, 2, error=0.0115))
    growth.look(measured(103, 2, error=0.001), 12.0)
    assert growth.number == 1
    assert growth.look(measured(per_second, error=0.001), 17.0)
    assert growth.number == number


# Response times that change.


def at_rest(before: Measured) -> Growth:
    """Growth with one association that was measured so, at 12 s, and tries nothing before 25 s."""
    growth = doubled(measured(before.per_second), measured(before.per_second, 2))
    assert growth.look(before, 12.0)
    assert growth.number == 1
    return growth


@pytest.mark.parametrize(
    ("before", "after", "number"),
    [
        (measured(2), measured(2.8), 2),
        (measured(10), measured(11), 1),
        (measured(10), measured(12.5), 1),
        (measured(10, error=0.15, seconds=60), measured(13), 1),
        (measured(10), measured(13, error=0.15, seconds=60), 1),
        (measured(10), measured(7), 1),
    ],
    ids=["faster", "a little faster", "a quarter faster", "noisy before", "noisy after", "slower"],
)
def test_a_pacs_that_answers_faster_is_asked_for_more_at_once(before: Measured, after: Measured, number: int) -> None:
    growth = at_rest(before)
    assert growth.look(after, 20.0)
    assert growth.number == number


def test_a_pacs_that_answers_more_slowly_is_asked_for_more_no_sooner() -> None:
    growth = in_steps(measured(58, 2, error=0.003))
    growth.look(measured(75, 3, error=0.003), 25.0)
    growth.look(measured(75, 4, error=0.003), 30.0)
    growth.look(measured(75, 3, error=0.003), 35.0)
    assert growth.number == 3
    growth.look(measured(50, 3, error=0.003), 40.0)
    assert growth.number == 2, "fewer may do"
    growth.look(measured(40, 2, error=0.003), 45.0)
    assert growth.number == 3, "they do not"
    growth.look(measured(50, 3, error=0.003), 50.0)
    assert growth.number == 3
    growth.look(measured(50, 3, error=0.003), 55.0)
    assert growth.number == 4


# Refusals.


@pytest.mark.parametrize("doubles", [True, False])
def test_refusals_within_five_seconds_belong_to_the_trial(doubles: bool) -> None:
    growth = doubled(measured(40), measured(80, 2)) if doubles else in_steps(measured(58, 2))
    number = growth.number
    assert growth.is_on_trial(30.0)
    growth.refused(30.0)
    assert growth.number == number - 1
    assert growth.is_on_trial(34.9)
    assert not growth.is_on_trial(35.0)


def test_refusals_without_a_trial_count_against_the_pacs() -> None:
    growth = at_rest(measured(40))
    assert not growth.is_on_trial(13.0)
    growth.refused(13.0)
    assert growth.number == 1
    assert not growth.is_on_trial(13.0)


def test_a_refused_number_is_tried_again_after_four_minutes_and_later_after_five() -> None:
    growth = at_rest(measured(40))
    growth.refused(20.0)
    numbers = [(growth.look(measured(40), float(now)), growth.number)[1] for now in range(22, 261, 2)]
    assert numbers == [1] * 119 + [2]
    growth.refused(261.0)
    numbers = [(growth.look(measured(40), float(now)), growth.number)[1] for now in range(263, 562, 2)]
    assert numbers == [1] * 149 + [2]
