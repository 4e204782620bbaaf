"""Starts the receiver's process, asks it, and ends it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from typing import IO, Final, Protocol

from dicomove.errors import ReceiverError
from dicomove.processes import Process, own_program
from dicomove.receiver.api import Answer, Expect, Request
from dicomove.receiver.lines import (
    Answered,
    Ended,
    Failed,
    Logged,
    ProcessMessage,
    Progress,
    Quit,
    Ready,
    read_message,
    request_line,
)
from dicomove.receiver.settings import Settings

#: The longest silence of a process that starts. While it looks over the folder of a killed one, it writes to the log.
_START_S: Final = 30.0
_LONGEST_END_S: Final = 35.0
#: How long to wait for the last messages of a process that has ended, in seconds.
_LAST_WORDS_S: Final = 2.0
#: A process that gives no sign of life for so many seconds is killed: it was stopped (SIGSTOP), or lost its memory to
#: the swap for good. The second limit holds after the user has stopped a run.
_SILENT_S, _STOPPED_S = 120.0, 3.0
_LOOK_UP_S: Final = 0.5

logger = logging.getLogger("dicomove.receiver")


class ProcessDiedError(ReceiverError):
    """The process ended without an order."""


class Asks(Protocol):
    """The process, for modules that ask it."""

    @property
    def pid(self) -> int:
        """The number of the process."""

    def ask(self, request: Request[Answer]) -> Answer:
        """Send a request; if the process died, send it to the next process."""

    def ask_once(self, request: Request[Answer]) -> Answer:
        """Send a request that must not be repeated if the process died."""


class ReceiverProcess:
    """One process.

    Parameters
    ----------
    settings
        Its settings.
    on_progress
        Gets `Progress` messages, in a thread.
    on_death
        Called in that thread if the process ended by itself.
    expected
        The rows in flight, which are open before a PACS can connect.

    Raises
    ------
    ReceiverError
        It did not start.
    """

    def __init__(
        self,
        settings: Settings,
        on_progress: Callable[[Progress], object],
        on_death: Callable[[], object],
        expected: Iterable[Expect],
    ) -> None:
        self._on_progress, self._on_death = on_progress, on_death
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Answered | None]] = {}
        # Reentrant: `close` may come from a garbage collection at any point.
        self._lock, self._writing = threading.RLock(), threading.RLock()
        self._owner = os.getpid()
        self._closing = self._was_silent = False
        #: The number of lines from the process.
        self._heard = 0
        self._thread: threading.Thread | None = None
        #: What the process said at its end.
        self._at_end: str | None = None
        # Not multiprocessing: it imports the caller's script once more, which fails for many scripts and notebooks.
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [*own_program("dicomove.receiver.main"), Process.of(os.getpid()).text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # A thread per association: each would keep an arena of memory of its own.
            env={**os.environ, "MALLOC_ARENA_MAX": "2"},
            start_new_session=True,  # the stop button interrupts the notebook, and not the receiver
        )
        self.pid = self._process.pid
        first = self._first(settings, expected)
        if not isinstance(first, Ready):
            self.close()
            raise StartError(first.text if first else f"its process {self.ending()}", died=first is None)
        self.port = first.port
        self._thread = threading.Thread(target=self._read, name="dicomove-receiver", daemon=True)
        self._thread.start()

    @property
    def is_own(self) -> bool:
        """Whether the caller's process started it. A forked child has a copy of this; its parent reads the answers."""
        return os.getpid() == self._owner

    def ask(self, request: Request[Answer], is_stopped: Callable[[], bool] = lambda: False) -> Answer:
        """Send a request, and return the answer. Kill a process that gives no sign of life for too long.

        Parameters
        ----------
        request
            The request.
        is_stopped
            Whether the user waits for the end of a run: then a short silence is too long.

        Raises
        ------
        ProcessDiedError
            The process is gone.
        ReceiverError
            The process could not do it.
        """
        number = next(self._numbers)
        waiting: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        with self._lock:
            self._answers[number] = waiting
        try:
            self._write(request_line(number, request))
            answered = self._answer(waiting, is_stopped)
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

    def _answer(self, waiting: queue.SimpleQueue[Answered | None], is_stopped: Callable[[], bool]) -> Answered | None:
        """Return the answer; ``None`` if the process is gone."""
        silent_s = 0.0
        while silent_s < (_STOPPED_S if is_stopped() else _SILENT_S):
            heard = self._heard
            with contextlib.suppress(queue.Empty):
                return waiting.get(timeout=_LOOK_UP_S)
            # The waits are added up. The clock also goes on while this process itself is suspended.
            silent_s = silent_s + _LOOK_UP_S if self._heard == heard else 0.0
        self._was_silent = True
        self._process.kill()
        return None

    def ending(self) -> str:
        """Return how the process ended."""
        if self._was_silent:
            return "was killed because it gave no sign of life"
        code = self._process.poll()
        if code is None:
            return "does not answer"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def close(self) -> str | None:
        """End the process, after all arrivals are durable; return the reason if they are not."""
        if not self.is_own:
            return None  # a forked child has a copy of this, and no process to end
        self._closing = True
        with contextlib.suppress(OSError, ProcessDiedError):  # it is gone
            # The end of its standard input is not enough: a forked child may keep it open.
            self._write(request_line(next(self._numbers), Quit()))
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_LONGEST_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._at_end = f"its process did not end within {_LONGEST_END_S:g} s, and was killed"
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(_LAST_WORDS_S)
        self._stdout.close()
        return self._at_end

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

    def _first(self, settings: Settings, expected: Iterable[Expect]) -> Ready | Failed | None:
        """Return its first message; ``None`` if it ended without one, or takes too long."""
        rows = [request_line(next(self._numbers), expect) for expect in expected]
        self._write("\n".join([settings.to_json(), *rows, ""]))
        found: queue.SimpleQueue[ProcessMessage | None] = queue.SimpleQueue()
        threading.Thread(target=self._read_start, args=(found,), daemon=True).start()
        try:
            while (message := found.get(timeout=_START_S)) is not None:
                if isinstance(message, Ready | Failed):
                    return message
                self._take(message)
        except queue.Empty:
            self._process.kill()
        return None

    def _read_start(self, found: queue.SimpleQueue[ProcessMessage | None]) -> None:
        """Read until the message about its start; log records may come before."""
        while line := self._stdout.readline():
            message = read_message(line)
            found.put(message)
            if isinstance(message, Ready | Failed):
                return
        found.put(None)

    def _write(self, line: str) -> None:
        try:
            # Another thread reads answers meanwhile: the process may not read on before that.
            with self._writing:
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
                self._heard += 1
                self._take(read_message(line))
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

    def _take(self, message: ProcessMessage) -> None:
        match message:
            case Answered(number):
                with self._lock:
                    answers = self._answers.get(number)
                if answers:
                    answers.put(message)
            case Logged(level, text):
                logger.log(level, "%s", text)
            case Progress():
                self._on_progress(message)
            case Ended(text):
                self._at_end = text


class StartError(ReceiverError):
    """The process could not start.

    Attributes
    ----------
    died
        Whether it ended without a message: it was killed, and another one may start.
    """

    def __init__(self, message: str, *, died: bool) -> None:
        super().__init__(message)
        self.died = died
