"""What is known of a run, as one frozen value that its events are folded into. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

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
from dicomove.notebook.flights import SAMPLE_S, Flight, Sample, bytes_of, instances_of, moved, sampled

#: What is left is not foretold from less than this.
_FORETELL_AFTER_S: Final = 2.0
#: A table may name one study in very many rows. Beyond this, rows without news are counted and not kept, since each
#: drawing copies what is kept.
_KEPT_IN_FLIGHT: Final = 200

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})

End = Literal["done", "stopped", "broke off"]


class PanelState(NamedTuple):
    """What is known of a run at one moment.

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
    samples: tuple[Sample, ...] = ()

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
        builder = StateBuilder(self)
        builder.take(event, at)
        return builder.state

    def seen_at(self, at: float) -> PanelState:
        """Return the same state at a later moment: rates fade while nothing comes."""
        return self._replace(at=at, samples=sampled(self.samples, at, self.instances, self.bytes))

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
        return self.finished_instances + instances_of(self.in_flight)

    @property
    def bytes(self) -> int | None:
        """Bytes on disk; ``None`` where the destination is no receiver."""
        return bytes_of(self.in_flight, self.finished_bytes)

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
        return max(0, now - oldest[0]) / span if span >= SAMPLE_S else None

    def told(self, event: Event, at: float) -> PanelState:
        """Return the state after an event that is of no row."""
        match event:
            case RunStarted(verb=verb, rows=rows, requests=requests):
                before = self if self.end else None
                begun = PanelState(verb=verb, rows=rows, requests=requests, before=before, began_at=at, at=at)
                return begun.seen_at(at)
            case Waiting() | Continuing():
                return self._waits(event if isinstance(event, Waiting) else None, at)
            case RunEnded():
                return self.ended("stopped" if event.interrupted else "done", at)
        return self._replace(at=at)

    def _waits(self, waiting: Waiting | None, at: float) -> PanelState:
        waited = at - self.waits_since if self.waiting else 0.0
        return self._replace(waiting=waiting, waits_since=at, waited_s=self.waited_s + waited).seen_at(at)


class StateBuilder:
    """Takes in events one by one, and makes the state after them: thousands in a second need not copy it each time.

    Parameters
    ----------
    state
        The state before them.

    Examples
    --------
    >>> builder = StateBuilder(PanelState())
    >>> builder.take(RunStarted(verb="move", rows=2, requests=2), at=0.0)
    >>> builder.take(RowStarted(row="a", position=0), at=0.1)
    >>> builder.state.rows, len(builder.state.in_flight)
    (2, 1)
    """

    def __init__(self, state: PanelState) -> None:
        self._state, self._rows = state, _Rows(state)

    @property
    def state(self) -> PanelState:
        """The state after what was taken in."""
        self._begin_with(self._rows.into(self._state))
        return self._state

    def take(self, event: Event, at: float) -> None:
        """Take in an event, and when it happened."""
        if not self._rows.take(event, at):
            self._begin_with(self.state.told(event, at))

    def _begin_with(self, state: PanelState) -> None:
        self._state, self._rows = state, _Rows(state)


class _Rows:
    """What events of rows change in a state."""

    def __init__(self, state: PanelState) -> None:
        self.at, self.samples = state.at, state.samples
        self.outcomes, self.in_flight = dict(state.outcomes), dict(state.in_flight)
        self.more_in_flight, self.most_in_flight = state.more_in_flight, state.most_in_flight
        self.resumed, self.retries = state.resumed, state.retries
        self.finished_instances, self.finished_bytes = state.finished_instances, state.finished_bytes
        self.finished_requests = state.finished_requests

    def into(self, state: PanelState) -> PanelState:
        """Return the state with what has changed."""
        return state._replace(**vars(self))

    def take(self, event: Event, at: float) -> bool:
        """Take an event in; return whether it is of a row."""
        takes = _TAKES.get(type(event))
        if takes is None or getattr(event, "position", None) is None:
            return False
        # Asked here, too: the sums are taken once in a second, and not for each event.
        if not self.samples or at - self.samples[-1].at >= SAMPLE_S:
            instances = self.finished_instances + instances_of(self.in_flight)
            self.samples = sampled(self.samples, at, instances, bytes_of(self.in_flight, self.finished_bytes))
        self.at = at
        takes(self, event)
        return True

    def begin(self, event: RowStarted) -> None:
        """Take a row that is begun."""
        if len(self.in_flight) >= _KEPT_IN_FLIGHT:
            self.more_in_flight += 1
        else:
            self.in_flight[event.position] = Flight(label=event.row)
        in_flight = len(self.in_flight) + self.more_in_flight
        if in_flight > self.most_in_flight:
            self.most_in_flight = in_flight

    def count(self, event: SubOperationEvent) -> None:
        """Take what the PACS says of a row."""
        flight = self._flight(event.position or 0, event.row)
        # What has arrived is known better than what the PACS says that it has sent.
        counted = flight.instances if flight.bytes is not None else moved(event)
        self.in_flight[event.position or 0] = Flight(
            label=event.row, instances=counted, total=event.total, bytes=flight.bytes
        )

    def arrive(self, event: Arriving) -> None:
        """Take what has arrived of a row."""
        flight = self._flight(event.position, event.row)
        self.in_flight[event.position] = Flight(
            label=event.row, instances=event.instances, total=flight.total, bytes=event.bytes
        )

    def retry(self, event: RowWillRetry) -> None:
        """Take a row that has failed, and will be asked for again."""
        self.retries += 1
        self._land(event.position)

    def finish(self, event: RowFinished) -> None:
        """Take the result of a row, or another one that takes its place."""
        if event.before is not None:
            self._count_again(event.outcome, event.before)
            return
        self.outcomes[event.outcome] = self.outcomes.get(event.outcome, 0) + 1
        self.resumed += event.resumed
        # What was not begun, since it is invalid or an earlier run completed it, was no request of this run.
        was_begun = event.position in self.in_flight or self.more_in_flight > 0
        flight = self._land(event.position) if was_begun else None
        # What rows that name the same have moved was moved once.
        if not was_begun or event.shares is not None:
            return
        instances = flight.instances if flight and event.instances is None else event.instances
        self.finished_instances += instances or 0
        self.finished_requests += 1
        if event.bytes is not None:
            self.finished_bytes = (self.finished_bytes or 0) + event.bytes

    def _count_again(self, outcome: str, before: str) -> None:
        """Count a row under another outcome: it counts once, whatever came after its end."""
        self.outcomes[before] = self.outcomes.get(before, 1) - 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.outcomes = {name: rows for name, rows in self.outcomes.items() if rows}

    def _flight(self, position: int, label: Hashable) -> Flight:
        return self.in_flight.get(position) or Flight(label=label)

    def _land(self, position: int) -> Flight | None:
        flight = self.in_flight.pop(position, None)
        if flight is None:
            self.more_in_flight = max(0, self.more_in_flight - 1)
        return flight


_TAKES: Final[Mapping[type[Event], Callable[[_Rows, Any], None]]] = {
    RowStarted: _Rows.begin,
    SubOperationEvent: _Rows.count,
    Arriving: _Rows.arrive,
    RowWillRetry: _Rows.retry,
    RowFinished: _Rows.finish,
}
