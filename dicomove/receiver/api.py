"""What can be asked of the receiver's process, and its answers: the same types at both ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

from dicomove.errors import AddressError
from dicomove.outcome.evidence import CountedBy, Refusal
from dicomove.pacs import Pacs
from dicomove.tls import TLS

Answer = TypeVar("Answer")

#: The arguments of `Pacs` that are told; the user is told by itself.
_PACS: Final = (
    *("address", "called_ae_title", "calling_ae_title", "max_pdu_length", "tls"),
    *("connect_timeout", "association_timeout", "idle_timeout", "first_response_timeout"),
)


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
    refusals, restarted
        Since the row began: peers that were turned away, and how often; whether the receiver's process died.
    counted_by
        Whether the receiver counted what it holds, or another archive that was asked, which tells no sizes.
    """

    arrivals: int = 0
    dispositions: Mapping[str, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    strays: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    others: tuple[OtherPatient, ...] = ()
    refusals: Mapping[Refusal, int] = field(default_factory=dict)
    restarted: bool = False
    counted_by: CountedBy = "receiver"

    @property
    def bytes(self) -> int | None:
        """The size of what is on disk; ``None`` at another archive."""
        return sum(self.held.values()) if self.counted_by == "receiver" else None


class Request(ABC, Generic[Answer]):
    """A request to the process: a frozen dataclass, which knows the type of its answer."""

    __slots__ = ()

    @abstractmethod
    def put_to(self, api: ReceiverApi) -> Answer:
        """Ask it at the other end."""

    def is_quick(self, api: ReceiverApi) -> bool:
        """Return whether it is answered without a wait, so that it needs no thread of its own."""
        del api
        return False

    @staticmethod
    def read(told: Any) -> Any:
        """Return the answer from its JSON."""
        return told


@dataclass(frozen=True, slots=True)
class Expect(Request[None]):
    """Open a row: its PACS may connect from these addresses, and the instances of these keys are counted.

    Attributes
    ----------
    cells
        What the row has in the columns that the path of its instances names.
    patients
        Instances with another PatientID altogether than these are not the row's; none, where any PatientID may come.
    """

    row: RowId
    keys: Mapping[str, str]
    addresses: Sequence[str]
    cells: Mapping[str, str] = field(default_factory=dict, repr=False)
    patients: Sequence[str] = field(default=(), repr=False)

    def put_to(self, api: ReceiverApi) -> None:
        api.expect(self)

    def is_quick(self, api: ReceiverApi) -> bool:
        del api
        return True


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
    patients: Sequence[str] = field(repr=False)
    enough: int | None
    quiet: float
    linger: float

    def put_to(self, api: ReceiverApi) -> Settled:
        return api.settle(self)

    def is_quick(self, api: ReceiverApi) -> bool:
        return api.settles_at_once(self)

    @staticmethod
    def read(told: Any) -> Settled:
        return Settled(**{**told, "others": tuple(OtherPatient(**one) for one in told["others"])})


@dataclass(frozen=True, slots=True)
class Held(Request[dict[str, int]]):
    """Tell what is on disk of these keys, and of these patients, if any; `read_bytes` compares it with the index."""

    keys: Mapping[str, str]
    read_bytes: bool = False
    patients: Sequence[str] = field(default=(), repr=False)

    def put_to(self, api: ReceiverApi) -> dict[str, int]:
        return api.held(self.keys, self.patients, read=self.read_bytes)


@dataclass(frozen=True, slots=True)
class OtherPatients(Request[tuple[OtherPatient, ...]]):
    """Tell what is on disk of these keys with another PatientID than these."""

    keys: Mapping[str, str]
    patients: Sequence[str] = field(repr=False)

    def put_to(self, api: ReceiverApi) -> tuple[OtherPatient, ...]:
        return api.other_patients(self.keys, self.patients)

    @staticmethod
    def read(told: Any) -> tuple[OtherPatient, ...]:
        return tuple(OtherPatient(**one) for one in told)


@dataclass(frozen=True, slots=True)
class Flush(Request[str | None]):
    """Make all durable that has come; tell what prevents it, if anything does."""

    seconds: float

    def put_to(self, api: ReceiverApi) -> str | None:
        return api.flush(self.seconds)


@dataclass(frozen=True, slots=True)
class EndRun(Request[None]):
    """Forget the rows of a run."""

    run: int

    def put_to(self, api: ReceiverApi) -> None:
        api.end_run(self.run)


@dataclass(frozen=True, slots=True)
class GetEnd:
    """How a C-GET ended.

    Attributes
    ----------
    status, counts, failed_sop_instance_uids, error_comment
        Of the final response, or the latest counts, by the names of `Counts`.
    problem, detail, permanent
        The word and the text of the error that ended it.
    sent, cancelled
        Whether C-GET and C-CANCEL were sent.
    was_begun
        Whether it was begun before it was cancelled.
    """

    status: int | None
    counts: Mapping[str, Any]
    failed_sop_instance_uids: tuple[str, ...]
    error_comment: str | None
    problem: str | None
    detail: str
    permanent: bool
    sent: bool
    cancelled: bool
    was_begun: bool


@dataclass(frozen=True, slots=True)
class Get(Request[GetEnd]):
    """Retrieve with C-GET into the folder; the answer comes when that has ended.

    Attributes
    ----------
    number
        Of this C-GET: a row may have several at the same time.
    row
        The row, which is open.
    pacs
        The arguments of `Pacs`, without the user; `TLS` as its fields.
    identity
        Type, primary and secondary field of the user identity, the fields as base64.
    query_model, level, keys
        The identifier.
    sop_classes
        What to propose; none, where that is not known.
    total_timeout
        Seconds for the whole exchange.
    """

    number: int
    row: RowId
    pacs: Mapping[str, Any] = field(repr=False)
    identity: Sequence[Any] | None = field(repr=False)
    query_model: str
    level: str
    keys: Mapping[str, str] = field(repr=False)
    sop_classes: Sequence[str]
    total_timeout: float | None

    @classmethod
    def of(cls, number: int, pacs: Pacs, row: RowId, identifier: Mapping[str, Any], **more: Any) -> Self:
        """Return the request for a PACS.

        Raises
        ------
        AddressError
            `Pacs` has an `ssl.SSLContext`, which cannot be told to another process.
        """
        if pacs.tls is not None and not isinstance(pacs.tls, TLS):
            message = "tls: an ssl.SSLContext cannot be sent to the receiver's process: give Pacs(tls=TLS(...))"
            raise AddressError(message)
        values = {name: getattr(pacs, name) for name in _PACS if name != "tls"}
        values["tls"] = None if pacs.tls is None else pacs.tls.with_password()
        user = pacs.identity()
        told = None if user is None else [user[0], *(b64encode(part).decode() for part in user[1:])]
        return cls(number, row, values, told, **identifier, **more)

    def pacs_values(self) -> dict[str, Any]:
        """Return the arguments of `Pacs`."""
        tls = self.pacs["tls"]
        return {**self.pacs, "tls": None if tls is None else TLS(**tls)}

    def user(self) -> tuple[int, bytes, bytes] | None:
        """Return the user identity, as `Pacs.identity` does."""
        if self.identity is None:
            return None
        kind, first, second = self.identity
        return int(kind), b64decode(first), b64decode(second)

    def put_to(self, api: ReceiverApi) -> GetEnd:
        return api.get(self)

    @staticmethod
    def read(told: Any) -> GetEnd:
        return GetEnd(**{**told, "failed_sop_instance_uids": tuple(told["failed_sop_instance_uids"])})


@dataclass(frozen=True, slots=True)
class CancelGet(Request[None]):
    """Cancel a C-GET."""

    number: int

    def put_to(self, api: ReceiverApi) -> None:
        api.cancel_get(self.number)


class ReceiverApi(Protocol):
    """What the process does when it is asked."""

    def get(self, request: Get) -> GetEnd:
        """Retrieve with C-GET."""

    def cancel_get(self, number: int) -> None:
        """Cancel a C-GET."""

    def expect(self, request: Expect) -> None:
        """Open a row."""

    def settle(self, request: Settle) -> Settled:
        """Wait for stragglers, and return what there is of a row."""

    def settles_at_once(self, request: Settle) -> bool:
        """Return whether a row has all that is waited for."""

    def held(self, keys: Mapping[str, str], patients: Sequence[str], *, read: bool) -> dict[str, int]:
        """Return what is on disk of these keys, and not of altogether other patients: SOP Instance UIDs and sizes."""

    def other_patients(self, keys: Mapping[str, str], patients: Sequence[str]) -> tuple[OtherPatient, ...]:
        """Return what is on disk of these keys with another PatientID than these."""

    def flush(self, seconds: float) -> str | None:
        """Make all durable, or return what prevents it."""

    def end_run(self, run: int) -> None:
        """Forget the rows of a run."""
