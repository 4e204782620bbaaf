from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from dicomove.run.pacing.associations import Associations, Congestion

QUIET = 0.1


def after_quiet(congestion: Congestion, successes: int, now: float = 0.0) -> Congestion:
    for _ in range(successes):
        congestion.went_well(QUIET, now)
    return congestion


@pytest.mark.parametrize(
    ("most", "limits"),
    [(1, [1, 1]), (2, [1, 1]), (3, [1, 1]), (4, [2, 1]), (8, [4, 2, 1, 1]), (9, [4, 2, 1, 1]), (64, [32, 16, 8, 4])],
)
def test_congestion_halves_the_limit_and_leaves_one(most: int, limits: list[int]) -> None:
    congestion = Congestion(most)
    assert congestion.limit == most
    for number, limit in enumerate(limits):
        congestion.congested(now=10.0 * number)
        assert congestion.limit == limit


@pytest.mark.parametrize(
    ("times", "limit"),
    [
        ([0.0], 32),
        ([0.0, 0.0, 0.0, 0.1, 4.9], 32),
        ([0.0, 5.0], 16),
        ([0.0, 4.0, 5.0, 9.0, 10.0], 8),
        # A burst that lasts does not put off the next halving.
        ([0.0, 3.0, 6.0, 9.0, 12.0], 8),
    ],
)
def test_a_burst_counts_once(times: list[float], limit: int) -> None:
    congestion = Congestion(64)
    for now in times:
        congestion.congested(now)
    assert congestion.limit == limit


def test_quiet_success_raises_it_by_one_for_each_round() -> None:
    congestion = Congestion(4)
    congestion.congested(0.0)
    congestion.congested(10.0)
    limits = [after_quiet(congestion, 1).limit for _ in range(12)]
    assert limits == [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]


def test_congestion_begins_the_round_again() -> None:
    congestion = Congestion(8)
    congestion.congested(0.0)
    after_quiet(congestion, 3, now=1.0)
    congestion.congested(1.5)  # the limit was halved a moment ago, but nothing is quiet
    assert congestion.limit == 4
    assert after_quiet(congestion, 3, now=2.0).limit == 4
    assert after_quiet(congestion, 1, now=2.0).limit == 5


@pytest.mark.parametrize(
    ("silences", "last", "is_congestion"),
    [
        ([0.1] * 20, 2.1, True),
        ([0.1] * 20, 2.0, False),  # not noticeable
        ([0.1] * 20, 1.9, False),
        ([1.0] * 20, 4.1, True),
        ([1.0] * 20, 4.0, False),
        ([1.0] * 20, 3.9, False),
        ([60.0] * 20, 200.0, False),  # a tape
        ([60.0] * 20, 241.0, True),
        ([0.1] * 5, 2.1, True),
        ([0.1] * 4, 2.1, False),  # nobody knows yet what is usual
        ([], 100.0, False),
        ([0.0] * 20, 2.1, True),
        ([9.0] * 20 + [1.0] * 20, 4.1, True),  # the latest 20
        ([9.0] * 11 + [1.0] * 9, 20.0, False),  # the median
        ([9.0] * 9 + [1.0] * 11, 20.0, True),
        ([9.0] * 11 + [1.0] * 10, 20.5, True),  # ... and not 21
        ([0.1] * 20, None, False),
        ([0.1] * 20, math.nan, False),
        ([0.1] * 20, -5.0, False),  # a clock that went back
        ([0.1] * 20 + [-5.0] * 20 + [0.1], 2.1, True),
    ],
)
def test_rising_silence_is_congestion(silences: list[float], last: float | None, is_congestion: bool) -> None:
    congestion = Congestion(8)
    for silence in silences:
        congestion.went_well(silence, now=0.0)
    assert congestion.limit == 8
    congestion.went_well(last, now=0.0)
    assert congestion.limit == (4 if is_congestion else 8)


def test_silence_that_lasts_is_no_congestion_for_ever() -> None:
    """A PACS that went over to its tapes is slow, and not congested: the limit comes back."""
    congestion = after_quiet(Congestion(4), 20)
    for number in range(60):
        congestion.went_well(30.0, now=100.0 * number)
    assert congestion.limit == 4


def test_without_a_calm_each_sign_counts() -> None:
    congestion = Congestion(64, calm_s=0)
    congestion.congested(0.0)
    congestion.congested(0.0)
    assert congestion.limit == 16


Step = tuple[str, float | None, float]
silences = st.none() | st.floats(0, 100) | st.sampled_from([math.nan, math.inf, -1.0])
steps = st.tuples(st.sampled_from(["congested", "well"]), silences, st.floats(0, 100))


@given(st.integers(1, 40), st.lists(steps, max_size=80))
def test_it_stays_within_its_limits(most: int, story: list[Step]) -> None:
    """... never falls by more than half, never rises by more than one, and comes back in the end, whatever happened."""
    congestion, now = Congestion(most), 0.0
    for kind, silence, seconds in story:
        before, now = congestion.limit, now + seconds
        congestion.congested(now) if kind == "congested" else congestion.went_well(silence, now)
        assert max(1, before // 2) <= congestion.limit <= min(most, before + 1)
    after_quiet(congestion, most * (most + 1) // 2, now)
    assert congestion.limit == most


@given(st.integers(1, 1000), st.lists(st.floats(0, 10), max_size=50))
def test_between_two_halvings_it_is_calm(most: int, waits: list[float]) -> None:
    congestion, now = Congestion(most, calm_s=5), 0.0
    halved_at = -math.inf
    for wait in waits:
        now += wait
        before = congestion.limit
        congestion.congested(now)
        assert (congestion.limit < before) == (before > 1 and now - halved_at >= 5)
        halved_at = now if now - halved_at >= 5 else halved_at


def test_how_it_shows_itself() -> None:
    congestion = Congestion(8)
    congestion.congested(0.0)
    assert repr(congestion) == "<Congestion: 4 of 8 moves at a time>"


# The moves in flight.


def test_another_move_may_begin_while_there_are_fewer_than_the_limit() -> None:
    associations = Associations(2, grows=False)
    for number in range(2):
        assert associations.has_free(0.0, has_more=True)
        associations.begun(number, 0.0, counts=True)
    assert not associations.has_free(0.0, has_more=True)
    associations.ended(0, 10, 1.0)
    assert associations.has_free(1.0, has_more=True)
    associations.rest(1.0)
    assert (associations.rest_ends, associations.has_free(1.0, has_more=True)) == (None, True), "they need no rest"


def test_an_association_rests_after_a_move() -> None:
    associations = Associations(2, grows=False, rest_s=3.0)
    associations.begun("move", 0.0, counts=True)
    associations.rest(0.0)
    assert (associations.rest_ends, associations.in_flight) == (3.0, 1)
    assert not associations.has_free(2.9, has_more=True)
    assert associations.has_free(3.0, has_more=True)
    assert associations.rest_ends is None
    associations.rest(10.0)
    associations.rest(12.0)
    assert not associations.has_free(14.0, has_more=True)
    assert associations.rest_ends == 15.0


def test_a_move_had_company_if_another_one_was_in_flight_at_any_moment() -> None:
    associations = Associations(4, grows=False)
    associations.begun("alone", 0.0, counts=True)
    assert not associations.ended("alone", 10, 1.0)
    associations.begun("first", 2.0, counts=True)
    associations.begun("second", 2.0, counts=True)
    assert associations.ended("first", 10, 3.0)
    assert associations.ended("second", 10, 4.0), "the first one was there before"
    associations.begun("third", 5.0, counts=True)
    assert not associations.ended("unknown", 10, 5.0)
    assert not associations.ended("third", 10, 5.0)
    assert associations.in_flight == 0


def test_a_number_that_grows_begins_with_one_and_a_refusal_of_it_is_congestion() -> None:
    assert (Associations(8, grows=True).limit, Associations(8, grows=False).limit) == (1, 8)
    fixed = Associations(8, grows=False)
    fixed.congested(0.0)
    assert fixed.limit == 4
    for _ in range(4):
        fixed.went_well(QUIET, 1.0)
    assert fixed.limit == 5
    assert repr(fixed) == "<Associations: fixed, <Congestion: 5 of 8 moves at a time>>"
