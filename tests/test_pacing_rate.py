from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomove.run.pacing import Rate


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
