"""`MoveScu`: C-MOVE (PS3.4 C.4.2) and C-CANCEL."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from dicomove.cohort import Identifier, move_identifier
from dicomove.dimse.data_sets import encode_identifier, failed_uids
from dicomove.dimse.find import FindScu
from dicomove.dimse.messages import C_MOVE_RQ, Message
from dicomove.dimse.move_result import MoveResult, completed_event, result_of, sub_operation_event
from dicomove.dimse.operation import DimseOperation, counts_of
from dicomove.dimse.presentation_contexts import MOVE
from dicomove.dimse.scu import CancelledInTime, Canceller, Scu, hexadecimal
from dicomove.errors import AssociationError
from dicomove.events import CompletedEvent, SubOperationEvent, notify
from dicomove.outcome import CANCELLED, Counts, Evidence, category
from dicomove.pacs import ae_title

logger = logging.getLogger("dicomove.dimse")


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
