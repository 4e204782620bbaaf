"""The state of the panel: one frozen value, made from the events of a run. Pure."""

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
from dicomove.notebook.rows_in_flight import SAMPLE_S, RowInFlight, Sample, bytes_of, instances_of, moved, sampled

#: No estimate of the remaining time before so many seconds.
_ESTIMATE_AFTER_S: Final = 2.0
#: A table may name one study in very many rows. Beyond this number, rows without news are only counted, because each
#: drawing copies all rows.
_KEPT_IN_FLIGHT: Final = 200

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})

End = Literal["done", "stopped", "broke off"]


class PanelState(NamedTuple):
    """The state of a run at one moment.

    Attributes
    ----------
    verb, rows, requests
        As in `RunStarted`.
    outcomes
        The number of rows with a result, by outcome.
    in_flight
        The rows that have begun, by position.
    more_in_flight
        The number of further rows that have begun.
    most_in_flight
        The largest number of rows in flight so far.
    resumed
        The number of rows that an earlier run had completed.
    retries
        The number of attempts that failed and will be repeated.
    waiting
        Why no more rows begin; ``None`` if the run does not wait.
    finished_instances, finished_bytes
        Of the rows with a result; rows with the same identifier count once.
    finished_requests
        Requests with a final result.
    end
        How the run ended; ``None`` while it runs.
    before
        The final state of the previous run in the same panel.
    began_at, at
        The beginning, and this moment, in seconds of a clock that does not jump.
    waits_since, waited_s
        When the present wait began, and the seconds of all waits before.
    samples
        Samples of the last seconds, for the rates.
    """

    verb: str = ""
    rows: int = 0
    requests: int = 0
    outcomes: Mapping[str, int] = _NONE
    in_flight: Mapping[int, RowInFlight] = _NONE
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
            The event.
        at
            Its time, in seconds of a clock that does not jump.

        Examples
        --------
        >>> state = PanelState().after(RunStarted(verb="move", rows=2, requests=2), at=0.0)
        >>> state.after(RowStarted(row="a", position=0), at=0.1).in_flight
        {0: RowInFlight(label='a', instances=None, total=None, bytes=None)}
        """
        builder = StateBuilder(self)
        builder.take(event, at)
        return builder.state

    def seen_at(self, at: float) -> PanelState:
        """Return the same state at a later moment: without events, rates fall."""
        return self._replace(at=at, samples=sampled(self.samples, at, self.instances, self.bytes))

    def ended(self, end: End, at: float) -> PanelState:
        """Return the state at the end of the run."""
        state = self._waits(None, at)
        return state._replace(end=end, in_flight={}, more_in_flight=0)

    @property
    def done(self) -> int:
        """The number of rows with a result."""
        return sum(self.outcomes.values())

    @property
    def instances(self) -> int:
        """Instances moved, or matches found."""
        return self.finished_instances + instances_of(self.in_flight)

    @property
    def bytes(self) -> int | None:
        """Bytes on disk; ``None`` if the destination is not a receiver."""
        return bytes_of(self.in_flight, self.finished_bytes)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self.at - self.began_at

    @property
    def rate(self) -> float | None:
        """Instances per second of the last seconds; at the end, of the whole run."""
        return self._per_second(self.instances, [sample.instances for sample in self.samples[:1]])

    @property
    def byte_rate(self) -> float | None:
        """Bytes per second, over the same time as `rate`."""
        return None if self.bytes is None else self._per_second(self.bytes, [s.bytes for s in self.samples[:1]])

    @property
    def eta_s(self) -> float | None:
        """The remaining seconds at the present pace; ``None`` if they cannot be estimated."""
        done, of = self._work()
        working_s = self.elapsed_s - self.waited_s
        if self.end or self.waiting or not done or working_s < _ESTIMATE_AFTER_S:
            return None
        return max(0.0, of - done) * working_s / done

    def _work(self) -> tuple[float, int]:
        # Invalid rows take no time, and rows with the same identifier share it: so requests are the better measure.
        if self.verb == "find":
            return self.done, self.rows
        return self.finished_requests + sum(row.part for row in self.in_flight.values()), self.requests

    def _per_second(self, now: int, oldest: list[int]) -> float | None:
        if self.end:
            working_s = self.elapsed_s - self.waited_s
            return now / working_s if working_s > 0 else None
        span = self.at - self.samples[0].at if self.samples else 0.0
        # The instances of a row that is tried again no longer count, so the number may fall.
        return max(0, now - oldest[0]) / span if span >= SAMPLE_S else None

    def after_run_event(self, event: Event, at: float) -> PanelState:
        """Return the state after an event that concerns the run as a whole."""
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
    """Takes events one by one, and makes the state only on demand: thousands of events need not copy it each time.

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
        self._begin_with(state)

    @property
    def state(self) -> PanelState:
        """The state after all events so far."""
        self._begin_with(self._rows.into(self._state))
        return self._state

    def take(self, event: Event, at: float) -> None:
        """Take an event and its time."""
        if not self._rows.take(event, at):
            self._begin_with(self.state.after_run_event(event, at))

    def _begin_with(self, state: PanelState) -> None:
        self._state, self._rows = state, _Rows(state)


class _Rows:
    """The part of a state that events of rows change."""

    def __init__(self, state: PanelState) -> None:
        self.at, self.samples = state.at, state.samples
        self.outcomes, self.in_flight = dict(state.outcomes), dict(state.in_flight)
        self.more_in_flight, self.most_in_flight = state.more_in_flight, state.most_in_flight
        self.resumed, self.retries = state.resumed, state.retries
        self.finished_instances, self.finished_bytes = state.finished_instances, state.finished_bytes
        self.finished_requests = state.finished_requests

    def into(self, state: PanelState) -> PanelState:
        """Return the state with the changes."""
        return state._replace(**vars(self))

    def take(self, event: Event, at: float) -> bool:
        """Take an event; return whether it concerns a row."""
        takes = _TAKES.get(type(event))
        if takes is None or getattr(event, "position", None) is None:
            return False
        # Check the time before the sums: they are needed once per second, and not for each event.
        if not self.samples or at - self.samples[-1].at >= SAMPLE_S:
            instances = self.finished_instances + instances_of(self.in_flight)
            self.samples = sampled(self.samples, at, instances, bytes_of(self.in_flight, self.finished_bytes))
        self.at = at
        takes(self, event)
        return True

    def begin(self, event: RowStarted) -> None:
        """Note that a row begins."""
        if len(self.in_flight) >= _KEPT_IN_FLIGHT:
            self.more_in_flight += 1
        else:
            self.in_flight[event.position] = RowInFlight(label=event.row)
        in_flight = len(self.in_flight) + self.more_in_flight
        if in_flight > self.most_in_flight:
            self.most_in_flight = in_flight

    def count(self, event: SubOperationEvent) -> None:
        """Note the counts of the PACS for a row."""
        row = self._row(event.position or 0, event.row)
        # The count of arrivals is more reliable than the count of the PACS.
        counted = row.instances if row.bytes is not None else moved(event)
        self.in_flight[event.position or 0] = RowInFlight(
            label=event.row, instances=counted, total=event.total, bytes=row.bytes
        )

    def arrive(self, event: Arriving) -> None:
        """Note the arrivals of a row."""
        row = self._row(event.position, event.row)
        self.in_flight[event.position] = RowInFlight(
            label=event.row, instances=event.instances, total=row.total, bytes=event.bytes
        )

    def retry(self, event: RowWillRetry) -> None:
        """Note that a row has failed, and will be tried again."""
        self.retries += 1
        self._remove(event.position)

    def finish(self, event: RowFinished) -> None:
        """Note the result of a row, also one that replaces an earlier result."""
        if event.before is not None:
            self._count_again(event.outcome, event.before)
            return
        self.outcomes[event.outcome] = self.outcomes.get(event.outcome, 0) + 1
        self.resumed += event.resumed
        # Rows that did not begin (invalid, or completed by an earlier run) are not requests of this run.
        was_begun = event.position in self.in_flight or self.more_in_flight > 0
        row = self._remove(event.position) if was_begun else None
        # Rows with the same identifier share one move, so its instances count once.
        if not was_begun or event.shares is not None:
            return
        instances = row.instances if row and event.instances is None else event.instances
        self.finished_instances += instances or 0
        self.finished_requests += 1
        if event.bytes is not None:
            self.finished_bytes = (self.finished_bytes or 0) + event.bytes

    def _count_again(self, outcome: str, before: str) -> None:
        """Count a row under its new outcome instead of the old one."""
        self.outcomes[before] = self.outcomes.get(before, 1) - 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.outcomes = {name: rows for name, rows in self.outcomes.items() if rows}

    def _row(self, position: int, label: Hashable) -> RowInFlight:
        return self.in_flight.get(position) or RowInFlight(label=label)

    def _remove(self, position: int) -> RowInFlight | None:
        row = self.in_flight.pop(position, None)
        if row is None:
            self.more_in_flight = max(0, self.more_in_flight - 1)
        return row


_TAKES: Final[Mapping[type[Event], Callable[[_Rows, Any], None]]] = {
    RowStarted: _Rows.begin,
    SubOperationEvent: _Rows.count,
    Arriving: _Rows.arrive,
    RowWillRetry: _Rows.retry,
    RowFinished: _Rows.finish,
}
