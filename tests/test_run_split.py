"""Large studies whose series are moved side by side, as the state of a run decides it: events in, instructions out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dicomove import events
from dicomove.run.attempt.ends import Lost, Moved, NoReceiver, SeriesListed
from dicomove.run.attempt.questions import Asked
from dicomove.run.messages import AttemptEnded, Begin, Cancel, End, Moving, Show, StopWished, Wait, WaitedEnough, Write
from dicomove.run.pacing import Retry
from dicomove.run.requests import Task
from dicomove.run.split import Split, falls_short, is_worth_splitting, missing_parts
from tests.run_events import LOST, MIDNIGHT, UNABLE, UNREACHABLE, RunDriver, again, moved, only, result, task

SERIES = {f"1.{n}": 10 for n in range(1, 9)}
WENT = moved(completed=10, failed=0, warning=0)
SOME_FAILED = moved(0xB000, completed=7, failed=3, warning=0)
REFUSED = moved(0xA900, completed=0, failed=0, warning=0)
CANCELLED = moved(0xFE00, completed=4, failed=0, warning=0, cancelled=True)
NOT_BEGUN = Moved(replace(result(None, sent=False, problem="cancelled"), outcome="not_attempted"))
REJECTED = moved(None, sent=False, problem="association_rejected")


def large(rows: int = 1, **options: Any) -> RunDriver:
    return RunDriver.of([task(number, expected=80) for number in range(rows)], **{"concurrency": 4, **options})


def listed(run: RunDriver, series: dict[str, Any] | None = None) -> Task:
    """Begin the first row, and return it as it was given to a worker that then named its series."""
    first, *_ = run.begin()
    assert first.may_split
    run.tell(AttemptEnded(first, SeriesListed(series or SERIES, 80)))
    return first


def asked(tasks: list[Task]) -> list[str]:
    return [one.part.identifier.keys[-1][1] if one.part else one.identifier.level for one in tasks]


def summed(run: RunDriver) -> Task:
    """Return the task of the verdict, which begins now."""
    (verdict,) = run.begin()
    assert verdict.parts
    assert verdict.part is None
    return verdict


# When it pays.


@pytest.mark.parametrize(
    ("series", "instances", "pays"),
    [
        (SERIES, 80, True),
        (SERIES, 81, False),
        ({"1.1": 1000}, 1000, False),
        ({"1.1": 15, "1.2": 16}, 31, False),
        ({f"1.{n}": 1 for n in range(100)}, 100, False),
        ({"1.1": None, "1.2": 100}, 200, True),
        ({f"1.{n}": 4 for n in range(8)}, 32, True),
        ({f"1.{n}": 4 for n in range(9)}, 35, False),
        ({"1.1": 20, "1.2": 20, "1.3": 0}, 41, False),
    ],
    ids=[
        "large",
        "more than is listed",
        "one",
        "small",
        "tiny series",
        "no number",
        "just enough",
        "a little too few",
        "an empty series",
    ],
)
def test_a_study_is_split_where_it_pays(series: Any, instances: int, pays: object) -> None:
    assert is_worth_splitting(series, instances) is pays


@pytest.mark.parametrize("options", [{"concurrency": 1}, {"rows": 5}], ids=["one at a time", "others wait"])
def test_a_row_is_not_split_without_an_association_for_it(options: Any) -> None:
    assert not any(one.may_split for one in large(**options).begin()[:1])


@pytest.mark.parametrize("method", ["move", "get", "auto"])
def test_a_row_may_be_split_with_each_method(method: str) -> None:
    assert [one.may_split for one in large(concurrency=4, method=method).begin()] == [True]


def may_split(**more: Any) -> bool:
    return only(Begin, RunDriver.of([task(0, **{"expected": 80, **more})], concurrency=4).look()).task.may_split


#: What is missing of two series.
MISSING = {f"1.{series}.{n}": f"1.{series}" for series in (1, 2) for n in range(20)}


@pytest.mark.parametrize(
    "more",
    [
        {"expected": 31},
        {"is_slow": True},
        {"unverified": WENT},
        {"missing": {"1.1": "1"}},
        {"missing": {f"1.1.{n}": "1.1" for n in range(40)}},
        {"missing": {f"1.{n}.1": f"1.{n}" for n in range(40)}},
        {"missing": MISSING, "depth": "whole"},
    ],
    ids=["small", "slow", "C-FIND only", "little is missing", "of one series", "tiny series", "not below the study"],
)
def test_a_row_that_is_small_is_not_split(more: Any) -> None:
    assert not may_split(**more)


@pytest.mark.parametrize(
    "more",
    [{"attempt": 2}, {"look_first": True}, {"expected": None}, {"attempt": 2, "missing": MISSING}],
    ids=["retried", "resumed", "no number", "retried for what is missing"],
)
def test_a_row_that_was_begun_may_be_split(more: Any) -> None:
    assert may_split(**more)


@pytest.mark.parametrize(
    ("held", "depth", "asked"),
    [
        ({"1.1": 20, "1.2": 12}, "instances", [20, 12]),
        ({"1.1": 20, "1.2": 12}, "series", [20, 12]),
        ({"1.1": 600, "1.2": 40}, "instances", [500, 100, 40]),
        ({f"1.{n}": 4 for n in range(8)}, "instances", [4] * 8),
        ({"1.1": 20, "1.2": 11}, "instances", []),
        ({"1.1": 23, **{f"1.{n}": 2 for n in range(2, 12)}}, "instances", []),
    ],
    ids=["lists", "series", "long lists", "just enough", "small", "tiny series"],
)
def test_missing_instances_are_asked_for_side_by_side_if_it_pays(
    held: dict[str, int], depth: Any, asked: list[int]
) -> None:
    missing = {f"{series}.{n}": series for series, number in held.items() for n in range(number)}
    assert list(missing_parts(task(0).identifier, missing, depth).values()) == asked


def listed_missing(run: RunDriver, missing: dict[str, str]) -> Task:
    first, *_ = run.begin()
    assert first.may_split
    run.tell(AttemptEnded(first, SeriesListed({}, len(missing), missing)))
    return first


def test_the_missing_instances_of_each_series_are_a_part() -> None:
    run = RunDriver.of([task(0, expected=80, look_first=True)], concurrency=4)
    missing = {**MISSING, "1.3.1": "1.3", "1.3.2": "1.3"}
    first = listed_missing(run, missing)
    begun = run.begin()
    assert [dict(one.part.identifier.keys)["SeriesInstanceUID"] for one in begun if one.part] == ["1.1", "1.2", "1.3"]
    assert {one.part.identifier.level for one in begun if one.part} == {"IMAGE"}
    for one in begun:
        run.end(one, WENT)
    verdict = summed(run)
    assert verdict.missing == missing
    assert verdict.parts is not None
    assert (verdict.parts.instances, verdict.parts.went_well) == (42, True)
    write = only(Write, run.end(verdict, replace(WENT, moves=verdict.parts.moves)))
    assert (write.task, len(write.records)) == (first, 3)


def test_lists_that_are_refused_leave_series_to_other_rows() -> None:
    run = RunDriver.of([task(n, expected=80, look_first=True) for n in range(2)], concurrency=3)
    listed_missing(run, MISSING)
    part, *_ = [one for one in run.begin() if one.part]
    run.end(part, REFUSED)
    for one in run.begin():
        run.end(one, replace(WENT, moves=(WENT.result,)))
    assert run.state._may_split


def test_the_last_rows_of_a_run_are_split_and_those_before_them_not() -> None:
    run = large(6)
    assert [one.may_split for one in run.begin()] == [False, False, True, True]


def test_with_auto_the_most_associations_count() -> None:
    assert large(concurrency="auto").begin()[0].may_split
    assert not large(concurrency="auto", max_concurrency=1).begin()[0].may_split


def test_where_c_find_is_not_answered_no_other_row_waits_for_it() -> None:
    run = large(3, concurrency=2)
    first, second = run.begin()
    assert (first.may_split, second.may_split) == (False, True)
    run.tell(AttemptEnded(second, WENT, asked=(Asked("instances", lost_s=10.0),)))
    assert [one.may_split for one in run.begin()] == [False]


# Parts.


def test_each_series_is_asked_for_once_and_never_more_than_the_limit() -> None:
    run = large()
    listed(run, {"1.1": 5, "1.2": 40, "1.3": 5, "1.4": 10, "1.5": 10, "1.6": 10})
    begun = run.begin()
    assert asked(begun) == ["1.2", "1.4", "1.5", "1.6"]
    assert run.begin() == []
    seen = asked(begun)
    while begun:
        run.end(begun.pop(0), WENT)
        seen += asked(more := [one for one in run.begin() if one.part])
        begun += more
        assert len(begun) <= 4
    assert sorted(seen) == [f"1.{n}" for n in range(1, 7)]


def test_a_part_tells_the_number_of_its_instances() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 50})
    assert [(one.part.identifier.keys[-1][1], one.part.instances) for one in run.begin() if one.part] == [
        ("1.2", 50),
        ("1.1", 40),
    ]


def test_a_series_of_unknown_size_comes_last() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": None, "1.2": 1, "1.3": 79})
    assert asked(run.begin()) == ["1.3", "1.2"]


def test_one_row_is_shown_and_written_once_with_all_its_c_moves() -> None:
    run = large()
    whole = listed(run)
    parts = run.begin()
    while parts:
        assert run.end(parts.pop(0), WENT) == []
        parts += run.begin()
        if parts[0].parts:
            break
    (verdict,) = parts
    assert verdict.parts is not None
    assert verdict.parts.went_well
    assert verdict.parts.result is not None
    assert (verdict.parts.result.completed, verdict.parts.result.identifier) == (80, whole.identifier)
    end = moved(completed=80, failed=0, warning=0, held=80, expected=80, missing=0)
    write = only(Write, run.end(verdict, replace(end, moves=verdict.parts.moves)))
    assert write.task == whole
    assert len(write.records) == 8
    assert [one.final for one in write.records] == [False] * 7 + [True]
    assert (write.last.row.outcome, write.last.row.attempts) == ("complete", 8)
    shown = [type(one.event).__name__ for one in run.log if isinstance(one, Show)]
    assert shown == ["RowStarted"]
    run.write([write])
    assert run.look()[-1] == End()


def test_a_row_that_waits_goes_before_further_parts_and_after_the_only_one() -> None:
    run = large(4, concurrency=2)
    first, second = run.begin()
    assert not first.may_split
    run.end(first, WENT)
    (third,) = run.begin()
    run.tell(AttemptEnded(third, SeriesListed(SERIES, 80)))
    (part,) = run.begin()
    assert part.part
    run.end(second, WENT)
    (fourth,) = run.begin()
    assert (fourth.part, fourth.positions) == (None, (3,))
    run.end(part, WENT)
    assert asked(run.begin()) == ["1.2"]


def test_a_pause_lets_a_row_that_has_begun_go_on_to_its_end() -> None:
    run = large(2)
    first, _ = run.begin()
    run.tell(AttemptEnded(first, SeriesListed(SERIES, 80)))
    run.paused = True
    assert asked(run.begin()) == ["1.1", "1.2", "1.3"]


def test_a_rate_holds_for_each_part() -> None:
    run = large(max_instances_per_second=2)
    listed(run)
    parts = run.begin()
    assert len(parts) == 4
    run.end(parts[0], WENT)
    assert run.begin() == []
    assert run.wait() is None
    run.now += 10
    assert asked(run.begin()) == ["1.5"]


HALF = moved(completed=40, failed=0, warning=0)
ALL = moved(completed=80, failed=0, warning=0)


@pytest.mark.parametrize(
    ("parts", "verdict", "ready_at"),
    [
        ([HALF, HALF], ALL, 8),
        ([HALF, Lost("it is gone", "executor_failed")], None, 4),
        ([REFUSED, REFUSED], ALL, 9),
    ],
    ids=["verdict", "lost", "refused, and moved whole from 1 s on"],
)
def test_the_rate_counts_each_instance_of_a_row_once(parts: list[Any], verdict: Moved | None, ready_at: float) -> None:
    run = large(2, concurrency=3, retry=Retry(attempts=2, wait=0), max_instances_per_second=10)
    first, second = run.begin()
    run.tell(AttemptEnded(first, SeriesListed({"1.1": 40, "1.2": 40}, 80)))
    begun = run.begin()
    for one, end in zip(begun, parts, strict=True):
        run.now = 0
        run.end(one, end)
    if verdict:
        run.end(summed(run), replace(verdict, moves=(verdict.result,)))
    run.end(second, moved(0xA701))
    run.now = ready_at - 0.25
    assert run.begin() == []
    run.now = ready_at
    assert run.begin()


def test_an_association_too_many_costs_nothing_and_is_tried_later() -> None:
    run = large()
    listed(run)
    one, two, *_ = run.begin()
    run.end(two, REJECTED, after_s=0)
    assert run.begin() == []
    run.now += 5
    run.end(one, WENT)
    while not (begun := run.begin()):
        run.now += 5
        run.end(_.pop(), WENT)
    assert asked(begun) == ["1.2"]


def test_a_part_that_was_put_back_is_a_part_of_the_verdict() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40})
    one, two = run.begin()
    run.end(two, REJECTED)
    run.end(one, WENT)
    run.now += 5
    (two,) = run.begin()
    run.end(two, WENT)
    verdict = summed(run)
    assert verdict.parts is not None
    assert (verdict.parts.went_well, len(verdict.parts.moves)) == (True, 2)


def test_a_part_that_was_put_back_is_waited_for_a_second_or_two() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40})
    one, two = run.begin()
    run.end(two, REJECTED, after_s=0)
    run.end(one, WENT, after_s=0)
    assert run.wait() is None
    assert run.now == 1.5, "a second, and half of one by chance"
    assert asked(run.begin()) == ["1.2"]


def test_a_pacs_that_is_gone_is_no_association_too_many() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40})
    one, two = run.begin()
    run.end(one, UNREACHABLE)
    run.end(two, WENT)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert verdict.parts.result.error == "connection_failed"


def test_an_association_rests_between_two_parts_and_not_before_the_verdict() -> None:
    run = large(concurrency=2, delay=5)
    listed(run, {"1.1": 20, "1.2": 20, "1.3": 20, "1.4": 20})
    one, two = run.begin()
    run.end(one, WENT)
    run.end(two, WENT)
    assert run.wait() is None
    assert run.now == 1 + 5
    (one,) = run.begin()
    run.now = 2 + 5
    (two,) = run.begin()
    run.end(one, WENT, after_s=0)
    run.end(two, WENT, after_s=0)
    assert len(run.begin()) == 1


def test_a_row_that_is_tried_later_is_not_forgotten_beside_parts() -> None:
    run = large(2, concurrency=3, retry=Retry(attempts=2, wait=2))
    first, second = run.begin()
    run.tell(AttemptEnded(first, SeriesListed({"1.1": 40, "1.2": 40}, 80)))
    run.begin()
    run.end(second, LOST, after_s=0)
    assert run.wait() is None
    assert run.now == 2


def test_a_pause_is_shown_beside_parts_and_nothing_else_is_waited_for() -> None:
    run = large(concurrency=2)
    listed(run)
    run.begin()
    assert run.look() == [Wait(2)]
    run = large(3, concurrency=2)
    _, second = run.begin()
    run.tell(AttemptEnded(second, SeriesListed(SERIES, 80)))
    run.paused = True
    run.begin()
    assert [one.event.reason for one in run.log if isinstance(one, Show) and isinstance(one.event, events.Waiting)] == [
        "paused"
    ]


def test_the_refusals_of_parts_are_counted_and_end() -> None:
    split = Split(1, task(0), SeriesListed(SERIES, 80))
    for refusals in range(20):
        refused = split.next()
        assert refused.part is not None
        assert refused.refusals == refusals
        split.put_back(refused.part, 0.0)
        assert not split.in_flight
    for refusals, is_last in ((19, False), (20, True)):
        run = large()
        listed(run)
        first, *others = run.begin()
        run.end(again(first, refusals=refusals), REJECTED)
        for one in others:
            run.end(one, WENT)
        run.now += 5
        assert [bool(one.parts) for one in run.begin()][:1] == [is_last]


def test_pending_responses_of_parts_are_shown_as_those_of_the_row() -> None:
    run = large()
    listed(run)
    parts = run.begin()
    for number, part in enumerate(parts):
        event = events.SubOperationEvent.of(
            total=10, completed=number, failed=0, warning=None, remaining=10 - number, elapsed_s=1.0
        )
        (shown,) = run.tell(Moving(part, event))
    assert isinstance(shown, Show)
    assert isinstance(shown.event, events.SubOperationEvent)
    assert (shown.event.completed, shown.event.total, shown.event.remaining) == (6, 80, 74)
    assert (shown.event.warning, shown.event.position) == (None, 0)


@pytest.mark.parametrize("completed", [40, 41], ids=["all", "more than was listed"])
def test_nothing_remains_when_all_has_been_sent(completed: int) -> None:
    run = large()
    listed(run, {"1.1": 40, "1.2": 40})
    for part in run.begin():
        event = events.SubOperationEvent.of(
            total=40, completed=completed, failed=0, warning=0, remaining=0, elapsed_s=1.0
        )
        (shown,) = run.tell(Moving(part, event))
    assert isinstance(shown, Show)
    assert isinstance(shown.event, events.SubOperationEvent)
    assert (shown.event.completed, shown.event.remaining) == (2 * completed, 0)


def test_pending_responses_of_the_whole_study_are_shown_as_they_are() -> None:
    """Its series were refused."""
    run = large()
    listed(run)
    run.end(run.begin()[0], REFUSED)
    for one in run.log:
        if isinstance(one, Begin) and one.task.part and one.task.part.identifier.keys[-1][1] != "1.1":
            run.end(one.task, REFUSED)
    event = events.SubOperationEvent.of(total=80, completed=7, failed=0, warning=0, remaining=73, elapsed_s=1.0)
    assert run.tell(Moving(summed(run), event)) == [Show(replace(event, row="row 0", position=0))]


def test_all_parts_go_to_the_receiver_of_the_row() -> None:
    run = large(receivers=2)
    first = listed(run)
    assert {one.receiver for one in run.begin()} == {first.receiver}


@pytest.mark.parametrize("split", [2, 3])
def test_a_receiver_with_a_part_gets_no_more_rows_than_another(split: int) -> None:
    run = large(rows=5, receivers=2)
    begun = run.begin()
    assert [one.receiver for one in begun] == [0, 1, 0, 1]
    run.tell(AttemptEnded(begun[split], SeriesListed(SERIES, 80)))
    (part,) = run.begin()
    assert part.receiver == begun[split].receiver
    run.end(begun[1], WENT)
    assert [one.receiver for one in run.begin()] == [1], "two are in flight at the first"


# What goes wrong.


def after_all(run: RunDriver, ends: list[Moved | Lost | NoReceiver]) -> Task:
    """End the parts with these ends in turn, the others well, and return the task of the verdict."""
    left = [*ends]
    while True:
        begun = run.begin()
        for one in begun:
            if one.parts:
                return one
            run.end(one, left.pop(0) if left else WENT, after_s=0)


def test_a_series_of_which_some_failed_makes_the_row_partial() -> None:
    run = large()
    listed(run)
    verdict = after_all(run, [SOME_FAILED])
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert (verdict.parts.result.completed, verdict.parts.result.failed) == (77, 3)
    assert (verdict.parts.result.error, verdict.parts.went_well) == ("some_failed", False)


def test_a_part_without_an_answer_is_the_last_and_what_was_not_asked_for_remains() -> None:
    run = large()
    listed(run)
    parts = run.begin()
    run.end(parts[0], moved(None, completed=4, failed=0, warning=0, remaining=6, problem="connection_lost"))
    assert run.begin() == []
    for one in parts[1:]:
        run.end(one, WENT)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    evidence = verdict.parts.result.evidence
    assert (evidence.problem, evidence.counts.moved, evidence.counts.remaining) == ("connection_lost", 34, 46)
    assert not evidence.cancelled
    assert not verdict.parts.went_well


def test_a_series_of_unknown_size_that_was_not_asked_for_has_one_instance_at_least() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40, "1.3": None})
    for one in run.begin():
        run.end(one, LOST, after_s=0)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert verdict.parts.result.evidence.counts.remaining == 1


def test_a_pacs_that_refuses_series_is_asked_for_the_study_and_not_again_for_series() -> None:
    run = large(2, concurrency=2, receivers=1)
    first, second = run.begin()
    run.tell(AttemptEnded(first, SeriesListed(SERIES, 80)))
    (part,) = run.begin()
    run.end(part, REFUSED)
    verdict = summed(run)
    assert verdict.parts is not None
    assert (verdict.parts.result, len(verdict.parts.moves)) == (None, 1)
    run.end(verdict, replace(moved(completed=80, failed=0, warning=0), moves=(*verdict.parts.moves, WENT.result)))
    run.end(second, WENT)
    assert run.state.results.rows[0].attempts == 2
    assert not run.state._may_split


@pytest.mark.parametrize(("end", "may_split"), [(WENT, True), (REFUSED, False)])
def test_knowledge_about_series_holds_for_later_rows(end: Moved, may_split: object) -> None:
    """The first row ends so, and then the second one goes well."""
    run = large(3, concurrency=3, retry=Retry(attempts=2, wait=0))
    first, second, third = run.begin()
    for one in (first, second):
        run.tell(AttemptEnded(one, SeriesListed({"1.1": 40, "1.2": 40}, 80)))
    left = run.begin()
    while left:
        left.sort(key=lambda one: one.first)
        one = left.pop(0)
        run.end(one, end if one.part and one.first == first.first else WENT)
        left += run.begin()
    run.end(third, moved(0xA701))
    assert [one.may_split for one in run.begin()] == [may_split]


def test_one_series_that_is_refused_beside_others_is_a_part_of_the_row() -> None:
    run = large()
    listed(run)
    parts = run.begin()
    run.end(parts[0], REFUSED)
    assert run.begin() == []
    run.end(parts[1], WENT)
    assert len(run.begin()) == 2


def test_a_receiver_that_was_away_before_anything_was_sent_costs_no_attempt() -> None:
    run = large(receivers=1, retry=3)
    listed(run)
    for one in run.begin():
        run.end(one, NoReceiver("it is gone"))
    assert run.state.schedule.has_more
    assert run.state.results.rows[0].attempts == 0


def test_a_receiver_that_is_gone_after_a_part_leaves_the_row_in_doubt() -> None:
    run = large(receivers=1)
    listed(run)
    one, *others = run.begin()
    run.end(one, WENT)
    others += run.begin()
    instructions = [instruction for other in others for instruction in run.end(other, NoReceiver("it is gone"))]
    row = only(Write, instructions).last.row
    assert (row.outcome, row.error, row.attempts) == ("interrupted", "receiver_failed", 1)
    assert row.completed == 10


def test_a_worker_that_is_lost_leaves_the_row_in_doubt_with_what_was_sent() -> None:
    run = large()
    listed(run)
    one, *others = run.begin()
    run.end(one, Lost("it is gone", "executor_failed"))
    instructions = [instruction for other in others for instruction in run.end(other, WENT)]
    row = only(Write, instructions).last.row
    assert (row.outcome, row.error, row.attempts) == ("interrupted", "executor_failed", 4)
    assert [record.sent for record in only(Write, instructions).records] == [True] * 4
    assert run.look()[-1] == End()


def test_each_part_that_is_lost_counts_as_sent_and_has_its_record() -> None:
    run = large(receivers=1)
    listed(run)
    one, other, *others = run.begin()
    run.end(one, NoReceiver("it is gone"))
    run.end(other, Lost("it is gone", "receiver_failed"))
    instructions = [instruction for part in others for instruction in run.end(part, Lost("gone", "receiver_failed"))]
    write = only(Write, instructions)
    assert (write.last.row.outcome, write.last.row.attempts) == ("interrupted", 1 + len(others))
    assert [one.sent for one in write.records] == [True] * (1 + len(others))


def test_a_receiver_that_is_gone_before_any_part_was_sent_is_waited_for() -> None:
    run = large(receivers=1, concurrency=2, retry=2)
    listed(run)
    one, other = run.begin()
    run.end(one, UNREACHABLE)
    write = only(Write, run.end(other, NoReceiver("it is gone")))
    assert (write.last.row.outcome, write.last.row.error, write.last.row.attempts) == (
        *("not_attempted", "receiver_failed"),
        0,
    )
    assert not write.last.final


# Stop.


def test_a_stop_begins_no_other_part_and_the_row_gets_its_verdict() -> None:
    run = large()
    listed(run)
    parts = run.begin()
    run.end(parts[0], WENT)
    parts += run.begin()
    assert run.tell(StopWished()) == [Cancel()]
    for one in parts[1:]:
        run.end(one, CANCELLED)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert (verdict.parts.result.completed, verdict.parts.result.evidence.cancelled) == (26, True)
    row = only(Write, run.end(verdict, replace(CANCELLED, moves=verdict.parts.moves))).last.row
    assert (row.outcome, row.attempts) == ("cancelled", 5)
    assert run.look()[-1] == End()


def test_a_stop_between_two_parts_is_not_a_success() -> None:
    run = large(concurrency=2)
    listed(run)
    parts = run.begin()
    run.tell(StopWished())
    for one in parts:
        run.end(one, WENT)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    evidence = verdict.parts.result.evidence
    assert (evidence.cancelled, evidence.counts.remaining, evidence.counts.total) == (True, 60, 60)


def test_a_stop_after_the_last_part_has_begun_takes_nothing_from_it() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40})
    parts = run.begin()
    run.tell(StopWished())
    for one in parts:
        run.end(one, WENT)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert not verdict.parts.result.evidence.cancelled


def test_a_stop_while_the_series_are_asked_for_begins_none_of_them() -> None:
    run = large()
    (first,) = run.begin()
    run.tell(StopWished())
    run.tell(AttemptEnded(first, SeriesListed(SERIES, 80)))
    verdict = summed(run)
    assert (verdict.parts and verdict.parts.moves) == ()
    assert run.end(verdict, NOT_BEGUN) == []
    assert run.look()[-1] == End()


def test_a_stop_before_the_first_part_was_sent_leaves_nothing_behind() -> None:
    run = large()
    listed(run)
    parts = run.begin()
    run.tell(StopWished())
    for one in parts:
        run.end(one, NOT_BEGUN)
    verdict = summed(run)
    assert verdict.parts is not None
    assert (verdict.parts.result, verdict.parts.moves) == (None, ())
    assert not [one for one in run.end(verdict, NOT_BEGUN) if isinstance(one, Write)]
    assert run.look()[-1] == End()
    assert run.state.results.rows[0].outcome == "not_attempted"


def test_ends_after_the_run_has_given_up_begin_nothing() -> None:
    run = large()
    listed(run)
    parts = run.begin()
    run.tell(StopWished())
    write = only(Write, run.tell(WaitedEnough({0: 2})))
    assert (write.last.row.outcome, write.last.row.error, write.last.row.attempts) == ("interrupted", "cancelled", 2)
    for one in parts:
        assert run.end(one, WENT) == []
    assert run.look()[-1] == End()


# In doubt.


def test_a_study_that_holds_more_than_its_series_is_noticed() -> None:
    run = large()
    listed(run)
    parts = after_all(run, []).parts
    assert parts is not None
    assert falls_short(parts, moved(completed=80, failed=0, warning=0, expected=81, held=80, missing=1))
    assert not falls_short(parts, moved(completed=80, failed=0, warning=0, expected=80, held=79, missing=1))
    assert falls_short(replace(parts, instances=90), moved(completed=80, failed=0, expected=80, held=80, missing=0))
    assert not falls_short(replace(parts, went_well=False), moved(UNABLE, completed=80, failed=0, expected=81))
    assert not falls_short(parts, moved(completed=70, failed=0, warning=0, expected=80, held=80, missing=0))


def test_a_study_that_holds_more_than_its_series_is_noticed_without_counts_too() -> None:
    run = large()
    listed(run)
    parts = after_all(run, []).parts
    assert parts is not None
    assert falls_short(parts, moved(expected=81, held=80, missing=1))
    assert not falls_short(parts, moved(expected=80, held=80, missing=0))
    assert not falls_short(parts, moved(expected=81)), "it is not known what came"


def test_the_silence_of_a_row_is_the_longest_of_its_parts() -> None:
    run = large(concurrency=2)
    listed(run)
    silences = [0.5, 7.0, 2.0]
    verdict = after_all(run, [replace(WENT, silence_s=seconds) for seconds in silences])
    assert verdict.parts is not None
    assert verdict.parts.silence_s == 7.0


def test_each_row_gets_one_verdict() -> None:
    """The parts of the second row end while the verdict on the first one is found."""
    run = large(2, concurrency=4)
    for one in run.begin():
        run.tell(AttemptEnded(one, SeriesListed({"1.1": 40, "1.2": 40}, 80)))
    parts = run.begin()
    for one in sorted(parts, key=lambda one: one.first):
        run.end(one, WENT)
    verdicts = run.begin()
    assert [(one.first, one.part) for one in verdicts] == [(0, None), (1, None)]
    for one in verdicts:
        assert one.parts is not None
        run.write(run.end(one, replace(WENT, moves=one.parts.moves)))
    assert run.look()[-1] == End()


def test_times_are_from_the_first_to_the_last() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40})
    verdict = after_all(run, [moved(completed=40, failed=0, warning=0, seconds=3.0)])
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert (verdict.parts.result.started_at, verdict.parts.result.duration_s) == (MIDNIGHT, 3.0)


def test_parts_one_after_the_other_take_the_time_of_all() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40, "1.3": 40})
    first, second = run.begin()
    run.end(first, moved(completed=40, failed=0, warning=0, seconds=3.0), after_s=3)
    (third,) = run.begin()
    run.end(second, moved(completed=40, failed=0, warning=0, seconds=5.0), after_s=2)
    run.end(third, moved(completed=40, failed=0, warning=0, seconds=4.0), after_s=2)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert verdict.parts.result.duration_s == 7.0


def test_a_clock_that_is_set_back_makes_no_row_shorter() -> None:
    run = large(concurrency=2)
    listed(run, {"1.1": 40, "1.2": 40})
    first, second = run.begin()
    set_back = MIDNIGHT - timedelta(hours=1)
    run.end(first, replace(WENT, result=replace(WENT.result, duration_s=2.0, finished_at=set_back)), after_s=2)
    run.end(second, replace(WENT, result=replace(WENT.result, duration_s=5.0, finished_at=set_back)), after_s=3)
    verdict = summed(run)
    assert verdict.parts is not None
    assert verdict.parts.result is not None
    assert verdict.parts.result.duration_s == 5.0
