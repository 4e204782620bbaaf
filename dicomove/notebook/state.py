"""What is known of a run, as one frozen value that its events are folded into. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypedDict

from dicomove.events import (
    Arriving,
    Continuing,
    Event,
    RowFinished,
    RowStarted,
    RowWillRetry,
    RunEnded,
    RunStarted,
    SubOperationEvent,
    Waiting,
)

#: A rate is that of the last seconds: a mean since the start would hide that a PACS has become slow.
_WINDOW_S: Final = 20.0
#: Samples are this far apart, so that a window holds few of them however many events there are.
_SAMPLE_S: Final = 1.0
#: What is left is not foretold from less than this.
_FORETELL_AFTER_S: Final = 2.0
#: A table may name one study in very many rows. Beyond this, rows without news are counted and not kept, since each
#: event copies what is kept.
_KEPT_IN_FLIGHT: Final = 200

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})

End = Literal["done", "stopped", "broke off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
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
class _Sample:
    at: float
    instances: int
    bytes: int


class _InFlight(TypedDict, total=False):
    in_flight: Mapping[int, Flight]
    more_in_flight: int


class PanelState(NamedTuple):
    """What is known of a run at one moment. A tuple, since each event makes another one.

    Attributes
    ----------
    verb, rows, requests
        As in `RunStarted`.
    outcomes
        Rows that have their result, by outcome.
    in_flight
        Rows that have been begun, by position.
    more_in_flight
        How many there are beside those.
    most_in_flight
        How many there have been at the most.
    resumed
        Rows that an earlier run had completed.
    retries
        How often a row has failed in a way that may pass.
    waiting
        Why no more rows are begun; ``None`` where they are.
    finished_instances, finished_bytes
        Of the rows that have their result; rows that name the same count once.
    finished_requests
        Requests that have been answered for good.
    end
        How it ended; ``None`` while it runs.
    before
        The run that went before in the same panel, at its end.
    began_at, at
        When it began, and this moment, in seconds of a clock that does not jump.
    waits_since, waited_s
        When the waiting began, and how long it took before.
    samples
        What there was at moments of the last seconds.
    """

    verb: str = ""
    rows: int = 0
    requests: int = 0
    outcomes: Mapping[str, int] = _NONE
    in_flight: Mapping[int, Flight] = _NONE
    more_in_flight: int = 0
    most_in_flight: int = 0
    resumed: int = 0
    retries: int = 0
    waiting: Waiting | None = None
    finished_instances: int = 0
    finished_bytes: int | None = None
    finished_requests: int = 0
    end: End | None = None
    before: PanelState | None = None
    began_at: float = 0.0
    at: float = 0.0
    waits_since: float = 0.0
    waited_s: float = 0.0
    samples: tuple[_Sample, ...] = ()

    def after(self, event: Event, at: float) -> PanelState:
        """Return the state after an event.

        Parameters
        ----------
        event
            What has happened.
        at
            When, in seconds of a clock that does not jump.

        Examples
        --------
        >>> state = PanelState().after(RunStarted(verb="move", rows=2, requests=2), at=0.0)
        >>> state.after(RowStarted(row="a", position=0), at=0.1).in_flight
        {0: Flight(label='a', instances=None, total=None, bytes=None)}
        """
        match event:
            case SubOperationEvent(position=int(position)):
                return self._with_flight(position, event, at)
            case Arriving(position=position):
                return self._with_flight(position, event, at)
            case RowStarted():
                return self._begun(event, at)
            case RowFinished():
                return self._finished(event, at)
            case RowWillRetry(position=position):
                return self.seen_at(at)._replace(retries=self.retries + 1, **self._landed(position))
            case RunStarted(verb=verb, rows=rows, requests=requests):
                before = self if self.end else None
                return PanelState(verb=verb, rows=rows, requests=requests, before=before, began_at=at, at=at).seen_at(
                    at
                )
            case Waiting() | Continuing():
                return self._waits(event if isinstance(event, Waiting) else None, at)
            case RunEnded():
                return self.ended("stopped" if event.interrupted else "done", at)
        return self._replace(at=at)

    def seen_at(self, at: float) -> PanelState:
        """Return the same state at a later moment: rates fade while nothing comes."""
        return self._replace(at=at, samples=self._samples_until(at))

    def ended(self, end: End, at: float) -> PanelState:
        """Return the state at the end of the run."""
        state = self._waits(None, at)
        return state._replace(end=end, in_flight={}, more_in_flight=0)

    @property
    def done(self) -> int:
        """Rows that have their result."""
        return sum(self.outcomes.values())

    @property
    def instances(self) -> int:
        """Instances moved, or matches found."""
        return self.finished_instances + sum(flight.instances or 0 for flight in self.in_flight.values())

    @property
    def bytes(self) -> int | None:
        """Bytes on disk; ``None`` where the destination is no receiver."""
        known = [flight.bytes for flight in self.in_flight.values() if flight.bytes is not None]
        known += [self.finished_bytes] if self.finished_bytes is not None else []
        return sum(known) if known else None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self.at - self.began_at

    @property
    def rate(self) -> float | None:
        """Instances per second, lately; of the whole run at its end."""
        return self._per_second(self.instances, [sample.instances for sample in self.samples[:1]])

    @property
    def byte_rate(self) -> float | None:
        """Bytes per second, likewise."""
        return None if self.bytes is None else self._per_second(self.bytes, [s.bytes for s in self.samples[:1]])

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at the pace so far; ``None`` where that cannot be foretold."""
        done, of = self._work()
        working_s = self.elapsed_s - self.waited_s
        if self.end or self.waiting or not done or working_s < _FORETELL_AFTER_S:
            return None
        return max(0.0, of - done) * working_s / done

    def _samples_until(self, at: float) -> tuple[_Sample, ...]:
        if self.samples and at - self.samples[-1].at < _SAMPLE_S:
            return self.samples
        # The oldest one is kept until the next is as old as the window: the rate is over the whole of it.
        kept = self.samples
        while len(kept) > 1 and at - kept[1].at >= _WINDOW_S:
            kept = kept[1:]
        return (*kept, _Sample(at, self.instances, self.bytes or 0))

    def _work(self) -> tuple[float, int]:
        # Rows that cannot be sent take no time, and those that name the same take it once: requests tell more.
        if self.verb == "find":
            return self.done, self.rows
        return self.finished_requests + sum(flight.part for flight in self.in_flight.values()), self.requests

    def _per_second(self, now: int, oldest: list[int]) -> float | None:
        if self.end:
            working_s = self.elapsed_s - self.waited_s
            return now / working_s if working_s > 0 else None
        span = self.at - self.samples[0].at if self.samples else 0.0
        # A row that is tried again takes its instances back.
        return max(0, now - oldest[0]) / span if span >= _SAMPLE_S else None

    def _landed(self, position: int) -> _InFlight:
        if position not in self.in_flight:
            return {"in_flight": self.in_flight, "more_in_flight": max(0, self.more_in_flight - 1)}
        left = dict(self.in_flight)
        del left[position]
        return {"in_flight": left, "more_in_flight": self.more_in_flight}

    def _with_flight(self, position: int, event: SubOperationEvent | Arriving, at: float) -> PanelState:
        flight = self.in_flight.get(position, Flight(label=event.row))
        if isinstance(event, Arriving):
            flight = Flight(label=event.row, instances=event.instances, total=flight.total, bytes=event.bytes)
        else:
            # What has arrived is known better than what the PACS says that it has sent.
            counted = flight.instances if flight.bytes is not None else _moved(event)
            flight = Flight(label=event.row, instances=counted, total=event.total, bytes=flight.bytes)
        in_flight = {**self.in_flight, position: flight}
        return self._replace(at=at, in_flight=in_flight, samples=self._samples_until(at))

    def _begun(self, event: RowStarted, at: float) -> PanelState:
        most = max(self.most_in_flight, len(self.in_flight) + self.more_in_flight + 1)
        if len(self.in_flight) >= _KEPT_IN_FLIGHT:
            return self.seen_at(at)._replace(more_in_flight=self.more_in_flight + 1, most_in_flight=most)
        in_flight = {**self.in_flight, event.position: Flight(label=event.row)}
        return self._replace(at=at, in_flight=in_flight, most_in_flight=most, samples=self._samples_until(at))

    def _finished(self, event: RowFinished, at: float) -> PanelState:
        if event.before is not None:
            # The row counts once, whatever came after its end.
            counted = {**self.outcomes, event.before: self.outcomes.get(event.before, 1) - 1}
            counted[event.outcome] = counted.get(event.outcome, 0) + 1
            return self._replace(at=at, outcomes={outcome: rows for outcome, rows in counted.items() if rows})
        flight = self.in_flight.get(event.position)
        # What was not begun, since it is invalid or an earlier run completed it, was no request of this run.
        was_begun = flight is not None or self.more_in_flight > 0
        # What rows that name the same have moved was moved once.
        counts = was_begun and event.shares is None
        instances = flight.instances if flight and event.instances is None else event.instances
        size = self.finished_bytes
        if event.bytes is not None and counts:
            size = (size or 0) + event.bytes
        return self._replace(
            at=at,
            outcomes={**self.outcomes, event.outcome: self.outcomes.get(event.outcome, 0) + 1},
            finished_instances=self.finished_instances + (instances or 0 if counts else 0),
            resumed=self.resumed + event.resumed,
            finished_bytes=size,
            finished_requests=self.finished_requests + counts,
            samples=self._samples_until(at),
            **(self._landed(event.position) if was_begun else {}),
        )

    def _waits(self, waiting: Waiting | None, at: float) -> PanelState:
        waited = at - self.waits_since if self.waiting else 0.0
        return self._replace(waiting=waiting, waits_since=at, waited_s=self.waited_s + waited).seen_at(at)


def _moved(event: SubOperationEvent) -> int | None:
    known = [count for count in (event.completed, event.warning) if count is not None]
    return sum(known) if known else None
