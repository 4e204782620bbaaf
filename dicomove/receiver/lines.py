"""The lines of JSON between the caller's process and the receiver's: requests, answers and progress."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from dicomove.receiver.api import (
    AwaitArrivals,
    CancelGet,
    EndRun,
    Expect,
    Flush,
    Get,
    Held,
    OtherPatients,
    Request,
    RowId,
)


@dataclass(frozen=True, slots=True)
class Ready:
    """The process listens at this port; 0 without a port."""

    port: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The process did not start, with the reason."""

    text: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The news since the last such message.

    Attributes
    ----------
    rows
        Run, position, instances and bytes of each row in flight with new arrivals.
    refused
        Refused peers (the fields of `Refusal`), each with the number of its connections.
    unrequested
        The number of instances that no row had asked for.
    counts
        Number and counts of each running C-GET.
    """

    rows: Sequence[tuple[int, int, int, int]]
    refused: Sequence[tuple[Sequence[str], int]]
    unrequested: int
    counts: Sequence[tuple[int, Mapping[str, Any]]] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request as JSON, or the reason why there is none."""

    number: int
    answer: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Alive:
    """A sign of life, several times a second, however long the answers take."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is about to end, and not everything that arrived is durable and recorded; `text` is the reason."""

    text: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The order to end, after all arrivals are durable."""


ProcessMessage = Ready | Failed | Logged | Progress | Answered | Alive | Ended

_REQUESTS: Final = {
    kind.__name__: kind for kind in (Expect, AwaitArrivals, Held, OtherPatients, Flush, EndRun, Get, CancelGet)
}
_MESSAGES: Final = {kind.__name__: kind for kind in (Ready, Failed, Logged, Progress, Answered, Alive, Ended)}


def request_line(number: int, request: Request[Any] | Quit) -> str:
    """Return a request as one line."""
    return json.dumps([number, type(request).__name__, request], default=_fields)


def read_request(line: str) -> tuple[int, Request[Any]] | Quit:
    """Return the number of a request and the request."""
    number, kind, values = json.loads(line)
    if kind == Quit.__name__:
        return Quit()
    if "row" in values:
        values["row"] = RowId(*values["row"])
    request: Request[Any] = _REQUESTS[kind](**values)
    return number, request


def message_line(message: ProcessMessage) -> str:
    """Return a message of the process as one line."""
    return json.dumps([type(message).__name__, message], default=_fields)


def read_message(line: str) -> ProcessMessage:
    """Return the message of a line.

    Raises
    ------
    ValueError
        The line was broken off.
    """
    kind, values = json.loads(line)
    message: ProcessMessage = _MESSAGES[kind](**values)
    return message


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in fields(message)}


class JsonLines:
    """Writes lines to standard output. If the reader is slow or gone, other threads wait only briefly."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # All other output goes to standard error.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def tell(self, *messages: ProcessMessage) -> None:
        """Write messages."""
        text = "".join(message_line(one) + "\n" for one in messages)
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._out.write(text)
            self._out.flush()
