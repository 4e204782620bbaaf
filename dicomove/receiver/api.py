"""What can be asked of the receiver's process, and what it tells by itself: the same types at both ends, as JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from dicomove.outcome.evidence import Refusal

Answer = TypeVar("Answer")


class RowId(NamedTuple):
    """A row in flight: the run at this receiver, and the row's position in it."""

    run: int
    position: int


@dataclass(frozen=True, slots=True)
class OtherPatient:
    """An instance that has another PatientID than the row.

    Attributes
    ----------
    study_instance_uid, series_instance_uid, sop_instance_uid
        Its UIDs.
    difference
        In what the PatientID differs; neither of the two is told.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    difference: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What there is of a row.

    Attributes
    ----------
    arrivals
        Instances that came for it, also twice.
    dispositions
        How many of each disposition: ``stored``, ``duplicate``, ``replaced``, ``kept_both``, ``differs``, ``damaged``,
        ``refused``, ``unrequested``.
    aside, strays
        Why instances are in quarantine that came for it, or that came meanwhile for no row: how many for each reason.
    held
        The instances on disk, by SOP Instance UID, with their sizes.
    others
        The instances that have another PatientID than the row, on disk or in quarantine.
    refusals
        Peers that were turned away since the row began, with the number of their connections.
    restarted
        Whether the receiver's process died since the row began: for a moment, the PACS found no receiver.
    """

    arrivals: int = 0
    dispositions: Mapping[str, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    strays: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    others: tuple[OtherPatient, ...] = ()
    refusals: Mapping[Refusal, int] = field(default_factory=dict)
    restarted: bool = False

    @property
    def bytes(self) -> int:
        """The size of what is on disk."""
        return sum(self.held.values())


class Request(ABC, Generic[Answer]):
    """A request to the process: a frozen dataclass, which knows the type of its answer."""

    __slots__ = ()

    @abstractmethod
    def put_to(self, api: ReceiverApi) -> Answer:
        """Ask it at the other end."""

    @staticmethod
    def read(told: Any) -> Any:
        """Return the answer from its JSON."""
        return told


@dataclass(frozen=True, slots=True)
class Expect(Request[None]):
    """Open a row: its PACS may connect from these addresses, and the instances of these keys are counted."""

    row: RowId
    keys: Mapping[str, str]
    addresses: Sequence[str]

    def put_to(self, api: ReceiverApi) -> None:
        """Ask it at the other end."""
        api.expect(self)


@dataclass(frozen=True, slots=True)
class Settle(Request[Settled]):
    """Wait until so many instances have come for a row, or for a quiet period, and tell what there is of it.

    Attributes
    ----------
    patients
        The PatientIDs that the row names: instances with another one are named.
    enough
        Instances after which there is nothing to wait for; ``None`` where that is not known.
    quiet
        Seconds without an arrival.
    linger
        Seconds for which the PACS may still connect.
    """

    row: RowId
    addresses: Sequence[str]
    patients: Sequence[str]
    enough: int | None
    quiet: float
    linger: float

    def put_to(self, api: ReceiverApi) -> Settled:
        """Ask it at the other end."""
        return api.settle(self)

    @staticmethod
    def read(told: Any) -> Settled:
        """Return the answer from its JSON."""
        return Settled(**{**told, "others": tuple(OtherPatient(**one) for one in told["others"])})


@dataclass(frozen=True, slots=True)
class Held(Request[dict[str, int]]):
    """Tell what is on disk of these keys: SOP Instance UIDs and sizes; `read` compares the bytes with the index."""

    keys: Mapping[str, str]
    read_bytes: bool = False

    def put_to(self, api: ReceiverApi) -> dict[str, int]:
        """Ask it at the other end."""
        return api.held(self.keys, read=self.read_bytes)


@dataclass(frozen=True, slots=True)
class OtherPatients(Request[tuple[OtherPatient, ...]]):
    """Tell what is on disk of these keys with another PatientID than these."""

    keys: Mapping[str, str]
    patients: Sequence[str]

    def put_to(self, api: ReceiverApi) -> tuple[OtherPatient, ...]:
        """Ask it at the other end."""
        return api.other_patients(self.keys, self.patients)

    @staticmethod
    def read(told: Any) -> tuple[OtherPatient, ...]:
        """Return the answer from its JSON."""
        return tuple(OtherPatient(**one) for one in told)


@dataclass(frozen=True, slots=True)
class Flush(Request[str | None]):
    """Make all durable that has come; tell what prevents it, if anything does."""

    seconds: float

    def put_to(self, api: ReceiverApi) -> str | None:
        """Ask it at the other end."""
        return api.flush(self.seconds)


@dataclass(frozen=True, slots=True)
class EndRun(Request[None]):
    """Forget the rows of a run."""

    run: int

    def put_to(self, api: ReceiverApi) -> None:
        """Ask it at the other end."""
        api.end_run(self.run)


class ReceiverApi(Protocol):
    """What the process does when it is asked."""

    def expect(self, request: Expect) -> None:
        """Open a row."""

    def settle(self, request: Settle) -> Settled:
        """Wait for stragglers, and return what there is of a row."""

    def held(self, keys: Mapping[str, str], *, read: bool) -> dict[str, int]:
        """Return what is on disk of these keys: SOP Instance UIDs and sizes."""

    def other_patients(self, keys: Mapping[str, str], patients: Sequence[str]) -> tuple[OtherPatient, ...]:
        """Return what is on disk of these keys with another PatientID than these."""

    def flush(self, seconds: float) -> str | None:
        """Make all durable, or return what prevents it."""

    def end_run(self, run: int) -> None:
        """Forget the rows of a run."""


class Asks(Protocol):
    """The process as its users see it."""

    @property
    def pid(self) -> int:
        """The number of the process."""

    def ask(self, request: Request[Answer]) -> Answer:
        """Ask the process for something."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The process listens, at this port."""

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
    """

    rows: Sequence[tuple[int, int, int, int]]
    refused: Sequence[tuple[Sequence[str], int]]
    unrequested: int


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

_REQUESTS: Final = {kind.__name__: kind for kind in (Expect, Settle, Held, OtherPatients, Flush, EndRun)}
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
