"""The receiver's process as its parent sees it: started, asked, watched, started again when it died, ended."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from dicomove.errors import ReceiverError, ReceiverWarning
from dicomove.processes import Process
from dicomove.receiver.api import Answer, Request
from dicomove.receiver.lines import Answered, Failed, Logged, Progress, Quit, Ready, Told, read_told, request_line
from dicomove.receiver.rows import RowsInFlight
from dicomove.receiver.settings import Settings
from dicomove.receiver.taken import check_free

_START: Final = Path(__file__).with_name("start.py")
_START_S: Final = 30.0
_LONGEST_END_S: Final = 35.0
_MOST_DEATHS: Final = 5
_DEATHS_WITHIN_S: Final = 60.0
#: Of a process that is killed while it starts.
_MOST_STARTS: Final = 3

logger = logging.getLogger("dicomove.receiver")


class ProcessDiedError(ReceiverError):
    """The process ended, and was not told to."""


class ReceiverProcess:
    """One process.

    Parameters
    ----------
    settings
        What it is told.
    on_progress
        Gets what has come, in a thread that reads.
    on_death
        Called in that thread when it ended by itself.

    Raises
    ------
    ReceiverError
        It did not start.
    """

    def __init__(
        self, settings: Settings, on_progress: Callable[[Progress], object], on_death: Callable[[], object]
    ) -> None:
        self._on_progress, self._on_death = on_progress, on_death
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Answered | None]] = {}
        # Reentrant: `close` may come out of a garbage collection at any point.
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._closing = False
        # Not multiprocessing: it imports the caller's script once more, which a notebook or a script may not survive.
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-P", *map(str, (_START, Path(__file__).parents[2])), Process.of(os.getpid()).text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # A thread per association: each would keep an arena of memory of its own.
            env={**os.environ, "MALLOC_ARENA_MAX": "2"},
            start_new_session=True,  # the stop button interrupts the notebook, and not the receiver
        )
        self.pid = self._process.pid
        first = self._first(settings)
        if not isinstance(first, Ready):
            self.close()
            raise StartError(first.text if first else f"its process {self.ending()}", died=first is None)
        self.port = first.port
        self._thread = threading.Thread(target=self._read, name="dicomove-receiver", daemon=True)
        self._thread.start()

    def ask(self, request: Request[Answer]) -> Answer:
        """Ask for something, and return the answer.

        Raises
        ------
        ProcessDiedError
            The process is gone.
        ReceiverError
            It could not do it.
        """
        number = next(self._numbers)
        waiting: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        with self._lock:
            self._answers[number] = waiting
        try:
            self._write(request_line(number, request))
            answered = waiting.get()
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if answered is None:
            message = f"the receiver's process {self.ending()}"
            raise ProcessDiedError(message)
        if answered.error is not None:
            raise ReceiverError(answered.error)
        answer: Answer = request.read(answered.answer)
        return answer

    def ending(self) -> str:
        """Return how the process ended."""
        code = self._process.poll()
        if code is None:
            return "does not answer"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def close(self) -> None:
        """End the process: what has come is made durable first."""
        if os.getpid() != self._owner:
            return  # a forked child has a copy of this, and no process to end
        self._closing = True
        with contextlib.suppress(OSError, ProcessDiedError):  # it is gone
            # The end of its standard input is not enough where a forked child holds it open.
            self._write(request_line(next(self._numbers), Quit()))
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_LONGEST_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    @property
    def _stdin(self) -> IO[str]:
        if self._process.stdin is None:
            raise AssertionError
        return self._process.stdin

    @property
    def _stdout(self) -> IO[str]:
        if self._process.stdout is None:
            raise AssertionError
        return self._process.stdout

    def _first(self, settings: Settings) -> Ready | Failed | None:
        """Return what it tells first; ``None`` where it ended without a word, or takes too long."""
        self._write(settings.to_json())
        found: queue.SimpleQueue[Ready | Failed | None] = queue.SimpleQueue()
        threading.Thread(target=lambda: found.put(self._outcome_of_start()), daemon=True).start()
        try:
            return found.get(timeout=_START_S)
        except queue.Empty:
            self._process.kill()
            return None

    def _outcome_of_start(self) -> Ready | Failed | None:
        """Read until it says whether it started: it may log something before."""
        while line := self._stdout.readline():
            told = read_told(line)
            if isinstance(told, Ready | Failed):
                return told
            self._take(told)
        return None

    def _write(self, line: str) -> None:
        try:
            with self._lock:
                self._stdin.write(line + "\n")
                self._stdin.flush()
        except (OSError, ValueError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            message = f"the receiver's process {self.ending()}"
            raise ProcessDiedError(message) from None

    def _read(self) -> None:
        try:
            for line in self._stdout:
                self._take(read_told(line))
        except ValueError:
            logger.debug("the receiver's process ended in the middle of a line")
        if not self._closing:
            self._process.wait()
        with self._lock:
            waiting = list(self._answers.values())
        for answers in waiting:
            answers.put(None)
        if not self._closing:
            self._on_death()

    def _take(self, told: Told) -> None:
        match told:
            case Answered(number):
                with self._lock:
                    answers = self._answers.get(number)
                if answers:
                    answers.put(told)
            case Logged(level, text):
                logger.log(level, "%s", text)
            case Progress():
                self._on_progress(told)


class StartError(ReceiverError):
    """The process could not start.

    Attributes
    ----------
    died
        Whether it ended without a word: it was killed, and another one may start.
    """

    def __init__(self, message: str, *, died: bool) -> None:
        super().__init__(message)
        self.died = died


class Supervisor:
    """Sees to it that a receiver has a process, at the same port, that knows the rows in flight.

    Parameters
    ----------
    settings
        What the process is told.
    in_flight
        The rows in flight.

    Raises
    ------
    ReceiverError
        It did not start: the text says why, and what to do.
    """

    def __init__(self, settings: Settings, in_flight: RowsInFlight) -> None:
        self.settings = settings
        self.closed = False
        self._in_flight = in_flight
        self._lock = threading.RLock()
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._dead: ReceiverProcess | None = None
        self._process = self._start()
        _open.add(self)

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

    def ask(self, request: Request[Answer]) -> Answer:
        """Ask the process for something; one that died is started again, and asked once more.

        Raises
        ------
        ReceiverError
            It cannot do it, it is closed, or it dies again and again.
        """
        while True:
            process = self._process
            if self.closed:
                message = f"the receiver of {self.settings.folder} is closed: make a new one"
                raise ReceiverError(message)
            try:
                return process.ask(request)
            except ProcessDiedError:
                self._revive(process)

    def ask_once(self, request: Request[Answer]) -> Answer:
        """Ask the process for something. One that dies meanwhile is started again, and not asked once more.

        Raises
        ------
        ReceiverError
            It cannot do it, it is closed, or it died.
        """
        process = self._process
        try:
            return process.ask(request)
        except ProcessDiedError:
            self._revive(process)
            raise

    def close(self) -> None:
        """End the process; what has come is made durable first."""
        with self._lock:
            self.closed = True
            self._finalizer()
            _open.discard(self)

    def _revive(self, dead: ReceiverProcess) -> None:
        """Start the process again, at the same port, unless that was done; tell it of the rows in flight."""
        with self._lock:
            if self.closed or self._process is not dead:
                return
            if dead is not self._dead:  # a start that failed is not another death
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
            for expect in self._in_flight.expected():
                self._process.ask(expect)
        # Last, since where warnings are errors this raises.
        warnings.warn(f"{message} and was started again", ReceiverWarning, stacklevel=2)

    def _start(self) -> ReceiverProcess:
        me = weakref.ref(self)  # a receiver that is not referred to any more frees its port

        def died() -> None:
            supervisor = me()
            if supervisor:
                supervisor._died()  # noqa: SLF001 (it is this class)

        others = [other.settings_now for other in _open if other is not self and not other.closed]
        check_free(self.settings, Process.of(os.getpid()), others)
        for left in reversed(range(_MOST_STARTS)):
            try:
                process = ReceiverProcess(self.settings, self._in_flight.take, died)
            except StartError as error:
                if not (error.died and left):
                    message = f"the receiver did not start: {error}"
                    raise ReceiverError(message) from None
            else:
                break
        self._finalizer = weakref.finalize(self, process.close)
        return process

    def _died(self) -> None:
        """Start the process again at once, so that a PACS in the middle of a row finds it."""
        try:
            self._revive(self._process)
        except ReceiverError as error:
            logger.warning("%s", error)


#: The open receivers of this process, to say which one has a folder or a port.
_open: weakref.WeakSet[Supervisor] = weakref.WeakSet()


def close_receivers() -> None:
    """Close every receiver of this process, also if no variable refers to it any more.

    Examples
    --------
    >>> close_receivers()
    """
    for supervisor in list(_open):
        supervisor.close()
