"""C-GET in the receiver's process: the PACS sends the instances on the association of the request (PS3.4 C.4.3)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Final

from dicomove.dimse.association import TRANSFER_SYNTAXES, Association, Context
from dicomove.dimse.data_sets import encode_identifier, failed_uids
from dicomove.dimse.messages import C_GET_RQ, Message
from dicomove.dimse.opening import Peer, open_association
from dicomove.dimse.operation import DimseOperation, counts_of
from dicomove.dimse.presentation_contexts import COMMON_CLASSES, GET, Contexts, Rounds
from dicomove.dimse.scu import CancelledInTime, Canceller, hexadecimal
from dicomove.dimse.state import State
from dicomove.errors import AddressError, AssociationError, IdleTimeout, NotSupported
from dicomove.outcome import CANCELLED, Counts, category, failure_word
from dicomove.pacs import Pacs
from dicomove.receiver.api import Get, GetEnd, gone_end
from dicomove.receiver.own_process.scp import PduDeadlines, StorageScp
from dicomove.receiver.own_process.storage import SUCCESS, Storage
from dicomove.receiver.settings import Limits
from dicomove.tls import client_side

_MESSAGE_ID: Final = 1
_LONGEST_RELEASE_S: Final = 5.0
#: How long to wait for the next instance after the final response, in seconds: if its counts name more than have come,
#: if it has no counts, and if it has none and as many have come as the row expects.
_LATE_S, _UNCOUNTED_S, _BEYOND_S = 2.0, 1.0, 0.2
#: Errors that have nothing to do with the presentation contexts.
_OF_REQUEST: Final = frozenset({"identifier_mismatch", "no_match", "not_authorized", "destination_unknown"})
#: PACS that leave the answer out send nevertheless, or nothing: the default role is meant then.
_NO_ROLE: Final = (
    "the PACS did not answer whether it may send images back on the same association (role selection, PS3.7 D.3.3.4)"
)
#: The PACS ended the association, perhaps because it may not send.
_WITHOUT_ANSWER: Final = ("association_aborted", "connection_lost")
_UNCOMPRESSED_ONLY: Final = "the PACS accepts no compressed transfer syntax for C-GET: try method='move'"

logger = logging.getLogger("dicomove.receiver")


class Getter:
    """Retrieves with C-GET for rows, each C-GET over associations of its own.

    Parameters
    ----------
    storage
        Stores the instances.
    limits
        The time limit of one PDU.
    """

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self._storage, self._limits = storage, limits
        self._lock = threading.Lock()
        self._going_on: dict[int, _Retrieval] = {}
        #: The addresses of PACS that sent instances without an answer about the role.
        self._senders: set[str] = set()

    def get(self, request: Get) -> GetEnd:
        """Retrieve and store the instances; return how the C-GET ended."""
        one = _Retrieval(request, self._storage, self._limits, self._senders)
        with self._lock:
            self._going_on[request.number] = one
        try:
            return one.run()
        except AddressError as error:
            return gone_end(error)
        finally:
            with self._lock:
                del self._going_on[request.number]

    def cancel(self, number: int) -> None:
        """Cancel a running C-GET with C-CANCEL."""
        with self._lock:
            one = self._going_on.get(number)
        if one:
            one.stop.set()

    def counts(self) -> dict[int, dict[str, int | None]]:
        """Return the latest counts of each running C-GET that has any."""
        with self._lock:
            found = {number: one.counts for number, one in self._going_on.items()}
        return {number: asdict(counts) for number, counts in found.items() if counts != Counts()}


class _Retrieval:
    """One retrieval, in one C-GET or in several with different presentation contexts."""

    def __init__(self, request: Get, storage: Storage, limits: Limits, senders: set[str]) -> None:
        self.request, self.storage, self.limits, self._senders = request, storage, limits, senders
        self._rounds = Rounds(request.sop_classes or COMMON_CLASSES)
        self._until = None if request.total_timeout is None else time.monotonic() + request.total_timeout
        self.stored: set[str] = set()
        self._now: _CGet | None = None
        self.stop = threading.Event()

    def run(self) -> GetEnd:
        """Send one C-GET after the other, until nothing is missing or nothing else can be proposed."""
        ends: list[GetEnd] = []
        while (contexts := self._rounds.next()) is not None:
            end = self._once(contexts)
            # None of these contexts is accepted, but others brought instances.
            if ends and end.problem == NotSupported.error:
                continue
            ends.append(end)
            is_over = end.problem or end.cancelled or end.status == CANCELLED or self.stop.is_set()
            if is_over or not (self._rounds.has_further_classes or self._may_bring_more(ends[0])):
                break
        return self._joined(ends)

    @property
    def counts(self) -> Counts:
        """The latest counts of the running C-GET."""
        return self._now.counts if self._now else Counts()

    def _once(self, contexts: Contexts) -> GetEnd:
        left = None if self._until is None else max(0.0, self._until - time.monotonic())
        canceller = Canceller(self.stop, total_timeout=left)
        self._now = now = _CGet(self, contexts, canceller)
        problem = now.run()
        if now.has_sent_without_role:
            self._senders.add(now.pacs.address)
        self._rounds.ended(now.accepted, brought=bool(now.stored))
        self.stored |= now.stored
        return now.end(problem, is_sender=now.pacs.address in self._senders)

    def _may_bring_more(self, first: GetEnd) -> bool:
        """Whether other contexts may bring instances: for lack of a context, a PACS counts them as failed.

        Where a PACS sent what had come already, and nothing else, it converts: another context does not matter to it.
        """
        is_converting = self._now is not None and self._now.repeated and not self._now.stored
        return first.counts.failed != 0 and bool(self._lacking(first)) and not (is_converting or _is_refused(first))

    def _lacking(self, first: GetEnd) -> int:
        """Return the number of instances that the PACS counted but did not send."""
        return max(0, (first.counts.total or 0) - len(self.stored))

    def _joined(self, ends: Sequence[GetEnd]) -> GetEnd:
        """Return the end of all rounds as one: the counts of the first round, corrected by later arrivals."""
        first, last = ends[0], ends[-1]
        lacking = self._lacking(first)
        if lacking and self._rounds.takes_uncompressed_only and not (last.problem or _is_refused(first)):
            first = replace(first, detail=_UNCOMPRESSED_ONLY)
        if len(ends) == 1:
            return first
        counts = first.counts
        # Instances that the PACS counted but did not send stay counted; the disk shows that they are missing.
        failed = min(counts.failed or 0, lacking)
        there = max(len(self.stored), (counts.total or 0) - failed)
        after = replace(counts, completed=max(0, there - (counts.warning or 0)), failed=failed, remaining=0)
        return replace(
            last if last.problem or last.cancelled else first,
            status=first.status if lacking else SUCCESS,
            counts=after,
            failed_sop_instance_uids=tuple(uid for uid in first.failed_sop_instance_uids if uid not in self.stored),
            sent=True,
        )


def _is_refused(end: GetEnd) -> bool:
    """Whether the PACS refused the request, whatever the presentation contexts. Then it moved nothing."""
    return end.status is not None and failure_word(end.status) in _OF_REQUEST and not end.counts.moved


class _CGet:
    """One running C-GET."""

    def __init__(self, retrieval: _Retrieval, contexts: Contexts, canceller: Canceller) -> None:
        self._of, self._contexts, self._canceller = retrieval, contexts, canceller
        self._request = retrieval.request
        self.pacs = Pacs(**retrieval.request.pacs_values())
        self._final: Message | None = None
        self._context: Context | None = None
        self._association: Association | None = None
        self._operation: DimseOperation | None = None
        self._sent = self._is_role_open = False
        self.stored: set[str] = set()
        self._scp: StorageScp | None = None
        self.repeated = 0
        self.accepted: list[tuple[str, str]] = []
        self.counts = Counts()

    def run(self) -> AssociationError | None:
        """Send the request and read to its end; return the error that ended it, if any."""
        try:
            self._canceller.check()
            association = self._open()
            try:
                self._exchange(association, self._negotiated(association))
            except BaseException:
                association.abort()
                raise
            if association.state is State.IDLE:
                association.release(min(self.pacs.association_timeout or _LONGEST_RELEASE_S, _LONGEST_RELEASE_S))
            else:
                association.abort()
        except AssociationError as error:
            # A final response counts, also if the association fails after it.
            return None if self._final else error
        return None

    @property
    def has_sent_without_role(self) -> bool:
        """Whether the PACS has sent instances, or counts some, without an answer about the role."""
        return self._is_role_open and bool((self._scp and self._scp.arrivals) or self.counts.moved)

    def end(self, problem: AssociationError | None, *, is_sender: bool) -> GetEnd:
        """Return its end, for the caller's process; `is_sender` is whether the PACS has ever sent without a role."""
        final, late = self._final, self._canceller.late
        status = final.number("Status") if final else None
        is_open = self._is_role_open and not self._canceller.sent and not is_sender
        problem = late or (self._of_open_role(problem, status) if is_open else problem)
        detail = f"{_NO_ROLE}: try method='move'" if is_open and status == SUCCESS else ""
        return GetEnd(
            status=None if late and status == CANCELLED else status,
            counts=self.counts,
            failed_sop_instance_uids=self._failed_uids(),
            error_comment=final.text("ErrorComment") if final else None,
            problem=problem.error if problem else None,
            detail=str(problem) if problem else detail,
            permanent=problem is not None and problem.permanent,
            sent=self._sent,
            cancelled=self._canceller.sent and not late,
            was_begun=not isinstance(problem, CancelledInTime),
        )

    def _of_open_role(self, problem: AssociationError | None, status: int | None) -> AssociationError | None:
        """Return the problem of a C-GET that brought nothing, at a PACS that has not said whether it may send."""
        if problem and problem.error in _WITHOUT_ANSWER:
            return type(problem)(f"{problem}: {_NO_ROLE}: try method='move'")
        if status is None or failure_word(status) in _OF_REQUEST:
            return problem
        return NotSupported(_NO_ROLE) if category(status) == "failure" or self.counts.failed else problem

    def _failed_uids(self) -> tuple[str, ...]:
        return failed_uids(self._final, self._context.transfer_syntax) if self._final and self._context else ()

    def _open(self) -> Association:
        pacs, request = self.pacs, self._request
        return open_association(
            pacs,
            [(GET[request.query_model], TRANSFER_SYNTAXES), *self._contexts],
            client_side(pacs.tls, pacs.host) if pacs.tls else None,
            request.user(),
            self._canceller.check,
            scp_of=list(dict.fromkeys(sop_class for sop_class, _ in self._contexts)),
        )

    def _negotiated(self, association: Association) -> Context:
        """Return the context of C-GET, after a check that the PACS can send something on this association."""
        model = self._request.query_model
        context = association.context_for(GET[model])
        if context is None:
            message = f"{self.pacs} does not offer {model} GET"
            raise NotSupported(message, permanent=True)  # for no row, whatever its SOP classes
        contexts = association.contexts.values()
        granted = [one for one in contexts if one.abstract_syntax in association.scp_of]
        usable = granted or [one for one in contexts if one.abstract_syntax in association.perhaps_scp_of]
        self._is_role_open = not granted
        self.accepted = [(one.abstract_syntax, one.transfer_syntax) for one in usable]
        if not usable:
            message = (
                f"{self.pacs} offers {model} GET, but accepts no SOP class of this row to be sent back on the same "
                f"association (role selection, PS3.7 D.3.3.4)"
            )
            raise NotSupported(message)
        return context

    def _exchange(self, association: Association, context: Context) -> None:
        request, pacs, canceller = self._request, self.pacs, self._canceller
        operation = DimseOperation(association, context, _MESSAGE_ID, pacs)
        self._association, self._context = association, context
        self._operation = canceller.operation = operation
        keys = {"QueryRetrieveLevel": request.level, **request.keys}
        logger.info("C-GET-RQ to %s at the level %s", pacs, request.level)
        self._sent = True
        operation.send({"CommandField": C_GET_RQ}, encode_identifier(keys, context.transfer_syntax), canceller.total)
        peer = Peer(calling_ae_title=pacs.called_ae_title, called_ae_title=pacs.calling_ae_title)
        limits = self._of.limits
        limits = replace(limits, idle=min(limits.idle, pacs.idle_timeout or limits.idle))
        scp = StorageScp(association, peer, pacs.host, limits, self._of.storage, _nothing, _nothing)
        self._scp = scp
        self.stored, scp.known = scp.stored, self._of.stored
        # A stall within a PDU counts as silence, like one between two PDUs.
        within = min(limits.pdu, pacs.idle_timeout or limits.pdu)
        deadlines = PduDeadlines(association, self._silence, within, canceller.check)
        scp.serve(deadlines, self._is_last, _MESSAGE_ID)
        self._take_late(association, scp, within)
        self.repeated = scp.repeated

    def _take_late(self, association: Association, scp: StorageScp, within: float) -> None:
        """Take the instances that a PACS sends after its final response, until as many have come as it counts.

        Without counts, a list of instances has the number. That of a row may be old: the wait is short after so many.

        The C-GET has ended: a stop, and the end of the time for the whole exchange, end only this wait.
        """
        if not self._final or category(self._final.number("Status") or 0) not in ("success", "warning"):
            return
        total, listed = self.counts.total, self._request.keys.get("SOPInstanceUID")
        enough = None if total is None else total - (self.counts.failed or 0)
        if total is None and listed:
            enough = listed.count("\\") + 1

        def quiet() -> float:
            has_expected = 0 < (self._request.expected or 0) <= scp.successes
            return min(_LATE_S if total is not None else _BEYOND_S if has_expected else _UNCOUNTED_S, within)

        def check() -> None:
            self._canceller.total.check()
            if self._of.stop.is_set() or (enough is not None and scp.successes >= enough):
                message = "nothing else is to come"
                raise IdleTimeout(message)

        with suppress(AssociationError):
            scp.serve(PduDeadlines(association, quiet, within, check), lambda _: False)

    def _silence(self) -> float | None:
        """Return how long the PACS may be silent now."""
        is_first = self._association is None or self._association.state is State.REQUESTED
        seconds: float | None = getattr(self.pacs, "first_response_timeout" if is_first else "idle_timeout")
        return seconds

    def _is_last(self, response: Message) -> bool:
        status = self._operation.status_of(response) if self._operation else None
        if status is None:
            return False
        final = category(status) != "pending"
        self.counts = self.counts.after(counts_of(response), final=final)
        if final:
            self._final = response
            logger.info("C-GET-RSP %s %s", hexadecimal(status), self.counts)
        return final


def _nothing() -> None:
    pass
