"""What a PACS gives over all associations, by what each move tells; and the limit of instances per second."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from dicomove.run.pacing import Rate
from dicomove.run.pacing.throughput import Measured, Throughput


def found(throughput: Throughput, now: float) -> Measured:
    measured = throughput.measured(now)
    assert measured is not None
    return measured


def one_after_the_other(throughput: Throughput, *instances: int) -> float:
    """Let moves take a second each; return when they have ended."""
    for number, count in enumerate(instances):
        throughput.begun(number, float(number))
        throughput.ended(number, count, number + 1.0)
    return float(len(instances))


def test_of_moves_that_overlap() -> None:
    """Two associations with 10 instances per second each, that report at the end of each move."""
    throughput = Throughput()
    for number in range(10):
        throughput.begun(("left", number), number * 2.0)
        throughput.begun(("right", number), number * 2.0)
        throughput.ended(("left", number), 20, number * 2.0 + 2)
        throughput.ended(("right", number), 20, number * 2.0 + 2)
    found = throughput.measured(20.0)
    assert found is not None
    assert [found.per_second, found.each, found.error] == pytest.approx([20, 10, 0])


def test_of_a_move_that_does_not_say_how_much_is_its_own() -> None:
    throughput = Throughput()
    for number in range(8):
        throughput.begun(number, float(number), counts=number != 7)
        throughput.ended(number, 10_000 if number == 7 else 10, number + 1.0)
    found = throughput.measured(8.0)
    assert found is not None
    assert found.per_second == pytest.approx(10)


def test_of_a_pacs_that_gives_no_counts_is_unknown() -> None:
    throughput = Throughput()
    for number in range(50):
        throughput.begun(number, float(number))
        throughput.ended(number, None, number + 1.0)
    assert throughput.measured(50.0) is None


def test_the_error_is_that_of_so_many_moves_on_so_many_associations() -> None:
    throughput = Throughput()
    for number in range(4):
        for side in ("left", "right"):
            throughput.begun((side, number), float(number))
        for side in ("left", "right"):
            throughput.ended((side, number), 10 + 10 * (number % 2), number + 1.0)
    measured = found(throughput, 4.0)
    assert (measured.per_second, measured.each, measured.seconds) == (30, 15, 4)
    assert measured.error == pytest.approx(2 * math.sqrt(8 * 5**2 * 8 / 7) / 8)


def test_moves_that_bring_nothing_are_measured_too() -> None:
    throughput = Throughput()
    now = one_after_the_other(throughput, 0, 0, 0, 0)
    assert (found(throughput, now).per_second, found(throughput, now).noise) == (0, math.inf)


def test_nothing_is_known_of_moves_that_took_no_time() -> None:
    throughput = Throughput()
    assert throughput.measured(1.0) is None
    for number in range(4):
        throughput.begun(number, 5.0)
        throughput.ended(number, 10, 5.0)
    assert throughput.measured(5.0) is None
    assert throughput.measured(6.0) is None


def test_reports_within_a_quarter_of_a_second_are_combined() -> None:
    throughput = Throughput()
    throughput.begun("row", 10.0)
    known = []
    for tenth in range(1, 13):
        throughput.progressed("row", tenth, 10 + tenth / 10)
        known.append(throughput.measured(10 + tenth / 10) is not None)
    assert known == [False] * 11 + [True]


def test_a_repeated_report_changes_nothing() -> None:
    throughput = Throughput()
    throughput.begun("row", 0.0)
    for second in range(1, 20):
        throughput.progressed("row", 10, float(second))
    assert throughput.measured(20.0) is None
    throughput.progressed("a row that has ended", 10, 20.0)


@pytest.mark.parametrize(
    ("begun", "counts", "per_second"),
    [(0.0, True, 10), (6.0, True, 12.5), (6.5, True, 11.875), (0.0, False, 20)],
    ids=["late", "not yet late", "just begun", "it does not say"],
)
def test_a_move_that_tells_nothing_for_twice_as_long_as_others_brings_nothing(
    begun: float, counts: bool, per_second: float
) -> None:
    """Another one brings 10 instances in each of eight seconds."""
    throughput = Throughput()
    for second in range(8):
        throughput.begun(second, float(second))
        if second == int(begun):
            throughput.begun("waits", begun, counts=counts)
        throughput.ended(second, 10, second + 1.0)
    assert found(throughput, 8.0).per_second == per_second


@pytest.mark.parametrize(
    ("per_second", "spent", "now", "ready_at"),
    [
        (None, [(10_000, 0.0)], 0.0, 0.0),
        (10, [], 5.0, 5.0),
        (10, [(0, 5.0)], 5.0, 5.0),
        (10, [(-3, 5.0)], 5.0, 5.0),
        (10, [(100, 0.0)], 0.0, 10.0),
        (10, [(100, 0.0)], 4.0, 10.0),
        (10, [(100, 0.0)], 10.0, 10.0),
        (10, [(100, 0.0)], 99.0, 99.0),  # a time that has passed is now
        (10, [(50, 0.0), (50, 0.0)], 0.0, 10.0),
        (10, [(50, 0.0), (50, 3.0)], 3.0, 10.0),
        (10, [(50, 0.0), (50, 8.0)], 8.0, 13.0),  # an idle time is not saved up
        (0.5, [(1, 0.0)], 0.0, 2.0),
        (1e9, [(100, 0.0)], 0.0, 1e-7),
    ],
)
def test_when_the_next_move_may_begin(
    per_second: float | None, spent: list[tuple[int, float]], now: float, ready_at: float
) -> None:
    rate = Rate(per_second)
    for instances, at in spent:
        rate.spent(instances, at)
    assert rate.ready_at(now) == pytest.approx(ready_at)


@pytest.mark.parametrize(
    ("moves", "now", "ready_at"),
    [
        ([(100, 0.0, 4.0)], 4.0, 10.0),  # the time that it took counts
        ([(100, 0.0, 20.0)], 20.0, 20.0),  # slower than the limit
        ([(100, 0.0, 10.0), (100, 0.0, 10.0)], 10.0, 20.0),  # two at a time
        ([(100, 0.0, 5.0), (100, 10.0, 15.0)], 15.0, 20.0),  # one after the other
    ],
)
def test_the_time_that_a_move_took(moves: list[tuple[int, float, float]], now: float, ready_at: float) -> None:
    rate = Rate(10)
    for instances, since, ended in moves:
        rate.spent(instances, ended, since=since)
    assert rate.ready_at(now) == ready_at


moves = st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 30)), min_size=1, max_size=30)


@given(st.floats(0.5, 500), moves)
def test_the_rate_holds_over_a_run_and_no_move_waits_in_vain(per_second: float, run: list[tuple[int, float]]) -> None:
    rate, now, total = Rate(per_second), 0.0, 0
    for instances, duration in run:
        now = rate.ready_at(now)
        assert total <= per_second * now * (1 + 1e-9) + 1e-6
        began, now = now, now + duration
        rate.spent(instances, now, since=began)
        total += instances
        expected = max(now, began + instances / per_second)
        assert rate.ready_at(now) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rate", "said"), [(Rate(None), "<Rate: no limit>"), (Rate(50), "<Rate: 50 instances/s>")], ids=repr
)
def test_how_it_shows_itself(rate: Rate, said: str) -> None:
    assert repr(rate) == said
