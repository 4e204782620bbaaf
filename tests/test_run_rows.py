"""The results of the rows of a run, as its ends come in: what the table, the panel and `discrepancies()` say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dicomove.errors import IdentifierError
from dicomove.events import Arriving, RowFinished
from dicomove.outcome import ALTOGETHER, Unverified
from dicomove.receiver import LostFile, OtherPatient, ReceivedRow
from dicomove.results import Row
from dicomove.run.attempt.ends import AttemptEnd, Lost, Moved, OnDisk, row_after
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from tests.run_events import BUSY, COMPLETE, MIDNIGHT, identifier, moved, result, task

UNANSWERED = Unverified("C-FIND had no answer", may_pass=True)
#: Three are listed, and two came.
PARTIAL = moved(
    completed=3, failed=0, warning=0, held=2, expected=3, missing=1, listed={"1.1": "S", "1.2": "S", "1.3": "S"}
)
#: As the receiver has it at the end of the run.
ALL_HELD = {"1.1": 512, "1.2": 512, "1.3": 1024}


def other_patient(uid: str) -> OtherPatient:
    return OtherPatient("1.2", "S", uid, ALTOGETHER)


def results_of(*tasks: Task, asks_archive: bool = False) -> RowResults:
    number = sum(len(one.positions) for one in tasks)
    labels = [f"row {position}" for position in range(number)]
    requested: Any = [one.identifier for one in tasks for _ in one.positions]
    return RowResults(labels, requested, asks_archive=asks_archive)


def end_attempt(results: RowResults, ended: Task, end: AttemptEnd) -> Row:
    results.begin(ended)
    return results.end_attempt(ended, end, row_after(end))


def look_again(results: RowResults, ended: Task, *others: OtherPatient) -> Row:
    row = results.held_at_end(ended, ALL_HELD, others)
    assert row is not None
    assert row == results.of(ended)
    return row


# What is shown.


def test_an_instance_is_seen_to_come_from_its_first_byte_on() -> None:
    """It may be the only one of its row, with hundreds of frames."""
    one = task(0)
    results = results_of(one)
    results.begin(one)
    assert results.arrived(one, 0, 0) == []
    assert results.arrived(one, 0, 1) == [Arriving(row="row 0", position=0, instances=0, bytes=1)]
    assert results.arrived(one, 0, 1) == []


def test_a_row_that_has_ended_is_shown_with_what_the_table_says_of_it() -> None:
    one = replace(task(0), positions=(0, 1))
    results = results_of(one)
    row = Row("complete", received=3, bytes=2048, attempts=0, resumed=True, duration_s=4.0)
    (first, second) = results.finish(one, row)
    assert isinstance(first, RowFinished)
    said = (first.outcome, first.error, first.instances, first.duration_s, first.bytes, first.resumed)
    assert said == (row.outcome, row.error, 3, row.duration_s, row.bytes, row.resumed)
    assert second == replace(first, row="row 1", position=1, shares=0)


# A row that reads anew, without a C-MOVE.


def test_a_row_that_is_verified_later_keeps_the_c_moves_and_the_time_of_its_attempts() -> None:
    one = task(0)
    results = results_of(one)
    end_attempt(results, one, moved(BUSY, seconds=5.0))
    unverified = moved(completed=3, failed=0, warning=0, seconds=3.0, unverified=UNANSWERED)
    end_attempt(results, one, unverified)
    later = replace(result(completed=3, failed=0, warning=0, expected=3), started_at=MIDNIGHT.replace(hour=6))
    row = end_attempt(results, replace(one, unverified=unverified), Moved(later))
    assert (row.outcome, row.expected, row.attempts) == ("complete", 3, 2)
    assert (row.started_at, row.duration_s) == (MIDNIGHT, 8.0)


def test_a_row_that_was_given_up_while_it_was_verified_reads_as_c_find_says_in_the_end() -> None:
    one = task(0)
    results = results_of(one)
    unverified = moved(completed=3, failed=0, warning=0, unverified=UNANSWERED)
    end_attempt(results, one, unverified)
    again = replace(one, unverified=unverified)
    results.begin(again)
    for given_up in results.give_up(sent={}):
        assert results.of(given_up) == row_after(unverified), "no other C-MOVE was sent"
        results.finish(given_up, results.of(given_up))
    verified = Moved(result(completed=3, failed=0, warning=0, expected=3))
    row = results.end_attempt(again, verified, row_after(verified))
    assert (row.outcome, row.expected, row.attempts) == ("complete", 3, 1)


def test_late_instances_do_not_change_the_c_moves_and_the_times_of_the_attempts() -> None:
    one = task(0)
    results = results_of(one)
    first = moved(BUSY, seconds=5.0)
    end_attempt(results, one, replace(first, result=replace(first.result, started_at=MIDNIGHT.replace(day=1))))
    end_attempt(results, one, PARTIAL)
    row = look_again(results, one)
    assert (row.outcome, row.received, row.missing, row.bytes) == ("complete", 3, 0, 2048)
    assert (row.attempts, row.started_at, row.duration_s) == (2, MIDNIGHT.replace(day=1), 6.0)


def test_late_instances_are_not_durable_either_after_a_failure_of_the_disk() -> None:
    one = task(0)
    results = results_of(one)
    end_attempt(results, one, PARTIAL)
    results.not_durable("the disk has a fault")
    row = look_again(results, one)
    assert (row.outcome, row.error, row.received) == ("partial", "storage_failed", 3)
    assert "the disk has a fault" in (row.advice or "").lower()


# Rows of one study that name different patients.


def of_one_study(number: int, **more: Any) -> Task:
    study = replace(task(0).identifier, claims=(("PatientID", str(number)),))
    return replace(task(number, has_siblings=True, **more), identifier=study)


@pytest.mark.parametrize(("receiver", "looks"), [(None, False), (0, True)])
def test_a_row_begins_with_what_another_row_of_its_study_has_brought(receiver: int | None, looks: object) -> None:
    """At a receiver, it sees what is there of it; an archive counts it for the first row."""
    first, second, other = of_one_study(0, receiver=receiver), of_one_study(1, receiver=receiver), task(2)
    results = results_of(first, second, other)
    row = end_attempt(results, first, COMPLETE)
    begun = results.with_brought(second)
    assert (begun.first, begun.brought, begun.look_first) == (1, row, looks)
    assert results.with_brought(replace(second, look_first=True)).look_first
    assert results.with_brought(other).brought is None


@pytest.mark.parametrize(
    ("more", "end", "is_theirs"),
    [
        ({}, COMPLETE, True),
        ({}, moved(BUSY), False),
        ({"other_person": "PatientName"}, COMPLETE, False),
        ({"other_person": "PatientName", "receiver": 0}, COMPLETE, True),
        ({"receiver": 0}, PARTIAL, False),
    ],
)
def test_only_a_complete_row_without_doubts_about_its_patient_counts_for_others(
    more: dict[str, Any], end: Moved, is_theirs: object
) -> None:
    first, second = of_one_study(0, **more), of_one_study(1, **more)
    results = results_of(first, second)
    end_attempt(results, first, end)
    assert (results.with_brought(second).brought is not None) == is_theirs


@pytest.mark.parametrize(("receiver", "is_theirs"), [(None, False), (0, True)])
def test_a_disputed_row_counts_for_others_only_at_a_receiver(receiver: int | None, is_theirs: object) -> None:
    first, second = (
        replace(one, identifier=replace(one.identifier, is_disputed=True))
        for one in (of_one_study(0, receiver=receiver), of_one_study(1, receiver=receiver))
    )
    results = results_of(first, second)
    end_attempt(results, first, COMPLETE)
    assert (results.with_brought(second).brought is not None) == is_theirs


def test_a_row_alone_with_its_study_is_kept_for_no_other() -> None:
    one = task(0)
    results = results_of(one)
    end_attempt(results, one, COMPLETE)
    assert results.with_brought(one).brought is None


# What does not add up.


@pytest.mark.parametrize(
    ("other_person", "number"), [("PatientName", 2), ("PatientBirthDate", 2), ("PatientID", 0), (None, 0)]
)
def test_rows_that_name_another_person_than_the_pacs_are_counted(other_person: str | None, number: int) -> None:
    one = replace(task(0), positions=(0, 1))
    for end in (
        moved(completed=3, failed=0, other_person=other_person),
        OnDisk(Row("complete"), ReceivedRow(), other_person),
    ):
        results = results_of(one)
        end_attempt(results, one, end)
        assert results.other_persons == number


def test_a_file_that_the_disk_lost_is_missing_once() -> None:
    """A row that lacks it already names it."""
    one = replace(task(0, receiver=0), positions=(0, 1))
    results = results_of(one)
    end_attempt(results, one, PARTIAL)
    study = {"StudyInstanceUID": "1.2.0", "SeriesInstanceUID": "S"}
    lost = [LostFile({**study, "SOPInstanceUID": uid}, "a fault of the disk") for uid in ("1.2", "1.3")]
    assert [position for position, _, _ in results.with_lost(lost, 0)] == [0, 1]
    found = [(one["row"], one["SOPInstanceUID"]) for one in results.discrepancies(0)]
    assert sorted(found) == [(row, uid) for row in ("row 0", "row 1") for uid in ("1.2", "1.3")]


def test_only_rows_of_this_run_that_have_files_lose_some() -> None:
    """A row of an earlier run has its own record, and the file may be one that nothing asked for."""
    identifiers: Any = [identifier(0), IdentifierError("no UID"), identifier(2), identifier(3), identifier(4)]
    results = RowResults(list("abcde"), identifiers, asks_archive=False)
    rows = {0: Row("complete", received=2), 1: Row("invalid"), 2: Row("complete", received=2, resumed=True)}
    for position, row in (rows | {3: Row("failed"), 4: Row("complete", received=2)}).items():
        results.set_row(task(position), row)
    lost = [
        LostFile({"StudyInstanceUID": f"1.2.{number}", "SOPInstanceUID": f"{number}.{problem}"}, problem)
        for number in (0, 2, 3, 9)
        for problem in ("first", "second")
    ]
    assert results.with_lost(lost, 0) == [(0, {"StudyInstanceUID": "1.2.0"}, "first")]
    found = [(one["row"], one["SOPInstanceUID"]) for one in results.discrepancies(0)]
    assert found == [("a", "0.first"), ("a", "0.second"), ("d", "3.first"), ("d", "3.second")]
    assert results.with_lost([], 0) == []
    assert results.discrepancies(0) == []


def test_a_file_that_the_disk_lost_is_missing_beside_the_instances_of_another_patient() -> None:
    one = task(0, receiver=0)
    results = results_of(one)
    end_attempt(
        results, one, replace(COMPLETE, received=ReceivedRow(held={"1.1": 512}, others=(other_patient("1.1"),)))
    )
    keys = {"StudyInstanceUID": "1.2.0", "SeriesInstanceUID": "S", "SOPInstanceUID": "1.1"}
    results.with_lost([LostFile(keys, "a fault of the disk")], 0)
    assert sorted(str(one["kind"]) for one in results.discrepancies(0)) == ["missing", "other_patient"]


def test_the_discrepancies_of_a_receiver_are_those_of_the_rows_that_it_got() -> None:
    here, there = replace(task(0, receiver=0), positions=(0, 1)), replace(task(2, receiver=1))
    results = results_of(here, there)
    end_attempt(results, here, PARTIAL)
    end_attempt(results, there, replace(PARTIAL, listed={"1.1": "S", "1.2": "S", "9.9": "S"}))
    missing = {"kind": "missing", "StudyInstanceUID": "1.2.0", "SeriesInstanceUID": "S", "SOPInstanceUID": "1.3"}
    assert results.discrepancies(0) == [{"row": "row 0", **missing}, {"row": "row 1", **missing}]
    assert [(one["row"], one["SOPInstanceUID"]) for one in results.discrepancies(1)] == [("row 2", "9.9")]


def test_late_instances_of_another_patient_are_named() -> None:
    one = task(0, receiver=0)
    results = results_of(one)
    end_attempt(results, one, PARTIAL)
    assert results.other_patients == 0
    row = look_again(results, one, other_patient("1.3"))
    assert "PatientID" in (row.advice or "")
    assert results.other_patients == 1
    assert [(one["kind"], one["SOPInstanceUID"]) for one in results.discrepancies(0)] == [("other_patient", "1.3")]


@pytest.mark.parametrize(
    ("end", "is_unknown"),
    [
        (COMPLETE, True),
        (replace(COMPLETE, received=ReceivedRow(held={"1.1": 0}, counted_by="destination")), False),
        (OnDisk(Row("complete"), ReceivedRow()), False),
        (Lost("its worker is gone", "executor_failed"), False),
    ],
    ids=["no answer", "counted", "there already", "lost"],
)
def test_a_row_that_the_archive_did_not_count_is_unknown(end: AttemptEnd, is_unknown: object) -> None:
    one = replace(task(0), positions=(0, 1))
    results = results_of(one, asks_archive=True)
    end_attempt(results, one, end)
    found = results.discrepancies_at_archive()
    assert [(one["row"], one["kind"]) for one in found] == [("row 0", "unknown"), ("row 1", "unknown")] * bool(
        is_unknown
    )


def test_the_count_of_a_later_attempt_replaces_unknown() -> None:
    one = task(0)
    results = results_of(one, asks_archive=True)
    end_attempt(results, one, COMPLETE)
    end_attempt(results, one, Lost("its worker is gone", "executor_failed"))
    assert [found["kind"] for found in results.discrepancies_at_archive()] == ["unknown"], "that says nothing new"
    end_attempt(results, one, replace(COMPLETE, received=ReceivedRow(held={"1.1": 0}, counted_by="destination")))
    assert results.discrepancies_at_archive() == []


def test_missing_instances_at_the_archive_follow_its_count() -> None:
    one = task(0)
    results = results_of(one, asks_archive=True)
    counted = ReceivedRow(held={"1.1": 0, "1.2": 0}, counted_by="destination")
    end_attempt(results, one, replace(PARTIAL, received=counted))
    (found,) = results.discrepancies_at_archive()
    assert (found["row"], found["kind"], found["SOPInstanceUID"]) == ("row 0", "missing", "1.3")
    assert found["counted_by"] == "destination"


def test_a_destination_that_is_not_asked_leaves_nothing_unknown() -> None:
    one = task(0)
    results = results_of(one)
    end_attempt(results, one, COMPLETE)
    assert results.discrepancies_at_archive() == []
