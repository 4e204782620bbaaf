"""The receiver's process as its parent sees it: started, asked, watched, ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from dicomove.errors import ReceiverError
from dicomove.receiver.settings import Settings

_START_S: Final = 30.0
_FAREWELL_S: Final = 35.0

logger = logging.getLogger("dicomove.receiver")


class ProcessDiedError(ReceiverError):
    """The process ended, and nobody had asked it to."""


class Handle:
    """One process.

    Parameters
    ----------
    settings
        What it is told.
    on_event
        Gets what it tells by itself, in a thread that reads.
    on_death
        Called in that thread when it ended by itself.

    Raises
    ------
    ReceiverError
        It did not start.
    """

    def __init__(
        self, settings: Settings, on_event: Callable[[dict[str, Any]], object], on_death: Callable[[], object]
    ) -> None:
        self._on_event, self._on_death = on_event, on_death
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        # Reentrant: `close` may come out of a garbage collection at any point.
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._closing = False
        # Not multiprocessing: it imports the caller's script once more, which a notebook or a script may not survive.
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-P", str(Path(__file__).parent / "start.py"), str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # A thread per association: each would keep an arena of memory of its own.
            env={**os.environ, "MALLOC_ARENA_MAX": "2"},
            start_new_session=True,  # the stop button interrupts the notebook, and not the receiver
        )
        self.pid = self._process.pid
        first = self._first_line(settings)
        if first.get("event") != "ready":
            self.close()
            self.in_use = bool(first.get("in_use"))
            text = first.get("text")
            raise StartError(str(text or f"its process {self.ending()}"), in_use=self.in_use, died=not text)
        self.port = int(first["port"])
        self._thread = threading.Thread(target=self._read, name="dicomove-receiver", daemon=True)
        self._thread.start()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask for something, and return the answer.

        Raises
        ------
        ProcessDiedError
            The process is gone.
        ReceiverError
            It could not do it.
        """
        number = next(self._numbers)
        waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with self._lock:
            self._answers[number] = waiting
        try:
            self._write(json.dumps({"do": do, "id": number, **arguments}))
            answer = waiting.get()
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if answer is None:
            message = f"the receiver's process {self.ending()}"
            raise ProcessDiedError(message)
        if "error" in answer:
            raise ReceiverError(answer["error"])
        return answer["result"]

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
            self._write(json.dumps({"do": "quit"}))
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def _stdin(self) -> IO[str]:
        if self._process.stdin is None:
            raise AssertionError
        return self._process.stdin

    def _first_line(self, settings: Settings) -> dict[str, Any]:
        self._write(settings.to_json())
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        stdout = self._process.stdout
        if stdout is None:
            raise AssertionError
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=_START_S)
        except queue.Empty:
            self._process.kill()
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

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
        stdout = self._process.stdout
        if stdout is None:
            raise AssertionError
        try:
            for line in stdout:
                self._take(json.loads(line))
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

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            with self._lock:
                answers = self._answers.get(message["id"])
            if answers:
                answers.put(message)
        elif message.get("event") == "log":
            logger.log(message["level"], "%s", message["text"])
        else:
            self._on_event(message)


class StartError(ReceiverError):
    """The process could not start.

    Attributes
    ----------
    in_use
        Whether somebody else has the port.
    died
        Whether it ended without a word: it was killed, and another one may do.
    """

    def __init__(self, message: str, *, in_use: bool, died: bool) -> None:
        super().__init__(message)
        self.in_use, self.died = in_use, died
