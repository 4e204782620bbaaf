"""The rows in flight, and samples of the last seconds for the rates. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from dicomove.events import SubOperationEvent

#: The seconds that a rate covers: a mean since the start would hide that a PACS has become slow.
_WINDOW_S: Final = 20.0
#: The seconds between two samples, so that there are few of them, however many events come.
SAMPLE_S: Final = 1.0


class RowInFlight(NamedTuple):
    """A row in flight.

    Attributes
    ----------
    label
        The row's label.
    instances
        The number of moved instances; ``None`` if it is unknown.
    total
        The number of all instances, according to the PACS.
    bytes
        The bytes that have arrived, if the destination is a receiver.
    """

    label: Hashable
    instances: int | None = None
    total: int | None = None
    bytes: int | None = None

    @property
    def part(self) -> float:
        """The part that is done, from 0 to 1."""
        return min(1.0, self.instances / self.total) if self.instances and self.total else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Instances and bytes at one moment."""

    at: float
    instances: int
    bytes: int


def instances_of(in_flight: Mapping[int, RowInFlight]) -> int:
    """Return the instances of the rows in flight."""
    return sum(row.instances or 0 for row in in_flight.values())


def bytes_of(in_flight: Mapping[int, RowInFlight], finished: int | None) -> int | None:
    """Return the bytes of all rows; ``None`` if the destination is not a receiver."""
    known = [row.bytes for row in in_flight.values() if row.bytes is not None]
    known += [finished] if finished is not None else []
    return sum(known) if known else None


def sampled(samples: tuple[Sample, ...], at: float, instances: int, size: int | None) -> tuple[Sample, ...]:
    """Return the samples, with a new one if it is time for one."""
    if samples and at - samples[-1].at < SAMPLE_S:
        return samples
    # Keep the oldest sample until the next one is as old as the window, so that the rate covers the whole window.
    kept = samples
    while len(kept) > 1 and at - kept[1].at >= _WINDOW_S:
        kept = kept[1:]
    return (*kept, Sample(at, instances, size or 0))


def moved(event: SubOperationEvent) -> int | None:
    """Return the number of instances that the PACS reports as moved; ``None`` if it does not report it."""
    known = [count for count in (event.completed, event.warning) if count is not None]
    return sum(known) if known else None
