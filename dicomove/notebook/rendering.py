"""The panel, rendered from its state: as HTML, and as text for readers without it. Pure.

The HTML has inline styles only, since a notebook that is opened again loses scripts and style sheets.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Final

from dicomove.notebook import wording
from dicomove.notebook.state import Flight, PanelState
from dicomove.words import COLOURS

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
    moving = _rows_in_flight(state) + _line(wording.waiting(state, now), "font-weight:bold")
    parts = [
        _line(wording.before(state)),
        _line(wording.headline(state), "font-weight:bold"),
        _bar(state),
        _steady(_legend(state), 0 if state.end else 1),
        _line(" · ".join(wording.amounts(state, now))),
        _steady(moving, wording.lines_in_flight(state)),
        _line("" if state.end else hint, _QUIET),
    ]
    style = f"max-width:720px;padding:4px 0;line-height:{_LINE_EM}"
    return f'<div class="dicomove-panel" style="{style}">{"".join(parts)}</div>'


def _line(text: str, style: str = "") -> str:
    return f'<div style="{style}">{escape(text)}</div>' if text else ""


def _steady(html: str, lines: int) -> str:
    """Keep room for so many lines, so that what is below does not jump whenever one comes or goes."""
    return f'<div style="min-height:{_LINE_EM * lines:g}em">{html}</div>' if lines else html


def _bar(state: PanelState) -> str:
    """Return the bar whose whole width is all rows, and each colour the rows of one outcome."""
    rows = max(state.rows, state.done, 1)
    pieces = [
        f'<div class="dicomove-{escape(outcome)}" title="{escape(outcome)}: {count:,}"'
        f' style="float:left;height:14px;width:{100 * count / rows:.3f}%;background-color:{_colour(outcome)}"></div>'
        for outcome, count in wording.outcomes(state)
    ]
    style = f"height:14px;overflow:hidden;border-radius:3px;background-color:{_TRACK}"
    said = escape(", ".join(f"{count:,} {outcome}" for outcome, count in wording.outcomes(state)) or "no result yet")
    return f'<div class="dicomove-bar" role="img" aria-label="{said}" style="{style}">{"".join(pieces)}</div>'


def _legend(state: PanelState) -> str:
    words = [
        f'<span style="display:inline-block;margin-right:14px">{_swatch(outcome)}{count:,} {escape(outcome)}</span>'
        for outcome, count in wording.outcomes(state)
    ]
    return f"<div>{' '.join(words)}</div>" if words else ""


def _swatch(outcome: str) -> str:
    style = f"display:inline-block;width:10px;height:10px;margin-right:4px;background-color:{_colour(outcome)}"
    return f'<span style="{style}"></span>'


def _rows_in_flight(state: PanelState) -> str:
    shown, more = wording.in_flight(state)
    lines = [_row_in_flight(flight) for flight in shown]
    lines += [_line(f"and {more:,} more in flight", _QUIET)] if more else []
    return "".join(lines)


def _row_in_flight(flight: Flight) -> str:
    """Return one row: its own small bar, its label, and how far it is."""
    track = f"display:inline-block;width:80px;height:6px;margin-right:8px;background-color:{_TRACK};overflow:hidden"
    piece = f"float:left;height:6px;width:{100 * flight.part:.1f}%;background-color:{COLOURS['complete']}"
    bar = f'<span style="{track}"><span style="{piece}"></span></span>'
    return f"<div>{bar}row <b>{escape(wording.label(flight.label))}</b>: {escape(wording.flown(flight))}</div>"


def _colour(outcome: str) -> str:
    return COLOURS.get(outcome, _OTHER)


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
    shown, more = wording.in_flight(state)
    lines = [wording.before(state), wording.headline(state), _text_bar(state)]
    lines.append(", ".join(f"{count:,} {outcome}" for outcome, count in wording.outcomes(state)))
    lines.append(", ".join(wording.amounts(state, now)))
    lines += [f"row {wording.label(flight.label)}: {wording.flown(flight)}" for flight in shown]
    lines += [f"and {more:,} more in flight"] if more else []
    lines += [wording.waiting(state, now), "" if state.end else hint]
    return "\n".join(line for line in lines if line)


def _text_bar(state: PanelState) -> str:
    done = _BAR_WIDTH * min(state.done, state.rows) // state.rows if state.rows else 0
    return f"[{'#' * done}{'.' * (_BAR_WIDTH - done)}]"
