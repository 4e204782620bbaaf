"""The base of all faults: a fault sees requests, matches, instances and responses, and changes or ends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from pydicom import Dataset

from dicomove.dimse.associate import AssociateRequest
from dicomove.outcome import category
from dicomove.testing.archive import Archive, Instance


@dataclass(frozen=True, slots=True)
class Request:
    """A request, for a fault.

    Attributes
    ----------
    command
        ``"C-ECHO"``, ``"C-FIND"``, ``"C-MOVE"`` or ``"C-GET"``.
    level, query_model
        The level and the query model of the identifier; empty for C-ECHO.
    keys
        The keys of the identifier, as text; a backslash joins several values.
    attempt
        1 for the first request of this command with these keys, 2 for the next.
    archive
        The archive of the PACS.
    keywords
        The keywords of the identifier's elements, also of those without a value.
    earlier
        The number of requests before it over the same association.
    """

    command: str
    level: str
    query_model: str
    keys: Mapping[str, str]
    attempt: int
    archive: Archive = field(repr=False)
    keywords: tuple[str, ...] = field(default=(), repr=False)
    earlier: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response before it is sent.

    Attributes
    ----------
    status
        The DIMSE Status.
    number
        1 for the first response to its request, 2 for the next.
    completed, failed, warning, remaining
        Counts; ``None`` leaves the element out, ``-1`` sends it without a value.
    failed_uids
        The Failed SOP Instance UID List; ``None`` leaves it out.
    comment
        The Error Comment.
    match
        The identifier of a C-FIND's match.
    data
        Bytes to send instead of an identifier.
    message_id_shift
        A number to add to the Message ID of the response.
    without_data
        Whether to announce an identifier without sending it.
    """

    status: int
    number: int = 0
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    failed_uids: tuple[str, ...] | None = None
    comment: str = ""
    match: Dataset | None = field(default=None, repr=False)
    data: bytes | None = None
    message_id_shift: int = 0
    without_data: bool = False

    @property
    def final(self) -> bool:
        """Whether it is the final response."""
        return category(self.status) != "pending"


class Refuse(Exception):  # noqa: N818 (an order, not an error)
    """Answer the request with this status, and do nothing else."""

    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__(f"0x{status:04X}")
        self.status, self.comment = status, comment


class Reject(Exception):  # noqa: N818 (an order, not an error)
    """Answer A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"{result}/{source}/{reason}")
        self.result, self.source, self.reason = result, source, reason


class SendBytes(Exception):  # noqa: N818 (an order, not an error)
    """Send these bytes instead of an answer to A-ASSOCIATE-RQ, and close."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"{len(data)} bytes")
        self.data = data


class Release(Exception):  # noqa: N818 (an order, not an error)
    """Release the association instead of an answer."""


class Abort(Exception):  # noqa: N818 (an order, not an error)
    """Send A-ABORT."""


class Close(Exception):  # noqa: N818 (an order, not an error)
    """End the TCP connection: with a FIN, or with a RST."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("reset" if reset else "close")
        self.reset = reset


class Vanish(Exception):  # noqa: N818 (an order, not an error)
    """Send nothing more, and leave the connection open, like a pulled cable."""


class Die(Exception):  # noqa: N818 (an order, not an error)
    """End every connection and the listener, and come back later at the same port."""

    def __init__(self, back_after_s: float | None) -> None:
        super().__init__(f"back after {back_after_s} s")
        self.back_after_s = back_after_s


@dataclass(frozen=True)
class Fault:
    """A PACS without a fault. Each fault overrides one of the ``on_`` methods.

    Parameters
    ----------
    studies
        It affects only requests with one of these values among their unique keys; empty means all requests.
    attempts
        It affects only this number of attempts with the same identifier; ``None`` means all attempts.
    probability
        The probability for each request, from 0 to 1. The seed of the PACS decides.
    """

    _: KW_ONLY
    studies: tuple[str, ...] = ()
    attempts: int | None = None
    probability: float = 1.0

    #: The commands that it affects.
    commands: ClassVar[tuple[str, ...]] = ("C-MOVE", "C-GET")
    #: Answer first, and store afterwards.
    final_first: ClassVar[bool] = False
    #: Store each instance over a separate association.
    association_per_instance: ClassVar[bool] = False
    #: Send the last match of a C-FIND with the final response.
    match_on_success: ClassVar[bool] = False
    #: Speak TLS if there is a certificate.
    speaks_tls: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Its name in the shell: ``no-pendings`` for ``NoPendings``."""
        return "".join(f"-{char.lower()}" if char.isupper() else char for char in type(self).__name__).strip("-")

    def concerns(self, request: Request) -> bool:
        """Whether it affects this request."""
        named = not self.studies or bool(set(self.studies) & set(request.keys.values()))
        return named and request.command in self.commands and request.attempt <= (self.attempts or request.attempt)

    def on_association(self, open_associations: int) -> None:
        """See a requested association; raise `Reject`, `Abort`, `Close`, `SendBytes` or `Vanish`."""

    def on_associate(self, request: AssociateRequest | None, sent: bytes) -> bytes:
        """Change the bytes of A-ASSOCIATE-AC to a request, or without one, of A-ASSOCIATE-RQ to a destination."""
        return sent

    def on_request(self, request: Request) -> None:
        """See a request; raise `Refuse`, `Abort`, `Release`, `Close`, `Vanish` or `Die`, or take time."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        """Change the identifier of a C-FIND in place before it is matched."""

    def most_matches(self, request: Request) -> int | None:
        """Return the largest number of matches that a C-FIND looks up; ``None`` for all."""
        return None

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        """Change the answers of a C-FIND."""
        return matches

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        """Change the instances that a C-MOVE moves."""
        return instances

    def on_store(self, request: Request, instance: Instance) -> Sequence[Instance]:
        """Return the instances to send instead of an instance; an empty list counts as stored."""
        return [instance]

    def on_stored(self, request: Request, instance: Instance, status: int) -> int:
        """Change the status that counts for a C-STORE."""
        return status

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        """Change a response, drop it, add more; raise `Abort`, `Close`, `Vanish` or `Die`."""
        return [response]

    def on_cancel(self, request: Request) -> bool:
        """See a C-CANCEL; return whether the PACS honours it."""
        return True

    def max_pdu_length(self) -> int | None:
        """Return the longest PDU that the PACS receives; ``None`` leaves the choice to the PACS."""
        return None


@dataclass(frozen=True)
class FindFault(Fault):
    """A fault of C-FIND alone."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)
