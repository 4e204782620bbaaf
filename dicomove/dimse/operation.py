"""One request and its responses, by their Message ID."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from dicomove.dimse.association import Association, Context
from dicomove.dimse.deadlines import Check, DataSetDeadline, Deadline, Deadlines
from dicomove.dimse.messages import (
    C_CANCEL_RQ,
    MEDIUM,
    RESPONSE,
    Command,
    Message,
    is_response_to,
    respond,
    status_without_service,
)
from dicomove.dimse.state import State, final_response
from dicomove.errors import (
    AssociationAborted,
    ConnectionLost,
    IdleTimeout,
    InvalidResponse,
)
from dicomove.outcome import Counts, category
from dicomove.pacs import Pacs

#: As a count, -1 means that a PACS does not know it.
_MINUS_ONE: Final = 0xFFFF

logger = logging.getLogger("dicomove.dimse")


class DimseOperation:
    """One request and its responses, by their Message ID.

    Parameters
    ----------
    association, context, pacs
        The association, the presentation context of the service, and the PACS, with the timeouts.
    message_id
        The Message ID of the request.
    reused
        Whether the association had been used before.

    Attributes
    ----------
    ignored
        The Status of each response that names another request.
    is_named
        Whether each of its responses names it.
    """

    def __init__(
        self, association: Association, context: Context, message_id: int, pacs: Pacs, *, reused: bool = False
    ) -> None:
        self.context = context
        self.message_id = message_id
        self._association = association
        self._pacs = pacs
        self._field = 0
        self._reused = reused
        self.ignored: list[int] = []
        self.is_named = True

    @property
    def may_have_crossed(self) -> bool:
        """Whether the request and the end of an association that was used before may have crossed on the wire."""
        return self._reused and self._association.state is State.CROSSED

    def send(self, command: Command, data: bytes | None, *deadlines: Deadline) -> None:
        """Send the request, within these deadlines."""
        self._field = int(command["CommandField"])
        request = {
            "AffectedSOPClassUID": self.context.abstract_syntax,
            "MessageID": self.message_id,
            "Priority": MEDIUM,
            **command,
        }
        self._send(request, data, *deadlines)

    def cancel(self) -> None:
        """Send C-CANCEL (PS3.7 9.3.2.3)."""
        logger.info("C-CANCEL-RQ %d", self.message_id)
        self._send({"CommandField": C_CANCEL_RQ, "MessageIDBeingRespondedTo": self.message_id}, None)

    def responses(
        self,
        *deadlines: Deadline,
        check: Check | None = None,
        last_activity: Callable[[], float] | None = None,
    ) -> Iterator[Message]:
        """Yield the responses up to the final one.

        Parameters
        ----------
        *deadlines
            Hold over all responses.
        check
            Called at every turn of a wait.
        last_activity
            Returns when there was activity elsewhere, on the monotonic clock.
        """
        silence = self._silence("first_response_timeout", last_activity)
        of_data_set = DataSetDeadline(self._awaited, self._pacs.idle_timeout)
        while True:
            response = self._receive(Deadlines(silence, of_data_set, *deadlines, check=check))
            if self._is_request(response, *deadlines) or (status := self.status_of(response)) is None:
                continue
            yield response
            if category(status) != "pending":
                return
            silence = self._silence("idle_timeout", last_activity)

    def status_of(self, response: Message) -> int | None:
        """Return the Status of a response to this request; ``None`` for a response to another request.

        Raises
        ------
        InvalidResponse
            The message is not a response to this request.
        """
        if not is_response_to(response, self.message_id):
            logger.info("a response to another request was ignored")
            self.ignored.append(response.number("Status") or 0)
            return None
        self.is_named &= response.number("MessageIDBeingRespondedTo") == self.message_id
        status = response.number("Status")
        if response.number("CommandField") != self._field | RESPONSE or status is None:
            message = "an answer that belongs to another kind of request, or without a status"
            raise InvalidResponse(message)
        return status

    def _is_request(self, message: Message, *deadlines: Deadline) -> bool:
        """Whether a message is a request of the PACS; answer it, because the PACS may wait for that."""
        field = message.number("CommandField")
        if not field or field & RESPONSE or message.number("Status") is not None:
            return False
        logger.info("a request of the PACS, %#06x, came between its responses", field)
        if field != C_CANCEL_RQ:
            sending = Deadline(self._pacs.idle_timeout, IdleTimeout, "sending")
            self._association.send(respond(message, status_without_service(field)), Deadlines(sending, *deadlines))
        return True

    def _receive(self, deadlines: Deadlines) -> Message:
        """Return the next message; a final response counts, also if its announced data set never comes."""
        try:
            return self._association.receive(deadlines)
        except (AssociationAborted, ConnectionLost, IdleTimeout, InvalidResponse) as error:
            announced = self._announced()
            if announced is None and self.ignored and isinstance(error, IdleTimeout):
                message = f"{error}, but responses that name another request: {len(self.ignored)} of them"
                raise IdleTimeout(message) from error
            if announced is None:
                raise
            logger.info("the final response announced a data set that did not come: %s", error)
            return announced

    def _announced(self) -> Message | None:
        """Return the final response to this request whose data set is not complete."""
        return final_response(self._association.announced, self.message_id)

    def _awaited(self) -> Message | None:
        """Return the message whose data set may never come."""
        return self._announced() or self._association.doubtful

    def _silence(self, name: str, last_activity: Callable[[], float] | None) -> Deadline:
        return Deadline(getattr(self._pacs, name), IdleTimeout, "waiting for a response", last_activity)

    def _send(self, command: Command, data: bytes | None, *deadlines: Deadline) -> None:
        sending = Deadline(self._pacs.idle_timeout, IdleTimeout, "sending")
        self._association.send(Message(self.context.context_id, command, data), Deadlines(sending, *deadlines))


def counts_of(response: Message) -> Counts:
    """Return the counts of a response; ``None`` for each that is absent, or -1."""
    return Counts(
        completed=_count(response, "NumberOfCompletedSuboperations"),
        failed=_count(response, "NumberOfFailedSuboperations"),
        warning=_count(response, "NumberOfWarningSuboperations"),
        remaining=_count(response, "NumberOfRemainingSuboperations"),
    )


def _count(response: Message, keyword: str) -> int | None:
    number = response.number(keyword)
    return None if number == _MINUS_ONE else number
