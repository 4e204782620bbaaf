"""Faults of final responses: promised data sets, matches on Success, undefined statuses, farewells, C-GET alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Refuse, Release, Request, Response
from dicomove.testing.faults.responses import FinalStatus


@dataclass(frozen=True)
class PromisesDataSet(Fault):
    """The final response announces a data set that never comes; DCMTK waits for it without end."""

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
    """The PACS moves everything, and answers with a status that no table defines.

    Parameters
    ----------
    status
        The DIMSE Status.
    """

    status: int = 0x1234


@dataclass(frozen=True)
class UndefinedFindStatus(UndefinedStatus):
    """C-FIND gives its matches, and ends with a status that no table defines."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)


@dataclass(frozen=True)
class CrossesRequests(Fault):
    """The PACS releases an association that was used before at the moment in which the next request comes."""

    commands: ClassVar[tuple[str, ...]] = ("C-ECHO", "C-FIND", "C-MOVE", "C-GET")

    def on_request(self, request: Request) -> None:
        if request.earlier:
            raise Release


@dataclass(frozen=True)
class _Get(Fault):
    commands: ClassVar[tuple[str, ...]] = ("C-GET",)


@dataclass(frozen=True)
class RefusesGet(_Get):
    """The PACS offers C-GET, and answers it with 0xA900."""

    def on_request(self, request: Request) -> None:
        raise Refuse(0xA900, "Identifier does not match SOP class")


@dataclass(frozen=True)
class GetSendsSome(_Get):
    """C-GET counts all instances as completed, and sends every second one: Success.

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
