"""What the state of a run takes in, events; and what it asks for, instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicomove import events
from dicomove.receiver import OtherPatient
from dicomove.results import Row
from dicomove.run.asking import Told
from dicomove.run.attempt import AttemptEnd, SeriesListed
from dicomove.run.requests import Task
from dicomove.store import AttemptRecord

# Events.


@dataclass(frozen=True, slots=True)
class Look:
    """Time has passed, or something has been taken in: see what is to be done now.

    Attributes
    ----------
    local_time
        The date and time, with their zone.
    has_room
        Whether the disk of the receivers has room, as far as that was looked at.
    paused
        Whether the user wants that nothing begins for now.
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
    """So much has come to its receiver for a task."""

    task: Task
    instances: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt of a task has ended.

    Attributes
    ----------
    task, end
        Which, and how; or the series of a study, which are to be moved side by side.
    told
        What became of its C-FINDs.
    """

    task: Task
    end: AttemptEnd | SeriesListed
    told: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """An attempt is durable, and its row reads like this now."""

    write: Write
    row: Row


@dataclass(frozen=True, slots=True)
class Probed:
    """A PACS that was down was asked whether it is up again."""

    worked: bool


@dataclass(frozen=True, slots=True)
class StopWished:
    """The user wants an end."""


@dataclass(frozen=True, slots=True)
class WaitedEnough:
    """The run waits no longer for what is in flight."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """All that came is durable, unless `problem` prevents it; the run is over."""

    problem: str | None = None


@dataclass(frozen=True, slots=True)
class HeldAtEnd:
    """What is on disk of a task now, by SOP Instance UID with its size, and what of it has another PatientID."""

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
    """Ask the PACS whether it is up again."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel what is in flight."""


@dataclass(frozen=True, slots=True)
class Write:
    """Make an attempt of a task durable: its files, then its records. `Written` follows."""

    task: Task
    records: tuple[AttemptRecord, ...]

    @property
    def last(self) -> AttemptRecord:
        """The record that has the row's result."""
        return self.records[-1]


@dataclass(frozen=True, slots=True)
class Show:
    """Show an event to the user."""

    event: events.Event


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Look what has come late for a task. `HeldAtEnd` follows."""

    task: Task


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for the next event.

    Attributes
    ----------
    associations
        How many are of use by then; those above that are released.
    until
        When to look again, on the monotonic clock, at the latest.
    """

    associations: int
    until: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is left to do, or nothing more may be done."""


Instruction = Begin | Probe | Cancel | Write | Show | LookAgain | Wait | End

#: What workers tell their run.
Report = Moving | AttemptEnded | Probed
