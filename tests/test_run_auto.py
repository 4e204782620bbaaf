"""A number of associations that follows what the PACS gives, as the state of a run decides it."""

from __future__ import annotations

from typing import Any

import pytest

from dicomove import events
from dicomove.cohort import Identifier
from dicomove.run.attempt.ends import SeriesListed
from dicomove.run.messages import Arrived, AttemptEnded, Moving
from dicomove.run.requests import Task
from tests.run_events import COMPLETE, REJECTED, RunDriver, moved, task


def asked(one: Task) -> Identifier:
    return one.part.identifier if one.part else one.identifier


def begun(run: RunDriver, seconds: float, event: Any, *, served: int = 8) -> int:
    """Let so many tasks bring 40 instances per second each, for so long; return how many are in flight then."""
    moving = run.begin()
    since: dict[Identifier, float] = {}
    end = run.now + seconds
    while run.now < end:
        since |= {asked(one): run.now for one in moving if asked(one) not in since}
        run.now += 0.25
        for one in moving[:served]:
            run.tell(event(one, int(40 * (run.now - since[asked(one)]))))
        moving += run.begin()
    return len(moving)


def progress(task: Any, done: int) -> Moving:
    counts = events.SubOperationEvent(
        total=1000, completed=done - 1, failed=0, warning=1, remaining=1000 - done,
        percent=None, rate=None, eta_s=None, elapsed_s=1.0,
    )  # fmt: skip
    return Moving(task, counts)


@pytest.mark.parametrize(
    "event", [progress, lambda task, done: Arrived(task, done, 512 * done)], ids=["counts", "disk"]
)
def test_a_run_learns_from_counts_and_from_arrivals_while_a_study_moves(event: Any) -> None:
    assert begun(RunDriver.of(9, concurrency="auto"), 1.0, event) == 2
    assert begun(RunDriver.of(9, concurrency="auto"), 1.5, event) == 4
    assert begun(RunDriver.of(9, concurrency="auto"), 5, event) == 8
    assert begun(RunDriver.of(9, concurrency="auto", max_concurrency=3), 25, event) == 3
    assert begun(RunDriver.of(9, concurrency=1), 25, event) == 1


def test_a_study_that_the_pacs_lets_wait_brings_nothing() -> None:
    run = RunDriver.of(9, concurrency="auto")
    assert begun(run, 25, progress, served=1) == 2
    assert run.state.schedule.in_flight == 2


def test_a_trial_that_is_refused_leaves_the_others_as_they_are() -> None:
    """The PACS accepts five: of the eight that are tried, three are refused."""
    run = RunDriver.of(30, concurrency="auto", retry=3)
    assert begun(run, 2.0, progress) == 8
    for refused in list(run.state.results.in_flight)[-3:]:
        run.end(refused, REJECTED)
        assert not run.begin(), "not at once"
    assert run.state.schedule.in_flight == 5
    run.end(next(iter(run.state.results.in_flight)), COMPLETE)
    assert len(run.begin()) == 1, "as many as it accepted"


def test_a_refusal_when_nothing_is_on_trial_halves_the_number() -> None:
    run = RunDriver.of(30, concurrency="auto", retry=3)
    assert begun(run, 30, progress) == 8
    run.end(list(run.state.results.in_flight)[-1], REJECTED)
    run.end(next(iter(run.state.results.in_flight)), COMPLETE)
    assert not run.begin()
    assert run.state.schedule.in_flight == 6


MISSING = {f"1.{n}": "1" for n in range(9)}


@pytest.mark.parametrize(
    ("more", "most"),
    [({}, 8), ({"attempt": 2}, 1), ({"look_first": True}, 1), ({"missing": MISSING}, 1)],
    ids=["first", "second attempt", "resumed", "for what is missing"],
)
def test_only_rows_that_are_asked_for_whole_are_measured(more: dict[str, Any], most: int) -> None:
    """Of the others, what is there already may count, too."""
    run = RunDriver.of([task(number, **more) for number in range(9)], concurrency="auto")
    assert begun(run, 5, progress) == most


def test_a_run_learns_from_the_series_of_its_only_study() -> None:
    run = RunDriver.of([task(0, expected=9000)], concurrency="auto")
    (whole,) = run.begin()
    run.tell(AttemptEnded(whole, SeriesListed({f"1.{n}": 1000 for n in range(9)}, 9000)))
    assert begun(run, 5, progress) == 8


def test_a_run_learns_from_rows_that_end() -> None:
    """Each brings 50 instances in a second, and no word before."""
    run = RunDriver.of(200, concurrency="auto")
    moving = run.begin()
    for _ in range(20):
        run.now += 1
        for one in moving:
            run.end(one, COMPLETE, after_s=0)
        moving = run.begin()
    assert len(moving) > 2


def test_a_limit_of_the_rate_needs_no_more_associations_than_bring_it() -> None:
    """Each brings 50 instances in a second: what is measured between the waits of the limit counts."""
    run = RunDriver.of(3000, concurrency="auto", max_instances_per_second=200)
    since = dict.fromkeys(run.begin(), run.now)
    while run.now < 30:
        run.now += 0.25
        for one in [one for one, at in since.items() if run.now - at >= 1]:
            del since[one]
            run.end(one, moved(completed=50, failed=0, warning=0), after_s=0)
        since |= dict.fromkeys(run.begin(), run.now)
    assert 4 <= len(since) + len(run.begin()) <= 5
