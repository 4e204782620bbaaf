"""What is asked for where only some of a row is missing, and what several C-MOVEs come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.run.attempt.narrowing import asks, cannot_move, coarser, combined, in_series, is_refused, side_by_side
from tests.run_events import SUCCESS, UNABLE, UNKNOWN_DESTINATION, result

MISSING = {"1.1": "S1", "1.2": "S1", "2.1": "S2"}
STUDY = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1"),))
SERIES = Identifier("SERIES", "StudyRoot", (("StudyInstanceUID", "1"), ("SeriesInstanceUID", "S1")))
TWO_O_CLOCK = datetime(2026, 1, 1, 2, tzinfo=UTC)


def lasting(begin: float, end: float, status: int | None = SUCCESS, **others: Any) -> MoveResult:
    """A result from some seconds after two o'clock to some later."""
    begun, ended = (TWO_O_CLOCK + timedelta(seconds=seconds) for seconds in (begin, end))
    return replace(result(status, **others), started_at=begun, finished_at=ended, duration_s=end - begin)


@pytest.mark.parametrize(
    ("depth", "reached", "asked"),
    [
        ("instances", "instances", [("IMAGE", "1.1\\1.2"), ("IMAGE", "2.1")]),
        ("instance", "instance", [("IMAGE", "1.1"), ("IMAGE", "1.2"), ("IMAGE", "2.1")]),
        ("series", "series", [("SERIES", "S1"), ("SERIES", "S2")]),
        ("whole", "whole", [("STUDY", "1")]),
    ],
)
def test_missing_instances_are_asked_for_with_the_finest_requests(depth: Any, reached: str, asked: object) -> None:
    found, identifiers = asks(STUDY, MISSING, depth)
    assert found == reached
    assert [(identifier.level, identifier.keys[-1][1]) for identifier in identifiers] == asked


def test_many_are_asked_for_by_more_at_a_time() -> None:
    many = {f"{series}.{n}": f"S{series}" for series in range(3) for n in range(30)}
    assert asks(STUDY, many, "instance")[0] == "series"
    many = {f"{series}.1": f"S{series}" for series in range(40)}
    assert asks(STUDY, many, "instances") == ("whole", [STUDY])


def test_a_patient_is_asked_for_as_a_whole() -> None:
    patient = Identifier("PATIENT", "PatientRoot", (("PatientID", "1"),))
    assert asks(patient, MISSING, "instances") == ("whole", [patient])
    assert asks(STUDY, {"1.1": ""}, "instances") == ("whole", [STUDY])


def test_below_the_whole_there_is_nothing() -> None:
    assert [coarser("instances"), coarser("series"), coarser("whole")] == ["instance", "whole", None]


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        (result(UNABLE), True),
        (result(UNKNOWN_DESTINATION), True),
        (result(SUCCESS, completed=0, failed=0, warning=0), True),
        (result(SUCCESS, completed=2, failed=0, warning=0), False),
        (result(UNABLE, completed=1, failed=1, warning=0), False),
        (result(0xA702), False),
        (result(None, problem="connection_lost"), False),
    ],
    ids=["cannot", "destination", "empty", "moved", "some", "busy", "no answer"],
)
def test_a_pacs_that_cannot_or_has_nothing_is_asked_for_more_at_a_time(told: Any, refused: object) -> None:
    assert is_refused(told) is refused


def test_counts_are_added_and_the_first_that_went_wrong_is_the_word() -> None:
    counts: Any = {"completed": 2, "failed": 0, "warning": 1}
    both = combined([result(**counts, seconds=2.0), result(UNABLE, failed=4, seconds=3.0), result(**counts)])
    assert (both.outcome, both.error, both.status) == ("failed", "unable_to_process", "0xC001")
    assert (both.completed, both.failed, both.warning, both.total) == (4, 4, 2, None)
    assert both.duration_s == 6.0


@pytest.mark.parametrize("at_end", [True, False])
def test_counts_are_final_where_all_of_them_are(at_end: object) -> None:
    counts: Any = {"completed": 2, "failed": 0, "warning": 0}
    both = combined([result(**counts, at_end=at_end), result(**counts)])
    assert both.evidence.counts.at_end is at_end


def test_one_c_move_is_as_it_is() -> None:
    alone = result(completed=1)
    assert combined([alone]) is alone


def test_a_stop_between_two_c_moves_is_a_cancelled_one() -> None:
    sent = [result(completed=1), result(completed=1)]
    stopped = combined([*sent, replace(result(None, sent=False), outcome="not_attempted", error=None)])
    assert (stopped.outcome, stopped.status, stopped.completed) == ("cancelled", "0x0000", 2)
    assert (stopped.evidence.sent, stopped.evidence.cancelled) == (True, True)


def test_failed_instances_are_joined() -> None:
    both = combined(
        [result(0xB000, failed_sop_instance_uids=("1.1",)), result(0xB000, failed_sop_instance_uids=("1.2",))]
    )
    assert both.failed_sop_instance_uids == ("1.1", "1.2")


def test_of_a_series_the_instances_are_asked_for_and_else_the_series_itself() -> None:
    missing = {"1.1": "S1", "1.2": "S1"}
    above = (("StudyInstanceUID", "1"), ("SeriesInstanceUID", "S1"))
    listed = Identifier("IMAGE", "StudyRoot", (*above, ("SOPInstanceUID", "1.1\\1.2")))
    assert asks(SERIES, missing, "instances") == ("instances", [listed])
    assert asks(SERIES, missing, "series") == ("series", [SERIES])
    assert asks(STUDY, missing, "series") == ("series", [SERIES])
    assert asks(SERIES, missing, "whole") == ("whole", [SERIES])


@pytest.mark.parametrize(("number", "reached"), [(16, "instance"), (17, "series")])
def test_sixteen_c_moves_are_not_too_many_for_a_row(number: int, reached: str) -> None:
    assert asks(STUDY, {f"1.{one}": "S1" for one in range(number)}, "instance")[0] == reached


def test_an_identifier_of_a_series_has_one_series() -> None:
    assert in_series(STUDY, "S1") == SERIES
    assert in_series(SERIES, "S2").keys == (("StudyInstanceUID", "1"), ("SeriesInstanceUID", "S2"))


@pytest.mark.parametrize("statuses", [(SUCCESS, UNABLE), (UNABLE, SUCCESS)])
def test_one_after_the_other_lasts_from_the_first_to_the_last(statuses: tuple[int, int]) -> None:
    both = combined([lasting(0, 2, statuses[0], completed=1), lasting(5, 6, statuses[1], completed=1)])
    assert both.status == "0xC001"
    assert (both.started_at, both.finished_at) == (TWO_O_CLOCK, TWO_O_CLOCK + timedelta(seconds=6))
    assert both.duration_s == 3


def test_side_by_side_lasts_from_the_first_begin_to_the_last_end() -> None:
    both = side_by_side(STUDY, [lasting(3, 9, completed=2), lasting(1, 4, completed=1)])
    assert (both.started_at, both.finished_at) == (
        TWO_O_CLOCK + timedelta(seconds=1),
        TWO_O_CLOCK + timedelta(seconds=9),
    )
    assert (both.duration_s, both.completed, both.outcome, both.identifier) == (6, 3, "complete", STUDY)
    assert both.evidence.sent


def test_of_parts_side_by_side_the_one_without_an_answer_is_the_word() -> None:
    parts = [lasting(0, 2, UNABLE), lasting(0, 2, None, problem="connection_lost"), lasting(0, 2, completed=1)]
    assert (side_by_side(STUDY, parts).status, side_by_side(STUDY, parts).error) == (None, "connection_lost")


@pytest.mark.parametrize(
    ("counts", "others", "status"),
    [
        ({"failed": 2}, {"completed": 1}, 0xB000),
        ({"failed": 2}, {"failed": 1}, 0xA702),
        ({}, {"completed": 1}, 0xA702),
    ],
    ids=["some came", "none came", "no counts"],
)
def test_a_series_of_which_nothing_came_is_some_of_its_study(
    counts: dict[str, int], others: dict[str, int], status: int
) -> None:
    both = side_by_side(STUDY, [lasting(0, 1, 0xA702, **counts), lasting(0, 1, **others)])
    assert both.evidence.status == status
    assert side_by_side(STUDY, [lasting(0, 1, UNABLE, failed=1), lasting(0, 1, completed=1)]).evidence.status == UNABLE


def test_instances_that_were_not_asked_for_remain() -> None:
    parts = [lasting(0, 1, completed=2, total=2, remaining=0, at_end=True)]
    counts = side_by_side(STUDY, parts, unasked=5).evidence.counts
    assert (counts.total, counts.remaining, counts.at_end) == (7, 5, False)
    assert side_by_side(STUDY, parts).evidence.counts == parts[0].evidence.counts
    untold = side_by_side(STUDY, [lasting(0, 1)], unasked=5).evidence.counts
    assert (untold.total, untold.remaining) == (5, 5)


def test_a_request_that_was_not_sent_is_not_in_doubt() -> None:
    parts = [lasting(0, 1, None, problem="connection_failed", sent=False) for _ in range(2)]
    assert not side_by_side(STUDY, parts).evidence.sent
    assert side_by_side(STUDY, [*parts, lasting(0, 1, completed=1)]).evidence.sent


@pytest.mark.parametrize(
    ("told", "cannot"),
    [
        (result(UNKNOWN_DESTINATION), True),
        (result(UNABLE, arrivals=0), True),
        (result(UNABLE, arrivals=1), False),
        (result(UNABLE), False),
        (result(completed=1), False),
        (result(0xFE00, cancelled=True, arrivals=0), False),
    ],
    ids=["destination", "nothing came", "something came", "not known", "complete", "cancelled"],
)
def test_a_pacs_that_cannot_reach_the_receiver(told: MoveResult, cannot: object) -> None:
    assert cannot_move(told) is cannot
