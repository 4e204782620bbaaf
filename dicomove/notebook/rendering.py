"""Renders the panel from its state, as HTML and as text. Pure.

The HTML has only inline styles, because a notebook that is opened again loses scripts and style sheets.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta, timezone
from html import escape
from typing import Final

from dicomove.notebook.rows_in_flight import RowInFlight
from dicomove.notebook.state import PanelState
from dicomove.words import OUTCOME_COLOURS, OUTCOMES

#: The most rows in flight that are shown one by one; the others are counted.
SHOWN_IN_FLIGHT: Final = 5

_LONGEST_LABEL: Final = 40
_MINUTE: Final = 60
_HOUR: Final = 3600
#: Times nearer than this are shown with seconds.
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
    """Return the progress of the run, in rows.

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
    """Return a line about the previous run in the same panel; empty if there was none.

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
    """Return instances and bytes, rates, and the remaining time."""
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
    """Return the reason and the end of a wait; empty if the run does not wait."""
    if state.waiting is None:
        return ""
    # The message has the time at which the hours begin; `until` is that of the next look at the clock.
    until = None if state.waiting.reason == "hours" else state.waiting.until
    return f"Waits: {state.waiting.message}" + (f" (until {clock(until, now)})" if until else "")


def in_flight(state: PanelState) -> tuple[list[RowInFlight], int]:
    """Return the rows in flight to show, and the number of the others.

    Rows with known numbers come first: of many rows with the same identifier, only one has numbers.
    """
    rows = sorted(state.in_flight.values(), key=lambda row: row.instances is None and row.bytes is None)
    shown = rows[:SHOWN_IN_FLIGHT]
    return shown, len(rows) - len(shown) + state.more_in_flight


def lines_in_flight(state: PanelState) -> int:
    """Return the largest number of lines that rows in flight have taken so far; 0 after the end of the run."""
    if state.end:
        return 0
    return min(state.most_in_flight, SHOWN_IN_FLIGHT) + (state.most_in_flight > SHOWN_IN_FLIGHT)


def progress_of(row: RowInFlight) -> str:
    """Return the progress of a row in flight.

    Examples
    --------
    >>> progress_of(RowInFlight(label="a", instances=4, total=10, bytes=2_100_000)), progress_of(RowInFlight(label="b"))
    ('4 of 10 instances, 2.1 MB', 'no answer yet')
    """
    if row.instances is None and row.total is None and row.bytes is None:
        return "no answer yet"
    counted = "?" if row.instances is None else f"{row.instances:,}"
    said = f"{counted} of {row.total:,} instances" if row.total is not None else f"{counted} instances"
    return said if row.bytes is None else f"{said}, {size(row.bytes)}"


def label(value: Hashable) -> str:
    r"""Return a row's label on one line, shortened if it is long.

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
    """Return a time of day in the zone of `now`, with the date unless it is today.

    If `now` has only the present offset of this machine's zone, the zone counts: the offset may change until then.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
    >>> clock(now + timedelta(hours=2), now), clock(now + timedelta(hours=10), now)
    ('22:00', '1 Feb 06:00')
    """
    is_local = isinstance(now.tzinfo, timezone) and now.utcoffset() == now.astimezone().utcoffset()
    there = moment.astimezone(None if is_local else now.tzinfo)
    time = f"{there:%H:%M:%S}" if abs(moment - now) < _SOON else f"{there:%H:%M}"
    return time if there.date() == now.date() else f"{there.day} {there:%b} {time}"


_OTHER: Final = "#999999"
# Visible on white and on black.
_TRACK: Final = "rgba(128,128,128,0.25)"
_QUIET: Final = "opacity:0.75"
_LINE_EM: Final = 1.5

_BAR_WIDTH: Final = 40


def to_html(state: PanelState, *, now: datetime, hint: str = "") -> str:
    """Return the panel as HTML.

    Parameters
    ----------
    state
        What is known of the run.
    now
        The local time.
    hint
        What the reader may do while it runs.

    Examples
    --------
    >>> from datetime import UTC
    >>> state = PanelState(verb="move", rows=8, outcomes={"complete": 3})
    >>> "move: 3 of 8 rows" in to_html(state, now=datetime(2026, 1, 31, 20, 0, tzinfo=UTC))
    True
    """
    moving = _rows_in_flight(state) + _line(waiting(state, now), "font-weight:bold")
    parts = [
        _line(before(state)),
        _line(headline(state), "font-weight:bold"),
        _bar(state),
        _steady(_legend(state), 0 if state.end else 1),
        _line(" · ".join(amounts(state, now))),
        _steady(moving, lines_in_flight(state)),
        _line("" if state.end else hint, _QUIET),
    ]
    style = f"max-width:720px;padding:4px 0;line-height:{_LINE_EM}"
    return f'<div class="dicomove-panel" style="{style}">{"".join(parts)}</div>'


def _line(text: str, style: str = "") -> str:
    return f'<div style="{style}">{escape(text)}</div>' if text else ""


def _steady(html: str, lines: int) -> str:
    """Reserve space for so many lines, so that the lines below do not jump."""
    return f'<div style="min-height:{_LINE_EM * lines:g}em">{html}</div>' if lines else html


def _bar(state: PanelState) -> str:
    """Return the bar. Its width stands for all rows, each colour for the rows of one outcome."""
    rows = max(state.rows, state.done, 1)
    pieces = [
        f'<div class="dicomove-{escape(outcome)}" title="{escape(outcome)}: {count:,}"'
        f' style="float:left;height:14px;width:{100 * count / rows:.3f}%;background-color:{_colour(outcome)}"></div>'
        for outcome, count in outcomes(state)
    ]
    style = f"height:14px;overflow:hidden;border-radius:3px;background-color:{_TRACK}"
    said = escape(", ".join(f"{count:,} {outcome}" for outcome, count in outcomes(state)) or "no result yet")
    return f'<div class="dicomove-bar" role="img" aria-label="{said}" style="{style}">{"".join(pieces)}</div>'


def _legend(state: PanelState) -> str:
    words = [
        f'<span style="display:inline-block;margin-right:14px">{_swatch(outcome)}{count:,} {escape(outcome)}</span>'
        for outcome, count in outcomes(state)
    ]
    return f"<div>{' '.join(words)}</div>" if words else ""


def _swatch(outcome: str) -> str:
    style = f"display:inline-block;width:10px;height:10px;margin-right:4px;background-color:{_colour(outcome)}"
    return f'<span style="{style}"></span>'


def _rows_in_flight(state: PanelState) -> str:
    shown, more = in_flight(state)
    lines = [_row_in_flight(row) for row in shown]
    lines += [_line(f"and {more:,} more in flight", _QUIET)] if more else []
    return "".join(lines)


def _row_in_flight(row: RowInFlight) -> str:
    """Return one row: a small bar, its label, and its progress."""
    track = f"display:inline-block;width:80px;height:6px;margin-right:8px;background-color:{_TRACK};overflow:hidden"
    piece = f"float:left;height:6px;width:{100 * row.part:.1f}%;background-color:{OUTCOME_COLOURS['complete']}"
    bar = f'<span style="{track}"><span style="{piece}"></span></span>'
    return f"<div>{bar}row <b>{escape(label(row.label))}</b>: {escape(progress_of(row))}</div>"


def _colour(outcome: str) -> str:
    return OUTCOME_COLOURS.get(outcome, _OTHER)


def to_text(state: PanelState, *, now: datetime, hint: str = "") -> str:
    """Return the panel as lines of text.

    Parameters
    ----------
    state
        What is known of the run.
    now
        The local time.
    hint
        What the reader may do while it runs.

    Examples
    --------
    >>> from datetime import UTC
    >>> state = PanelState(verb="move", rows=8, outcomes={"complete": 3, "failed": 1})
    >>> print(to_text(state, now=datetime(2026, 1, 31, 20, 0, tzinfo=UTC)))
    move: 4 of 8 rows
    [####################....................]
    3 complete, 1 failed
    0 instances
    """
    shown, more = in_flight(state)
    lines = [before(state), headline(state), _text_bar(state)]
    lines.append(", ".join(f"{count:,} {outcome}" for outcome, count in outcomes(state)))
    lines.append(", ".join(amounts(state, now)))
    lines += [f"row {label(row.label)}: {progress_of(row)}" for row in shown]
    lines += [f"and {more:,} more in flight"] if more else []
    lines += [waiting(state, now), "" if state.end else hint]
    return "\n".join(line for line in lines if line)


def _text_bar(state: PanelState) -> str:
    done = _BAR_WIDTH * min(state.done, state.rows) // state.rows if state.rows else 0
    return f"[{'#' * done}{'.' * (_BAR_WIDTH - done)}]"
