"""What happens during a run, as frozen values: every display, log and callback consumes these and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

logger = logging.getLogger("dicomove")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperationEvent:
    """A pending response: how far one C-MOVE has come. A count that the PACS did not give is ``None``.

    Attributes
    ----------
    total, completed, failed, warning, remaining
        The PACS's counts of sub-operations.
    percent
        Of `total`, from 0 to 100.
    rate
        Instances per second since the C-MOVE was sent.
    eta_s
        Seconds that are left at this rate.
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
        """Return the event for these counts, with what follows from them."""
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
    """One C-MOVE has ended, well or not.

    Attributes
    ----------
    outcome, status, error
        As in the result table.
    total, completed, failed, warning
        The PACS's counts; ``None`` where it gave none.
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
        ``"find"`` or ``"move"``.
    rows
        Rows of the table.
    requests
        Requests that will be sent: rows that cannot be sent, and repetitions, are not among them.
    """

    verb: str
    rows: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStarted:
    """The request of a row is about to be sent.

    Attributes
    ----------
    row, position
        The row's label, and its position from 0.
    """

    row: Hashable
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFinished:
    """A row has its result.

    Attributes
    ----------
    row, position
        The row's label, and its position from 0.
    outcome, error
        As in the result table.
    instances
        Instances that the PACS says it moved, or matches that it found; ``None`` where it does not say.
    duration_s
        Seconds that the request took.
    bytes
        Bytes on disk; ``None`` where the destination is no receiver.
    resumed
        Whether an earlier run with the same journal had completed it.
    """

    row: Hashable
    position: int
    outcome: str
    error: str | None
    instances: int | None
    duration_s: float | None
    bytes: int | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """Instances of a row in flight have come to a receiver.

    Attributes
    ----------
    row, position
        The row's label, and its position from 0.
    instances, bytes
        What has come for this row so far.
    """

    row: Hashable
    position: int
    instances: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWillRetry:
    """A row has failed in a way that may pass, and will be tried again.

    Attributes
    ----------
    row, position
        The row's label, and its position from 0.
    outcome, error
        Of the attempt that failed, as in the result table.
    attempt
        Its number, from 1.
    wait_s
        Seconds until it may be tried again.
    """

    row: Hashable
    position: int
    outcome: str
    error: str | None
    attempt: int
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The run begins no more rows for now; those in flight go on.

    Attributes
    ----------
    reason
        ``"hours"``, ``"pacs_down"``, ``"disk_full"``, ``"back_off"``, ``"rate"``, or ``"paused"``.
    message
        One line for a person.
    until
        When it will look again, in UTC; ``None`` where nobody knows.
    """

    reason: str
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuing:
    """What a run waited for is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A run over a table has ended.

    Attributes
    ----------
    verb
        ``"find"`` or ``"move"``.
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


def notify(callback: Callable[[T], object], event: T) -> None:
    """Call a user's function; what it raises is logged, since it must neither break an exchange nor end a run."""
    try:
        callback(event)
    except Exception:
        logger.exception("the callback %s raised, and the work goes on", getattr(callback, "__name__", callback))


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
