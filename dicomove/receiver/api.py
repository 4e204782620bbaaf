"""The requests to the receiver's process, and its answers: the same types in both processes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from dicomove.errors import AddressError
from dicomove.outcome.evidence import CountedBy, Counts, Refusal
from dicomove.outcome.patients import stripped
from dicomove.pacs import Pacs
from dicomove.tls import TLS, lost_credentials

Answer = TypeVar("Answer")

#: The arguments of `Pacs` in a request; the user identity is a field of its own.
_PACS: Final = (
    *("address", "called_ae_title", "calling_ae_title", "max_pdu_length", "tls"),
    *("connect_timeout", "association_timeout", "idle_timeout", "first_response_timeout"),
)


class RowId(NamedTuple):
    """Identifies a row: its run at this receiver, and its position in the run."""

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
        How the PatientID differs, without the two values.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    difference: str


@dataclass(frozen=True, slots=True)
class ReceivedRow:
    """The instances of a row at the receiver, or at another archive.

    Attributes
    ----------
    arrivals, dispositions
        The number of instances that came, repeated ones included, in all and of each disposition (``stored``, ...).
    aside, without_row
        For instances in quarantine, of this row and without a row: the reasons with numbers of instances.
    held
        The instances on disk, by SOP Instance UID, with their sizes.
    others
        The instances that have another PatientID than the row, on disk or in quarantine.
    refusals, restarted
        Since the row began: refused peers, with the number of their connections; whether the process died.
    remarks
        For instances on disk: what a user should know of them, with numbers of instances.
    counted_by
        The receiver, or another archive, which does not give sizes.
    """

    arrivals: int = 0
    dispositions: Mapping[str, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    without_row: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    others: tuple[OtherPatient, ...] = ()
    refusals: Mapping[Refusal, int] = field(default_factory=dict)
    restarted: bool = False
    remarks: Mapping[str, int] = field(default_factory=dict)
    counted_by: CountedBy = "receiver"

    @property
    def bytes(self) -> int | None:
        """The bytes on disk; ``None`` for another archive."""
        return sum(self.held.values()) if self.counted_by == "receiver" else None


class Request(Generic[Answer]):
    """A request to the receiver's process: a frozen dataclass that knows the type of its answer."""

    __slots__ = ()

    @staticmethod
    def read(answer: Any) -> Any:
        """Return the answer from its JSON."""
        return answer


@dataclass(frozen=True, slots=True)
class Expect(Request[None]):
    """Open a row: its PACS may connect from these addresses, and instances with these keys are counted.

    Attributes
    ----------
    cells
        The row's values of the columns in the path.
    patients
        Instances with an altogether different PatientID do not belong to the row. Empty if any PatientID may come.
    """

    row: RowId
    keys: Mapping[str, str]
    addresses: Sequence[str]
    cells: Mapping[str, str] = field(default_factory=dict, repr=False)
    patients: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class AwaitArrivals(Request[ReceivedRow]):
    """Wait until enough instances have come for a row, or for a quiet period; the answer has its instances.

    Attributes
    ----------
    patients
        The PatientIDs of the row: the answer lists instances with another one.
    enough
        The number of instances that ends the wait; ``None`` if it is unknown.
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

    @staticmethod
    def read(answer: Any) -> ReceivedRow:
        return ReceivedRow(**{**answer, "others": tuple(OtherPatient(**one) for one in answer["others"])})


@dataclass(frozen=True, slots=True)
class Held(Request[dict[str, int]]):
    """Ask for the instances on disk with these keys and patients. `read_bytes` compares their bytes with the index."""

    keys: Mapping[str, str]
    read_bytes: bool = False
    patients: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class OtherPatients(Request[tuple[OtherPatient, ...]]):
    """Ask for the instances on disk with these keys and another PatientID than these."""

    keys: Mapping[str, str]
    patients: Sequence[str] = field(repr=False)

    @staticmethod
    def read(answer: Any) -> tuple[OtherPatient, ...]:
        return tuple(OtherPatient(**one) for one in answer)


@dataclass(frozen=True, slots=True)
class LostFile:
    """A file that came, and could not be made durable: it is gone.

    Attributes
    ----------
    keys
        The unique keys of its instance; none if it was in quarantine.
    problem
        The reason.
    """

    keys: Mapping[str, str] = field(repr=False)
    problem: str

    def is_of(self, keys: Mapping[str, str]) -> bool:
        """Whether it belongs to the row with these unique keys."""
        return all(self.keys.get(name) == stripped(value) for name, value in keys.items())


@dataclass(frozen=True, slots=True)
class Durability:
    """Whether all arrivals are on the disk.

    Attributes
    ----------
    problem
        The reason why they are not, or may not be.
    lost
        The files that are gone.
    is_late
        Whether the receiver goes on trying, for example until the disk has room for the record.
    """

    problem: str | None = None
    lost: tuple[LostFile, ...] = ()
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Flush(Request[Durability]):
    """Make all arrivals durable. `forgets`: losses are not reported again, unless a run goes on."""

    seconds: float
    forgets: bool = False

    @staticmethod
    def read(answer: Any) -> Durability:
        return Durability(answer["problem"], tuple(LostFile(**one) for one in answer["lost"]), answer["is_late"])


@dataclass(frozen=True, slots=True)
class EndRun(Request[None]):
    """Forget the rows of a run."""

    run: int


@dataclass(frozen=True, slots=True)
class GetEnd:
    """The end of a C-GET.

    Attributes
    ----------
    status, counts, failed_sop_instance_uids, error_comment
        From the final response; the counts are the latest ones.
    problem, detail, permanent
        The error that ended it.
    sent, cancelled
        Whether C-GET and C-CANCEL were sent.
    was_begun
        Whether it began before it was cancelled.
    """

    status: int | None = None
    counts: Counts = field(default_factory=Counts)
    failed_sop_instance_uids: tuple[str, ...] = ()
    error_comment: str | None = None
    problem: str | None = None
    detail: str = ""
    permanent: bool = False
    sent: bool = False
    cancelled: bool = False
    was_begun: bool = True


def gone_end(error: AddressError) -> GetEnd:
    """Return the end of a C-GET whose certificates or passcode are gone since the run began."""
    return GetEnd(problem=lost_credentials(error).error, detail=str(error))


@dataclass(frozen=True, slots=True)
class Get(Request[GetEnd]):
    """Retrieve with C-GET into the folder; the answer comes after its end.

    Attributes
    ----------
    number
        The number of this C-GET: a row may have several at the same time.
    row
        The row, which is open.
    pacs
        The arguments of `Pacs`, without the user; `TLS` as its fields.
    identity
        Type, primary and secondary field of the user identity, the fields as base64.
    query_model, level, keys
        The identifier.
    sop_classes
        The SOP classes to propose; empty if they are unknown.
    total_timeout
        Seconds for the whole exchange.
    expected
        The number of instances, which may be old; ``None`` if it is unknown. If the final response has no counts, the
        wait for later instances is short once so many have come.
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
    expected: int | None = None

    @classmethod
    def of(cls, number: int, pacs: Pacs, row: RowId, identifier: Mapping[str, Any], **more: Any) -> Self:
        """Return the request for a PACS.

        Raises
        ------
        AddressError
            `Pacs` has an `ssl.SSLContext`, which cannot be sent to another process.
        """
        if pacs.tls is not None and not isinstance(pacs.tls, TLS):
            message = "tls: an ssl.SSLContext cannot be sent to the receiver's process: give Pacs(tls=TLS(...))"
            raise AddressError(message)
        values = {name: getattr(pacs, name) for name in _PACS if name != "tls"}
        values["tls"] = None if pacs.tls is None else pacs.tls.with_password()
        user = pacs.identity()
        identity = None if user is None else [user[0], *(b64encode(part).decode() for part in user[1:])]
        return cls(number, row, values, identity, **identifier, **more)

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

    @staticmethod
    def read(answer: Any) -> GetEnd:
        failed, counts = tuple(answer["failed_sop_instance_uids"]), Counts(**answer["counts"])
        return GetEnd(**{**answer, "failed_sop_instance_uids": failed, "counts": counts})


@dataclass(frozen=True, slots=True)
class CancelGet(Request[None]):
    """Cancel a C-GET."""

    number: int
