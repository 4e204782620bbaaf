"""The C-STOREs of one C-MOVE or C-GET: what is sent, how it is counted, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from dicomove.outcome import category
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Chain, Response
from dicomove.testing.responder import Responder

SUCCESS, PENDING, CANCELLED, SOME_FAILED, OUT_OF_RESOURCES = 0x0000, 0xFF00, 0xFE00, 0xB000, 0xA702
_LONGEST_COUNT: Final = 0xFFFF


class SubOperations:
    """Stores instances, and responds.

    Parameters
    ----------
    responder
        Sends the responses.
    chain
        The faults that this request meets.
    instances
        What is to be stored.
    """

    def __init__(self, responder: Responder, chain: Chain, instances: Sequence[Instance]) -> None:
        self._responder, self._chain = responder, chain
        self._plan = [(instance, chain.sent_for(instance)) for instance in instances]
        self._remaining = len(instances)
        self._completed = self._failed = self._warning = 0
        self._failed_uids: list[str] = []
        self._cancelled = False

    @property
    def sent(self) -> list[Instance]:
        """What will be sent."""
        return [one for _, sent in self._plan for one in sent]

    def run(self, store: Callable[[Instance], int]) -> None:
        """Store one after the other, with a pending response after each but the last."""
        for instance, sent in self._plan:
            statuses = [store(one) for one in sent]
            self._count(instance, self._chain.counted(instance, max(statuses, default=SUCCESS)))
            if not self._remaining:
                return
            self._responder.respond(self._response(PENDING, remaining=self._remaining))
            if self._responder.cancelled() and self._chain.honours_cancel():
                self._cancelled = True
                return

    def run_unseen(self, store: Callable[[Instance], int]) -> None:
        """Store one after the other when all has been said."""
        for one in self.sent:
            store(one)

    def pretend(self) -> None:
        """Count everything as stored."""
        self._completed, self._remaining = self._remaining, 0

    def fail_the_rest(self) -> None:
        """Count what was not stored as failed: the destination is not there, or not any more."""
        for instance, _ in self._plan[len(self._plan) - self._remaining :]:
            self._count(instance, OUT_OF_RESOURCES)

    def finish(self) -> None:
        """Send the final response."""
        response = self._response(self._status(), remaining=self._remaining if self._cancelled else None)
        self._responder.respond(replace(response, failed_uids=tuple(self._failed_uids) or None))

    def _count(self, instance: Instance, status: int) -> None:
        kind = category(status)
        self._remaining -= 1
        self._completed += kind == "success"
        self._warning += kind == "warning"
        if kind not in ("success", "warning"):
            self._failed += 1
            self._failed_uids.append(instance.sop_instance_uid)

    def _status(self) -> int:
        if self._cancelled:
            return CANCELLED
        if self._failed and not self._completed and not self._warning:
            return OUT_OF_RESOURCES
        return SOME_FAILED if self._failed or self._warning else SUCCESS

    def _response(self, status: int, remaining: int | None) -> Response:
        # Beyond 16 bits the counts start again at zero, as in the PACS of this world.
        return Response(
            status=status,
            completed=self._completed & _LONGEST_COUNT,
            failed=self._failed & _LONGEST_COUNT,
            warning=self._warning & _LONGEST_COUNT,
            remaining=None if remaining is None else remaining & _LONGEST_COUNT,
        )
