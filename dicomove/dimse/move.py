"""`MoveScu`: C-MOVE (PS3.4 C.4.2) and C-CANCEL."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from dicomove.cohort import Identifier, move_identifier
from dicomove.dimse.data_sets import encode_identifier, failed_uids
from dicomove.dimse.find import FindScu
from dicomove.dimse.messages import C_MOVE_RQ, Message, counts_of
from dicomove.dimse.operation import DimseOperation
from dicomove.dimse.presentation_contexts import MOVE
from dicomove.dimse.scu import CancelledInTime, Canceller, Scu, hexadecimal
from dicomove.errors import AssociationError
from dicomove.events import CompletedEvent, SubOperationEvent, notify
from dicomove.outcome import CANCELLED, Counts, Evidence, Verdict, category, judge
from dicomove.pacs import ae_title
from dicomove.words import Outcome

logger = logging.getLogger("dicomove.dimse")


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


class MoveScu(Scu):
    """Moves from one PACS with C-MOVE; the association is reused while it is clean.

    Parameters
    ----------
    pacs
        The PACS.
    verbose
        Show what happens on the network in the log.

    Examples
    --------
    >>> from dicomove import MoveScu
    >>> from dicomove.testing import demo_pacs
    >>> with demo_pacs() as pacs, MoveScu(pacs) as scu:
    ...     result = scu.move_study({"StudyInstanceUID": "1.2.3.4"}, pacs.destination)
    >>> result.outcome, result.status
    ('empty', '0x0000')
    """

    def move_study(
        self,
        query: Mapping[str, object] | Identifier,
        destination: str,
        *,
        query_model: str = "StudyRoot",
        on_sub_operation: Callable[[SubOperationEvent], object] | None = None,
        on_completed: Callable[[CompletedEvent], object] | None = None,
        total_timeout: float | None = None,
        stop: threading.Event | None = None,
        last_activity: Callable[[], float] | None = None,
        shares_activity: bool = False,
        expected: int | None = None,
        on_repeat: Callable[[], object] | None = None,
    ) -> MoveResult:
        """Move the entity that a query names, at the level of the query, to an AE that the PACS knows.

        The result contains a problem of the network or of the PACS, with the counts that came before it.

        Parameters
        ----------
        query
            ``QueryRetrieveLevel`` and the unique keys, by keyword or by tag (``"00100020"``, ``"(0010,0020)"``).
            Other keys are neither sent nor compared with the PACS: a PatientID in Study Root says nothing, and only
            `move` asks whose the study is. Without a level, the deepest UID decides.
        destination
            The Move Destination's AE title.
        query_model
            ``"StudyRoot"`` or ``"PatientRoot"``.
        on_sub_operation
            Called with a `SubOperationEvent` at each pending response. If it raises an exception, dicomove logs it.
        on_completed
            Called with a `CompletedEvent` at the end.
        total_timeout
            Seconds for the whole exchange; ``None`` is no limit.
        stop
            Cancels the C-MOVE once it is set.
        last_activity
            Returns the time of the last arrival at the destination, in seconds of the monotonic clock: a PACS without
            pending responses is not silent as long as instances arrive.
        shares_activity
            Whether the destination also receives instances of other requests, so that an arrival does not prove that
            the PACS has received this one.
        expected
            The expected number of instances, if it is known. A move that brings fewer is not complete.
        on_repeat
            Called before the C-MOVE may be sent once more, because it crossed the end of its association.

        Raises
        ------
        IdentifierError
            The query cannot be a C-MOVE; nothing was sent.
        AddressError
            `destination` is not an AE title.
        """
        identifier = query if isinstance(query, Identifier) else move_identifier(query, query_model)
        self._cancelled.clear()
        canceller = Canceller(self._cancelled, stop, total_timeout=total_timeout)
        retrieval = _Move(identifier, ae_title(destination, "destination"), on_sub_operation)

        def may_repeat(lost: AssociationError) -> bool:
            if retrieval.has_arrivals(None if shares_activity else last_activity):
                return False
            if on_repeat:
                on_repeat()  # before the look at the canceller: a run that has given the row up has stopped before
            if not canceller.may_repeat():
                return False
            retrieval.crossed = retrieval.result(canceller, lost)
            return True

        try:
            canceller.check()
            self._reusable.perform(
                MOVE[identifier.query_model],
                lambda operation: retrieval.run(operation, canceller, last_activity),
                canceller.check,
                may_repeat,
            )
            problem = None
        except AssociationError as error:
            problem = error
        result = retrieval.result(canceller, problem, expected)
        if on_completed:
            notify(on_completed, completed_event(result))
        return result

    def find_scu(self) -> FindScu:
        """Return a `FindScu` that shares this association."""
        return FindScu(self.pacs, association=self.association)


class _Move:
    """One C-MOVE while it lasts."""

    def __init__(
        self, identifier: Identifier, destination: str, on_sub_operation: Callable[[SubOperationEvent], object] | None
    ) -> None:
        self.identifier, self.destination, self._on_sub_operation = identifier, destination, on_sub_operation
        #: The result of the first C-MOVE, if it is sent once more.
        self.crossed: MoveResult | None = None
        self._earlier: tuple[MoveResult, ...] = ()
        self._final: Message | None = None
        self._sent = False
        self._sent_at = 0.0
        self._counts = Counts()
        self._failed: tuple[str, ...] = ()
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()

    def run(self, operation: DimseOperation, canceller: Canceller, last_activity: Callable[[], float] | None) -> None:
        identifier = self.identifier
        canceller.operation = operation
        keys = {"QueryRetrieveLevel": identifier.level, **dict(identifier.keys)}
        data = encode_identifier(keys, operation.context.transfer_syntax)
        logger.info("C-MOVE-RQ %d to %s: %r", operation.message_id, self.destination, identifier)
        self._earlier = (self.crossed,) if self.crossed else ()
        self._sent = True
        self._sent_at = time.monotonic()
        operation.send({"CommandField": C_MOVE_RQ, "MoveDestination": self.destination}, data, canceller.total)
        for response in operation.responses(check=canceller.check, last_activity=last_activity):
            self._read(operation, response)

    def has_arrivals(self, last_activity: Callable[[], float] | None) -> bool:
        """Return whether anything came to the destination after the C-MOVE was sent: then the PACS has received it."""
        if last_activity is None:
            return False
        asked_at = time.monotonic()
        last = last_activity()
        # A worker asks another process for the age of the arrival: its time may be too late by the length of the call.
        return last - (time.monotonic() - asked_at) > self._sent_at

    def _read(self, operation: DimseOperation, response: Message) -> None:
        status = response.number("Status") or 0
        final = category(status) != "pending"
        counts = counts_of(response)
        self._counts = self._counts.after(counts, final=final)
        logger.info("C-MOVE-RSP %d %s %s", operation.message_id, hexadecimal(status), counts)
        if final:
            self._final = response
            self._failed = failed_uids(response, operation.context.transfer_syntax)
        elif self._on_sub_operation:
            notify(self._on_sub_operation, sub_operation_event(self._counts, time.monotonic() - self._started))

    def result(self, canceller: Canceller, problem: AssociationError | None, expected: int | None = None) -> MoveResult:
        final, problem = self._final, canceller.late or problem
        status = final.number("Status") if final else None
        evidence = Evidence(
            status=None if canceller.late and status == CANCELLED else status,
            counts=self._counts,
            failed_sop_instance_uids=self._failed,
            expected=expected,
            problem=problem.error if problem else None,
            detail=str(problem) if problem else "",
            sent=self._sent,
            cancelled=canceller.sent and not canceller.late,
            destination=self.destination,
            permanent=problem is not None and problem.permanent,
        )
        result = result_of(
            self.identifier,
            evidence,
            error_comment=final.text("ErrorComment") if final else None,
            started_at=self._started_at,
            duration_s=time.monotonic() - self._started,
            was_begun=not isinstance(problem, CancelledInTime),
        )
        if status == evidence.status and not self._earlier:  # mostly
            return result
        return replace(result, status=None if status is None else hexadecimal(status), earlier=self._earlier)


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
