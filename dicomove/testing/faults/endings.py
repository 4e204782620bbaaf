"""Faults that end an exchange: associations that are rejected, aborted, closed, silent or released; final responses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from dicomove.testing.faults.base import (
    Abort,
    Close,
    Die,
    Fault,
    FindFault,
    Refuse,
    Reject,
    Release,
    Request,
    Response,
    Vanish,
)


@dataclass(frozen=True)
class RejectsAssociation(Fault):
    """The PACS rejects every association (PS3.8 Table 9-21).

    The default is the answer of dcm4chee and dcmqrscp to an unknown AE title: permanent, service-user, calling AE title
    not recognised.

    Parameters
    ----------
    result
        1 permanent, 2 transient.
    source
        1 service-user, 2 service-provider (ACSE), 3 service-provider (presentation).
    reason
        By source: 1/3 calling AE title, 1/7 called AE title, 1/2 application context, 2/2 protocol version,
        3/1 temporary congestion, 3/2 local limit exceeded.
    """

    result: int = 1
    source: int = 1
    reason: int = 3

    def on_association(self, open_associations: int) -> None:
        raise Reject(self.result, self.source, self.reason)


@dataclass(frozen=True)
class LimitsAssociations(Fault):
    """The PACS accepts only a few associations at a time and rejects the next one: transient, local limit exceeded.

    dcmqrscp has MaxAssociations, pynetdicom rejects from the eleventh on (pynetdicom#629), and hospital PACS have a
    limit per calling AE title (dcm4che#373).

    Parameters
    ----------
    limit
        Associations at the same time.
    """

    limit: int = 1

    def on_association(self, open_associations: int) -> None:
        if open_associations >= self.limit:
            raise Reject(2, 3, 2)


@dataclass(frozen=True)
class AbortsAssociation(Fault):
    """The PACS answers A-ASSOCIATE-RQ with A-ABORT, as pynetdicom does for malformed AE titles (pynetdicom#646)."""

    def on_association(self, open_associations: int) -> None:
        raise Abort


@dataclass(frozen=True)
class SilentAssociation(Fault):
    """The port is open, but never answers: an overloaded PACS, or a load balancer without a PACS behind it."""

    def on_association(self, open_associations: int) -> None:
        raise Vanish


@dataclass(frozen=True)
class _EndsAt(Fault):
    """The association ends instead of the n-th response.

    Parameters
    ----------
    response
        The number n, from 1.
    """

    response: int = 1
    commands: ClassVar[tuple[str, ...]] = ("C-MOVE", "C-GET")

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        if response.number >= self.response:
            raise self._end()
        return [response]

    def _end(self) -> Exception:
        raise NotImplementedError


@dataclass(frozen=True)
class AbortsAtResponse(_EndsAt):
    """The PACS sends A-ABORT instead of the n-th response; GE does so about 20 s after a C-CANCEL (ADIT's comments)."""

    def _end(self) -> Exception:
        return Abort()


@dataclass(frozen=True)
class ClosesAtResponse(_EndsAt):
    """The PACS closes the connection instead of the n-th response.

    Orthanc does so, before any response, if the calling AE title is not allowed to send the request.
    """

    def _end(self) -> Exception:
        return Close()


@dataclass(frozen=True)
class ResetsAtResponse(_EndsAt):
    """The connection is reset (RST) instead of the n-th response: a crashed process, a firewall's timeout."""

    def _end(self) -> Exception:
        return Close(reset=True)


@dataclass(frozen=True)
class VanishesAtResponse(_EndsAt):
    """The PACS sends neither the n-th response nor a FIN: a pulled cable, or a firewall that dropped the connection."""

    def _end(self) -> Exception:
        return Vanish()


@dataclass(frozen=True)
class Hangs(Fault):
    """The PACS accepts the request and never answers, like Dicoogle before 2024-12 (dicoogle#710)."""

    def on_request(self, request: Request) -> None:
        raise Vanish


@dataclass(frozen=True)
class HangsAtFind(FindFault):
    """The PACS never answers a C-FIND."""

    def on_request(self, request: Request) -> None:
        raise Vanish


@dataclass(frozen=True)
class Dies(_EndsAt):
    """The PACS dies instead of the n-th response: every connection ends, and its port is closed until it is back.

    Parameters
    ----------
    response
        The number n, from 1.
    back_after_s
        Seconds until it listens again; ``None`` means never.
    """

    back_after_s: float | None = 0.5

    def _end(self) -> Exception:
        return Die(self.back_after_s)


@dataclass(frozen=True)
class Answers(Fault):
    """The PACS answers with this status, and does nothing.

    Every status of PS3.4 C.4.2.1.5 and PS3.7 Annex C is possible. Orthanc answers 0xC000 for most problems, Conquest
    0xC004 if it finds nothing, dcm4chee 0xC801 if it does not know the destination.

    Parameters
    ----------
    status
        The DIMSE Status.
    comment
        The Error Comment.
    """

    status: int = 0xC000
    comment: str = ""

    def on_request(self, request: Request) -> None:
        raise Refuse(self.status, self.comment)


@dataclass(frozen=True)
class AnswersFind(Answers):
    """The PACS answers C-FIND with this status, and does nothing."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)


@dataclass(frozen=True)
class FinalStatus(Fault):
    """The PACS moves everything, and then answers with this status: Orthanc answers 0xC000 after a partial delivery.

    Parameters
    ----------
    status
        The DIMSE Status.
    """

    status: int = 0xC000

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, status=self.status) if response.final else response]


@dataclass(frozen=True)
class UnknownDestination(Fault):
    """The PACS does not know the Move Destination: 0xA801. This is the most common fault (pynetdicom#358)."""

    def on_request(self, request: Request) -> None:
        raise Refuse(0xA801, "Move Destination unknown")


@dataclass(frozen=True)
class OutOfResources(Fault):
    """The PACS cannot perform sub-operations now, for example because it has no free association (pynetdicom#732)."""

    def on_request(self, request: Request) -> None:
        raise Refuse(0xA702, "Out of resources")


@dataclass(frozen=True)
class PromisesDataSet(Fault):
    """The final response announces a data set that never comes; DCMTK waits for it for ever."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, without_data=response.final)]


@dataclass(frozen=True)
class FindPromisesDataSet(PromisesDataSet):
    """The final response of C-FIND announces a data set that never comes."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)


@dataclass(frozen=True)
class MatchOnSuccess(FindFault):
    """The last match of a C-FIND comes with the final response, Success, instead of a pending one."""

    match_on_success: ClassVar[bool] = True


@dataclass(frozen=True)
class UndefinedStatus(FinalStatus):
    """The PACS moves everything, and answers with an undefined status.

    Parameters
    ----------
    status
        The DIMSE Status.
    """

    status: int = 0x1234


@dataclass(frozen=True)
class UndefinedFindStatus(UndefinedStatus):
    """C-FIND gives its matches, and ends with an undefined status."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)


@dataclass(frozen=True)
class CrossesRequests(Fault):
    """The PACS releases an association at the moment when the second request over it comes."""

    commands: ClassVar[tuple[str, ...]] = ("C-ECHO", "C-FIND", "C-MOVE", "C-GET")

    def on_request(self, request: Request) -> None:
        if request.earlier:
            raise Release


@dataclass(frozen=True)
class RefusesGet(Fault):
    """The PACS offers C-GET, but answers it with 0xA900."""

    commands: ClassVar[tuple[str, ...]] = ("C-GET",)

    def on_request(self, request: Request) -> None:
        raise Refuse(0xA900, "Identifier does not match SOP class")
