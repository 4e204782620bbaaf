"""The panel as text: what a saved notebook has for readers without HTML. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from dicomove.notebook import wording
from dicomove.notebook.state import PanelState

_BAR_WIDTH: Final = 40


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
    lines = [wording.before(state), wording.headline(state), _bar(state)]
    lines.append(", ".join(f"{count:,} {outcome}" for outcome, count in wording.outcomes(state)))
    lines.append(", ".join(wording.amounts(state, now)))
    lines += [f"row {wording.label(flight.label)}: {wording.flown(flight)}" for flight in shown]
    lines += [f"and {more:,} more in flight"] if more else []
    lines += [wording.waiting(state, now), "" if state.end else hint]
    return "\n".join(line for line in lines if line)


def _bar(state: PanelState) -> str:
    done = _BAR_WIDTH * min(state.done, state.rows) // state.rows if state.rows else 0
    return f"[{'#' * done}{'.' * (_BAR_WIDTH - done)}]"
