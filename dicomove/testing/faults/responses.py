"""Faults of responses: missing or endless responses, false statuses, false or absent counts, false lists."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

from pydicom import Dataset

from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Refuse, Request, Response

_EMPTY_VALUE = -1
_PENDING = 0xFF00


@dataclass(frozen=True)
class NoPendings(Fault):
    """The PACS sends no pending responses, only the final one, however long it takes.

    PS3.4 C.4.2.3.1 allows this; dcm4chee sends one every five seconds. A client that waits 30 s for each response ends
    such a move too early (pynetdicom#825, #792).
    """

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [response] if response.final else []


@dataclass(frozen=True)
class PendingForever(Fault):
    """The PACS sends pending responses without end (dcm4che#199, #366).

    Parameters
    ----------
    interval_s
        Seconds between two responses.
    """

    interval_s: float = 0.05

    def on_response(self, request: Request, response: Response) -> Iterator[Response]:
        if not response.final:
            yield response
            return
        for _ in count():
            time.sleep(self.interval_s)
            yield replace(response, status=_PENDING, remaining=1, failed_uids=None, number=response.number)


@dataclass(frozen=True)
class FinalBeforeStores(Fault):
    """The PACS answers Success first, and sends the instances afterwards.

    Orthanc does so with SynchronousCMove=false, "typically encountered in hospital-wide PACS systems" (Orthanc Book).
    """

    commands: ClassVar[tuple[str, ...]] = ("C-MOVE",)
    final_first: ClassVar[bool] = True


@dataclass(frozen=True)
class SuccessWithNothingMoved(Fault):
    """The PACS answers Success with counts of zero for an existing study: overloaded IMPAX (ADIT's comments)."""

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        return []


@dataclass(frozen=True)
class SuccessWithAllFailed(Fault):
    """The PACS answers Success although every sub-operation failed: GE and Synapse (ADIT's comments)."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return []

    def on_stored(self, request: Request, instance: Instance, status: int) -> int:
        return 0xA700

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, status=0x0000) if response.final else response]


@dataclass(frozen=True)
class WarningWithAllFailed(SuccessWithAllFailed):
    """The PACS answers 0xB000 although every sub-operation failed."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, status=0xB000) if response.final else response]


@dataclass(frozen=True)
class FalseSuccess(Fault):
    """Counts and Status report success, but nothing was sent: Orthanc's asynchronous C-MOVE to a dead AE."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return []


@dataclass(frozen=True)
class SomeFail(Fault):
    """The destination refuses some instances because of their SOP class or transfer syntax (pynetdicom#926).

    Parameters
    ----------
    every
        2 for every second instance, 3 for every third, and so on.
    """

    every: int = 2

    def on_stored(self, request: Request, instance: Instance, status: int) -> int:
        return 0xA700 if self._hit(request, instance) else status

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [] if self._hit(request, instance) else [instance]

    def _hit(self, request: Request, instance: Instance) -> bool:
        return int(instance.sop_instance_uid[-3:].replace(".", "")) % self.every == 0


@dataclass(frozen=True)
class StoredWithWarnings(Fault):
    """The destination stores everything with a warning (coercion of data elements): the PACS answers 0xB000."""

    def on_stored(self, request: Request, instance: Instance, status: int) -> int:
        return 0xB000


@dataclass(frozen=True)
class NoCounts(Fault):
    """The PACS gives no counts in any response, like Dicoogle before 2024-12 (dicoogle#710)."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, completed=None, failed=None, warning=None, remaining=None)]


@dataclass(frozen=True)
class NoFinalCounts(Fault):
    """The PACS gives no counts in the final response."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        bare = replace(response, completed=None, failed=None, warning=None, remaining=None)
        return [bare if response.final else response]


@dataclass(frozen=True)
class NoZeroCounts(Fault):
    """The PACS leaves out counts of zero: dcm4chee-arc, which then answers "nothing matched" without any count."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [
            replace(
                response,
                completed=response.completed or None,
                failed=response.failed or None,
                warning=response.warning or None,
                remaining=response.remaining or None,
            )
        ]


@dataclass(frozen=True)
class EmptyCounts(Fault):
    """The PACS sends the elements of the counts without a value (stackoverflow 19547885)."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, completed=_EMPTY_VALUE, failed=_EMPTY_VALUE, warning=_EMPTY_VALUE)]


@dataclass(frozen=True)
class WrongCounts(Fault):
    """The final counts are too high or too low: 248 completed after about half was sent (stackoverflow 19547885).

    Parameters
    ----------
    completed
        A number to add to the count of completed instances.
    failed
        A number to add to the count of failed instances.
    """

    completed: int = -1
    failed: int = 0

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        if not response.final:
            return [response]
        completed = max(0, (response.completed or 0) + self.completed)
        return [replace(response, completed=completed, failed=(response.failed or 0) + self.failed)]


@dataclass(frozen=True)
class CountsOverflow(Fault):
    """A study has more than 65535 instances: counts have 16 bits, and start again at zero (PS3.7 E.1, VR US).

    The PACS claims that each study has 65536 more instances than it does, but counts without them.
    """

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            for keyword in ("NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"):
                if match.get(keyword) is not None:
                    setattr(match, keyword, int(match[keyword].value) + 65536)
        return matches


@dataclass(frozen=True)
class ZeroCountsOnFailure(Fault):
    """Some instances fail, and the PACS answers 0xC000 with all counts zero, although others arrived: Orthanc."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        bare = replace(response, status=0xC000, completed=0, failed=0, warning=0, failed_uids=None)
        return [bare if response.final else response]


@dataclass(frozen=True)
class NoFailedList(SomeFail):
    """Some instances fail, and the Failed SOP Instance UID List is absent."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, failed_uids=None)]


@dataclass(frozen=True)
class WrongFailedList(SomeFail):
    """Some instances fail, and the Failed SOP Instance UID List names other ones (dcm4che#804)."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, failed_uids=("1.2.3.4",)) if response.failed_uids else response]


@dataclass(frozen=True)
class RepeatedFailedList(SomeFail):
    """Some instances fail, and the Failed SOP Instance UID List repeats one of them (dcm4che#804)."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        repeated = response.failed_uids and response.failed_uids[:1] * 5
        return [replace(response, failed_uids=repeated)]


@dataclass(frozen=True)
class GarbledIdentifier(SomeFail):
    """Some instances fail, and the final response has an undecodable identifier (Philips MV300, DCMTK's dimmove.cc)."""

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, failed_uids=None, data=b"\x08\x00\x58") if response.final else response]


@dataclass(frozen=True)
class StaleResponse(Fault):
    """A final response to another request comes before the right one.

    This happens if a client abandons an exchange and uses the association again; pynetdicom takes it as the answer.
    """

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        stale = Response(status=0x0000, number=response.number, completed=99, failed=0, warning=0, message_id_shift=-1)
        return [stale, response] if response.number == 1 else [response]


@dataclass(frozen=True)
class Latency(Fault):
    """The PACS delays each response.

    Parameters
    ----------
    seconds
        The delay.
    """

    seconds: float = 0.1
    commands: ClassVar[tuple[str, ...]] = ("C-ECHO", "C-FIND", "C-MOVE", "C-GET")

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        time.sleep(self.seconds)
        return [response]


@dataclass(frozen=True)
class Nearline(Fault):
    """The study is on tape: the first attempt fails with 0xA702, or the PACS stays silent; later ones work.

    Parameters
    ----------
    silence_s
        Seconds of silence before the failure.
    attempts
        The attempts that fail.
    """

    silence_s: float = 0.0
    attempts: int | None = 1

    def on_request(self, request: Request) -> None:
        time.sleep(self.silence_s)
        raise Refuse(0xA702, "Study is being retrieved from tape")


@dataclass(frozen=True)
class IgnoresCancel(Fault):
    """The PACS ignores C-CANCEL and completes the move."""

    def on_cancel(self, request: Request) -> bool:
        return False


@dataclass(frozen=True)
class LateCancel(Fault):
    """The PACS answers C-CANCEL late; GE takes about 20 s (ADIT's comments).

    Parameters
    ----------
    seconds
        The delay.
    """

    seconds: float = 2.0

    def on_cancel(self, request: Request) -> bool:
        time.sleep(self.seconds)
        return True
