"""When the panel is drawn, and where: at most five times in a second, and always its first and its last state."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from dicomove.events import Arriving, Event, RowFinished, SubOperationEvent
from dicomove.notebook.rendering import to_html, to_text
from dicomove.notebook.state import PanelState

logger = logging.getLogger("dicomove")

#: What is shown in a cell that blocks: there, the stop button is the one that all front ends and kernels hear.
STOP_HINT: Final = "The stop button cancels, and returns the table so far."

#: Drawings that may follow each other at once, and those that may follow in each second after: at most five in any.
_AT_ONCE: Final = 3.0
_PER_SECOND: Final = 2.5
#: Drawings that are left for what is rarer: by counts of instances, and by ends of rows.
_RESERVE_OF_COUNTS: Final = 2
_RESERVE_OF_ENDS: Final = 1
#: How often a run is drawn of which there is no news.
_IDLE_S: Final = 1.0


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook, which can show a panel.

    Examples
    --------
    >>> in_notebook()
    False
    """
    # A notebook's kernel has imported IPython already. Colab's shell is a child of ipykernel's.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return "ZMQInteractiveShell" in [kind.__name__ for kind in type(shell).__mro__]


class Pace:
    """Says whether it is time to draw.

    What may be the last news for a while (a row has been begun, and the PACS makes it wait) is to be seen at once: what
    comes often leaves a reserve for it.

    Examples
    --------
    >>> pace = Pace()
    >>> [pace.allows(now=0.0, reserve=2) for _ in range(2)], [pace.allows(now=0.0, reserve=0) for _ in range(3)]
    ([True, False], [True, True, False])
    """

    def __init__(self) -> None:
        self._left = _AT_ONCE
        self._at = 0.0

    def allows(self, *, now: float, reserve: int) -> bool:
        """Return whether to draw now, if so many drawings are to be left, and count it."""
        self._left = min(_AT_ONCE, self._left + (now - self._at) * _PER_SECOND)
        self._at = now
        if self._left < reserve + 1.0:
            return False
        self._left -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Panel:
    """The panel as Jupyter shows it, and saves it."""

    state: PanelState
    hint: str = ""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        now = datetime.now(UTC).astimezone()
        return {
            "text/html": to_html(self.state, now=now, hint=self.hint),
            "text/plain": to_text(self.state, now=now, hint=self.hint),
        }


class PanelDisplay:
    """Shows a run as a panel in a notebook: made, entered, called and left in the one thread that draws.

    Parameters
    ----------
    hint
        What the reader may do while it runs.
    clock
        Seconds that do not jump.

    Examples
    --------
    >>> from dicomove.events import RunStarted
    >>> with PanelDisplay() as show:  # doctest: +SKIP
    ...     show(RunStarted(verb="move", rows=8, requests=8))
    """

    def __init__(self, hint: str = STOP_HINT, clock: Callable[[], float] = time.monotonic) -> None:
        self._hint, self._clock = hint, clock
        self._pace = Pace()
        self._drawn_at: float | None = None
        self._handle: Any = None
        self._broken = False
        self._counts: dict[tuple[type[Event], int | None], SubOperationEvent | Arriving] = {}
        self.state = PanelState(began_at=clock())

    def __enter__(self) -> Self:
        return self

    def __call__(self, event: Event) -> None:
        """Take an event in, and draw when it is time."""
        now = self._clock()
        if self._drawn_at is not None and isinstance(event, SubOperationEvent | Arriving):
            # There is one per instance, and each says all that those before it said: the latest is enough.
            self._counts[type(event), event.position] = event
            if self._pace.allows(now=now, reserve=_RESERVE_OF_COUNTS):
                self._take_in_counts(now)
                self._draw()
            return
        self._take_in_counts(now)
        self.state = self.state.after(event, now)
        # The next row is mostly begun at once, and a panel without any would be wrong until there is time again.
        reserve = _RESERVE_OF_ENDS if isinstance(event, RowFinished) else 0
        if self._drawn_at is None or self.state.end or self._pace.allows(now=now, reserve=reserve):
            self._draw()

    def tick(self) -> None:
        """Say that nothing has happened: what was not drawn yet is drawn, and rates fade."""
        now = self._clock()
        if self._drawn_at is not None and now - self._drawn_at >= _IDLE_S and self._pace.allows(now=now, reserve=0):
            self._take_in_counts(now)
            self._draw()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.state.end:
            now = self._clock()
            self._take_in_counts(now)
            self.state = self.state.ended("broke off" if kind else "done", now)
            if self._drawn_at is not None:
                self._draw()

    def _take_in_counts(self, now: float) -> None:
        for event in self._counts.values():
            self.state = self.state.after(event, now)
        self._counts.clear()
        self.state = self.state.seen_at(now)

    def _draw(self) -> None:
        self._drawn_at = self.state.at
        if self._broken:
            return
        try:
            self._show(Panel(self.state, self._hint))
        except Exception:
            # A front end that cannot be told must not end the run, nor fill the log.
            logger.exception("the panel cannot be drawn, and the work goes on without it")
            self._broken = True

    def _show(self, panel: Panel) -> None:
        if self._handle is None:
            from IPython.display import display

            self._handle = display(panel, display_id=True)
        elif self._handle:
            self._handle.update(panel)
