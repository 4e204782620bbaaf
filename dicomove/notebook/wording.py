"""What is said of a run, in words and numbers that fit on a line. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Final

from dicomove.notebook.state import Flight, PanelState
from dicomove.words import OUTCOMES

#: As many rows in flight are shown one by one; the rest is counted.
SHOWN_IN_FLIGHT: Final = 5

_LONGEST_LABEL: Final = 40
_MINUTE: Final = 60
_HOUR: Final = 3600
#: A time that is nearer than this is told to the second.
_SOON: Final = timedelta(minutes=10)


def outcomes(state: PanelState) -> list[tuple[str, int]]:
    """Return the outcomes so far with their numbers of rows, in the order in which they are shown.

    Examples
    --------
    >>> outcomes(PanelState(outcomes={"failed": 1, "complete": 7}))
    [('complete', 7), ('failed', 1)]
    """
    known = {outcome: count for outcome in OUTCOMES if (count := state.outcomes.get(outcome))}
    return list((known | dict(state.outcomes)).items())


def headline(state: PanelState) -> str:
    """Return how far the run is, in rows.

    Examples
    --------
    >>> headline(PanelState(verb="move", rows=1200, outcomes={"complete": 7}))
    'move: 7 of 1,200 rows'
    """
    if not state.verb:
        return state.end or "starting"
    said = f"{state.verb}: {state.done:,} of {state.rows:,} {'row' if state.rows == 1 else 'rows'}"
    if not state.end:
        return said
    left = f", {state.rows - state.done:,} not attempted" if state.rows > state.done else ""
    ended = "" if state.end == "done" else f", {state.end}"
    return f"{said} in {duration(state.elapsed_s)}{ended}{left}"


def before(state: PanelState) -> str:
    """Return what the run did that went before in the same panel; nothing where there was none.

    Examples
    --------
    >>> found = PanelState(verb="find", rows=2, outcomes={"empty": 1, "matched": 1}, end="done", at=3.0)
    >>> before(PanelState(verb="move", rows=1, before=found))
    'find: 2 of 2 rows in 3 s (1 matched, 1 empty)'
    """
    if state.before is None:
        return ""
    said = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes(state.before))
    return headline(state.before) + (f" ({said})" if said else "")


def amounts(state: PanelState, now: datetime) -> list[str]:
    """Return what has been moved, how fast, and when it will be done."""
    noun = "matches" if state.verb == "find" else "instances"
    said = [f"{state.instances:,} {noun}"]
    said += [size(state.bytes)] if state.bytes is not None else []
    said += [f"{state.rate:,.1f} {noun}/s"] if state.rate is not None else []
    said += [f"{state.byte_rate / 1e6:,.1f} MB/s"] if state.byte_rate is not None else []
    if state.eta_s is not None:
        said.append(f"about {duration(state.eta_s)} left, until {clock(now + timedelta(seconds=state.eta_s), now)}")
    said += [f"{state.resumed:,} complete from an earlier run"] if state.resumed else []
    said += [f"{state.retries:,} {'retry' if state.retries == 1 else 'retries'}"] if state.retries else []
    return said


def waiting(state: PanelState, now: datetime) -> str:
    """Return what the run waits for, and until when; nothing where it does not wait."""
    if state.waiting is None:
        return ""
    until = state.waiting.until
    return f"Waits: {state.waiting.message}" + (f" (until {clock(until, now)})" if until else "")


def in_flight(state: PanelState) -> tuple[list[Flight], int]:
    """Return the rows in flight that are shown, and how many there are beside them.

    Rows of which something is known come first: where many rows name the same, only one of them has news.
    """
    flights = sorted(state.in_flight.values(), key=lambda flight: flight.instances is None and flight.bytes is None)
    shown = flights[:SHOWN_IN_FLIGHT]
    return shown, len(flights) - len(shown) + state.more_in_flight


def lines_in_flight(state: PanelState) -> int:
    """Return how many lines rows in flight have taken at the most; none once the run has ended."""
    if state.end:
        return 0
    return min(state.most_in_flight, SHOWN_IN_FLIGHT) + (state.most_in_flight > SHOWN_IN_FLIGHT)


def flown(flight: Flight) -> str:
    """Return how far a row in flight is.

    Examples
    --------
    >>> flown(Flight(label="a", instances=4, total=10, bytes=2_100_000)), flown(Flight(label="b"))
    ('4 of 10 instances, 2.1 MB', 'no answer yet')
    """
    if flight.instances is None and flight.total is None and flight.bytes is None:
        return "no answer yet"
    counted = "?" if flight.instances is None else f"{flight.instances:,}"
    said = f"{counted} of {flight.total:,} instances" if flight.total is not None else f"{counted} instances"
    return said if flight.bytes is None else f"{said}, {size(flight.bytes)}"


def label(value: Hashable) -> str:
    r"""Return a row's label on one line, shortened where it is long.

    Examples
    --------
    >>> label(("site A", 7)), label("two\nlines")
    ("('site A', 7)", 'two lines')
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return printable if len(printable) <= _LONGEST_LABEL else printable[: _LONGEST_LABEL - 1] + "…"


def size(count: int) -> str:
    """Return a number of bytes with its unit.

    Examples
    --------
    >>> size(999), size(1_500_000), size(2_340_000_000)
    ('1.0 kB', '1.5 MB', '2.34 GB')
    """
    if count < 1e6:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def duration(seconds: float) -> str:
    """Return a duration with the units that matter.

    Examples
    --------
    >>> duration(0.42), duration(4.2), duration(192), duration(7500)
    ('0.4 s', '4 s', '3 min 12 s', '2 h 5 min')
    """
    if seconds < 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR:,} h {whole % _HOUR // _MINUTE} min"


def clock(moment: datetime, now: datetime) -> str:
    """Return a time of day where `now` is, with the date unless it is today.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
    >>> clock(now + timedelta(hours=2), now), clock(now + timedelta(hours=10), now)
    ('22:00', '1 Feb 06:00')
    """
    there = moment.astimezone(now.tzinfo)
    time = f"{there:%H:%M:%S}" if abs(moment - now) < _SOON else f"{there:%H:%M}"
    return time if there.date() == now.date() else f"{there.day} {there:%b} {time}"
