"""The panel of a job in the background, with the buttons that end it, halt it, and let it go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any, Final, Protocol, cast

from dicomove.events import Continuing, Event, Waiting, notify
from dicomove.notebook.drawing import PanelDisplay

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
        self._remove_buttons_at_the_end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._remove_buttons_at_the_end()

    def _remove_buttons_at_the_end(self) -> None:
        if self._buttons and self.state.end:
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
