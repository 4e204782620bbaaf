"""The rows in flight, and how much there was at moments of the last seconds. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from dicomove.events import SubOperationEvent

#: A rate is that of the last seconds: a mean since the start would hide that a PACS has become slow.
_WINDOW_S: Final = 20.0
#: Samples are this far apart, so that a window holds few of them however many events there are.
SAMPLE_S: Final = 1.0


class Flight(NamedTuple):
    """A row in flight.

    Attributes
    ----------
    label
        The row's label.
    instances
        Those that have been moved; ``None`` where that is not known.
    total
        Of how many, as the PACS says.
    bytes
        What has arrived, where the destination is a receiver.
    """

    label: Hashable
    instances: int | None = None
    total: int | None = None
    bytes: int | None = None

    @property
    def part(self) -> float:
        """How much of it is done, from 0 to 1."""
        return min(1.0, self.instances / self.total) if self.instances and self.total else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """How much there was at one moment."""

    at: float
    instances: int
    bytes: int


def instances_of(in_flight: Mapping[int, Flight]) -> int:
    """Return the instances of the rows in flight."""
    return sum(flight.instances or 0 for flight in in_flight.values())


def bytes_of(in_flight: Mapping[int, Flight], finished: int | None) -> int | None:
    """Return the bytes of all rows; ``None`` where the destination is no receiver."""
    known = [flight.bytes for flight in in_flight.values() if flight.bytes is not None]
    known += [finished] if finished is not None else []
    return sum(known) if known else None


def sampled(samples: tuple[Sample, ...], at: float, instances: int, size: int | None) -> tuple[Sample, ...]:
    """Return the samples with one of this moment, if it is time for one."""
    if samples and at - samples[-1].at < SAMPLE_S:
        return samples
    # The oldest one is kept until the next is as old as the window: the rate is over the whole of it.
    kept = samples
    while len(kept) > 1 and at - kept[1].at >= _WINDOW_S:
        kept = kept[1:]
    return (*kept, Sample(at, instances, size or 0))


def moved(event: SubOperationEvent) -> int | None:
    """Return the instances that the PACS says it has moved; ``None`` where it does not say."""
    known = [count for count in (event.completed, event.warning) if count is not None]
    return sum(known) if known else None
