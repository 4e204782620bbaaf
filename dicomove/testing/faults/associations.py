"""Faults of the association: rejected, aborted, closed, silent, limited, restarted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dicomove.testing.faults.base import Abort, Close, Die, Fault, Reject, Request, Response, Vanish


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
class HangsAtFind(Fault):
    """The PACS never answers a C-FIND."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)

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
class SmallPdus(Fault):
    """The PACS receives PDUs of at most 4 KiB, like some old archives.

    Parameters
    ----------
    length
        The largest PDU in bytes.
    """

    length: int = 4096

    def max_pdu_length(self) -> int | None:
        return self.length
