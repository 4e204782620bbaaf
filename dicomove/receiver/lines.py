"""The lines between the caller's process and the receiver's, as JSON: requests, answers and news."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from dicomove.receiver.api import (
    CancelGet,
    EndRun,
    Expect,
    Flush,
    Get,
    Held,
    OtherPatients,
    Request,
    RowId,
    Settle,
)


@dataclass(frozen=True, slots=True)
class Ready:
    """The process listens, at this port; 0 where it listens at none."""

    port: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The process did not start, and why."""

    text: str


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What has come since it was told last.

    Attributes
    ----------
    rows
        Run, position, instances and bytes of each row in flight for which something came.
    refused
        Peers that were turned away (the fields of `Refusal`), each with the number of its connections.
    unrequested
        Instances that no row had asked for.
    counts
        Number and counts of each C-GET that goes on.
    """

    rows: Sequence[tuple[int, int, int, int]]
    refused: Sequence[tuple[Sequence[str], int]]
    unrequested: int
    counts: Sequence[tuple[int, Mapping[str, Any]]] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request, as JSON has it, or why there is none."""

    number: int
    answer: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Quit:
    """End, after all that has come is durable."""


Told = Ready | Failed | Logged | Progress | Answered

_REQUESTS: Final = {
    kind.__name__: kind for kind in (Expect, Settle, Held, OtherPatients, Flush, EndRun, Get, CancelGet)
}
_TOLD: Final = {kind.__name__: kind for kind in (Ready, Failed, Logged, Progress, Answered)}


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


def told_line(told: Told) -> str:
    """Return what the process tells as one line."""
    return json.dumps([type(told).__name__, told], default=_fields)


def read_told(line: str) -> Told:
    """Return what the process tells.

    Raises
    ------
    ValueError
        The line was broken off.
    """
    kind, values = json.loads(line)
    told: Told = _TOLD[kind](**values)
    return told


def _fields(message: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, for JSON."""
    return {field.name: getattr(message, field.name) for field in fields(message)}
