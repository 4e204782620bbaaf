"""When the panel is drawn, and where: at most five times in a second, and always its first and its last state.

A job in the background has the same panel, with buttons that end it, halt it, and let it go on.
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
from dicomove.notebook.rendering import to_html, to_text
from dicomove.notebook.state import PanelState, StateBuilder

logger = logging.getLogger("dicomove")

#: What is shown in a cell that blocks: there, the stop button is the one that all front ends and kernels hear.
STOP_HINT: Final = "The stop button cancels, and returns the table so far."

#: Drawings that may follow each other at once, and those that may follow in each second after: at most five in any.
_AT_ONCE: Final = 3.0
_PER_SECOND: Final = 2.5
#: Drawings that are left for what is rarer: by counts of instances, and by ends of rows.
_RESERVE_OF_COUNTS: Final = 2
_RESERVE_OF_ENDS: Final = 1
#: There is one per instance, and each says all that those before it said: the latest is enough.
_COUNTS: Final = (SubOperationEvent, Arriving)
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
        #: Before which it need not be asked again, by reserve: it is asked at each of thousands of events in a second.
        self._not_before = [0.0] * (_RESERVE_OF_COUNTS + 1)

    def allows(self, *, now: float, reserve: int) -> bool:
        """Return whether to draw now, if so many drawings are to be left, and count it."""
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
        self._builder = StateBuilder(PanelState(began_at=clock()))

    @property
    def state(self) -> PanelState:
        """What is known of the run."""
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
            # The next row is mostly begun at once, and a panel without any would be wrong until there is time again.
            reserve = _RESERVE_OF_ENDS if isinstance(event, RowFinished) else 0
            is_last = isinstance(event, RunEnded) or self._drawn_at is None
            is_time = is_last or self._pace.allows(now=now, reserve=reserve)
        if is_time:
            self._take_in_counts(now)
            self._draw()

    def tick(self) -> None:
        """Say that nothing has happened: what was not drawn yet is drawn, and rates fade."""
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


_WITHOUT_BUTTONS: Final = "job.cancel() ends it, job.pause() and job.resume() halt it."


class Job(Protocol):
    """What the buttons need of a job. Each of these returns at once, and may be called in any thread."""

    def cancel(self) -> object:
        """End it: what is in flight is cancelled, and no more is begun."""

    def pause(self) -> object:
        """Begin no more for now."""

    def resume(self) -> object:
        """Go on."""


class JobPanel(PanelDisplay):
    """Shows a job in the background: made in the caller's thread, entered, called and left in the job's own.

    What is made in a thread beside the main one lands under whatever cell runs at that time; what is made in the
    caller's, and updated later, stays where it is.

    Parameters
    ----------
    job
        What the buttons act on.
    clock
        Seconds that do not jump.
    """

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        widgets = _ipywidgets()
        super().__init__("" if widgets else _WITHOUT_BUTTONS, clock)
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
    """Takes the place of the buttons: a saved notebook has no use for them."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": "", "text/plain": ""}


class _Buttons:
    """Cancel, and Pause or Resume."""

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
        """Let the second button offer what can be done now."""
        self._paused = paused
        self._pause.description = "Resume" if paused else "Pause"
        self._pause.icon = "play" if paused else "pause"

    def remove(self) -> None:
        """Take the buttons away, since there is nothing left to press them for."""
        # A handle, and no widget, since that is what any thread can update on every kernel.
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
    """Let the front end choose the subshell that a press is handled in.

    ipykernel 7.4 gives a press to the main thread, where the button was made, and there it waits for the running cell.
    JupyterLab sends it to a subshell, where it is heard at once; older kernels know nothing of this and do not ask.
    """
    if button.comm is not None:
        button.comm._reply_subshell_for = lambda _, chosen: chosen  # noqa: SLF001 (there is no public way)
