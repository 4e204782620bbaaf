"""Faults of final responses: statuses, announced data sets, matches on Success, early releases, C-GET alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Refuse, Release, Request, Response


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
class MatchOnSuccess(Fault):
    """The last match of a C-FIND comes with the final response, Success, instead of a pending one."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)
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
class _Get(Fault):
    commands: ClassVar[tuple[str, ...]] = ("C-GET",)


@dataclass(frozen=True)
class RefusesGet(_Get):
    """The PACS offers C-GET, but answers it with 0xA900."""

    def on_request(self, request: Request) -> None:
        raise Refuse(0xA900, "Identifier does not match SOP class")


@dataclass(frozen=True)
class GetSendsSome(_Get):
    """C-GET sends only every second instance, but counts all as completed and answers Success.

    Parameters
    ----------
    every
        2 to leave out every second instance, 3 for every third, and so on.
    """

    every: int = 2

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [] if int(instance.sop_instance_uid.rsplit(".", 1)[-1]) % self.every == 0 else [instance]


@dataclass(frozen=True)
class GetSendsNothing(_Get):
    """C-GET answers Success, without counts and without a C-STORE."""

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        return []

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, completed=None, failed=None, warning=None, remaining=None)]
