"""The events of a run, as frozen values: every display, log and callback consumes these and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from dicomove.logs import log_exception

logger = logging.getLogger("dicomove")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperationEvent:
    """A pending response: the progress of one C-MOVE. A count that the PACS did not give is ``None``.

    Attributes
    ----------
    total, completed, failed, warning, remaining
        The PACS's counts of sub-operations.
    percent
        Of `total`, from 0 to 100.
    rate
        Instances per second since the C-MOVE was sent.
    eta_s
        Remaining seconds at this rate.
    elapsed_s
        Seconds since the C-MOVE was sent.
    row
        The label of the table's row; ``None`` outside a table.
    position
        The position of the table's row, from 0; ``None`` outside a table.
    """

    total: int | None
    completed: int | None
    failed: int | None
    warning: int | None
    remaining: int | None
    percent: float | None
    rate: float | None
    eta_s: float | None
    elapsed_s: float
    row: Hashable = None
    position: int | None = None

    @classmethod
    def of(
        cls,
        *,
        total: int | None,
        completed: int | None,
        failed: int | None,
        warning: int | None,
        remaining: int | None,
        elapsed_s: float,
    ) -> SubOperationEvent:
        """Return the event for these counts, with the numbers that follow from them."""
        known = [count for count in (completed, failed, warning) if count is not None]
        done = sum(known)
        rate = done / elapsed_s if known and elapsed_s > 0 else None
        return cls(
            total=total,
            completed=completed,
            failed=failed,
            warning=warning,
            remaining=remaining,
            percent=min(100.0, 100 * done / total) if total else None,
            rate=rate,
            eta_s=remaining / rate if rate and remaining is not None else None,
            elapsed_s=elapsed_s,
        )

    def __str__(self) -> str:
        parts = [f"{_known(self.completed)} of {_known(self.total)} instances"]
        parts += [f"{self.percent:.0f} %"] if self.percent is not None else []
        parts += [f"{self.rate:.1f}/s"] if self.rate is not None else []
        parts += [f"{self.eta_s:.0f} s left"] if self.eta_s is not None else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedEvent:
    """One C-MOVE has ended, successfully or not.

    Attributes
    ----------
    outcome, status, error
        As in the result table.
    total, completed, failed, warning
        The PACS's counts; ``None`` if it gave none.
    duration_s
        Seconds from the request to the end.
    message
        One line for a person.
    """

    outcome: str
    status: str | None
    error: str | None
    total: int | None
    completed: int | None
    failed: int | None
    warning: int | None
    duration_s: float
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run over a table begins.

    Attributes
    ----------
    verb
        ``"find"``, ``"plan"`` or ``"move"``.
    rows
        Rows of the table.
    requests
        Requests to send, without invalid rows and repetitions.
    """

    verb: str
    rows: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEvent:
    """An event of one row.

    Attributes
    ----------
    row, position
        The row's label, and its position from 0.
    """

    row: Hashable
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStarted(RowEvent):
    """The request of a row is about to be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFinished(RowEvent):
    """A row has its result.

    Attributes
    ----------
    outcome, error
        As in the result table.
    instances
        Instances that the PACS reports as moved, or matches that it found; ``None`` if it does not say.
    duration_s
        Duration of the request in seconds.
    bytes
        Bytes on disk; ``None`` without a receiver.
    resumed
        Whether an earlier run with the same journal had completed it.
    shares
        The position of the first row that asks for the same, whose request this row shares; ``None`` for that row
        itself.
    before
        The outcome that the row was shown with, if it is read again with what came after its end; else ``None``.
    """

    outcome: str
    error: str | None
    instances: int | None
    duration_s: float | None
    bytes: int | None = None
    resumed: bool = False
    shares: int | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving(RowEvent):
    """Instances of a row in flight have arrived at a receiver, or some bytes of one.

    Attributes
    ----------
    instances, bytes
        Arrived for this row so far.
    """

    instances: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWillRetry(RowEvent):
    """A row has failed for a reason that may pass, and will be tried again.

    Attributes
    ----------
    outcome, error
        Of the failed attempt, as in the result table.
    attempt
        Its number, from 1.
    wait_s
        Seconds until the next attempt may begin.
    """

    outcome: str
    error: str | None
    attempt: int
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The run begins no rows for now; rows in flight continue.

    Attributes
    ----------
    reason
        ``"hours"``, ``"pacs_down"``, ``"receiver_away"``, ``"disk_full"``, ``"back_off"``, ``"rate"``, or ``"paused"``.
    message
        One line for a person.
    until
        The time of the next check, in UTC; ``None`` if it is unknown.
    """

    reason: str
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuing:
    """The run has stopped waiting and continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReceived:
    """A study has come to a `Receiver`, and no instance of it has come since its quiet period.

    Attributes
    ----------
    study_instance_uid
        The study.
    series, instances, bytes
        How much of it is on disk, what came earlier included. If more comes later, there is another event.
    """

    study_instance_uid: str
    series: int
    instances: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A run over a table has ended.

    Attributes
    ----------
    verb
        ``"find"``, ``"plan"`` or ``"move"``.
    interrupted
        Whether it was stopped before its end.
    """

    verb: str
    interrupted: bool


Event = (
    SubOperationEvent
    | RunStarted
    | RowStarted
    | Arriving
    | RowWillRetry
    | RowFinished
    | Waiting
    | Continuing
    | RunEnded
)


def notify(callback: Callable[[T], object], event: T, *, is_logged: bool = True) -> bool:
    """Call a user's function; return whether it raised nothing. An exception must neither break an exchange nor a run.

    `is_logged` tells whether an exception is logged.
    """
    try:
        callback(event)
    except Exception as error:  # noqa: BLE001 (it is logged)
        name = getattr(callback, "__name__", type(callback).__name__)
        if is_logged:
            log_exception(logger, f"the callback {name} raised; the run continues", error)
        return False
    return True


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
