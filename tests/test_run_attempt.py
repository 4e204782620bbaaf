"""The row that an attempt makes, by how it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dicomove.run.attempt.ends import (
    AttemptEnd,
    Contradicted,
    Lost,
    Moved,
    NoReceiver,
    Parts,
    Unidentified,
    number_brought,
    row_after,
)
from dicomove.run.attempt.narrowing import combined
from tests.run_events import BUSY, COMPLETE, UNABLE, moved, result

#: Two C-MOVEs of a row whose series are moved side by side.
MOVES = (result(completed=4, failed=0, warning=0), result(UNABLE, completed=0, failed=2, warning=0))
PARTS = Parts(1, combined(MOVES), MOVES)
GONE = "The receiver is gone."


def said(end: AttemptEnd) -> dict[str, Any]:
    row = row_after(end)
    return {name: getattr(row, name) for name in ("outcome", "error", "completed", "attempts")}


@pytest.mark.parametrize(
    ("key", "outcome", "error"),
    [
        ("PatientID", "invalid", "other_patient"),
        ("AccessionNumber", "invalid", "invalid_row"),
        ("SeriesInstanceUID", "empty", None),
    ],
)
def test_a_contradicted_row_was_not_sent(key: str, outcome: str, error: str | None) -> None:
    assert said(Contradicted(key)) == {"outcome": outcome, "error": error, "completed": None, "attempts": 0}


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (Unidentified("association_aborted"), "unreachable"),
        (Unidentified("out_of_resources", "0xA700"), "failed"),
        (Unidentified(None), "not_attempted"),
    ],
)
def test_a_row_whose_patient_is_not_known_was_not_sent(end: Unidentified, outcome: str) -> None:
    assert said(end) == {"outcome": outcome, "error": end.error, "completed": None, "attempts": 0}


@pytest.mark.parametrize(("held", "size"), [(3, 3 * 512), (None, None)], ids=["receiver", "another destination"])
def test_the_bytes_are_those_on_disk_at_a_receiver(held: int | None, size: int | None) -> None:
    assert row_after(moved(completed=3, failed=0, warning=0, held=held)).bytes == size


@pytest.mark.parametrize("number", [1, 2])
def test_each_c_move_counts(number: int) -> None:
    assert row_after(replace(COMPLETE, moves=COMPLETE.moves * number)).attempts == number


def test_a_c_move_that_was_not_sent_does_not_count() -> None:
    moves = (result(BUSY), result(None, sent=False, problem="connection_failed"))
    assert row_after(Moved(combined(moves), moves=moves)).attempts == 1


def test_where_only_c_find_was_asked_again_the_c_move_before_it_counts() -> None:
    assert row_after(Moved(COMPLETE.result)).attempts == 1


@pytest.mark.parametrize(
    ("end", "brought"),
    [
        (moved(completed=9, failed=0, warning=1), 10),
        (moved(completed=10, failed=0, warning=0, held=10, arrivals=3), 3),
        (moved(completed=10, failed=0, warning=0, held=10, arrivals=0), 0),
        (moved(), 0),
        (Moved(COMPLETE.result), 0),
        (Contradicted(), 0),
    ],
)
def test_an_attempt_has_brought_what_came_or_else_what_the_pacs_counts(end: AttemptEnd, brought: int) -> None:
    assert number_brought(end) == brought


# A worker, or a receiver, that is gone.


def test_the_c_moves_before_a_defect_count() -> None:
    assert said(Lost("", "internal_error", moves=MOVES))["attempts"] == 2
    assert said(Lost("", "internal_error"))["attempts"] == 1
    assert said(Lost("", "internal_error", sent=0)) == said(Lost("", "internal_error")) | {"attempts": 0}


def test_a_row_that_was_lost_before_it_was_sent_was_not_tried() -> None:
    assert said(Lost(GONE, "executor_failed", sent=0)) == {
        "outcome": "unreachable", "error": "executor_failed", "completed": None, "attempts": 0,
    }  # fmt: skip


def test_what_the_pacs_said_before_the_end_was_lost_is_kept_and_the_advice_is_on_the_loss() -> None:
    end = Lost(GONE, "receiver_failed", result=MOVES[0], moves=MOVES)
    assert said(end) == {"outcome": "interrupted", "error": "receiver_failed", "completed": 4, "attempts": 2}
    assert row_after(end).advice == row_after(Lost(GONE, "receiver_failed")).advice
    assert GONE in (row_after(end).advice or "")


def test_a_request_that_may_have_been_sent_counts_as_sent() -> None:
    """One part of a row was rejected, and of another one the end is not known."""
    rejected = result(None, sent=False, problem="association_rejected")
    assert row_after(Lost(GONE, "executor_failed", result=rejected, moves=(rejected,))).attempts == 1
    assert row_after(Lost(GONE, "executor_failed")).attempts == 1


def test_every_request_without_a_result_counts_as_sent() -> None:
    assert row_after(Lost(GONE, "receiver_failed", sent=4)).attempts == 4
    assert row_after(Lost(GONE, "receiver_failed", sent=3, result=MOVES[0], moves=MOVES)).attempts == 3
    assert row_after(PARTS.behind(Lost(GONE, "receiver_failed", sent=2))).attempts == 4


def test_parts_that_were_not_sent_leave_a_row_that_was_not_sent() -> None:
    rejected = result(None, sent=False, problem="association_rejected")
    parts = Parts(1, rejected, moves=(rejected,))
    assert parts.behind(NoReceiver(GONE)) == NoReceiver(GONE)
    assert row_after(parts.behind(Lost(GONE, "executor_failed", sent=0))).outcome == "unreachable"


# The verdict on a row whose series were moved side by side.


def test_a_receiver_that_is_gone_when_all_parts_have_ended_leaves_the_row_in_doubt() -> None:
    end = PARTS.behind(NoReceiver(GONE))
    assert said(end) == {"outcome": "interrupted", "error": "receiver_failed", "completed": 4, "attempts": 2}
    assert GONE in (row_after(end).advice or "")
    assert isinstance(end, Lost)
    assert end.moves == MOVES


def test_a_receiver_that_was_away_before_any_part_was_sent_is_waited_for() -> None:
    assert Parts(1, None).behind(NoReceiver(GONE)) == NoReceiver(GONE)


def test_a_worker_that_is_gone_when_all_parts_have_ended_leaves_the_row_in_doubt() -> None:
    end = PARTS.behind(Lost(GONE, "executor_failed", sent=0))
    assert said(end) == {"outcome": "interrupted", "error": "executor_failed", "completed": 4, "attempts": 2}


def test_what_was_sent_at_the_verdict_counts_beside_the_parts() -> None:
    """The PACS held more than it had listed, and so the study was moved whole: that is its latest word."""
    whole = result(completed=9, failed=0, warning=0)
    end = PARTS.behind(Lost(GONE, "receiver_failed", result=whole, moves=(whole,)))
    assert said(end) == {"outcome": "interrupted", "error": "receiver_failed", "completed": 9, "attempts": 3}
    assert isinstance(end, Lost)
    assert end.moves == (*MOVES, whole)


@pytest.mark.parametrize("end", [COMPLETE, Contradicted()])
def test_a_verdict_is_the_end_of_its_row(end: AttemptEnd) -> None:
    assert PARTS.behind(end) == end


def test_a_worker_that_is_gone_before_any_part_was_sent_has_sent_nothing() -> None:
    end = Lost(GONE, "executor_failed", sent=0)
    assert Parts(1, None).behind(end) == end
