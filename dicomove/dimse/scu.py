"""Shared by `FindScu` and `MoveScu`: the association, C-ECHO, C-CANCEL and logging."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

from dicomove.dimse.deadlines import Deadline
from dicomove.dimse.messages import C_ECHO_RQ, Message
from dicomove.dimse.operation import DimseOperation
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.dimse.reusable_association import ReusableAssociation
from dicomove.errors import AssociationError, IdleTimeout, StatusError, TotalTimeout
from dicomove.outcome import advice_on, failure_word
from dicomove.pacs import Pacs

#: How long a PACS may take to answer C-CANCEL before the association is aborted, in seconds. GE takes 20 and aborts.
CANCEL_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The PACS's answer to C-ECHO.

    Attributes
    ----------
    status
        The DIMSE Status, ``"0x0000"``.
    duration_s
        Seconds for association and answer.
    """

    status: str
    duration_s: float


class CancelIgnored(AssociationError):  # noqa: N818 (the condition is the name)
    """C-CANCEL was sent and the PACS did not end the operation within the grace time."""

    error = "cancelled"


class CancelledInTime(AssociationError):  # noqa: N818 (the condition is the name)
    """The operation was cancelled before its request was sent."""

    error = "cancelled"


class Canceller:
    """Turns a wish to stop into C-CANCEL, and an ignored C-CANCEL into an end.

    Parameters
    ----------
    *wishes
        Any of these events, once set, cancels.
    total_timeout
        Seconds after which it cancels by itself.
    """

    def __init__(self, *wishes: threading.Event | None, total_timeout: float | None = None) -> None:
        self._wishes = [wish for wish in wishes if wish]
        self.total = Deadline(total_timeout, TotalTimeout, "the whole exchange")
        self._grace: Deadline | None = None
        self.operation: DimseOperation | None = None
        self.late: TotalTimeout | None = None

    @property
    def sent(self) -> bool:
        """Whether C-CANCEL was sent."""
        return self._grace is not None

    def may_repeat(self) -> bool:
        """Return whether a lost request may be sent once more, because there is no stop; reset the canceller then."""
        if self.sent or self._wish():
            return False
        self.operation = None
        return True

    def check(self) -> None:
        """Send C-CANCEL after a stop; raise an error if the PACS did not answer it in time."""
        if self._grace:
            for wish in self._wishes:
                wish.is_set()  # a second stop raises here
            self._grace.check()
        elif self._wish():
            if self.operation is None:
                message = "cancelled before the request was sent"
                raise self.late or CancelledInTime(message)
            self._grace = Deadline(CANCEL_GRACE_S, CancelIgnored, "C-CANCEL")
            self.operation.cancel()

    def _wish(self) -> bool:
        try:
            self.total.check()
        except TotalTimeout as error:
            self.late = error
        return self.late is not None or any(wish.is_set() for wish in self._wishes)


class Scu:
    """A service class user: one association with one PACS, kept while it is clean.

    Parameters
    ----------
    pacs
        The PACS.
    verbose
        Show what happens on the network in the log (logger ``dicomove``), and the log on standard error if logging
        is not set up. Identifiers of patients are never logged.
    association
        That of another SCU, to share it.
    """

    def __init__(self, pacs: Pacs, *, verbose: bool = False, association: ReusableAssociation | None = None) -> None:
        self.pacs = pacs
        self._reusable = association or ReusableAssociation(pacs)
        self._cancelled = threading.Event()
        if verbose:
            _show_log()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pacs!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def association(self) -> ReusableAssociation:
        """The association, for another SCU to share it."""
        return self._reusable

    def close(self) -> None:
        """Release the association; the next request opens a new one."""
        self._reusable.close()

    def cancel(self) -> None:
        """Cancel the operation in flight, from another thread: C-CANCEL is sent (PS3.7 9.3.2.3)."""
        self._cancelled.set()

    def echo(self) -> EchoResult:
        """Verify the connection with C-ECHO (PS3.4 A.4).

        Raises
        ------
        AssociationError
            No association, or no answer within ``association_timeout``.
        StatusError
            An answer that is not Success.
        """
        started = time.monotonic()
        status = self._reusable.perform(VERIFICATION, self._echo).number("Status") or 0
        if status != 0:
            word = failure_word(status)
            message = f"{self.pacs} answered C-ECHO with {hexadecimal(status)}. {advice_on(word, method='find')}"
            raise StatusError(message, status=hexadecimal(status), error=word)
        return EchoResult(hexadecimal(status), time.monotonic() - started)

    def _echo(self, operation: DimseOperation) -> Message:
        operation.send({"CommandField": C_ECHO_RQ}, None)
        *_, last = operation.responses(Deadline(self.pacs.association_timeout, IdleTimeout, "C-ECHO"))
        return last


@cache
def hexadecimal(status: int) -> str:
    """Return a DIMSE Status as the result table writes it.

    Examples
    --------
    >>> hexadecimal(0)
    '0x0000'
    """
    return f"0x{status:04X}"


def _show_log() -> None:
    """Let the log of dicomove reach standard error, unless logging is set up."""
    logger = logging.getLogger("dicomove")
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        logger.addHandler(handler)
