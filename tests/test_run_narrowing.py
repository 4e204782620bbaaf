"""What is asked for where only some of a row is missing, and what several C-MOVEs come to."""

from __future__ import annotations

from typing import Any

import pytest

from dicomove.cohort import Identifier
from dicomove.run.narrowing import asks, coarser, combined, is_refused
from tests.run_events import SUCCESS, UNABLE, UNKNOWN_DESTINATION, result

MISSING = {"1.1": "S1", "1.2": "S1", "2.1": "S2"}
STUDY = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1"),))


@pytest.mark.parametrize(
    ("depth", "reached", "asked"),
    [
        ("instances", "instances", [("IMAGE", "1.1\\1.2"), ("IMAGE", "2.1")]),
        ("instance", "instance", [("IMAGE", "1.1"), ("IMAGE", "1.2"), ("IMAGE", "2.1")]),
        ("series", "series", [("SERIES", "S1"), ("SERIES", "S2")]),
        ("whole", "whole", [("STUDY", "1")]),
    ],
)
def test_what_is_missing_is_asked_for_as_far_down_as_can_be(depth: Any, reached: str, asked: object) -> None:
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


def test_failed_instances_are_joined() -> None:
    both = combined(
        [result(0xB000, failed_sop_instance_uids=("1.1",)), result(0xB000, failed_sop_instance_uids=("1.2",))]
    )
    assert both.failed_sop_instance_uids == ("1.1", "1.2")
