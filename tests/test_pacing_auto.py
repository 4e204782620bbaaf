"""A number of associations that follows what the PACS gives: in simulations, and in the state of a run."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from dicomove.run.options import Options
from dicomove.run.pacing import Associations
from tests import simulated_pacs as simulated
from tests.simulated_pacs import BEGINS_S, Nature, Simulation, studies

AT_1_MS = partial(simulated.distant, away_s=0.001)
NATURES: list[tuple[Nature, int, dict[str, Any]]] = [
    (simulated.one_at_a_time, 500, {}),
    (simulated.fair_share, 600, {}),
    (simulated.thrashing, 500, {}),
    (simulated.distant, 800, {}),
    (AT_1_MS, 2500, {}),
    (simulated.saturating, 1500, {}),
    (simulated.one_at_a_time, 500, {"serves": 1}),
    (simulated.distant, 500, {"serves": 2}),
    (simulated.distant, 600, {"limit": 3}),
    (simulated.fair_share, 600, {"noise": 0.4}),
    (simulated.distant, 800, {"noise": 0.4}),
]
NIGHTS: list[tuple[Nature, int]] = [(simulated.backup, 5_000), (simulated.slow_backup, 5_000)]


def fixed(nature: Nature, sizes: list[int], **more: Any) -> dict[int, float]:
    """Return the seconds that a run takes with each fixed number of associations."""
    return {
        number: Simulation(nature, sizes, Options(concurrency=number, retry=4), **{**more, "reports_s": None}).run()
        for number in (1, 2, 3, 4, 6, 8)
    }


def auto(nature: Nature, sizes: list[int], **more: Any) -> Simulation:
    return Simulation(nature, sizes, Options(concurrency="auto", retry=4), **more)


@pytest.mark.parametrize(("nature", "count", "more"), NATURES)
@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_close_to_the_best_fixed_number_and_far_from_the_worst(
    nature: Nature, count: int, more: dict[str, Any], seed: int
) -> None:
    sizes = studies(count, seed)
    seconds = fixed(nature, sizes, seed=seed, **more)
    its = auto(nature, sizes, seed=seed, **more).run()
    assert its <= 1.1 * min(seconds.values()), (its, seconds)
    if max(seconds.values()) > 1.2 * min(seconds.values()):
        assert its < 0.9 * max(seconds.values()), (its, seconds)


@pytest.mark.parametrize(("nature", "count"), NIGHTS)
def test_a_backup_at_two_costs_little(nature: Nature, count: int) -> None:
    """A run of seven hours; the best fixed number is that of the whole night."""
    sizes = studies(count, around=420)
    seconds = [Simulation(nature, sizes, Options(concurrency=number), reports_s=None).run() for number in (1, 3, 8)]
    its = auto(nature, sizes, reports_s=1.0).run()
    assert its <= 1.1 * min(seconds), (its, seconds)
    assert its < 0.5 * max(seconds), (its, seconds)


def test_a_pacs_with_a_backup_gets_fewer_and_then_more_again() -> None:
    run = auto(simulated.backup, studies(5_000, around=420), reports_s=0.5)
    run.run()
    begins, ends = (hour * 3600 + 86400 - BEGINS_S for hour in (2, 3))
    assert run.mean_number(600, begins) == pytest.approx(3, abs=0.3)
    assert run.mean_number(begins + 600, ends) < 2.3, "two get all that it gives"
    assert run.mean_number(ends + 600, ends + 2000) > 2.7


def test_a_pacs_that_tells_nothing_until_a_study_has_come_is_measured_by_its_studies() -> None:
    sizes = studies(1500)
    for nature in (simulated.fair_share, simulated.thrashing, simulated.distant):
        best = min(fixed(nature, sizes).values())
        assert auto(nature, sizes, reports_s=None).run() <= 1.1 * best, nature


def test_at_a_distance_of_5_ms_it_is_three_times_as_fast_as_one_association() -> None:
    """Also in a run of 30 studies, which one association moves in three minutes."""
    sizes = studies(30, around=200)
    one = Simulation(simulated.distant, sizes, Options(), reports_s=None).run()
    assert one < 250
    assert auto(simulated.distant, sizes).run() < one / 3


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize(
    ("nature", "count", "around", "more", "most"),
    [
        (simulated.distant, 90, 150, {}, 1.12),
        (simulated.distant, 90, 150, {"noise": 0.4}, 1.2),
        (AT_1_MS, 300, 150, {}, 1.2),
        (simulated.distant, 100, 40, {"serves": 4}, 1.25),
        (simulated.distant, 50, 150, {"limit": 5}, 1.2),
        (simulated.fair_share, 45, 150, {}, 1.12),
        (simulated.thrashing, 45, 150, {}, 1.18),
        (simulated.one_at_a_time, 15, 150, {}, 1.08),
    ],
)
def test_a_run_of_a_minute_loses_little_to_its_beginning(
    nature: Nature, count: int, around: int, more: dict[str, Any], most: float, seed: int
) -> None:
    sizes = studies(count, seed, around)
    best = min(fixed(nature, sizes, seed=seed, **more).values())
    assert best < 90
    assert auto(nature, sizes, seed=seed, **more).run() <= most * best


@pytest.mark.parametrize("seed", range(1, 6))
def test_studies_that_are_unlike_keep_it_from_nothing_for_long(seed: int) -> None:
    """Of a mixture, a few studies say little: in doubt, more are tried after some seconds."""
    sizes = studies(250, seed, 14)
    best = min(fixed(simulated.distant, sizes, seed=seed, unlike=0.8).values())
    assert best < 60
    assert auto(simulated.distant, sizes, seed=seed, unlike=0.8).run() <= 1.5 * best


def test_it_doubles_while_that_brings_clearly_more() -> None:
    run = auto(simulated.distant, studies(100), noise=0.02)
    run.run()
    reached = {number: next(at for at, many in run.numbers if many >= number) for number in (2, 3, 4, 5, 8)}
    assert reached[8] < 8
    assert reached[2] < reached[3] == reached[4] < reached[5] == reached[8]


@pytest.mark.parametrize(
    ("nature", "number", "more"),
    [
        (simulated.one_at_a_time, 1, {}),
        (simulated.fair_share, 3, {}),
        (simulated.thrashing, 3, {}),
    ],
)
def test_it_takes_no_more_associations_than_bring_something(nature: Nature, number: int, more: dict[str, Any]) -> None:
    run = auto(nature, studies(1000), **more)
    run.run()
    assert run.mean_number(120) == pytest.approx(number, abs=0.35)


def test_it_stays_below_its_limit() -> None:
    run = Simulation(simulated.distant, studies(300), Options(concurrency="auto", max_concurrency=5))
    run.run()
    assert max(many for _, many in run.numbers) == 5
    assert run.mean_number(60) > 4.5


def test_a_pacs_that_refuses_is_seldom_asked_for_more_than_it_accepts() -> None:
    run = auto(simulated.distant, studies(2000), limit=3)
    seconds = run.run()
    assert run.mean_number(60) == pytest.approx(3, abs=0.1)
    assert 0 < run.refused <= 3 + seconds / 240


def test_a_limit_of_instances_per_second_needs_one_association() -> None:
    run = Simulation(simulated.distant, studies(200), Options(concurrency="auto", max_instances_per_second=20))
    run.run()
    assert run.mean_number(120) < 1.3


def test_nothing_is_learnt_while_nothing_may_begin() -> None:
    """The hours end after an hour: what was measured over the day after it would be next to nothing."""
    hours = "21:00-22:00 UTC"
    run = Simulation(simulated.distant, studies(7_500), Options(concurrency="auto", hours=hours), reports_s=0.5)
    run.run()
    assert run.now > 24 * 3600
    assert run.mean_number(24 * 3600 + 60, 24 * 3600 + 300) > 6.5


def test_options_say_how_many_associations_there_may_be() -> None:
    assert Options().most_associations() == 1
    assert Options(concurrency=3).most_associations() == 3
    assert Options(concurrency="auto").most_associations() == 8
    assert Options(concurrency="auto", max_concurrency=4).written()["concurrency"] == "auto"
    for wrong in ({"concurrency": "all"}, {"max_concurrency": 0}, {"max_concurrency": "auto"}):
        with pytest.raises(ValueError, match="concurrency"):
            Options(**wrong)


@pytest.mark.parametrize(("counts", "most"), [(True, 8), (False, 1)])
def test_what_a_row_tells_that_does_not_count_for_itself_is_no_measure(counts: bool, most: int) -> None:
    """A row that is resumed tells of what came before, too."""
    associations = Associations(8, grows=True)
    for tick in range(60):
        while associations.in_flight < associations.limit:
            associations.begun(associations.in_flight, tick * 0.5, counts=counts)
        for move in range(associations.in_flight):
            associations.progressed(move, 20 * tick, tick * 0.5)
        associations.look(tick * 0.5, has_more=True)
    assert associations.limit == most


def test_a_busy_pacs_gets_fewer_than_its_number_for_a_while() -> None:
    associations = Associations(8, grows=False)
    associations.congested(0.0)
    assert associations.limit == 4
    growing = Associations(8, grows=True)
    growing.congested(0.0)
    assert growing.limit == 1
