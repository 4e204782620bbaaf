"""One association at a time, reused while it is known to be clean, and exchanges over it.

Clean means: the last exchange was read to its final response, nothing has come since, and it has not been idle for
long (firewalls forget idle connections without a word). Anything else gets a fresh association, at 5-10 ms.

The PACS may still end an association in the moment in which a request goes out: the two cross on the wire. `converse`
then sends the request once more, on a fresh association.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from dicomove.dimse.association import TRANSFER_SYNTAXES, Association, Context
from dicomove.dimse.messages import C_CANCEL_RQ, MEDIUM, RESPONSE, Command, Message
from dicomove.dimse.services import SERVICES
from dicomove.dimse.transport import Connection, Limit, Watch
from dicomove.errors import (
    AssociationAborted,
    AssociationError,
    AssociationTimeout,
    ConnectionLost,
    IdleTimeout,
    InvalidResponse,
    NotSupported,
)
from dicomove.outcome import category
from dicomove.pacs import Pacs

#: Shorter than the 30 s after which Orthanc closes an idle association.
_LONGEST_IDLE_S: Final = 15.0

_LONGEST_FAREWELL_S: Final = 5.0

logger = logging.getLogger("dicomove.dimse")

T = TypeVar("T")


class Exchange:
    """One request and its responses, by their Message ID."""

    def __init__(
        self, association: Association, context: Context, message_id: int, pacs: Pacs, *, reused: bool = False
    ) -> None:
        self.context = context
        self.message_id = message_id
        self._association = association
        self._pacs = pacs
        self._field = 0
        self._reused, self._heard_before = reused, association.heard

    @property
    def may_have_crossed(self) -> bool:
        """Whether the association had been used before, and not a byte of a response has come over it since."""
        return self._reused and self._association.heard == self._heard_before

    def send(self, command: Command, data: bytes | None, *limits: Limit) -> None:
        """Send the request, within these limits."""
        self._field = int(command["CommandField"])
        request = {
            "AffectedSOPClassUID": self.context.abstract_syntax,
            "MessageID": self.message_id,
            "Priority": MEDIUM,
            **command,
        }
        self._send(request, data, *limits)

    def cancel(self) -> None:
        """Send C-CANCEL (PS3.7 9.3.2.3)."""
        logger.info("C-CANCEL-RQ %d", self.message_id)
        self._send({"CommandField": C_CANCEL_RQ, "MessageIDBeingRespondedTo": self.message_id}, None)

    def responses(
        self,
        *limits: Limit,
        look: Callable[[], None] | None = None,
        sign_of_life: Callable[[], float] | None = None,
    ) -> Iterator[Message]:
        """Yield the responses up to the final one.

        Parameters
        ----------
        *limits
            That hold over the whole exchange.
        look
            Called at every turn of a wait.
        sign_of_life
            Returns when there was one elsewhere, on the monotonic clock.
        """
        silence = silence_limit(self._silence("first_response_timeout"), sign_of_life)
        while True:
            response = self._association.receive(Watch(silence, *limits, look=look))
            if response.number("MessageIDBeingRespondedTo") != self.message_id:
                logger.info("a response to another request was ignored")
                continue
            status = response.number("Status")
            if response.number("CommandField") != self._field | RESPONSE or status is None:
                message = "an answer that belongs to another kind of request, or without a status"
                raise InvalidResponse(message)
            yield response
            if category(status) != "pending":
                return
            silence = silence_limit(self._silence("idle_timeout"), sign_of_life)

    def _silence(self, name: str) -> float | None:
        seconds: float | None = getattr(self._pacs, name)
        return seconds

    def _send(self, command: Command, data: bytes | None, *limits: Limit) -> None:
        watch = Watch(Limit(self._pacs.idle_timeout, IdleTimeout, "sending"), *limits)
        self._association.send(Message(self.context.context_id, command, data), watch)


def silence_limit(seconds: float | None, sign_of_life: Callable[[], float] | None = None) -> Limit:
    """Return the limit of a silence."""
    return Limit(seconds, IdleTimeout, "waiting for a response", sign_of_life)


class Link:
    """The association of one SCU with one PACS.

    Parameters
    ----------
    pacs
        The PACS.
    """

    def __init__(self, pacs: Pacs) -> None:
        self.pacs = pacs
        self._association: Association | None = None
        self._message_id = 0
        self._used_at = 0.0

    @contextmanager
    def exchange(self, abstract_syntax: str, look: Callable[[], None] | None = None) -> Iterator[Exchange]:
        """Lend the association to one exchange; it is kept only if the exchange ended well.

        Raises
        ------
        AssociationError
            There is no association, or it did not last.
        """
        before = self._association
        association = self._clean_association(look)
        context = association.context_for(abstract_syntax)
        if context is None:
            message = f"{self.pacs} does not offer {SERVICES[abstract_syntax]}"
            raise NotSupported(message)
        self._association = None
        self._message_id = self._message_id % 0xFFFF + 1
        exchange = Exchange(association, context, self._message_id, self.pacs, reused=association is before)
        try:
            yield exchange
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                with suppress(AssociationError):
                    exchange.cancel()
            logger.info("association with %s aborted", self.pacs)
            association.abort()
            raise
        self._association, self._used_at = association, time.monotonic()

    def converse(
        self,
        abstract_syntax: str,
        talk: Callable[[Exchange], T],
        look: Callable[[], None] | None = None,
        may_repeat: Callable[[AssociationError], bool] = lambda _: True,
    ) -> T:
        """Return what `talk` makes of an exchange; let it talk once more if its request crossed the PACS's farewell.

        That is: the association had been used before, and the PACS ended it before the first response. On a fresh
        association the request is never sent twice, and after a response it is not, either.

        Parameters
        ----------
        abstract_syntax
            The service.
        talk
            Sends the request and reads the responses.
        look
            Called at every turn of a wait for the association.
        may_repeat
            Given how the association ended, whether the request may be sent once more: not when something else shows
            that the PACS has got it, or when its end is wished for.

        Raises
        ------
        AssociationError
            There is no association, or it did not last. Where the first one was lost and the second could not be made,
            the first is what is known of the request.
        """
        tried: list[Exchange] = []
        try:
            return self._once(abstract_syntax, talk, look, tried)
        except (AssociationAborted, ConnectionLost) as lost:
            if not tried or not tried[0].may_have_crossed or not may_repeat(lost):
                raise
            logger.info("request %d crossed the end of its association: it is sent once more", tried[0].message_id)
            try:
                return self._once(abstract_syntax, talk, look, tried)
            except AssociationError as error:
                if len(tried) == 1:
                    raise lost from error
                raise

    def _once(
        self,
        abstract_syntax: str,
        talk: Callable[[Exchange], T],
        look: Callable[[], None] | None,
        tried: list[Exchange],
    ) -> T:
        with self.exchange(abstract_syntax, look) as exchange:
            tried.append(exchange)
            return talk(exchange)

    def close(self) -> None:
        """Release the association, if there is one."""
        if self._association:
            self._association.release(min(self.pacs.association_timeout or _LONGEST_FAREWELL_S, _LONGEST_FAREWELL_S))
            logger.info("association with %s released", self.pacs)
        self._association = None

    def _clean_association(self, look: Callable[[], None] | None) -> Association:
        if self._association and not self._association.is_quiet():
            self._association.abort()
            self._association = None
        if self._association and time.monotonic() < self._used_at + _LONGEST_IDLE_S:
            return self._association
        self.close()
        self._association = self._open(look)
        self._used_at = time.monotonic()
        return self._association

    def _open(self, look: Callable[[], None] | None) -> Association:
        pacs, started = self.pacs, time.monotonic()
        connection = Connection.open(pacs.host, pacs.port, pacs.connect_timeout, look)
        try:
            association = Association.request(
                connection,
                called_ae_title=pacs.called_ae_title,
                calling_ae_title=pacs.calling_ae_title,
                max_pdu_length=pacs.max_pdu_length,
                proposed=[(service, TRANSFER_SYNTAXES) for service in SERVICES],
                watch=Watch(Limit(pacs.association_timeout, AssociationTimeout, "A-ASSOCIATE"), look=look),
            )
        except BaseException:
            connection.close()
            raise
        services = ", ".join(SERVICES[context.abstract_syntax] for context in association.contexts.values())
        logger.info("association with %s after %.0f ms: %s", pacs, 1000 * (time.monotonic() - started), services)
        return association
