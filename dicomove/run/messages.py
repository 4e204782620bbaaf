"""The events that the state of a run takes, and the instructions that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicomove import events
from dicomove.receiver import OtherPatient
from dicomove.results import Row
from dicomove.run.attempt.ends import AttemptEnd, SeriesListed
from dicomove.run.attempt.questions import Asked
from dicomove.run.requests import Task
from dicomove.store import AttemptRecord

# Events.


@dataclass(frozen=True, slots=True)
class Look:
    """Time has passed, or other events came: decide what to do now.

    Attributes
    ----------
    local_time
        The date and time, with their zone.
    has_room
        Whether the disk of the receivers has room; true if the run did not check it.
    paused
        Whether the user has paused the run.
    """

    local_time: datetime
    has_room: bool = True
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Moving:
    """A task had a pending response."""

    task: Task
    event: events.SubOperationEvent


@dataclass(frozen=True, slots=True)
class Arrived:
    """Instances of a task have come to its receiver."""

    task: Task
    instances: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt of a task has ended.

    Attributes
    ----------
    task, end
        The task, and how the attempt ended; or the series of a study that is moved series by series.
    asked
        The C-FINDs of the attempt.
    """

    task: Task
    end: AttemptEnd | SeriesListed
    asked: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """An attempt is durable; `row` is its result."""

    write: Write
    row: Row


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe has ended: the PACS answers again, or it does not."""

    worked: bool


@dataclass(frozen=True, slots=True)
class StopWished:
    """The user wants to stop the run."""


@dataclass(frozen=True, slots=True)
class WaitedEnough:
    """The grace time after a stop is over: the run gives up the tasks in flight.

    Attributes
    ----------
    sent
        The number of requests that may have been sent for each task, by the position of its first row.
    """

    sent: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class RowWithLosses:
    """A row some of whose files the disk lost: its position, the reason, and the instances that are still on disk."""

    position: int
    problem: str
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Flushed:
    """The run is over. All arrivals are durable, unless there is a `problem`, or rows have `lost` files.

    A problem does not concern rows whose files were durable when the journal got them: it `has_journal`.
    """

    problem: str | None = None
    lost: Sequence[RowWithLosses] = ()
    has_journal: bool = False


@dataclass(frozen=True, slots=True)
class HeldAtEnd:
    """The instances of a task on disk at the end of the run, with their sizes, and those of another PatientID."""

    task: Task
    held: Mapping[str, int]
    others: Sequence[OtherPatient] = ()


RunEvent = Look | Moving | Arrived | AttemptEnded | Written | Probed | StopWished | WaitedEnough | Flushed | HeldAtEnd

# Instructions.


@dataclass(frozen=True, slots=True)
class Begin:
    """Let a worker move a task."""

    task: Task


@dataclass(frozen=True, slots=True)
class Probe:
    """Send a C-ECHO to a PACS that was down."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel what is in flight."""


@dataclass(frozen=True, slots=True)
class Write:
    """Make an attempt durable: first its files, then its records. The event `Written` follows."""

    task: Task
    records: tuple[AttemptRecord, ...]

    @property
    def last(self) -> AttemptRecord:
        """The record with the result of the row."""
        return self.records[-1]


@dataclass(frozen=True, slots=True)
class Show:
    """Show an event to the user."""

    event: events.Event


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Look for instances of a task that came late. The event `HeldAtEnd` follows."""

    task: Task


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for the next event.

    Attributes
    ----------
    associations
        How many associations are useful until then; the others are released.
    until
        The latest time for the next `Look`, on the monotonic clock.
    """

    associations: int
    until: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is left to do, or the run has to end."""


Instruction = Begin | Probe | Cancel | Write | Show | LookAgain | Wait | End

#: The events that workers report to their run.
Report = Moving | AttemptEnded | Probed
