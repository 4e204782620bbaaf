"""The result of one C-MOVE or C-GET, and the events that tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dicomove.cohort import Identifier
from dicomove.dimse.scu import hexadecimal
from dicomove.events import CompletedEvent, SubOperationEvent
from dicomove.outcome import Counts, Evidence, Verdict, judge
from dicomove.words import Outcome

#: The attributes in the repr of a result.
_SHOWN: Final = (
    *("outcome", "status", "error", "advice", "error_comment", "total", "completed", "failed", "warning", "remaining"),
    *("failed_sop_instance_uids", "started_at", "finished_at", "duration_s"),
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MoveResult:
    """The result of one C-MOVE: the columns of the result table that one retrieval has.

    Attributes
    ----------
    identifier
        The identifier of the request.
    outcome, status, error, advice, error_comment
        As in the result table.
    started_at, finished_at
        The times, in UTC.
    duration_s
        The seconds between them.
    evidence
        The facts that decide the outcome.
    earlier
        The C-MOVE before this one, if that crossed the end of a reused association, so that dicomove sent it once more.
    """

    identifier: Identifier
    outcome: Outcome
    status: str | None
    error: str | None
    advice: str | None
    error_comment: str | None
    started_at: datetime
    finished_at: datetime
    duration_s: float
    evidence: Evidence
    earlier: tuple[MoveResult, ...] = ()

    def __repr__(self) -> str:
        return f"MoveResult({', '.join(f'{name}={getattr(self, name)!r}' for name in _SHOWN)})"

    @property
    def total(self) -> int | None:
        """All sub-operations, as the PACS counts them. Like each count, ``None`` if the PACS does not send it."""
        return self.evidence.counts.total

    @property
    def completed(self) -> int | None:
        """Sub-operations that succeeded."""
        return self.evidence.counts.completed

    @property
    def failed(self) -> int | None:
        """Sub-operations that failed."""
        return self.evidence.counts.failed

    @property
    def warning(self) -> int | None:
        """Sub-operations that succeeded with a warning."""
        return self.evidence.counts.warning

    @property
    def remaining(self) -> int | None:
        """Sub-operations that were left."""
        return self.evidence.counts.remaining

    @property
    def failed_sop_instance_uids(self) -> tuple[str, ...]:
        """(0008,0058), as the PACS gave it."""
        return self.evidence.failed_sop_instance_uids

    @property
    def attempts(self) -> int:
        """C-MOVEs sent."""
        return sum(one.evidence.sent for one in (*self.earlier, self))


def result_of(
    identifier: Identifier,
    evidence: Evidence,
    *,
    error_comment: str | None,
    started_at: datetime,
    duration_s: float,
    was_begun: bool = True,
) -> MoveResult:
    """Return the result of one retrieval; one that was cancelled before it began is not attempted."""
    verdict = judge(evidence) if was_begun else Verdict("not_attempted")
    return MoveResult(
        identifier=identifier,
        outcome=verdict.outcome,
        status=None if evidence.status is None else hexadecimal(evidence.status),
        error=verdict.error,
        advice=verdict.advice,
        error_comment=error_comment,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        duration_s=duration_s,
        evidence=evidence,
    )


def sub_operation_event(counts: Counts, elapsed_s: float) -> SubOperationEvent:
    """Return the event of a pending response."""
    return SubOperationEvent.of(
        total=counts.total,
        completed=counts.completed,
        failed=counts.failed,
        warning=counts.warning,
        remaining=counts.remaining,
        elapsed_s=elapsed_s,
    )


def completed_event(result: MoveResult) -> CompletedEvent:
    """Return the event of the end of a retrieval."""
    parts = [result.outcome, f"{result.completed} of {result.total} instances in {result.duration_s:.1f} s"]
    message = ": ".join(parts if result.completed is not None else parts[:1])
    return CompletedEvent(
        outcome=result.outcome,
        status=result.status,
        error=result.error,
        total=result.total,
        completed=result.completed,
        failed=result.failed,
        warning=result.warning,
        duration_s=result.duration_s,
        message=message,
    )
