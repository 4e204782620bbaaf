"""Draws the panel: at most five times a second, and always its first and its last state.

The panel of a job in the background also has buttons: Cancel, and Pause or Resume.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType, TracebackType
from typing import Any, Final, Protocol, Self, cast

from dicomove.events import Arriving, Continuing, Event, RowFinished, RunEnded, SubOperationEvent, Waiting, notify
from dicomove.logs import log_exception
from dicomove.notebook.rendering import to_html, to_text
from dicomove.notebook.state import PanelState, StateBuilder

logger = logging.getLogger("dicomove")

#: The hint in a cell that blocks: there, only the stop button works in all front ends and kernels.
STOP_HINT: Final = "The stop button cancels, and returns the table so far."

#: Drawings without a wait between them, and further ones in each second: together at most five in any second.
_AT_ONCE: Final = 3.0
_PER_SECOND: Final = 2.5
#: Drawings that counts of instances, and that ends of rows, leave for rarer events.
_RESERVE_OF_COUNTS: Final = 2
_RESERVE_OF_ENDS: Final = 1
#: Events that come once per instance. Each repeats those before it, so that the latest is enough.
_COUNTS: Final = (SubOperationEvent, Arriving)
#: The seconds between two drawings of a run without news.
_IDLE_S: Final = 1.0


def in_notebook() -> bool:
    """Return whether the code runs in the kernel of a notebook, which can show a panel.

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
    """Limits the number of drawings per second.

    Some events may be the last ones for a while, for example when the PACS lets a row wait. They are drawn at once,
    because frequent events leave a reserve for them.

    Examples
    --------
    >>> pace = Pace()
    >>> [pace.allows(now=0.0, reserve=2) for _ in range(2)], [pace.allows(now=0.0, reserve=0) for _ in range(3)]
    ([True, False], [True, True, False])
    """

    def __init__(self) -> None:
        self._left = _AT_ONCE
        self._at = 0.0
        #: The earliest time of the next drawing, by reserve: a quick answer for thousands of events in a second.
        self._not_before = [0.0] * (_RESERVE_OF_COUNTS + 1)

    def allows(self, *, now: float, reserve: int) -> bool:
        """Return whether to draw now and still leave so many drawings; count the drawing."""
        if now < self._not_before[reserve]:
            return False
        self._left = min(_AT_ONCE, self._left + (now - self._at) * _PER_SECOND)
        self._at = now
        if self._left < reserve + 1.0:
            self._not_before[reserve] = now + (reserve + 1.0 - self._left) / _PER_SECOND
            return False
        self._left -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Panel:
    """The panel in the form that Jupyter shows and saves."""

    state: PanelState
    hint: str = ""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        now = datetime.now(UTC).astimezone()
        return {
            "text/html": to_html(self.state, now=now, hint=self.hint),
            "text/plain": to_text(self.state, now=now, hint=self.hint),
        }


class PanelDisplay:
    """Shows a run as a panel in a notebook. All calls come from the one thread that draws.

    Parameters
    ----------
    hint
        A line about what the reader can do during the run.
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
        self._builder = StateBuilder(PanelState(began_at=clock()))

    @property
    def state(self) -> PanelState:
        """The state of the run."""
        return self._builder.state

    def __enter__(self) -> Self:
        return self

    def __call__(self, event: Event) -> None:
        """Take an event in, and draw when it is time."""
        now = self._clock()
        if isinstance(event, _COUNTS) and self._drawn_at is not None:
            self._counts[type(event), event.position] = event
            is_time = self._pace.allows(now=now, reserve=_RESERVE_OF_COUNTS)
        else:
            if self._counts:
                self._take_in_counts(now)
            self._builder.take(event, now)
            # The next row usually begins at once. A panel without any row would be wrong until the next drawing.
            reserve = _RESERVE_OF_ENDS if isinstance(event, RowFinished) else 0
            is_last = isinstance(event, RunEnded) or self._drawn_at is None
            is_time = is_last or self._pace.allows(now=now, reserve=reserve)
        if is_time:
            self._take_in_counts(now)
            self._draw()

    def tick(self) -> None:
        """Draw what was not drawn yet; without events, rates fall."""
        now = self._clock()
        if self._drawn_at is not None and now - self._drawn_at >= _IDLE_S and self._pace.allows(now=now, reserve=0):
            self._take_in_counts(now)
            self._builder = StateBuilder(self.state.seen_at(now))
            self._draw()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        now = self._clock()
        self._take_in_counts(now)
        if not self.state.end:
            self._builder = StateBuilder(self.state.ended("broke off" if kind else "done", now))
            if self._drawn_at is not None:
                self._draw()

    def _take_in_counts(self, now: float) -> None:
        for event in self._counts.values():
            self._builder.take(event, now)
        self._counts.clear()

    def _draw(self) -> None:
        self._drawn_at = self.state.at
        if self._broken:
            return
        try:
            self._show(Panel(self.state, self._hint))
        except Exception as error:  # noqa: BLE001 (it is logged)
            # A front end that does not answer must not end the run, nor fill the log.
            said = "the panel cannot be drawn, and the work goes on without it"
            log_exception(logger, said, error)
            self._broken = True

    def _show(self, panel: Panel) -> None:
        if self._handle is None:
            from IPython.display import display

            self._handle = display(panel, display_id=True)
        elif self._handle:
            self._handle.update(panel)


_WITHOUT_BUTTONS: Final = "job.cancel() ends it, job.pause() and job.resume() halt it."


class Job(Protocol):
    """A job, for the buttons. Each method returns at once, and may be called in any thread."""

    def cancel(self) -> object:
        """Cancel the rows in flight, and begin no more."""

    def pause(self) -> object:
        """Begin no more rows for now."""

    def resume(self) -> object:
        """Go on."""


class JobPanel(PanelDisplay):
    """Shows a job in the background. The caller's thread makes it, and the thread of the job uses it.

    An output that another thread makes appears under whatever cell runs at that time. An output from the caller's
    thread stays under its cell, also when it is updated later.

    Parameters
    ----------
    job
        The job of the buttons.
    """

    def __init__(self, job: Job) -> None:
        widgets = _ipywidgets()
        super().__init__("" if widgets else _WITHOUT_BUTTONS)
        self._draw()
        self._buttons = _Buttons(job, widgets) if widgets else None

    def __call__(self, event: Event) -> None:
        """Take an event in, and draw when it is time."""
        super().__call__(event)
        if self._buttons and isinstance(event, Waiting | Continuing):
            notify(self._buttons.say_paused, isinstance(event, Waiting) and event.reason == "paused")
        if isinstance(event, RunEnded):
            self._remove_buttons()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._remove_buttons()

    def _remove_buttons(self) -> None:
        if self._buttons:
            self._buttons.remove()
            self._buttons = None


class _Nothing:
    """Replaces the buttons at the end: a saved notebook has no use for them."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": "", "text/plain": ""}


class _Buttons:
    """The buttons Cancel, and Pause or Resume."""

    def __init__(self, job: Job, ipywidgets: Any) -> None:
        from IPython.display import display

        self._job = job
        self._paused = False
        self._cancel = ipywidgets.Button(description="Cancel", icon="stop", button_style="danger")
        self._pause = ipywidgets.Button(description="Pause", icon="pause")
        for button, action in ((self._cancel, self._on_cancel), (self._pause, self._on_pause)):
            button.on_click(action)
            _hear_while_busy(button)
        self._handle: Any = display(ipywidgets.HBox([self._cancel, self._pause]), display_id=True)

    def say_paused(self, paused: bool) -> None:  # noqa: FBT001 (`notify` hands on one value)
        """Switch the second button between Pause and Resume."""
        self._paused = paused
        self._pause.description = "Resume" if paused else "Pause"
        self._pause.icon = "play" if paused else "pause"

    def remove(self) -> None:
        """Remove the buttons."""
        # A display handle and not a widget: any thread can update it on every kernel.
        if self._handle:
            notify(self._handle.update, _Nothing())

    def _on_cancel(self, _: object) -> None:
        self._cancel.disabled = self._pause.disabled = True
        self._job.cancel()

    def _on_pause(self, _: object) -> None:
        if self._paused:
            self._job.resume()
        else:
            self._job.pause()
        self.say_paused(not self._paused)


def _ipywidgets() -> ModuleType | None:
    try:
        import ipywidgets
    except ImportError:
        return None
    return cast("ModuleType", ipywidgets)


def _hear_while_busy(button: Any) -> None:
    """Let the front end choose the subshell that handles a press.

    ipykernel 7.4 hands a press to the main thread, where the button was made, and there it waits for the running cell.
    JupyterLab sends it to a subshell, which handles it at once. Older kernels have no subshells.
    """
    if button.comm is not None:
        button.comm._reply_subshell_for = lambda _, chosen: chosen  # noqa: SLF001 (there is no public way)
