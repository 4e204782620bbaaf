"""The result table: one `Row` for each row of a run, and its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import pandas as pd

from dicomove import columns
from dicomove.cohort import Requested, Unmatched, is_found, plain_label
from dicomove.columns import FURTHER_COLUMNS, RESULT_COLUMNS
from dicomove.dimse import MoveResult
from dicomove.errors import IdentifierError
from dicomove.outcome import NOT_ATTEMPTED, sentences
from dicomove.words import ADVICE, Outcome

__all__ = ["RESULT_COLUMNS", "Row", "result_table"]

_TEXT: Final = ("outcome", "status", "error", "advice", "error_comment")
_COUNTS: Final = ("total", "completed", "failed", "warning", "remaining", "expected", "received", "bytes", "missing")

#: The advice for a ``partial`` row of `find`, whose outcome the move replaces.
FIND_BROKE_OFF: Final = "The answer of C-FIND broke off: the PACS may have more for this row. Find it again."
_ALREADY: Final = "All of it was on disk already: nothing had to be moved."
_COMPLETED: Final = "An earlier run completed it"
_AT_DESTINATION: Final = "All of it was at the destination already: nothing had to be moved."
_ANOTHER_PATIENT: Final = (
    "The PACS has this study under another {0} than the row names, so nothing was sent. Compare the two: find() "
    "with the StudyInstanceUID alone shows the PACS's {0}. If the column holds values of your own, rename it."
)
_WHOSE: Final = (
    "Rows of the table name this study and different patients, and the PACS does not say whose it is, so nothing was "
    "sent. Correct the PatientIDs, or blank them to rely on the UID alone."
)
_NOT_SAID: Final = (
    "Rows of the table name this study and different patients, and the C-FIND that tells whose it is had no answer, so "
    "nothing was sent."
)
_ANOTHER_NUMBER: Final = (
    "The PACS has this study under another AccessionNumber than the row names, so nothing was sent: do the UIDs and "
    "the numbers of the table belong together? find() with the StudyInstanceUID alone shows the PACS's number. If the "
    "column holds numbers of your own, rename it."
)
_NOT_BELOW: Final = (
    "C-FIND finds no such {0} below the UIDs above it in the row, so nothing was sent: do the UIDs of the row belong "
    "together?"
)
_NOT_OF_PATIENT: Final = (
    "C-FIND finds no such study of the PatientID in the row, so nothing was sent: do the two belong together? To move "
    "by the StudyInstanceUID alone, use query_model='StudyRoot'."
)
_NOT_SENT: Final = "Nothing was sent: see that the executor and its workers are up, and move the row again."


class Row(NamedTuple):
    """The result of one row: the columns of the result table. A tuple, because there may be millions."""

    outcome: Outcome
    status: str | None = None
    error: str | None = None
    advice: str | None = None
    error_comment: str | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    expected: int | None = None
    received: int | None = None
    bytes: int | None = None
    missing: int | None = None
    failed_sop_instance_uids: str | None = None
    attempts: int = 0
    resumed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None

    @property
    def instances(self) -> int | None:
        """The number of instances that arrived, or else that the PACS reports as moved."""
        if self.received is not None:
            return self.received
        return None if self.completed is None else self.completed + (self.warning or 0)


@cache
def not_attempted() -> Row:
    """Return the row that the run did not reach; all such rows share one object."""
    return Row(outcome="not_attempted", advice=NOT_ATTEMPTED)


def invalid(error: IdentifierError) -> Row:
    """Return the row that cannot be a C-MOVE."""
    return Row(outcome="invalid", error="invalid_row", advice=sentences(str(error), ADVICE["invalid_row"]))


def unmatched(found: Unmatched) -> Row:
    """Return the row that `find` did not match, with the reason of `find`."""
    return Row(
        outcome=found.outcome,
        status=found.status,
        error=found.error,
        advice=found.advice,
        error_comment=found.error_comment,
    )


def not_sent(requested: Requested) -> Row:
    """Return the row that cannot be sent, or has not been sent yet."""
    if isinstance(requested, Unmatched):
        return unmatched(requested)
    return invalid(requested) if isinstance(requested, IdentifierError) else not_attempted()


def left_nearline() -> Row:
    """Return the row that was left out because the PACS does not have its images at hand."""
    return Row(outcome="not_attempted", error="nearline", advice=ADVICE["nearline"])


def without_answer(attempts: int) -> Row:
    """Return the row that the run gave up after so many requests may have been sent."""
    return Row(outcome="interrupted", error="cancelled", advice=ADVICE["cancelled"], attempts=attempts)


def contradicted_by_pacs(key: str | None) -> Row:
    """Return the row that was not sent because the PACS has another value for this key, or no match.

    Without a key: rows of one study name several patients, and the PACS does not give its patient.
    """
    if key is None:
        return Row(outcome="invalid", error="invalid_row", advice=_WHOSE)
    if key in ("PatientID", "PatientName"):
        names = "PatientID" if key == "PatientID" else "PatientName and PatientBirthDate"
        return Row(outcome="invalid", error="other_patient", advice=_ANOTHER_PATIENT.format(names))
    if key.endswith("UID"):
        said = _NOT_OF_PATIENT if key == "StudyInstanceUID" else _NOT_BELOW.format(key)
        return Row(outcome="empty", expected=0, advice=said)
    return Row(outcome="invalid", error="invalid_row", advice=_ANOTHER_NUMBER)


def unidentified(error: str | None, status: str | None) -> Row:
    """Return the row that was not sent because C-FIND did not say whose study it is; without an error: stopped."""
    if error is None:
        return not_attempted()
    why = ADVICE.get(error, "")
    return Row(outcome="failed" if status else "unreachable", error=error, advice=sentences(_NOT_SAID, why))


def without_receiver(problem: str) -> Row:
    """Return the row that was not sent because the receiver was away."""
    return Row(outcome="not_attempted", error="receiver_failed", advice=sentences(problem, ADVICE["receiver_failed"]))


def without_worker(problem: str, error: str) -> Row:
    """Return the row that was not sent because the executor or its worker was gone."""
    return Row(outcome="unreachable", error=error, advice=sentences(problem, _NOT_SENT))


def not_durable(row: Row, problem: str) -> Row:
    """Return the row whose files, or whose record, did not reach the disk."""
    return row._replace(outcome="partial", error="storage_failed", advice=sentences(problem, ADVICE["storage_failed"]))


def without_lost_files(row: Row, problem: str, held: Mapping[str, int]) -> Row:
    """Return the row some of whose files the disk lost after they had come; `held` are those that it still has."""
    gone = max(0, (row.received or 0) - len(held))
    return not_durable(row, problem)._replace(
        outcome="partial" if held else "failed",
        received=len(held),
        bytes=sum(held.values()),
        missing=None if row.missing is None else row.missing + gone,
    )


def on_disk_already(*, expected: int, held: Mapping[str, int], at: datetime) -> Row:
    """Return the row that needed no C-MOVE because an earlier run had brought all of it."""
    return Row(
        outcome="complete",
        advice=_ALREADY,
        expected=expected,
        received=len(held),
        bytes=sum(held.values()),
        missing=0,
        started_at=at,
        finished_at=datetime.now(UTC),
        duration_s=0.0,
    )


def at_destination_already(*, expected: int, received: int, at: datetime) -> Row:
    """Return the row that needed no C-MOVE because the archive at the destination has all of it."""
    row = on_disk_already(expected=expected, held={}, at=at)
    return row._replace(advice=_AT_DESTINATION, received=received, bytes=None)


def still_there(earlier: tuple[Row, datetime], why: str) -> Row:
    """Return the row that an earlier run completed, if the destination does not answer whether it still has it."""
    row = resumed(*earlier)
    return row._replace(
        outcome="unconfirmed", advice=sentences(row.advice or "", why), received=None, bytes=None, missing=None
    )


def resumed(row: Row, at: datetime) -> Row:
    """Return the row that an earlier run completed, with its numbers. Nothing is sent now."""
    advice = _completed_at(at.replace(second=0, microsecond=0), row.advice or "")
    return row._replace(outcome="complete", error=None, advice=advice, attempts=0, resumed=True)


def is_resumed(row: Row) -> bool:
    """Return whether an earlier run completed a row, and this one only asked whether it is still there."""
    return not row.attempts and (row.advice or "").startswith(_COMPLETED)


@lru_cache(maxsize=1024)  # thousands of rows share the minute and the advice
def _completed_at(minute: datetime, advice: str) -> str:
    if advice.startswith(_COMPLETED):  # the run after that one only checked it
        return advice
    return sentences(f"{_COMPLETED}, at {minute:%Y-%m-%d %H:%M} UTC", advice)


def never_reached(row: Row, error: str, advice: str) -> Row:
    """Return the row whose turn did not come because the PACS was gone; the result of an earlier attempt stays."""
    return row if row.attempts else row._replace(outcome="unreachable", error=error, advice=advice)


def lost(problem: str, error: str) -> Row:
    """Return the row whose end is unknown because its worker is gone, or because of a defect."""
    return Row(outcome="interrupted", error=error, advice=sentences(problem, ADVICE.get(error, "")), attempts=1)


def after(before: Row | None, row: Row) -> Row:
    """Return a row after one more attempt: the better result of both, with the number of all C-MOVEs."""
    if before is None:
        return row
    # An attempt that sent nothing has no news, except that all of the row is on disk.
    sent_nothing = not row.attempts and row.outcome != "complete"
    worse = ("failed", "empty", "unconfirmed")
    did_worse = row.received is None and before.outcome == "partial" and row.outcome in worse
    better = before if sent_nothing or did_worse else row
    return better._replace(
        attempts=before.attempts + row.attempts,
        started_at=before.started_at or row.started_at,
        finished_at=row.finished_at or before.finished_at,
        duration_s=(before.duration_s or 0.0) + (row.duration_s or 0.0),
    )


def row_of(result: MoveResult, size: int | None = None, attempts: int | None = None) -> Row:
    """Return the row of a result.

    Parameters
    ----------
    result
        The result.
    size
        The bytes on disk at a receiver.
    attempts
        The number of C-MOVEs, if the result is of several.
    """
    if result.outcome == "not_attempted":
        return not_attempted()
    evidence, counts = result.evidence, result.evidence.counts
    return Row(
        outcome=result.outcome,
        status=result.status,
        error=result.error,
        advice=result.advice,
        error_comment=result.error_comment,
        total=counts.total,
        completed=counts.completed,
        failed=counts.failed,
        warning=counts.warning,
        remaining=counts.remaining,
        expected=evidence.expected,
        received=evidence.received,
        bytes=size,
        missing=evidence.missing,
        failed_sop_instance_uids="\\".join(result.failed_sop_instance_uids) or None,
        attempts=int(evidence.sent) if attempts is None else attempts,
        started_at=result.started_at,
        finished_at=result.finished_at,
        duration_s=result.duration_s,
    )


def result_table(
    table: pd.DataFrame, rows: Sequence[Row], further: Mapping[str, Sequence[str | None]] | None = None
) -> pd.DataFrame:
    """Return the caller's table with the columns of the results, and with `further` columns."""

    def values(name: str) -> list[Any]:
        return [getattr(row, name) for row in rows]

    made = {name: columns.text(values(name)) for name in (*_TEXT, "failed_sop_instance_uids")}
    made["advice"] = columns.text(_advices(table, rows))
    made |= {name: columns.counts(values(name)) for name in (*_COUNTS, "attempts")}
    made["resumed"] = columns.flags(values("resumed"))
    made |= {name: columns.times(values(name)) for name in ("started_at", "finished_at")}
    made["duration_s"] = columns.seconds(values("duration_s"))
    made |= {name: columns.text(cells) for name, cells in (further or {}).items()}
    names = (*RESULT_COLUMNS, *(further or ()))
    # The columns of an earlier run are dropped in any case.
    ours = {plain_label(table.columns[place]) for place in columns.ours(table.columns)}
    earlier = [name for name in FURTHER_COLUMNS if name in ours and name not in names]
    return columns.with_columns(table, {name: made[name] for name in names}, (*names, *earlier))


def _advices(table: pd.DataFrame, rows: Sequence[Row]) -> list[str | None]:
    """Return the advice of each row, with a note if the answer of C-FIND broke off and the row was moved again."""
    broke_off = find_broke_off(table)
    return [
        sentences(row.advice or "", FIND_BROKE_OFF) if is_cut else row.advice
        for row, is_cut in zip(rows, broke_off, strict=True)
    ]


def find_broke_off(table: pd.DataFrame) -> list[bool]:
    """Return for each row of a table of `find` or of a later `move` whether the answer of C-FIND broke off."""
    places = {plain_label(label): place for place, label in enumerate(table.columns)}
    if not is_found(table.columns) or "advice" not in places:
        return [False] * len(table)
    outcomes, advices = (table.iloc[:, places[name]].tolist() for name in ("outcome", "advice"))
    is_moved = {*_COUNTS, "attempts"} <= set(places)
    return [
        FIND_BROKE_OFF in str(advice) or (outcome == "partial" and not is_moved)
        for outcome, advice in zip(outcomes, advices, strict=True)
    ]
