"""One process that goes on: started, asked, started again when it died, ended with whoever owns it."""

from __future__ import annotations

import logging
import threading
import time
import warnings
import weakref
from collections import deque
from dataclasses import replace
from typing import Any, Final

from dicomove.errors import ReceiverError, ReceiverWarning
from dicomove.receiver.flights import Flights
from dicomove.receiver.handle import Handle, ProcessDiedError, StartError
from dicomove.receiver.holder import holder
from dicomove.receiver.settings import Settings

_MOST_DEATHS: Final = 5
_DEATHS_WITHIN_S: Final = 60.0
#: Of one that is killed while it starts.
_MOST_STARTS: Final = 3

logger = logging.getLogger("dicomove.receiver")


class Supervisor:
    """Sees to it that a receiver has a process, at the same port, that knows the rows in flight.

    Parameters
    ----------
    settings
        What the process is told.
    flights
        The rows in flight.

    Raises
    ------
    ReceiverError
        It did not start: the text says why, and what to do.
    """

    def __init__(self, settings: Settings, flights: Flights) -> None:
        self.settings = settings
        self.closed = False
        self._flights = flights
        self._lock = threading.RLock()
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._handle = self._start()
        _open.add(self)

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return self._handle.port

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._handle.pid

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask the process for something; one that died is started again, and asked once more.

        Raises
        ------
        ReceiverError
            It cannot do it, it is closed, or it dies again and again.
        """
        while True:
            handle = self._handle
            if self.closed:
                message = f"the receiver of {self.settings.folder} is closed: make a new one"
                raise ReceiverError(message)
            try:
                return handle.ask(do, **arguments)
            except ProcessDiedError:
                self._revive(handle)

    def close(self) -> None:
        """End the process; what has come is made durable first."""
        with self._lock:
            self.closed = True
            self._finalizer()
            _open.discard(self)

    def _revive(self, dead: Handle) -> None:
        """Start the process again, at the same port, unless that was done; tell it of the rows in flight."""
        with self._lock:
            if self.closed or self._handle is not dead:
                return
            self._deaths.append(time.monotonic())
            message = f"the receiver's process {dead.ending()}"
            if len(self._deaths) == _MOST_DEATHS and self._deaths[-1] - self._deaths[0] < _DEATHS_WITHIN_S:
                message += f", for the {_MOST_DEATHS}th time within {_DEATHS_WITHIN_S:g} s"
                raise ReceiverError(message)
            self._finalizer.detach()
            dead.close()
            self.settings = replace(self.settings, port=dead.port)
            self._handle = self._start()
            for expectation in self._flights.expectations():
                self._handle.ask("expect", **expectation)
        # Last, since where warnings are errors this raises.
        warnings.warn(f"{message} and was started again", ReceiverWarning, stacklevel=2)

    def _start(self) -> Handle:
        me = weakref.ref(self)  # whom nobody needs any more frees its port

        def died() -> None:
            supervisor = me()
            if supervisor:
                supervisor._died()  # noqa: SLF001 (it is this class)

        for left in reversed(range(_MOST_STARTS)):
            try:
                handle = Handle(self.settings, self._flights.take, died)
            except StartError as error:
                if not (error.died and left):
                    raise ReceiverError(_why(error, self.settings)) from None
            else:
                break
        self._finalizer = weakref.finalize(self, handle.close)
        return handle

    def _died(self) -> None:
        """Start the process again at once, so that a PACS in the middle of a row finds it."""
        try:
            self._revive(self._handle)
        except ReceiverError as error:
            logger.warning("%s", error)


#: Those that are open in this process, to say who has a port.
_open: weakref.WeakSet[Supervisor] = weakref.WeakSet()


def _why(error: StartError, settings: Settings) -> str:
    """Return why a receiver did not start, and what to do."""
    if not error.in_use:
        return f"the receiver did not start: {error}"
    for other in _open:
        if other.port == settings.port:
            return (
                f"port {settings.port} is taken by another receiver of this process, for {other.settings.folder}: "
                "call its close() first, or dicomove.receiver.close_receivers()"
            )
    who = holder(settings.port) or "another process, of which the system does not tell who it is"
    return f"port {settings.port} is taken by {who}: end it, or choose another port and tell the PACS"


def close_receivers() -> None:
    """Close every receiver of this process: also one that no variable leads to any more.

    Examples
    --------
    >>> close_receivers()
    """
    for supervisor in list(_open):
        supervisor.close()
