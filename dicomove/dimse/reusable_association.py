"""The association that carries one request after the other.

An association is used again if its state is `IDLE` (every request was answered to its end), no bytes have come since,
and it has not been idle for long, because firewalls drop idle connections silently. Otherwise a fresh one is opened,
which takes 5-10 ms.

The PACS may still end an association in the moment in which a request goes out: the two cross on the wire. `perform`
then sends the request once more, on a fresh association.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, TypeVar

from dicomove.dimse.association import TRANSFER_SYNTAXES, Association
from dicomove.dimse.deadlines import Check
from dicomove.dimse.opening import Identity, open_association
from dicomove.dimse.operation import DimseOperation
from dicomove.dimse.presentation_contexts import SERVICES
from dicomove.dimse.state import State
from dicomove.errors import (
    AddressError,
    AssociationAborted,
    AssociationError,
    ConnectionLost,
    NotSupported,
)
from dicomove.pacs import Pacs, check_pacs
from dicomove.tls import Wrap, client_side, lost_credentials

#: Shorter than the 30 s after which Orthanc closes an idle association.
_LONGEST_IDLE_S: Final = 15.0
_LONGEST_RELEASE_S: Final = 5.0

logger = logging.getLogger("dicomove.dimse")

T = TypeVar("T")


class ReusableAssociation:
    """The association of one SCU with one PACS.

    Parameters
    ----------
    pacs
        The PACS.
    services
        The abstract syntaxes to propose, with their names.
    is_checked
        Whether the certificates and the passcode have been found before. If they are gone now (a keyring was locked,
        say), there is no association, and the run goes on.

    Raises
    ------
    AddressError
        They cannot be found now, and have not been before.
    """

    def __init__(self, pacs: Pacs, services: Mapping[str, str] = SERVICES, *, is_checked: bool = False) -> None:
        check_pacs(pacs)
        self._services = services
        self._tls: Wrap | None = None
        self.pacs = pacs
        if not is_checked:
            self._credentials()
        #: The association that is kept between two operations. Threads that share it open further ones meanwhile.
        self._association: Association | None = None
        self._lock = threading.Lock()
        self._message_id = 0
        self._used_at = 0.0

    def perform(
        self,
        abstract_syntax: str,
        run: Callable[[DimseOperation], T],
        check: Check | None = None,
        may_repeat: Callable[[AssociationError], bool] = lambda _: True,
    ) -> T:
        """Return what `run` makes of an operation; run once more if its request crossed the end of the association.

        That is: the association had been used before, and the PACS ended it before the first byte of a response. On a
        fresh association a request is never sent twice, and neither is one that was answered.

        Parameters
        ----------
        abstract_syntax
            The service.
        run
            Sends the request and reads the responses.
        check
            Called at every turn of a wait for the association.
        may_repeat
            Given how the association ended, whether the request may be sent once more: not when something else shows
            that the PACS has got it, or when the user cancels.

        Raises
        ------
        AssociationError
            There is no association, or it did not last. Where the first one was lost and the second could not be made,
            the first is what is known of the request.
        """
        tried: list[DimseOperation] = []
        try:
            return self._once(abstract_syntax, run, check, tried)
        except (AssociationAborted, ConnectionLost) as lost:
            if not tried or not tried[0].may_have_crossed or not may_repeat(lost):
                raise
            logger.info("request %d crossed the end of its association: it is sent once more", tried[0].message_id)
            try:
                return self._once(abstract_syntax, run, check, tried)
            except AssociationError as error:
                if len(tried) == 1:
                    raise lost from error
                raise

    def offered(self) -> frozenset[str]:
        """Return the services that the PACS accepts.

        Raises
        ------
        AssociationError
            There is no association.
        """
        association = self._taken() or self._open(None)
        self._keep(association)
        return frozenset(context.abstract_syntax for context in association.contexts.values())

    def close(self) -> None:
        """Release the association, if there is one."""
        with self._lock:
            kept, self._association = self._association, None
        if kept:
            self._release(kept)

    def _release(self, association: Association) -> None:
        association.release(min(self.pacs.association_timeout or _LONGEST_RELEASE_S, _LONGEST_RELEASE_S))
        logger.info("association with %s released", self.pacs)

    def _once(
        self,
        abstract_syntax: str,
        run: Callable[[DimseOperation], T],
        check: Check | None,
        tried: list[DimseOperation],
    ) -> T:
        """Use the association for one operation; keep it only if the operation succeeded.

        If a response named no request, it is not kept: a late one would be taken for that to the next request.
        """
        kept = self._taken()
        association = kept or self._open(check)
        context = association.context_for(abstract_syntax)
        if context is None:
            self._keep(association)
            message = f"{self.pacs} does not offer {self._services[abstract_syntax]}"
            raise NotSupported(message)
        with self._lock:
            message_id = self._message_id = self._message_id % 0xFFFF + 1
        operation = DimseOperation(association, context, message_id, self.pacs, reused=kept is not None)
        tried.append(operation)
        try:
            done = run(operation)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                with suppress(AssociationError):
                    operation.cancel()
            logger.info("association with %s aborted", self.pacs)
            association.abort()
            raise
        if association.state is not State.IDLE:
            association.abort()
        elif operation.is_named:
            self._keep(association)
        else:
            self._release(association)
        return done

    def _taken(self) -> Association | None:
        """Take the association that is kept, if it is clean; no other thread gets it then."""
        with self._lock:
            kept, self._association = self._association, None
        if kept and not kept.is_quiet():
            kept.abort()
        elif kept and time.monotonic() < self._used_at + _LONGEST_IDLE_S:
            return kept
        elif kept:
            self._release(kept)
        return None

    def _keep(self, association: Association) -> None:
        """Keep an association for the next operation, instead of the one that another thread has kept meanwhile."""
        with self._lock:
            other, self._association, self._used_at = self._association, association, time.monotonic()
        if other:
            self._release(other)

    def _credentials(self) -> tuple[Wrap | None, Identity | None]:
        if self.pacs.tls and not self._tls:
            self._tls = client_side(self.pacs.tls, self.pacs.host)
        return self._tls, self.pacs.identity()

    def _open(self, check: Check | None) -> Association:
        started = time.monotonic()
        proposed = [(service, TRANSFER_SYNTAXES) for service in self._services]
        try:
            tls, user = self._credentials()
        except AddressError as error:
            raise lost_credentials(error) from error
        association = open_association(self.pacs, proposed, tls, user, check)
        services = ", ".join(self._services[context.abstract_syntax] for context in association.contexts.values())
        logger.info("association with %s after %.0f ms: %s", self.pacs, 1000 * (time.monotonic() - started), services)
        return association
