"""The state of a run: events in, instructions out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dicomove import events
from dicomove.outcome import Unverified
from dicomove.receiver import ReceivedRow
from dicomove.results import Row, not_durable
from dicomove.run.attempt.ends import Lost, Moved, NoReceiver, OnDisk
from dicomove.run.attempt.narrowing import cannot_move
from dicomove.run.attempt.questions import Asked
from dicomove.run.messages import (
    Arrived,
    AttemptEnded,
    Begin,
    Cancel,
    End,
    Flushed,
    HeldAtEnd,
    LookAgain,
    Moving,
    Probe,
    Probed,
    RowWithLosses,
    Show,
    StopWished,
    Wait,
    WaitedEnough,
    Write,
    Written,
)
from dicomove.run.pacing import Retry
from dicomove.run.requests import Task
from dicomove.words import ADVICE
from tests.run_events import (
    BUSY,
    COMPLETE,
    LOST,
    MIDNIGHT,
    REJECTED,
    UNABLE,
    UNKNOWN_DESTINATION,
    UNREACHABLE,
    RunDriver,
    moved,
    only,
    result,
    task,
)

THRICE = Retry(attempts=3, wait=2)
#: The run was stopped before the C-MOVE was sent.
NEVER_BEGUN = Moved(replace(result(None, sent=False), outcome="not_attempted", error=None))


def shown(instructions: list[Any]) -> list[str]:
    return [type(one.event).__name__ for one in instructions if isinstance(one, Show)]


# What begins.


def test_all_that_may_begin_begins_before_anything_is_shown() -> None:
    instructions = RunDriver.of(3, concurrency=2).look()
    assert [type(one) for one in instructions] == [Begin, Begin, Show, Show, Wait]
    assert [one.task.positions for one in instructions if isinstance(one, Begin)] == [(0,), (1,)]
    assert shown(instructions) == ["RowStarted", "RowStarted"]


def test_associations_of_which_no_use_is_made_are_released() -> None:
    run = RunDriver.of(4, concurrency=2, retry=THRICE)
    first, second = run.begin()
    assert run.look()[-1] == Wait(2)
    run.paused = True
    run.end(first, COMPLETE, after_s=0)
    assert only(Wait, run.look()).associations == 1, "in flight, and paused"
    run.paused = False
    (third,) = run.begin()
    run.end(second, moved(BUSY), after_s=0)
    assert only(Wait, run.look()).associations == 1, "the PACS is busy"
    run.end(third, COMPLETE, after_s=0)
    (fourth,) = run.begin()
    assert only(Wait, run.look()).associations == 1, "the last one"
    run.end(fourth, COMPLETE, after_s=0)
    assert only(Wait, run.look()).associations == 0, "until the second one is tried again"


def test_the_rate_releases_no_association() -> None:
    run = RunDriver.of(9, concurrency=2, max_instances_per_second=1)
    for one in run.begin():
        run.end(one, COMPLETE, after_s=0)
    instructions = run.look()
    assert shown(instructions) == ["Waiting"]
    assert only(Wait, instructions).associations == 2


def test_a_run_without_tasks_ends() -> None:
    assert RunDriver.of(0).look() == [End()]


def test_rows_are_shared_by_the_receivers_and_one_that_is_away_gets_none() -> None:
    run = RunDriver.of(6, receivers=2, concurrency=4, retry=THRICE)
    begun = run.begin()
    assert [one.receiver for one in begun] == [0, 1, 0, 1]
    for one in begun[::2]:
        run.end(one, NoReceiver("it is gone"))
    for one in begun[1::2]:
        run.end(one, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0), after_s=0)
    assert {one.receiver for one in run.begin()} == {1}
    run.now += 10
    assert [one.receiver for one in run.begin()] == [0]


def test_a_receiver_with_a_long_row_gets_no_other_while_one_is_idle() -> None:
    run = RunDriver.of(9, receivers=2, concurrency=2)
    short, long = run.begin()
    for _ in range(4):
        run.end(short, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0))
        (short,) = run.begin()
        assert (short.receiver, long.receiver) == (0, 1)


def test_rows_go_where_fewest_are_in_flight() -> None:
    run = RunDriver.of(9, receivers=2, concurrency=4)
    first, second, third, _ = run.begin()
    for one in (first, third, second):
        run.end(one, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0))
    assert [one.receiver for one in run.begin()] == [0, 0, 1]


#: Three of four instances came, and the list of the PACS names the fourth.
LACKS_ONE = moved(completed=3, failed=1, held=3, expected=4, listed={f"1.{n}": "1" for n in range(1, 5)}, missing=1)


def test_a_retry_goes_to_the_receiver_that_has_a_part_of_the_row() -> None:
    run = RunDriver.of(2, receivers=2, concurrency=2, retry=Retry(attempts=3, wait=0))
    first, second = run.begin()
    run.end(first, COMPLETE)
    run.end(second, LACKS_ONE)
    (again,) = run.begin()
    assert (again.receiver, again.missing) == (1, {"1.4": "1"})


def test_a_row_whose_receiver_is_away_is_moved_as_a_whole_to_another() -> None:
    run = RunDriver.of(1, receivers=2, retry=Retry(attempts=4, wait=0))
    (first,) = run.begin()
    run.end(first, LACKS_ONE)
    (second,) = run.begin()
    run.end(second, NoReceiver("it is gone"))
    run.now += 5
    (third,) = run.begin()
    assert (second.receiver, second.missing, third.receiver, third.missing) == (0, {"1.4": "1"}, 1, None)


def test_a_row_that_only_lacks_an_answer_to_c_find_stays_at_its_receiver() -> None:
    run = RunDriver.of(2, receivers=2, concurrency=2, retry=Retry(attempts=3, wait=0))
    first, second = run.begin()
    run.end(first, COMPLETE)
    unknown = Unverified("C-FIND had no answer", may_pass=True)
    run.end(second, moved(completed=3, failed=0, warning=0, held=3, unverified=unknown))
    (again,) = run.begin()
    assert again.unverified
    assert again.receiver == 1


@pytest.mark.parametrize(("where", "receiver"), [(1, 1), (None, 0)])
def test_a_row_of_an_earlier_run_goes_where_it_was_begun(where: int | None, receiver: int) -> None:
    run = RunDriver.of([task(0, look_first=True, receiver=where)], receivers=2)
    assert [one.receiver for one in run.begin()] == [receiver]


def test_a_row_uses_what_the_previous_row_learnt_about_c_find() -> None:
    run = RunDriver.of(2)
    (first,) = run.begin()
    assert sorted(first.allowed) == ["counts", "instances"]
    run.now += 1
    run.tell(AttemptEnded(first, COMPLETE, asked=(Asked("counts", lost_s=60.0),) * 3))
    assert [sorted(one.allowed) for one in run.begin()] == [["instances"]]


def test_a_silence_that_grows_long_halves_what_is_in_flight() -> None:
    run = RunDriver.of(30, concurrency=2)
    begun = run.begin()
    for silence_s in [*[0.5] * 12, 30.0]:
        run.end(begun.pop(0), replace(COMPLETE, silence_s=silence_s))
        begun += run.begin()
    assert len(begun) == 1


def test_how_far_down_a_pacs_can_be_asked_is_learnt_once() -> None:
    run = RunDriver.of(2)
    (first,) = run.begin()
    assert first.depth == "instances"
    run.end(first, replace(COMPLETE, depth="series"))
    assert [one.depth for one in run.begin()] == ["series"]


def test_a_pause_begins_nothing_and_is_shown_once() -> None:
    run = RunDriver.of(2)
    run.paused = True
    assert [one.event for one in run.look() if isinstance(one, Show)] == [
        events.Waiting(reason="paused", message="paused, until you resume it")
    ]
    assert shown(run.look()) == []
    run.paused = False
    assert shown(run.look()) == ["RowStarted", "Continuing"]


def test_an_association_rests_as_long_as_the_delay() -> None:
    run = RunDriver.of(2, delay=5)
    run.end(run.begin()[0], COMPLETE)
    assert run.wait() is None
    assert run.now == 1 + 5
    assert len(run.begin()) == 1


def test_a_row_that_was_there_needs_no_rest_and_nothing_of_the_rate() -> None:
    run = RunDriver.of(2, receivers=1, delay=5, max_instances_per_second=1)
    row = Row(outcome="complete", expected=10, received=10)
    run.end(run.begin()[0], OnDisk(row, ReceivedRow(held={f"1.{n}": 512 for n in range(10)})))
    assert len(run.begin()) == 1


def test_a_retry_costs_only_what_it_brings_of_the_rate() -> None:
    run = RunDriver.of(2, receivers=1, retry=Retry(attempts=2, wait=0), max_instances_per_second=1)
    (first,) = run.begin()
    run.end(first, moved(0xB000, completed=9, failed=1, warning=0, held=9, expected=10, missing=1))
    assert run.wait()
    assert run.now == 9
    (second,) = run.begin()
    run.end(second, moved(BUSY, held=0), after_s=0)
    (first,) = run.begin()
    assert first.attempt == 2
    more = {"held": 10, "arrivals": 1, "expected": 10, "missing": 0}
    run.end(first, moved(completed=1, failed=0, warning=0, seconds=0, **more), after_s=0)
    assert run.wait()
    assert run.now == 10


def test_an_association_that_rests_beside_one_in_flight_is_waited_for() -> None:
    run = RunDriver.of(6, concurrency=3, delay=5)
    first, second, _ = run.begin()
    run.end(first, COMPLETE, after_s=1)
    run.end(second, COMPLETE, after_s=2)
    run.now = 6
    instructions = run.look()
    assert [type(one) for one in instructions] == [Begin, Show, Wait]
    assert instructions[-1] == Wait(3, until=8)


@pytest.mark.parametrize(("at", "until"), [(0.0, 30.0), (59.5, 60.0)])
def test_the_local_time_is_looked_at_each_half_minute_until_the_hours_begin(at: float, until: float) -> None:
    run = RunDriver.of(1, hours="00:01-24:00 UTC")
    run.now = at
    waiting = run.wait()
    assert waiting is not None
    assert (waiting.reason, run.now) == ("hours", until)
    assert len(run.begin()) == (until == 60)


def test_a_run_that_waits_for_the_next_attempt_says_so() -> None:
    run = RunDriver.of(1, retry=THRICE)
    run.end(run.begin()[0], moved(BUSY))
    waiting = run.wait()
    assert waiting is not None
    assert (waiting.reason, waiting.until) == ("back_off", MIDNIGHT + timedelta(seconds=run.now))
    assert "the first in 2 s" in waiting.message or "the first in 1 s" in waiting.message
    assert len(run.begin()) == 1


# How an attempt ends.


def test_a_complete_row_is_written_and_shown_once_it_is_durable() -> None:
    run = RunDriver.of(1)
    (begun,) = run.begin()
    instructions = run.end(begun, COMPLETE)
    assert [type(one) for one in instructions] == [Write]
    write = only(Write, instructions)
    assert (write.last.final, write.last.sent, write.last.row.outcome, write.last.row.attempts) == (
        True,
        True,
        "complete",
        1,
    )
    assert shown(run.write(instructions)) == ["RowFinished"]
    assert run.look() == [End()]


def test_the_writer_marks_rows_that_are_not_durable() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    write = only(Write, run.end(begun, moved(completed=2, failed=0, warning=0, held=2, expected=2, missing=0)))
    (show,) = run.tell(Written(write, not_durable(write.last.row, "the disk is full")))
    assert isinstance(show, Show)
    assert isinstance(show.event, events.RowFinished)
    assert (show.event.outcome, run.state.results.rows[0].error) == ("partial", "storage_failed")


def test_a_failure_that_may_pass_is_tried_again_and_then_final() -> None:
    run = RunDriver.of(1, retry=THRICE)
    finals, attempts = [], []
    for _ in range(3):
        (begun,) = run.begin()
        attempts.append(begun.attempt)
        instructions = run.end(begun, moved(BUSY))
        finals.append(only(Write, instructions).last.final)
        run.now += 2
    assert (finals, attempts) == ([False, False, True], [1, 2, 3])
    assert run.state.results.rows[0].attempts == 3
    assert run.look() == [End()]


@pytest.mark.parametrize("status", [UNKNOWN_DESTINATION, UNABLE])
def test_permanent_errors_are_final_at_once(status: int) -> None:
    run = RunDriver.of(1, retry=THRICE)
    (begun,) = run.begin()
    assert only(Write, run.end(begun, moved(status))).last.final
    assert run.look() == [End()]


def test_a_refusal_that_lasts_is_not_tried_again() -> None:
    run = RunDriver.of(1, retry=THRICE)
    (begun,) = run.begin()
    end = moved(None, sent=False, problem="association_rejected", permanent=True)
    assert only(Write, run.end(begun, end)).last.final


def test_the_c_moves_of_an_attempt_are_written_one_by_one() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    first, second = result(UNABLE), result(completed=1, failed=0, warning=0)
    write = only(Write, run.end(begun, Moved(second, moves=(first, second))))
    assert [(one.sent, one.final, one.row.outcome) for one in write.records] == [
        (True, False, "failed"),
        (True, True, "complete"),
    ]
    assert write.last.row.attempts == 2


def test_a_row_that_may_not_last_is_not_shown_as_complete() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    instructions = run.end(begun, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0))
    run.tell(Flushed(problem="the disk has a fault"))
    (finished,) = (one.event for one in run.write(instructions) if isinstance(one, Show))
    assert isinstance(finished, events.RowFinished)
    assert (finished.outcome, finished.error) == ("partial", "storage_failed")


@pytest.mark.parametrize(("has_journal", "outcome"), [(True, "complete"), (False, "partial")])
def test_a_fault_of_the_disk_takes_nothing_from_a_row_that_the_journal_has(has_journal: bool, outcome: str) -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    run.write(run.end(begun, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0)))
    run.tell(Flushed(problem="the disk has a fault", has_journal=has_journal))
    assert run.state.results.rows[0].outcome == outcome


def test_each_c_move_has_its_record_also_without_a_result() -> None:
    run = RunDriver.of(1)
    (begun,) = run.begin()
    done = result(completed=1, failed=0, warning=0)
    write = only(Write, run.end(begun, Lost("it is gone", "executor_failed", 3, done, (done,))))
    assert [(one.sent, one.final, one.row.outcome, one.row.attempts) for one in write.records] == [
        (True, False, "complete", 1),
        (True, False, "interrupted", 1),
        (True, True, "interrupted", 3),
    ]


def test_a_complete_row_is_final_also_where_the_receiver_started_again_meanwhile() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    end = moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0, restarted=True)
    assert only(Write, run.end(run.begin()[0], end)).last.final


def test_where_nothing_came_all_is_asked_for_again_and_not_each_instance() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    listed = {"1.1": "S", "1.2": "S"}
    run.end(run.begin()[0], moved(completed=0, failed=2, warning=0, held=0, expected=2, missing=2, listed=listed))
    run.now += 2
    (second,) = run.begin()
    assert (second.missing, second.look_first, second.expected) == (None, False, 2)
    run.end(second, moved(completed=0, failed=2, warning=0, held=0))
    run.now += 4
    assert [one.expected for one in run.begin()] == [2], "what C-FIND said once stays known"


@pytest.mark.parametrize(("receivers", "sent", "looks"), [(1, 1, True), (1, 0, False), (0, 1, False)])
def test_the_disk_is_looked_at_first_where_something_may_have_come(receivers: int, sent: int, looks: bool) -> None:
    run = RunDriver.of(1, receivers=receivers, retry=THRICE)
    run.end(run.begin()[0], Lost("its worker is gone", "executor_failed", sent=sent))
    run.now += 2
    assert [one.look_first for one in run.begin()] == [looks]


def test_a_row_that_was_on_disk_is_written_without_a_c_move() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    write = only(
        Write, run.end(begun, OnDisk(Row(outcome="complete", received=2), ReceivedRow(held={"1.1": 5, "1.2": 5})))
    )
    assert (write.last.sent, write.last.row.attempts, write.last.final) == (False, 0, True)


def test_a_row_that_is_on_disk_is_complete_although_the_pacs_was_away_before() -> None:
    """An earlier run brought all of it, and the PACS did not say so until the second attempt."""
    run = RunDriver.of(1, receivers=1, retry=THRICE, outage_timeout=None)
    (begun,) = run.begin()
    run.end(begun, moved(None, held=2, sent=False, problem="connection_failed"))
    assert run.state.results.rows[0].outcome == "unreachable"
    until_probe(run)
    run.tell(Probed(worked=True))
    run.now += 5
    (again,) = run.begin()
    assert again.look_first
    held = OnDisk(Row(outcome="complete", received=2, expected=2), ReceivedRow(held={"1.1": 512, "1.2": 512}))
    last = only(Write, run.end(again, held)).last
    assert (last.row.outcome, last.row.error, last.row.attempts, last.final) == ("complete", None, 0, True)


def test_a_defect_is_in_doubt() -> None:
    run = RunDriver.of(1)
    (begun,) = run.begin()
    row = only(Write, run.end(begun, Lost("", "internal_error"))).last.row
    assert (row.outcome, row.error, row.advice) == ("interrupted", "internal_error", ADVICE["internal_error"])


# What costs no attempt.


def test_a_receiver_that_is_away_costs_no_attempt_and_is_waited_for() -> None:
    run = RunDriver.of(2, receivers=1, retry=Retry(attempts=2, wait=0.01), outage_timeout=60)
    (begun,) = run.begin()
    waits = []
    for _ in range(4):
        instructions = run.end(begun, NoReceiver("it is gone"), after_s=0)
        assert not only(Write, instructions).last.final
        waiting = run.wait()
        waits.append(waiting.reason if waiting else None)
        (begun,) = run.begin()
        assert begun.attempt == 1
    assert waits == ["receiver_away", None, None, None], "one wait, shown once"
    assert run.now == pytest.approx(1 + 2 + 4 + 8)
    run.end(begun, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0))
    assert run.state.results.rows[begun.positions[0]].attempts == 1
    assert len(run.begin()) == 1


def test_a_row_whose_receiver_is_away_comes_back_when_that_is_tried_again() -> None:
    run = RunDriver.of(2, receivers=1, concurrency=2, retry=THRICE, outage_timeout=60)
    first, second = run.begin()
    waits = [
        show.event.wait_s
        for one in (first, second)
        for show in run.end(one, NoReceiver("it is gone"), after_s=0.25)
        if isinstance(show, Show) and isinstance(show.event, events.RowWillRetry)
    ]
    assert waits == [1.0, 0.75]
    run.now += 0.75
    assert len(run.begin()) == 1


def test_a_receiver_that_stays_away_is_given_up() -> None:
    run = RunDriver.of(3, receivers=1, retry=Retry(attempts=2, wait=0.01), outage_timeout=10)
    for _ in range(40):
        if run.look()[-1] == End():
            break
        for begin in [one for one in run.log[-5:] if isinstance(one, Begin)][-1:]:
            if run.state.schedule.in_flight:
                run.write(run.end(begin.task, NoReceiver("it is gone"), after_s=0))
        run.now += 1
    assert run.now < 30
    assert [(row.outcome, row.error, row.attempts) for row in run.state.results.rows] == [
        ("not_attempted", "receiver_failed", 0)
    ] * 3


def test_a_row_that_was_lost_with_the_receiver_is_no_sign_that_it_is_back() -> None:
    run = RunDriver.of(9, receivers=1, concurrency=2, retry=THRICE, outage_timeout=60)
    first, second = run.begin()
    run.end(first, NoReceiver("it is gone"), after_s=0)
    run.end(second, Lost("it is gone", "receiver_failed"), after_s=0)
    assert run.begin() == []


def test_without_retry_a_receiver_that_is_away_ends_its_row() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    assert only(Write, run.end(begun, NoReceiver("it is gone"))).last.final


def test_a_receiver_that_dies_after_the_c_move_leaves_its_row_in_doubt() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    done = result(completed=3, failed=0, warning=0)
    row = only(Write, run.end(begun, Lost("it is gone", "receiver_failed", result=done, moves=(done, done)))).last.row
    assert (row.outcome, row.error, row.attempts) == ("interrupted", "receiver_failed", 2)
    assert (row.status, row.completed) == ("0x0000", 3), "what the PACS said stays visible"


def until_probe(run: RunDriver) -> None:
    """Let time pass until the PACS is asked whether it is up again."""
    while Probe() not in run.look():
        run.now += 0.5
        assert run.now < 1000


def test_a_run_does_not_spin_while_something_is_found_out() -> None:
    run = RunDriver.of(3, receivers=1, concurrency=2, retry=THRICE, outage_timeout=60)
    run.end(run.begin()[0], NoReceiver("it is gone"), after_s=0)
    run.now += 1
    assert run.look()[-1] == Wait(1), "until the row in flight has found out whether the receiver is back"
    run = RunDriver.of(3, retry=THRICE)
    run.end(run.begin()[0], UNREACHABLE)
    until_probe(run)
    assert run.look()[-1] == Wait(0, until=run.now + 0.2), "until the probe has an answer"


def test_an_outage_costs_no_attempt_also_after_an_earlier_one() -> None:
    run = RunDriver.of(1, retry=THRICE, outage_timeout=None)
    (begun,) = run.begin()
    run.end(begun, LOST)
    for _ in range(5):
        run.now += 2
        (begun,) = run.begin()
        assert begun.attempt == 2
        run.end(begun, UNREACHABLE)
        assert run.state.results.rows[0].error == "connection_lost", "the error of an earlier attempt stays"
        until_probe(run)
        run.tell(Probed(worked=True))
    assert run.state.results.rows[0].attempts == 1


def test_a_pacs_that_dies_at_each_move_is_not_waited_for_longer_and_longer() -> None:
    run = RunDriver.of(1, retry=Retry(attempts=9, wait=0), outage_timeout=None)
    pauses = []
    for _ in range(4):
        run.end(run.begin()[0], LOST, after_s=0)
        run.end(run.begin()[0], UNREACHABLE, after_s=0)
        began = run.now
        until_probe(run)
        pauses.append(run.now - began)
        run.tell(Probed(worked=True))
        run.now += 2
    assert pauses == [1.0] * 4


# Associations that are refused.


def test_the_last_of_a_wave_that_is_refused_is_not_final_because_it_ends_alone() -> None:
    run = RunDriver.of(2, concurrency=2)
    first, second = run.begin()
    assert not only(Write, run.end(first, REJECTED, after_s=0.01)).last.final
    assert not only(Write, run.end(second, REJECTED, after_s=0.01)).last.final


def test_a_row_that_was_refused_alone_is_final() -> None:
    run = RunDriver.of(1, concurrency=4)
    (begun,) = run.begin()
    assert only(Write, run.end(begun, REJECTED)).last.final


def test_company_that_came_later_counts_too() -> None:
    run = RunDriver.of(2, concurrency=2)
    run.paused = True
    run.look()
    run.paused = False
    first, second = run.begin()
    run.end(second, COMPLETE)
    assert not only(Write, run.end(first, REJECTED)).last.final


def test_a_wave_comes_back_with_jitter() -> None:
    run = RunDriver.of(2, concurrency=2)
    chances = iter([0.0, 0.9])
    run.state.schedule._chance = lambda: next(chances)
    waits = []
    for one in run.begin():
        instructions = run.end(one, REJECTED, after_s=0)
        waits += [
            show.event.wait_s for show in instructions if isinstance(show, Show) and hasattr(show.event, "wait_s")
        ]
    assert waits == [1.0, 1.9]
    run.now += 2
    assert [(one.refusals, one.attempt) for one in run.begin()] == [(1, 1)]


@pytest.mark.parametrize("end", [REJECTED, moved(BUSY)], ids=["rejected", "out of resources"])
def test_a_refusal_halves_what_is_in_flight(end: Moved) -> None:
    run = RunDriver.of(9, concurrency=4)
    first, *_ = run.begin()
    run.end(first, end)
    assert run.begin() == [], "three are in flight, and two may be"


@pytest.mark.parametrize(("refusals", "is_final"), [(0, False), (19, False), (20, True)])
def test_refusals_end(refusals: int, is_final: bool) -> None:
    run = RunDriver.of([task(0, refusals=refusals), task(1)], concurrency=2)
    first, _ = run.begin()
    assert only(Write, run.end(first, REJECTED)).last.final is is_final


# Rate, and disk.


def test_the_time_that_a_move_took_counts_for_the_rate() -> None:
    run = RunDriver.of(2, max_instances_per_second=10)
    (begun,) = run.begin()
    run.end(begun, moved(completed=95, failed=0, warning=0, seconds=9.0), after_s=9.0)
    assert run.wait() == events.Waiting(
        reason="rate", message="10 instances per second at the most", until=MIDNIGHT + timedelta(seconds=9.5)
    )
    assert run.now == pytest.approx(9.5)


def test_a_row_that_brings_nothing_costs_nothing_of_the_rate() -> None:
    run = RunDriver.of(2, max_instances_per_second=0.1)
    run.end(run.begin()[0], moved(UNKNOWN_DESTINATION))
    assert len(run.begin()) == 1


FULL = moved(completed=0, failed=2, warning=0, held=0, expected=2, missing=2, refused=2)


def fill(run: RunDriver, rows: int) -> None:
    for _ in range(rows):
        (begun,) = run.begin()
        run.end(begun, FULL)


def test_a_disk_that_is_full_is_waited_for() -> None:
    run = RunDriver.of(9, receivers=1)
    (begun,) = run.begin()
    run.end(begun, moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0))
    fill(run, 3)
    assert run.state.schedule.outages.suspects_disk
    run.has_room = False
    began = run.now
    waiting = run.wait()
    assert waiting is not None
    assert waiting.reason == "disk_full"
    assert run.now == began + 1, "a second later it is looked again"
    run.now += 86_400
    assert run.begin() == [], "there is no limit by default"
    run.has_room = True
    assert len(run.begin()) == 1


def test_a_disk_that_was_given_up_is_not_waited_for_once_more() -> None:
    run = RunDriver.of(20, receivers=1)
    run.has_room = False
    fill(run, 12)
    assert not run.state.schedule.outages.suspects_disk, "nothing was ever stored: each row finds out for itself"


def test_a_disk_that_stays_full_is_given_up() -> None:
    run = RunDriver.of(9, receivers=1, outage_timeout=30)
    run.end(run.begin()[0], moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0))
    fill(run, 3)
    run.has_room = False
    began = run.now
    while not run.begin():
        run.now += 1
        assert run.now < 100
    assert run.now - began == pytest.approx(30, abs=3)


# A PACS that breaks every association off, and rows that fail.


def test_a_pacs_that_breaks_off_five_rows_is_asked_how_it_is_and_given_up() -> None:
    run = RunDriver.of(9, outage_timeout=30)
    for _ in range(4):
        run.end(run.begin()[0], LOST)
    assert run.state.schedule.outages.down == "connection_failed"
    run.end(run.begin()[0], LOST)
    assert run.begin() == []
    while run.look()[-1] != End():
        run.now += 1
        if run.log[-2:-1] == [Probe()]:
            run.tell(Probed(worked=False))
        assert run.now < 100
    assert run.now == pytest.approx(5 + 30, abs=5)


@pytest.mark.parametrize(
    ("retry", "first", "waits_s"),
    [
        (None, None, 1),
        (THRICE, None, 7),
        (Retry(attempts=4, wait=1), None, 3),
        (THRICE, COMPLETE, 60),
        (THRICE, LOST, 60),
    ],
)
def test_a_pacs_that_never_answered_is_waited_for_as_long_as_a_row_would(
    retry: Retry | None, first: Moved | None, waits_s: float
) -> None:
    run = RunDriver.of(9, retry=retry)
    run.now = 100.0
    if first:
        run.end(run.begin()[0], first)
    while begun := run.begin():
        run.end(begun[0], UNREACHABLE, after_s=0)
    began = run.now
    while End() not in (instructions := run.look()):
        if Probe() in instructions:
            run.tell(Probed(worked=False))
        run.now += 0.25
        assert run.now < 300
    assert run.now - began == pytest.approx(waits_s, abs=0.5)


def test_five_rows_that_broke_off_are_no_outage_with_another_answer_between_them() -> None:
    run = RunDriver.of(20)
    for end in [*[LOST] * 4, moved(UNABLE), *[LOST] * 4]:
        run.end(run.begin()[0], end)
    assert len(run.begin()) == 1


@pytest.mark.parametrize(("attempt", "is_final"), [(2, False), (3, True)])
def test_a_row_that_is_not_verified_is_asked_about_as_often_as_it_is_tried(attempt: int, is_final: bool) -> None:
    run = RunDriver.of([task(0, attempt=attempt)], retry=THRICE)
    end = moved(completed=1, failed=0, warning=0, unverified=Unverified("C-FIND had no answer", may_pass=True))
    assert only(Write, run.end(run.begin()[0], end)).last.final is is_final


def test_on_failure_stop_ends_the_run_with_the_first_row_that_fails() -> None:
    run = RunDriver.of(3, on_failure="stop")
    run.end(run.begin()[0], moved(UNKNOWN_DESTINATION))
    assert run.look() == [End()]


# A stop, and the end.


def test_a_stop_cancels_and_begins_nothing_more() -> None:
    run = RunDriver.of(3, concurrency=2)
    first, second = run.begin()
    assert run.tell(StopWished()) == [Cancel()]
    run.end(first, COMPLETE)
    assert run.look() == [Wait(2)]
    run.end(second, moved(None, problem="cancelled", cancelled=True))
    assert run.look() == [End()]


def test_attempts_that_end_during_a_stop_are_final() -> None:
    run = RunDriver.of(1, retry=THRICE)
    (begun,) = run.begin()
    run.tell(StopWished())
    instructions = run.end(begun, moved(BUSY))
    assert only(Write, instructions).last.final
    assert shown(instructions) == []
    assert shown(run.write(instructions)) == ["RowFinished"]


def test_rows_that_were_stopped_before_they_were_sent_are_neither_written_nor_shown() -> None:
    run = RunDriver.of(1)
    (begun,) = run.begin()
    run.tell(StopWished())
    assert run.end(begun, NEVER_BEGUN) == []


def test_rows_that_the_run_gives_up_are_in_doubt() -> None:
    run = RunDriver.of(2, concurrency=2)
    first, _ = run.begin()
    run.tell(StopWished())
    run.end(first, COMPLETE)
    write = only(Write, run.tell(WaitedEnough({1: 1})))
    row = write.last.row
    assert (write.task.positions, row.outcome, row.error, row.attempts) == ((1,), "interrupted", "cancelled", 1)
    assert [one.sent for one in write.records] == [True]
    assert only(Write, run.end(write.task, NEVER_BEGUN)).last.row.outcome == "not_attempted", "that is news"


def test_rows_that_the_run_gives_up_before_their_request_are_not_attempted() -> None:
    run = RunDriver.of(1)
    (begun,) = run.begin()
    run.tell(StopWished())
    assert run.tell(WaitedEnough({})) == []
    row = run.state.results.rows[0]
    assert (row.outcome, row.error, row.attempts) == ("not_attempted", None, 0)
    assert run.end(begun, NEVER_BEGUN) == []


@pytest.mark.parametrize(
    ("sent", "given_up", "late", "last"),
    [
        ({}, ("failed", 1), NEVER_BEGUN, ("failed", 1)),
        ({0: 1}, ("interrupted", 2), NEVER_BEGUN, ("failed", 1)),
        ({0: 3}, ("interrupted", 4), COMPLETE, ("complete", 2)),
    ],
)
def test_a_row_that_the_run_gives_up_after_a_first_attempt(
    sent: Mapping[int, int], given_up: tuple[str, int], late: Moved, last: tuple[str, int]
) -> None:
    run = RunDriver.of(1, retry=THRICE)
    run.write(run.end(run.begin()[0], moved(BUSY)))
    run.now += 2
    (again,) = run.begin()
    run.tell(StopWished())
    write = run.tell(WaitedEnough(sent))
    row = only(Write, write).last.row
    assert (row.outcome, row.attempts) == given_up
    run.write(write)
    late_write = only(Write, run.end(again, late))
    assert (late_write.last.row.outcome, late_write.last.row.attempts) == last
    known = [one.sent for one in only(Write, write).records]
    assert known == ([True] * sent[0] if sent else [False])
    assert [one.sent for one in late_write.records] == [False], "they are in the journal already"


def test_rows_whose_turn_did_not_come_stay_not_attempted() -> None:
    failed = RunDriver.of(3, max_failures=1)
    failed.end(failed.begin()[0], moved(UNKNOWN_DESTINATION))
    assert failed.look() == [End()]
    stopped = RunDriver.of(9, outage_timeout=5)
    for _ in range(5):
        stopped.end(stopped.begin()[0], UNREACHABLE)
    stopped.tell(StopWished())
    stopped.now += 60
    for run in (failed, stopped):
        assert run.tell(WaitedEnough({})) == []
        assert run.state.results.rows[-1].outcome == "not_attempted"


@pytest.mark.parametrize("is_stopped", [False, True])
def test_rows_that_wait_for_another_attempt_at_the_end_of_the_run_are_finished_once(is_stopped: bool) -> None:
    run = RunDriver.of(4, concurrency=2, retry=THRICE, max_failures=1)
    waits, other = run.begin()
    run.write(run.end(waits, moved(BUSY)))
    if is_stopped:
        run.tell(StopWished())
        run.write(run.end(other, moved(BUSY)))
    else:
        run.write(run.end(other, moved(UNKNOWN_DESTINATION)))
        assert run.look() == [End()]
    write = only(Write, run.tell(WaitedEnough({})))
    assert (write.task.first, write.last.final, write.last.row.error) == (0, True, "out_of_resources")
    run.write([write])
    finished = [one.event for one in run.log if isinstance(one, Show) and isinstance(one.event, events.RowFinished)]
    assert sorted((event.position, event.outcome) for event in finished) == [(0, "failed"), (1, "failed")]


@pytest.mark.parametrize(
    ("end", "error", "said"),
    [
        (UNREACHABLE, "connection_failed", "had stopped answering"),
        (REJECTED, "association_rejected", "had rejected our associations"),
    ],
)
def test_rows_whose_turn_did_not_come_say_why(end: Moved, error: str, said: str) -> None:
    run = RunDriver.of(9, outage_timeout=5)
    for _ in range(5):
        run.end(run.begin()[0], end)
    while run.look()[-1] != End():
        run.now += 1
        if Probe() in run.log[-3:]:
            run.tell(Probed(worked=False))
        assert run.now < 60
    writes = run.tell(WaitedEnough({}))
    assert len(writes) == 4
    assert {(row.outcome, row.error) for row in run.state.results.rows} == {("unreachable", error)}
    assert said in (run.state.results.rows[-1].advice or "")


def test_rows_whose_turn_did_not_come_before_a_stop_are_not_attempted() -> None:
    run = RunDriver.of(9, outage_timeout=5)
    for _ in range(5):
        run.end(run.begin()[0], UNREACHABLE)
    run.now += 100
    run.tell(Probed(worked=False))
    assert run.state.schedule.outages.pacs_is_lost(run.now)
    run.tell(StopWished())
    assert run.tell(WaitedEnough({})) == []
    assert [row.outcome for row in run.state.results.rows[5:]] == ["not_attempted"] * 4


def test_the_number_of_the_table_stays_where_the_pacs_gives_none() -> None:
    run = RunDriver.of([task(0, expected=7)], retry=THRICE)
    (begun,) = run.begin()
    run.end(begun, moved(BUSY))
    run.now += 2
    assert [one.expected for one in run.begin()] == [7]


def test_late_instances_are_looked_for_and_counted() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    run.write(run.end(begun, moved(completed=3, failed=0, warning=0, held=2, expected=3, missing=1)))
    assert run.state.results.rows[0].outcome == "partial"
    assert run.tell(Flushed()) == [LookAgain(begun)]
    assert run.tell(HeldAtEnd(begun, {"1.1": 512, "1.2": 512})) == [], "nothing new"
    write = only(Write, run.tell(HeldAtEnd(begun, {"1.1": 512, "1.2": 512, "1.3": 512})))
    assert (write.last.row.outcome, write.last.row.received, write.last.row.attempts) == ("complete", 3, 1)
    (again,) = (one.event for one in run.write([write]) if isinstance(one, Show))
    assert isinstance(again, events.RowFinished)
    assert (again.outcome, again.before) == ("complete", "partial")


def test_a_disk_that_fails_at_the_end_makes_its_rows_doubtful() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    run.write(run.end(begun, moved(completed=2, failed=0, warning=0, held=2, expected=2, missing=0)))
    assert run.tell(Flushed("the disk is full")) == []
    assert run.state.results.rows[0].error == "storage_failed"


def test_a_row_some_of_whose_files_the_disk_lost_keeps_the_others() -> None:
    run = RunDriver.of(2, receivers=1)
    for _ in range(2):
        (one,) = run.begin()
        run.write(run.end(one, moved(completed=2, failed=0, warning=0, held=2, expected=2, missing=0)))
    run.tell(Flushed(lost=[RowWithLosses(1, "One file is gone.", {"1.1": 512})]))
    whole, lessened = run.state.results.rows
    assert (whole.outcome, whole.received) == ("complete", 2)
    assert (lessened.outcome, lessened.received) == ("partial", 1)
    assert "One file is gone." in (lessened.advice or "")


# What is known of a row after several attempts.


def test_the_durations_and_c_moves_of_attempts_are_added() -> None:
    run = RunDriver.of(1, retry=THRICE)
    (begun,) = run.begin()
    run.end(begun, moved(BUSY, seconds=5.0))
    run.now += 2
    (begun,) = run.begin()
    run.end(begun, moved(completed=1, failed=0, warning=0, seconds=3.0))
    row = run.state.results.rows[0]
    assert (row.outcome, row.attempts, row.duration_s) == ("complete", 2, 8.0)


def test_to_another_ae_a_better_attempt_is_not_forgotten() -> None:
    run = RunDriver.of(1, retry=THRICE)
    (begun,) = run.begin()
    run.end(begun, moved(completed=3, failed=1, warning=0))
    run.now += 2
    (begun,) = run.begin()
    run.end(begun, moved(UNKNOWN_DESTINATION))
    row = run.state.results.rows[0]
    assert (row.outcome, row.completed, row.attempts) == ("partial", 3, 2)


def test_to_another_ae_a_better_attempt_is_tried_again_for_what_it_lacks() -> None:
    run = RunDriver.of(1, retry=THRICE)
    run.end(run.begin()[0], moved(completed=3, failed=1, warning=0))
    run.now += 2
    instructions = run.end(run.begin()[0], moved(UNABLE))
    assert not only(Write, instructions).last.final, "what is missing may come, whatever was said the second time"


def test_a_row_that_failed_before_its_receiver_was_away_has_failed() -> None:
    run = RunDriver.of(2, receivers=1, retry=THRICE, outage_timeout=0, max_failures=1)
    (begun,) = run.begin()
    run.end(begun, moved(BUSY, held=0))
    for _ in range(2):
        run.now += 4
        instructions = run.end(run.begin()[0], NoReceiver("it is gone"))
    assert only(Write, instructions).last.final
    assert run.state.results.rows[begun.first].outcome == "failed"
    assert run.look() == [End()]


def test_an_archive_is_asked_once_whether_it_still_has_what_an_earlier_run_brought() -> None:
    earlier = Row(outcome="complete", completed=3), MIDNIGHT
    run = RunDriver.of([task(0, earlier=earlier)], retry=THRICE)
    (begun,) = run.begin()
    assert begun.earlier == earlier
    run.end(begun, moved(BUSY))
    run.now += 2
    assert [one.earlier for one in run.begin()] == [None]


def test_at_a_receiver_the_latest_attempt_reads_the_disk() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    (begun,) = run.begin()
    run.end(begun, moved(completed=3, failed=1, warning=0, held=3, expected=4, missing=1))
    run.now += 2
    (begun,) = run.begin()
    run.end(begun, moved(completed=0, failed=1, warning=0, held=3, expected=4, missing=1))
    assert run.state.results.rows[0].completed == 0


def test_a_retry_asks_for_what_is_missing() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    (begun,) = run.begin()
    listed = {"1.1": "S1", "1.2": "S1", "1.3": "S2"}
    run.end(begun, moved(completed=1, failed=2, warning=0, held=1, expected=3, missing=2, listed=listed))
    run.now += 2
    (begun,) = run.begin()
    assert (begun.missing, begun.expected, begun.look_first) == ({"1.2": "S1", "1.3": "S2"}, 3, False)


def test_a_retry_looks_first_where_it_is_not_known_what_is_missing() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    (begun,) = run.begin()
    run.end(begun, moved(None, problem="connection_lost", held=1))
    run.now += 2
    assert [(one.look_first, one.missing) for one in run.begin()] == [(True, None)]


def test_a_worker_that_was_lost_may_have_brought_something() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    (begun,) = run.begin()
    run.end(begun, Lost("a worker was killed", "executor_failed"))
    run.now += 2
    assert [one.look_first for one in run.begin()] == [True]


def test_where_c_find_was_not_answered_only_that_is_tried_again() -> None:
    why = Unverified("it is not known: C-FIND was not answered", may_pass=True)
    run = RunDriver.of(1, retry=THRICE)
    (begun,) = run.begin()
    end = moved(completed=3, failed=0, warning=0, unverified=why)
    assert not only(Write, run.end(begun, end)).last.final
    assert run.state.results.unverified == 1
    run.now += 2
    (begun,) = run.begin()
    assert begun.unverified == end
    verified = Moved(result(completed=3, failed=0, warning=0, expected=3))
    write = only(Write, run.end(begun, verified))
    assert (write.last.final, write.last.sent, write.last.row.attempts) == (True, False, 1)
    assert run.state.results.unverified == 0


def test_a_row_that_is_complete_says_that_the_receiver_is_back_although_that_was_away_meanwhile() -> None:
    run = RunDriver.of(3, receivers=1, concurrency=2, retry=THRICE)
    first, second = run.begin()
    run.end(second, NoReceiver("it is gone"), after_s=0)
    end = moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0, restarted=True)
    run.end(first, end, after_s=0)
    assert run.begin(), "without a wait"


def test_failures_while_the_receiver_was_away_are_tried_again() -> None:
    run = RunDriver.of(1, receivers=1, retry=THRICE)
    (begun,) = run.begin()
    end = moved(UNABLE, held=0, restarted=True)
    assert not only(Write, run.end(begun, end)).last.final


# What is shown of rows in flight.


def test_pending_responses_and_arrivals_bear_the_rows_label() -> None:
    run = RunDriver.of(1, receivers=1)
    (begun,) = run.begin()
    pending = events.SubOperationEvent.of(total=3, completed=1, failed=0, warning=0, remaining=2, elapsed_s=1.0)
    (show,) = run.tell(Moving(begun, pending))
    assert show == Show(replace(pending, row="row 0", position=0))
    assert run.tell(Arrived(begun, 1, 512)) == [Show(events.Arriving(row="row 0", position=0, instances=1, bytes=512))]
    assert run.tell(Arrived(begun, 1, 512)) == [], "nothing new"
    run.end(begun, COMPLETE)
    assert run.tell(Arrived(begun, 2, 1024)) == [], "it has ended"


def test_rows_that_share_a_task_get_the_same_result() -> None:
    run = RunDriver.of([replace(task(0), positions=(0, 1)), task(1)])
    begun, *_ = run.begin()
    instructions = run.write(run.tell(AttemptEnded(begun, COMPLETE)))
    finished = [one.event for one in instructions if isinstance(one, Show)]
    shared = [(event.position, event.shares) for event in finished if isinstance(event, events.RowFinished)]
    assert shared == [(0, None), (1, 0)]


def test_a_row_begins_with_what_another_row_with_its_keys_has_brought() -> None:
    both = [task(0, has_siblings=True), replace(task(0, has_siblings=True), positions=(1,))]
    run = RunDriver.of(both, receivers=1)
    (first,) = run.begin()
    assert (first.brought, first.look_first) == (None, False)
    run.write(run.end(first, moved(completed=10, failed=0, warning=0, held=10, expected=10, missing=0)))
    (second,) = run.begin()
    assert second.brought is not None
    assert second.brought.outcome == "complete"


def test_an_earlier_result_is_forgotten_once_a_row_is_final() -> None:
    run = RunDriver.of(1, retry=Retry(attempts=1))
    (begun,) = run.begin()
    run.write(run.end(begun, moved(completed=3, failed=1, warning=0)))
    # Its end is reported once more, as by a worker that was given up.
    run.end(begun, moved(UNKNOWN_DESTINATION))
    assert (run.state.results.rows[0].outcome, run.state.results.rows[0].attempts) == ("failed", 1)


def test_files_of_an_earlier_run_are_durable_whatever_the_disk_says_now() -> None:
    run = RunDriver.of(2, receivers=1)
    complete = Row(outcome="complete", received=2, resumed=True)
    run.state.results.set_row(task(1), complete)
    (begun,) = run.begin()
    run.write(run.end(begun, moved(completed=2, failed=0, warning=0, held=2, expected=2, missing=0)))
    run.tell(Flushed("the disk is full"))
    assert [row.outcome for row in run.state.results.rows] == ["partial", "complete"]


def test_a_receiver_whose_rows_have_ended_gets_the_next_ones() -> None:
    run = RunDriver.of(4, receivers=2, concurrency=2)
    first, second = run.begin()
    end = moved(completed=1, failed=0, warning=0, held=1, expected=1, missing=0)
    run.end(second, end)
    (third,) = run.begin()
    run.end(third, end)
    assert [(one.receiver) for one in (first, second, third, *run.begin())] == [0, 1, 1, 1]


def test_so_many_failures_end_the_run() -> None:
    run = RunDriver.of(5, max_failures=2)
    for _ in range(2):
        run.end(run.begin()[0], moved(UNABLE))
    assert run.look() == [End()]
    assert run.state.schedule.exhausted


def test_rows_that_share_a_request_count_each_as_a_failure() -> None:
    run = RunDriver.of([replace(task(0), positions=(0, 3)), task(1), task(2), task(3)], max_failures=2)
    run.end(run.begin()[0], moved(UNABLE))
    assert run.look() == [End()]


# Rows of one study that name different patients.


def rivals(number: int) -> list[Task]:
    """Return tasks of one study, each for another patient."""
    study = task(0).identifier
    return [
        replace(task(one), identifier=replace(study, claims=(("PatientID", str(one)),)), has_siblings=True)
        for one in range(number)
    ]


def test_rows_of_one_study_that_name_different_patients_are_moved_one_after_the_other() -> None:
    run = RunDriver.of([*rivals(3), task(3)], concurrency=4)
    first, other = run.begin()
    assert (first.first, other.first) == (0, 3)
    assert run.begin() == []
    run.end(first, COMPLETE)
    (second,) = run.begin()
    assert (second.first, second.brought) == (1, run.state.results.rows[0])
    run.end(other, COMPLETE)
    assert run.begin() == []
    run.end(second, moved(UNABLE))
    assert [one.first for one in run.begin()] == [2]


def test_a_row_that_waits_for_another_attempt_does_not_keep_the_others_of_its_study() -> None:
    run = RunDriver.of(rivals(2), concurrency=2, retry=Retry(2, wait=60))
    (first,) = run.begin()
    run.end(first, moved(BUSY))
    assert [one.first for one in run.begin()] == [1]


# C-MOVE or C-GET.


def begun(run: RunDriver) -> Any:
    (one,) = run.begin()
    return one


def test_auto_gets_from_the_first_row_on_that_cannot_be_moved() -> None:
    run = RunDriver.of(3, receivers=1, method="auto")
    first = begun(run)
    assert first.method == "move"
    instructions = run.end(first, moved(UNKNOWN_DESTINATION, held=0, arrivals=0))
    assert not only(Write, instructions).last.final
    assert [one.event.wait_s for one in instructions if isinstance(one, Show) and hasattr(one.event, "wait_s")] == [0]
    # At once, without a retry, and in the order of the rows that are ready.
    again = [begun(run)]
    while len(again) < 3:
        run.end(again[-1], moved(completed=10, held=10, arrivals=10))
        again.append(begun(run))
    assert [one.method for one in again] == ["get"] * 3
    assert {one.identifier for one in again} == {one.identifier for one in (first, *again)}
    assert [one.attempt for one in again] == [1] * 3
    run.end(again[-1], moved(completed=10, held=10, arrivals=10))
    assert set(run.state.methods.values()) == {"get"}


def test_auto_moves_again_where_the_pacs_offers_no_c_get() -> None:
    """Else `advice` would say only that the PACS offers no C-GET, and not why C-MOVE cannot work."""
    run = RunDriver.of(3, receivers=1, method="auto")
    run.end(begun(run), moved(UNKNOWN_DESTINATION, held=0, arrivals=0))
    in_vain = begun(run)
    assert in_vain.method == "get"
    no_get = moved(None, sent=False, problem="not_supported", permanent=True)
    assert not only(Write, run.end(in_vain, no_get)).last.final
    for _ in range(3):
        one = begun(run)
        assert one.method == "move"
        assert only(Write, run.end(one, moved(UNKNOWN_DESTINATION, held=0, arrivals=0))).last.final


def test_auto_stays_with_c_get_where_only_one_row_has_classes_that_cannot_be_sent_back() -> None:
    """All rows after it were moved, to a destination that the PACS does not know."""
    run = RunDriver.of(3, receivers=1, method="auto")
    run.end(begun(run), moved(UNKNOWN_DESTINATION, held=0, arrivals=0))
    assert only(Write, run.end(begun(run), moved(None, sent=False, problem="not_supported"))).last.final
    assert begun(run).method == "get"


def test_auto_stays_with_moving_once_something_came() -> None:
    run = RunDriver.of(2, receivers=1, method="auto")
    run.end(begun(run), moved(completed=10, held=10, arrivals=10))
    instructions = run.end(begun(run), moved(UNABLE, held=0, arrivals=0))
    assert only(Write, instructions).last.final
    assert set(run.state.methods.values()) == {"move"}


def test_auto_stays_with_c_get_once_something_came_by_it() -> None:
    run = RunDriver.of(4, receivers=1, method="auto")
    run.end(begun(run), moved(UNKNOWN_DESTINATION, held=0, arrivals=0))
    run.end(begun(run), moved(completed=10, held=10, arrivals=10))
    for _ in range(3):
        one = begun(run)
        assert one.method == "get"
        assert only(Write, run.end(one, moved(None, sent=False, problem="not_supported", permanent=True))).last.final


def test_rows_in_flight_change_over_to_c_get_too() -> None:
    run = RunDriver.of(2, receivers=1, method="auto", concurrency=2)
    both = run.begin()
    assert [one.method for one in both] == ["move"] * 2
    for one in both:
        run.end(one, moved(UNABLE, held=0, arrivals=0))
    both = run.begin()
    assert [one.method for one in both] == ["get"] * 2
    for one in both:
        run.end(one, moved(completed=10, held=10, arrivals=10))
    assert set(run.state.methods.values()) == {"get"}


@pytest.mark.parametrize(
    "end",
    [
        moved(UNKNOWN_DESTINATION, held=0, arrivals=0),
        moved(UNABLE, held=0, arrivals=0),
    ],
)
@pytest.mark.parametrize("method", ["move", "get"])
def test_without_auto_nothing_changes(method: str, end: Moved) -> None:
    run = RunDriver.of(1, receivers=1, method=method)
    one = begun(run)
    assert one.method == method
    assert only(Write, run.end(one, end)).last.final
    assert run.state.methods == ({} if method == "move" else {one.identifier: "get"}), "of millions that are all moved"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (moved(UNKNOWN_DESTINATION), True),
        (moved(None, sent=False, problem="not_supported"), True),
        (moved(UNABLE, held=0, arrivals=0), True),
        (moved(None, held=0, arrivals=0, problem="idle_timeout"), True),
        (moved(UNABLE, held=3, arrivals=3), False),
        (moved(UNABLE, held=0), False),
        (moved(None, held=0, arrivals=0, cancelled=True), False),
        (moved(0xA900, held=0, arrivals=0), False),
        (moved(0x0124, held=0, arrivals=0), False),
        (UNREACHABLE, False),
        (REJECTED, False),
        (COMPLETE, False),
    ],
)
def test_the_answers_of_a_pacs_that_cannot_move(end: Moved, expected: bool) -> None:
    assert cannot_move(end.result) is expected


@pytest.mark.parametrize("why", ["paused", "hours"])
def test_a_pacs_that_is_down_does_not_end_a_run_that_would_begin_nothing_anyway(why: str) -> None:
    run = RunDriver.of(5, hours="00:00-00:01, 10:00-24:00 UTC", retry=Retry(attempts=3, wait=60), outage_timeout=600)
    run.end(run.begin()[0], UNREACHABLE)
    if why == "paused":
        run.paused = True
    else:
        run.now = 60.0
    asked = 0
    while run.now < 36_000:
        waiting = run.look()
        assert only(Wait, waiting)
        asked += any(isinstance(one, Probe) for one in waiting)
        run.now += 10
    assert not asked
    run.paused = False
    assert only(Probe, run.look())
    while not any(isinstance(one, End) for one in run.look()):
        run.now += 1
        run.tell(Probed(worked=False))
    assert 36_000 + 500 < run.now < 36_000 + 610
