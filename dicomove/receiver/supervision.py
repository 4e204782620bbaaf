"""Keeps the process of a receiver running: starts it when folder and port are free, and again when it died."""

from __future__ import annotations

import errno
import math
import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError, ReceiverWarning, warn
from dicomove.processes import UNKNOWN_S, Process, first_port_of_connections, patience_s, port_owner
from dicomove.receiver.api import Answer, EndRun, Request
from dicomove.receiver.process import ProcessDiedError, ReceiverProcess, StartError, logger
from dicomove.receiver.rows import RowsInFlight
from dicomove.receiver.settings import Settings
from dicomove.store.ownership import check_folder

_MOST_DEATHS: Final = 5
_DEATHS_WITHIN_S: Final = 60.0
#: The number of attempts to start a process that is killed at its start.
_MOST_STARTS: Final = 3
#: The open receivers of this process, for messages about the owner of a folder or port.
_open: weakref.WeakValueDictionary[int, Supervisor] = weakref.WeakValueDictionary()
_LOOK_AGAIN_S: Final = 0.05
#: How long to wait for a port without a known owner, in seconds: its process may have just ended.
_HIDDEN_S: Final = 0.3


class Supervisor:
    """Provides a receiver with a process, always at the same port and with the rows in flight.

    Parameters
    ----------
    settings
        The settings of the process.
    in_flight
        The rows in flight.

    Raises
    ------
    ReceiverError
        The process did not start. The message has the reason and the remedy.
    """

    def __init__(self, settings: Settings, in_flight: RowsInFlight) -> None:
        self.settings = settings
        self.closed = False
        self._in_flight = in_flight
        self._lock = threading.RLock()
        #: By run: how often its user has asked to stop it.
        self._stops: dict[int, Callable[[], int]] = {}
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._dead: ReceiverProcess | None = None
        self._process = self._start()
        _open[id(self)] = self

    @property
    def port(self) -> int:
        """The port at which it listens; 0 where it listens at none."""
        return self._process.port

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def settings_now(self) -> Settings:
        """The settings, with the port that the system chose."""
        return self.settings if self.settings.port is None else replace(self.settings, port=self.port)

    def check_own(self) -> None:
        """Raise a ReceiverError in a forked process."""
        if not self._process.is_own:
            message = (
                f"the receiver of {self.settings.folder} belongs to the process from which this one was forked: move "
                "there (concurrency= moves several rows at a time)"
            )
            raise ReceiverError(message)

    def ask(self, request: Request[Answer]) -> Answer:
        """Send a request to the process. If it died, start it again, and repeat the request.

        Raises
        ------
        ReceiverError
            The process cannot do it, the receiver is closed, or the process dies again and again.
        """
        self.check_own()
        while True:
            process = self._process
            if self.closed:
                message = f"the receiver of {self.settings.folder} is closed: make a new one"
                raise ReceiverError(message)
            try:
                return process.ask(request, self._is_stopped)
            except ProcessDiedError:
                self._revive(process)

    def ask_once(self, request: Request[Answer]) -> Answer:
        """Send a request to the process. If it dies meanwhile, start it again, but do not repeat the request.

        Raises
        ------
        ReceiverError
            The process cannot do it, the receiver is closed, or the process died.
        """
        self.check_own()
        process = self._process
        try:
            return process.ask(request, self._is_stopped)
        except ProcessDiedError:
            self._revive(process)
            raise

    def watch_for_stop(self, run: int, stops: Callable[[], int]) -> None:
        """Wait only briefly for a silent process, once the user has asked to stop this run."""
        self._stops[run] = stops

    def end_run(self, run: int) -> None:
        """Let the process forget the rows of a run."""
        try:
            self.ask(EndRun(run))
        finally:
            self._stops.pop(run, None)

    def _is_stopped(self) -> bool:
        return any(stops() for stops in list(self._stops.values()))

    def close(self) -> str | None:
        """End the process, after all arrivals are durable; return the reason if they are not."""
        with self._lock:
            self.closed = True
            problem: str | None = self._finalizer()
            _open.pop(id(self), None)
        return problem and f"the receiver of {self.settings.folder} is closed, but {problem}"

    def _revive(self, dead: ReceiverProcess) -> None:
        """Start the process again, at the same port and with the rows in flight, unless this was done already."""
        with self._lock:
            if self.closed or self._process is not dead:
                return
            if dead is not self._dead:  # a failed start does not count as another death
                self._dead = dead
                self._deaths.append(time.monotonic())
            message = f"the receiver's process {dead.ending()}"
            if len(self._deaths) == _MOST_DEATHS and time.monotonic() - self._deaths[0] < _DEATHS_WITHIN_S:
                message += f", for the {_MOST_DEATHS}th time within {_DEATHS_WITHIN_S:g} s"
                raise ReceiverError(message)
            self._finalizer.detach()
            dead.close()
            if self.settings.port is not None:
                self.settings = replace(self.settings, port=dead.port)
            self._process = self._start()
        try:
            warn(f"{message} and was started again", ReceiverWarning)
        except ReceiverWarning as warning:  # it may be an exception (`-W error`), and must not end a row
            logger.warning("%s", warning)

    def _start(self) -> ReceiverProcess:
        me = weakref.ref(self)  # a weak reference, so that a forgotten receiver frees its port

        def died() -> None:
            supervisor = me()
            if supervisor:
                supervisor._died()  # noqa: SLF001 (it is this class)

        others = [other.settings_now for other in _all_open() if other is not self and not other.closed]
        check_free(self.settings, Process.of(os.getpid()), others)
        for left in reversed(range(_MOST_STARTS)):
            try:
                process = ReceiverProcess(self.settings, self._in_flight.take, died, self._in_flight.expected())
            except StartError as error:
                if not (error.died and left):
                    message = f"the receiver did not start: {error}"
                    raise ReceiverError(message) from None
            else:
                break
        self._finalizer = weakref.finalize(self, process.close)
        return process

    def _died(self) -> None:
        """Start the process again at once, so that a PACS in the middle of a row can connect."""
        try:
            self._revive(self._process)
        except ReceiverError as error:
            logger.warning("%s", error)


def _all_open() -> list[Supervisor]:
    """Return the open receivers, while other threads open and close some."""
    return [one for reference in _open.valuerefs() if (one := reference()) is not None]


def close_receivers() -> None:
    """Close every receiver of this process, also those without a variable.

    Examples
    --------
    >>> close_receivers()
    """
    for problem in [supervisor.close() for supervisor in _all_open()]:
        if problem:
            warn(problem, ReceiverWarning)


def check_free(settings: Settings, own: Process, open_here: Iterable[Settings] = ()) -> None:
    """Wait for a receiver that is about to end and has the folder or port, for example after a restart of the kernel.

    Parameters
    ----------
    settings
        The folder, and the port.
    own
        This process.
    open_here
        The other receivers of this process.

    Raises
    ------
    ReceiverError
        Another receiver or process keeps the folder or port. The message names it, and has the remedy.
    """
    for other in open_here:
        if found := _taken_by(other, settings):
            message = f"{found}: call its close() first, or dicomove.receiver.close_receivers()"
            raise ReceiverError(message)
    if settings.port is not None:
        _wait_for_port(settings.host, settings.port, own)
    check_folder(Path(settings.folder), own)


def _wait_for_port(host: str, port: int, own: Process) -> None:
    owner, since = None, math.inf
    # The search for the owner may take longer than the wait: check the port once more before giving up.
    while _is_taken(host, port):
        if time.monotonic() - since >= _patience_s(owner, own):
            message = f"port {port} is taken by {_named(port, owner)}"
            raise ReceiverError(message)
        if math.isfinite(since):
            time.sleep(_LOOK_AGAIN_S)
        now = port_owner(port)
        # Another process than before: that one has ended, and the port is about to be free.
        if now != owner or math.isinf(since):
            owner, since = now, time.monotonic()


def _named(port: int, owner: Process | None) -> str:
    """Return the owner of a port, and the remedy."""
    first = first_port_of_connections()
    if owner is None and port >= first:
        return (
            "another process, or by a connection of another program, and the system does not tell which: "
            f"try again in a minute, or choose a port below {first} and tell the PACS"
        )
    named = owner or "another process, and the system does not tell which"
    return f"{named}: end it, or choose another port and tell the PACS"


def _taken_by(other: Settings, settings: Settings) -> str | None:
    """Return the message if another receiver of this process has the folder or port."""
    if Path(other.folder).resolve() == Path(settings.folder).resolve():
        return f"the folder {settings.folder} is taken by another receiver of this process"
    if settings.port is not None and other.port == settings.port and _is_taken(settings.host, settings.port):
        return f"port {settings.port} is taken by another receiver of this process, for {other.folder}"
    return None


def _is_taken(host: str, port: int) -> bool:
    is_ipv6 = ":" in host
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:  # as the receiver does
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::" or not socket.has_dualstack_ipv6())
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _patience_s(owner: Process | None, own: Process) -> float:
    """Return how many seconds to wait for the process that has a port."""
    if owner is None:
        return _HIDDEN_S if own.is_alive else UNKNOWN_S
    if owner == own:
        return UNKNOWN_S
    started_by = _started_by(owner)
    return patience_s(started_by, own) if started_by else 0


def _started_by(owner: Process) -> Process | None:
    """Return the process that started a receiver; ``None`` for a process that is not a receiver."""
    *_, program, module, started_by = ["", "", "", *owner.arguments]
    # Versions before 0.2 used a separate program, without a module's name in its arguments.
    is_receiver = module == "dicomove.receiver.main" or Path(program).parts[-2:] == ("receiver", "start.py")
    return Process.read(started_by) if is_receiver else None
