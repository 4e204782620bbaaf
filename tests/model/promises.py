"""What has to be true of a run: one function for each promise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

import dicomove as dm
from dicomove.columns import FIND_COLUMNS, RESULT_COLUMNS
from dicomove.dimse.connection import Connection
from dicomove.dimse.messages import C_FIND_RQ, Message
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.run import run as run_module
from tests.model.expected import has_inventory, is_honest, is_misled, is_untouched, without_faults
from tests.model.run import Run, is_unsent
from tests.model.table import SAID_BY_FIND, Asked
from tests.model.words import (
    COUNTS,
    ERRORS,
    FORGES_COUNTS,
    HARMLESS,
    LOSES_SILENTLY,
    MISCOUNTS,
    NOT_SENT,
    OUTCOMES,
    RECEIVER,
    STORE,
)
from tests.model.world import QUIET_S, Heard

#: The unique keys of a study, and of what is above it.
_OF_STUDY: Final = ("PatientID", "StudyInstanceUID")
#: What the user's own stop left unknown.
_STOPPED: Final = {"C-FIND was cancelled", "it was stopped before C-FIND was sent"}


def a_table_that_cannot_be_right_is_refused_before_the_first_association(run: Run) -> None:
    if run.hopeless:
        too_soon = isinstance(run.raised, KeyboardInterrupt) and not run.keyboard.events
        assert too_soon or isinstance(run.raised, dm.errors.CohortError), run.raised
        assert (run.associations, run.heard) == (0, [])
    else:
        assert not isinstance(run.raised, dm.errors.DicomoveError), run.raised


def nothing_is_lost_to_a_traceback_once_the_run_has_started(run: Run) -> None:
    if run.raised is not None and not run.hopeless:
        assert isinstance(run.raised, KeyboardInterrupt)
        assert (run.keyboard.events, run.heard) == ([], []), "the interrupt reached the caller instead of the table"


def there_is_one_result_row_for_each_row_on_its_index(run: Run) -> None:
    pd.testing.assert_index_equal(run.result.index, run.before.index, exact=True)


def the_callers_columns_are_as_they_were(run: Run) -> None:
    had = list(run.before.columns)
    # A table of an earlier run has all of our columns, and one of `find` has its own; else they are the caller's.
    replaced = RESULT_COLUMNS if {*RESULT_COLUMNS} <= {*had} else FIND_COLUMNS if "cohort_row" in had else ()
    kept = [number for number, name in enumerate(had) if name not in replaced or name not in RESULT_COLUMNS]
    names = [f"{name}_cohort" if name in RESULT_COLUMNS else name for name in (had[number] for number in kept)]
    assert list(run.result.columns) == [*names, *RESULT_COLUMNS]
    theirs = run.result.iloc[:, : len(kept)]
    pd.testing.assert_frame_equal(theirs, run.before.iloc[:, kept].set_axis(theirs.columns, axis=1))


def the_callers_table_is_not_touched(run: Run) -> None:
    pd.testing.assert_frame_equal(run.table, run.before)


def the_columns_have_their_types(run: Run) -> None:
    text = "str" if pd.__version__ >= "3" else "object"
    types = dict.fromkeys(RESULT_COLUMNS, "Int64") | dict.fromkeys(
        ("outcome", "status", "error", "advice", "error_comment", "failed_sop_instance_uids"), text
    )
    types |= {"duration_s": "float64", "resumed": "bool"}
    for name in ("started_at", "finished_at"):
        types[name] = str(run.result[name].dtype)
        assert isinstance(run.result[name].dtype, pd.DatetimeTZDtype), types[name]
        assert types[name].endswith(", UTC]")
    assert {name: str(run.result[name].dtype) for name in RESULT_COLUMNS} == types


def the_words_are_of_the_closed_sets(run: Run) -> None:
    assert set(run.result["outcome"]) <= OUTCOMES
    assert set(run.result["error"].dropna()) <= ERRORS | {"invalid_row"}
    assert run.result["status"].dropna().str.fullmatch("0x[0-9A-F]{4}").all()


def what_only_a_receiver_knows_is_null_elsewhere(run: Run) -> None:
    if run.options.into != RECEIVER:
        assert run.result[["received", "bytes", "missing"]].isna().all(axis=None)


def a_row_is_invalid_if_it_cannot_be_asked_and_only_then(run: Run) -> None:
    for position, (row, wanted, verdict) in enumerate(zip(run.rows, run.asked, run.records, strict=True)):
        if SAID_BY_FIND in row:
            assert verdict["outcome"] == row[SAID_BY_FIND].value
            continue
        if verdict["error"] == "other_patient":
            assert wanted
            assert run.names_another_patient(wanted, position)
            # At a receiver, the images show it where the PACS does not.
            by_images = run.options.into == RECEIVER and verdict["outcome"] == "failed"
            assert by_images or (verdict["outcome"], verdict["attempts"]) == ("invalid", 0)
            continue
        if verdict["error"] == "invalid_row" and wanted and run.has_rivals(wanted):
            assert run.options.into == STORE
            assert (verdict["outcome"], verdict["attempts"]) == ("invalid", 0)
            assert run.options.verify == "arrivals" or run.blind(wanted) or run.interrupted
            continue
        if wanted and is_unsent(verdict):
            # In Patient Root, a study is below its patient.
            assert len(wanted.keys) > 1
            assert run.world.faults or not run.world.instances(wanted)
        assert (verdict["outcome"] == "invalid") == (wanted is None)
        assert (verdict["error"] == "invalid_row") == (wanted is None)


def nothing_is_sent_for_a_study_of_another_patient_than_the_row_names(run: Run) -> None:
    """C-FIND says whose it is, where it is asked, and answers."""
    for wanted in {move.asked for move in run.moves()} if run.options.verify != "arrivals" else ():
        assert not run.names_another_patient(wanted) or run.blind(wanted) or run.interrupted


def only_what_a_row_asks_for_is_sent_by_level_and_unique_keys(run: Run) -> None:
    wanted = {one for one in run.asked if one is not None}
    for move in run.moves():
        assert move.asked in wanted or _is_series_of_a_large_study(run, move.asked), f"no row asks for {move.asked}"
        sent = {name: str(value) for name, value in move.identifier.items()}
        assert sent == {"QueryRetrieveLevel": move.asked.level, **dict(move.asked.keys)}
        assert move.destination == run.options.into
        assert not any(set(value) & set("*?\\") or not value for value in sent.values())


def _is_series_of_a_large_study(run: Run, moved: Asked) -> bool:
    """Whether it is a series of a study that a row asks for, and of which the PACS counts too many instances."""
    studies = {row.keys for row in run.asked if row and row.level == "STUDY"}
    counts_many = "counts-overflow" in {fault.name for fault in run.world.faults}
    return counts_many and moved.level == "SERIES" and moved.keys[:-1] in studies


def no_c_find_asks_for_what_no_row_names(run: Run) -> None:
    """To count or to verify is to ask by the unique keys of a row, and never for the whole archive."""
    for find in (one for one in run.heard if one.command == C_FIND_RQ):
        keys = {name: value for name, value in find.asked.keys if value not in ("", "None")}
        of_one_row = [row for row in run.asked if row and dict(row.keys).items() <= keys.items()]
        assert of_one_row or _asks_whose_it_is(run, keys), keys


def _asks_whose_it_is(run: Run, keys: Mapping[str, str]) -> bool:
    """Whether it asks for the study of a row of any level: by its UID, with a PatientID or without."""
    studies = {dict(row.keys).get("StudyInstanceUID") for row in run.asked if row}
    return keys.keys() <= set(_OF_STUDY) and keys.get("StudyInstanceUID") in studies - {None}


def what_is_asked_twice_is_moved_once(run: Run) -> None:
    """But for one that may have crossed the end of an association that was reused: that one is sent once more."""
    for wanted in {move.asked for move in run.moves() if run.is_shared(move.asked)}:
        first, *more = run.moves(wanted)
        assert len(more) <= 1, f"{wanted} was sent {1 + len(more)} times"
        if more:
            assert not first.answers, f"{wanted} was answered, and sent again"
            earlier = run.heard[: run.heard.index(first)]
            assert any(one.connection is first.connection for one in earlier), f"{wanted} was sent again"


def rows_that_ask_the_same_get_the_same(run: Run) -> None:
    found: dict[Asked, Mapping[str, Any]] = {}
    for wanted, verdict in run.verdicts_of_one_patient():
        first = found.setdefault(wanted, verdict)
        if first is not verdict:
            pd.testing.assert_series_equal(pd.Series(verdict), pd.Series(first))


def the_attempts_are_the_moves_that_the_pacs_saw(run: Run) -> None:
    """A request that was sent into an association that just ended is an attempt that no PACS saw, and is sent again."""
    for wanted, verdict in run.verdicts_of_one_patient():
        seen, attempts = len(run.moves(wanted)), verdict["attempts"]
        assert attempts >= seen, f"{wanted}: {attempts} attempts, {seen} seen"
        unseen = attempts - seen
        assert unseen <= (2 if verdict["outcome"] == "interrupted" else 1), (
            f"{wanted}: {attempts} attempts, {seen} seen"
        )


def nothing_was_sent_where_the_outcome_says_so(run: Run) -> None:
    for wanted, verdict in run.verdicts_of_one_patient():
        if verdict["outcome"] in NOT_SENT:
            assert not run.moves(wanted), f"{wanted} was sent, and is {verdict['outcome']}"
            assert verdict["attempts"] == 0
            assert pd.isna([verdict[name] for name in ("status", "total", *COUNTS)]).all()


def a_time_is_there_for_what_was_tried(run: Run) -> None:
    for _, verdict in run.verdicts():
        started, finished = verdict["started_at"], verdict["finished_at"]
        assert pd.isna(started) == pd.isna(finished) == pd.isna(verdict["duration_s"])
        assert pd.isna(started) or started <= finished
        # Where five rows in a row were unreachable, and the PACS does not answer C-ECHO either, the rest is not tried.
        untried = verdict["outcome"] in ("not_attempted", "interrupted", "unreachable")
        assert pd.notna(started) or untried
        assert verdict["outcome"] != "not_attempted" or pd.isna(started)


def status_and_counts_are_those_that_the_pacs_gave(run: Run) -> None:
    """What it did not give is null; where the answer broke off, the counts are those of a response before that."""
    for wanted, verdict in run.verdicts_of_one_patient():
        given = [_counts(answer) for move in run.moves(wanted) for answer in move.answers]
        told = [counts for counts in given if any(counts[:3])]
        row = tuple(None if pd.isna(verdict[name]) else str(verdict[name]) for name in COUNTS)
        if pd.isna(verdict["status"]):
            assert row in [(None,) * 4, *told], f"{wanted}: {row} is none of {told}"
            continue
        *_, move = run.moves(wanted)
        final = move.final
        assert final is not None, f"{wanted}: {verdict['status']}, and the PACS has not answered"
        assert verdict["status"] == f"0x{final.number('Status'):04X}"
        assert row == (told[-1] if told else (None,) * 4), f"{wanted}: {row}, and the PACS said {given}"
        comment = final.text("ErrorComment")
        assert (None if pd.isna(verdict["error_comment"]) else verdict["error_comment"]) == comment


def _counts(answer: Message) -> tuple[str | None, ...]:
    """Return the counts of a response as text, so that a null is never taken for a number."""
    numbers = [answer.number(f"NumberOf{name.title()}Suboperations") for name in COUNTS]
    return tuple(None if number is None else str(number) for number in numbers)


def the_counts_add_up(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if FORGES_COUNTS & {fault.name for fault in run.may_meet(wanted)}:
            continue
        counts = [verdict[name] for name in ("total", "completed", "failed", "warning")]
        if not pd.isna(counts).any():
            assert counts[0] >= sum(counts[1:]), f"{wanted}: {counts}"


def complete_is_never_false(run: Run) -> None:
    """To another AE it is as true as the PACS is honest; of a receiver, see below."""
    for wanted, verdict in run.verdicts() if run.options.into == STORE else ():
        met = {fault.name for fault in run.may_meet(wanted)}
        unseen = met & LOSES_SILENTLY and not has_inventory(run, wanted)
        if verdict["outcome"] == "complete" and is_honest(run, wanted) and not unseen:
            missing = {one.sop_instance_uid for one in run.world.instances(wanted)} - run.arrived
            assert not missing, f"{wanted} is complete without {missing}"
            assert run.world.instances(wanted), f"{wanted} is complete, and there is no such thing"


def empty_is_never_false(run: Run) -> None:
    """With an inventory, an empty answer for what is there is an error, and not an absence."""
    for wanted, verdict in run.verdicts():
        if verdict["outcome"] == "empty" and has_inventory(run, wanted):
            assert not run.world.instances(wanted), f"{wanted} is empty, and it is there"


def a_fault_in_one_row_does_not_reach_its_neighbours(run: Run) -> None:
    for wanted, verdict in run.verdicts_of_one_patient():
        if not is_untouched(run, wanted) or run.interrupted:
            continue
        expected = without_faults(run, wanted)
        if is_misled(run, wanted):
            assert verdict["outcome"] == expected.outcome or verdict["error"] == "missing_instances"
            continue
        assert verdict["outcome"] == expected.outcome, f"{wanted}: {verdict}"
        assert pd.isna(verdict["error"]), f"{wanted}: {verdict}"
        counts = [verdict[name] for name in ("status", "attempts", "total", "completed", "failed", "warning")]
        assert counts == ["0x0000", 1, expected.completed, expected.completed, 0, 0], f"{wanted}: {verdict}"


def what_is_expected_is_what_there_is_or_what_the_table_says(run: Run) -> None:
    if MISCOUNTS & {fault.name for fault in run.world.faults}:
        return
    for wanted, verdict in run.verdicts_of_one_patient():
        if len(run.faults_of_c_find(wanted)) > 1:
            continue  # together they may hide the only match behind Success
        there = len(run.world.instances(wanted))
        if pd.notna(verdict["expected"]):
            assert verdict["expected"] in (there, run.number_in_table(wanted)), f"{wanted}: {verdict}"
        elif verdict["outcome"] in ("complete", "empty") and is_untouched(run, wanted):
            assert not has_inventory(run, wanted), f"{wanted}: {verdict}"


def what_is_not_known_is_said(run: Run) -> None:
    """Verification never weakens in silence: the row says so, and one warning counts such rows, except after a stop."""
    unsure = 0
    for wanted, verdict in run.verdicts():
        advice = "" if pd.isna(verdict["advice"]) else verdict["advice"]
        reasons = re.findall(r"(?:is not known|could not be checked): ([^.]*)", advice)
        asks = run.options.verify != "arrivals" and wanted.level != "IMAGE"
        if asks and verdict["outcome"] in ("complete", "empty", "unconfirmed") and pd.isna(verdict["expected"]):
            assert reasons, f"{wanted}: {verdict}"
        unsure += not _STOPPED.issuperset(reasons)
    told = [str(one) for one in run.warned if isinstance(one, dm.errors.VerificationWarning)]
    told = [one for one in told if "moved more instances" not in one]
    assert len(told) == bool(unsure), f"{unsure} rows: {told}"
    assert all(f"for {unsure} of {len(run.rows)} rows" in one for one in told), f"{unsure} rows: {told}"


def associations_are_reused_and_never_more_than_concurrency(run: Run) -> None:
    sees_no_end = not run.reaches_everyone and all(fault.name in HARMLESS for fault in run.world.faults)
    if sees_no_end and not run.interrupted:
        assert run.associations <= run.options.concurrency


def an_association_is_used_again_only_after_a_final_response(run: Run) -> None:
    latest: dict[Connection, Heard] = {}
    for one in run.heard:
        before = latest.get(one.connection)
        assert before is None or before.final is not None, "a request over an association that was not clean"
        latest[one.connection] = one
    identities = [(one.connection, one.message_id) for one in run.heard]
    assert len(identities) == len(set(identities)), "a Message ID was used twice"


def it_ends_within_its_timeouts(run: Run) -> None:
    """The limit is generous: it tells what waits for ever from what does not."""
    pacs, options = run.world.pacs(), run.options
    silence = pacs.idle_timeout or 0
    tasks = run.requests
    responses = 2 + max((len(run.world.instances(one)) for one in run.asked if one is not None), default=0)
    quiet = 3 * (QUIET_S + 0.5) if options.into == RECEIVER else 0
    for_each = options.delay + (responses + 8) * silence + (options.total_timeout or 0) + quiet
    assert run.seconds < 10 + tasks * for_each
    if run.interrupted:
        assert run.seconds < 10 + tasks * for_each / options.concurrency + run_module.LONGEST_STOP_S


def nothing_is_left_open(run: Run) -> None:
    assert (list(run.left_threads), run.left_connections) == ([], 0)


def an_interrupt_is_told_and_nothing_else_is(run: Run) -> None:
    told = sum(isinstance(one, dm.errors.InterruptedWarning) for one in run.warned)
    sendable = {position for position, wanted in enumerate(run.asked) if wanted is not None}
    unfinished = run.interrupted and not sendable <= _finished(run.keyboard.pressed[0]).keys()
    assert told <= (1 if run.interrupted else 0)
    assert told or not unfinished, "no InterruptedWarning"
    if not run.interrupted:
        assert not set(run.result["outcome"]) & {"not_attempted", "cancelled"}


def what_had_finished_before_an_interrupt_stays(run: Run) -> None:
    if run.interrupted:
        for position, event in _finished(run.keyboard.pressed[0]).items():
            verdict = run.result.iloc[position]
            assert (verdict["outcome"], verdict["duration_s"]) == (
                _since(run, event.outcome, verdict["outcome"]),
                event.duration_s if event.duration_s is not None else verdict["duration_s"],
            ), f"row {position} was {event.outcome}, and is {verdict['outcome']} after the interrupt"


def after_an_interrupt_what_was_not_begun_is_not_attempted(run: Run) -> None:
    """If the PACS was lost before the interrupt, the rows whose turn never came are as unreachable as those before."""
    verdicts = list(run.verdicts_of_one_patient())
    is_lost = any(verdict["outcome"] == "unreachable" and _was_begun(run, wanted) for wanted, verdict in verdicts)
    ends = {"not_attempted", "unreachable"} if is_lost else {"not_attempted"}
    for wanted, verdict in verdicts:
        if run.interrupted and not run.moves(wanted) and not _was_begun(run, wanted):
            assert verdict["outcome"] in ends, f"{wanted} is {verdict['outcome']}"


def an_interrupted_row_reads_as_it_ended(run: Run) -> None:
    """In flight, a row is cancelled, in doubt, or has its true result; a first interrupt leaves nothing in doubt."""
    doubtful = {"cancelled", "interrupted", "not_attempted"}
    for wanted, verdict in run.verdicts_of_one_patient():
        if not run.interrupted or not is_untouched(run, wanted) or is_misled(run, wanted):
            continue
        assert verdict["outcome"] in {without_faults(run, wanted).outcome, *doubtful}, f"{wanted}: {verdict}"
        if len(run.keyboard.pressed) == 1:
            assert verdict["outcome"] != "interrupted", f"{wanted}: {verdict}"


def what_is_shown_is_what_the_table_says(run: Run) -> None:
    events = run.keyboard.events
    assert isinstance(events[0], RunStarted)
    assert events[0].requests == run.requests
    if not run.interrupted:
        assert isinstance(events[-1], RunEnded)
        assert sorted(_finished(events)) == list(range(len(run.rows)))
    outcomes = run.result["outcome"].tolist()
    shown = _finished(events)
    assert {position: outcomes[position] for position in shown} == {
        position: _since(run, event.outcome, outcomes[position]) for position, event in shown.items()
    }
    # What came after the end of a row is shown anew, with the outcome that it had before.
    times = [event.position for event in events if isinstance(event, RowFinished) and event.before is None]
    # What the second interrupt did not wait for may come all the same, and is shown anew.
    assert len(times) == len(set(times)) or len(run.keyboard.pressed) > 1, "a row that finished twice"


def _finished(events: Sequence[Event]) -> dict[int, RowFinished]:
    return {event.position: event for event in events if isinstance(event, RowFinished)}


def _since(run: Run, shown: str, outcome: str) -> str:
    """Return how a row may read that was shown: a receiver looks again, and what came late can only complete it."""
    return outcome if run.options.into == RECEIVER and outcome in ("complete", "partial") else shown


def _was_begun(run: Run, wanted: Asked) -> bool:
    begun = {event.position for event in run.keyboard.events if isinstance(event, RowStarted)}
    return any(other == wanted and position in begun for position, other in enumerate(run.asked))
