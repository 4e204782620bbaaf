"""Chooses the display of a run. Displays consume events, in the one thread that draws."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted, SubOperationEvent, notify
from dicomove.logs import log_exception
from dicomove.notebook.drawing import Job, JobPanel, PanelDisplay, in_notebook

Progress = Literal["auto", "tqdm", "panel"] | bool | Callable[[Event], object]

#: At most five redrawings per second: a C-MOVE has an event per instance.
_INTERVAL_S: Final = 0.2
logger = logging.getLogger("dicomove")


class Display(Protocol):
    """Shows a run. Enter it, call it with each event, leave it."""

    def __enter__(self) -> Self: ...

    def __call__(self, event: Event) -> None:
        """Show an event."""

    def tick(self) -> None:
        """Take note that time has passed without an event."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def display(progress: Progress) -> Display:
    """Return the display that a ``progress=`` argument names, for a run that blocks its caller.

    Parameters
    ----------
    progress
        ``"auto"`` and ``"panel"``: a panel in a notebook, and a bar elsewhere. ``"tqdm"``: a bar. ``False``: nothing. A
        callable gets each event; if it raises exceptions, the first is logged, and the run goes on.

    Raises
    ------
    ValueError
        Something else.
    """
    if isinstance(progress, Phases):
        return progress
    return _plain(progress) or PanelDisplay()


def job_display(progress: Progress, job: Job) -> Display:
    """Return the display that a ``progress=`` argument names, for a job in the background.

    Call this in the caller's thread, so that the display stays under its cell; the thread of the job uses the display.

    Parameters
    ----------
    progress
        As for `display`. The panel has buttons, too.
    job
        The job that the buttons cancel, pause and resume.

    Raises
    ------
    ValueError
        `progress` is something else.
    """
    return _plain(progress) or JobPanel(job)


def check_progress(progress: Progress) -> None:
    """Raise ValueError for an invalid ``progress=`` argument."""
    if progress is not False and not callable(progress) and progress not in ("auto", "tqdm", "panel", True):
        message = f"progress={progress!r}: 'auto', 'tqdm', 'panel', False, or a function that gets the events"
        raise ValueError(message)


def _plain(progress: Progress) -> Display | None:
    """Return the display if it is not a panel."""
    check_progress(progress)
    if progress is False:
        return CallbackDisplay(lambda _: None)
    if callable(progress):
        return CallbackDisplay(progress)
    return BarDisplay() if progress == "tqdm" or not in_notebook() else None


class Phases:
    """One display for runs that follow each other, such as a find and the move of what was found.

    Each run enters it, calls it and leaves it. It closes only when its maker leaves it.

    Parameters
    ----------
    progress
        As for `display`.
    """

    def __init__(self, progress: Progress) -> None:
        self._show = display(progress)
        self._depth, self._is_entered = 0, False

    def __enter__(self) -> Self:
        self._depth += 1
        return self

    def __call__(self, event: Event) -> None:
        """Show an event. The first event opens the display, so that nothing is shown for a table that is refused."""
        if not self._is_entered:
            self._is_entered = True
            self._show.__enter__()
        self._show(event)

    def tick(self) -> None:
        """Take note that time has passed without an event."""
        if self._is_entered:
            self._show.tick()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._is_entered and not self._depth:
            self._show.__exit__(kind, error, traceback)


class CallbackDisplay:
    """Hands each event to a function; its first exception is logged, and at the end the number of all."""

    def __init__(self, callback: Callable[[Event], object]) -> None:
        self._callback, self._failed = callback, 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, event: Event) -> None:
        """Call the function."""
        self._failed += not notify(self._callback, event, is_logged=not self._failed)

    def tick(self) -> None:
        """Do nothing: a function gets events only."""

    def __exit__(self, *_: object) -> None:
        if self._failed > 1:
            logger.error("the function in progress= raised for %d events; only the first is logged", self._failed)


class BarDisplay:
    """A `tqdm` bar for each run: rows done of all, the outcomes so far, and the instances of the rows in flight.

    A terminal that is gone, or a full disk, must not end the run: the bar is then left out.
    """

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._in_flight: dict[Hashable, SubOperationEvent | None] = {}
        self._has_begun = False
        self._bar: Any = None

    def __enter__(self) -> Self:
        with self._drawing():
            self._bar = self._new_bar()
        return self

    def __call__(self, event: Event) -> None:
        """Show an event; the bar redraws when its interval has passed."""
        with self._drawing():
            if self._bar is not None:
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._begin(event)
            case RowStarted():
                self._in_flight[event.position] = None
            case SubOperationEvent():
                self._in_flight[event.position] = event
            case RowFinished():
                self._in_flight.pop(event.position, None)
                self._outcomes[event.outcome] += 1
                if event.before is not None:
                    self._outcomes[event.before] -= 1
            case RunEnded():
                self._in_flight.clear()
        self._bar.set_postfix_str(self._postfix(), refresh=False)
        self._bar.update(int(isinstance(event, RowFinished) and event.before is None))

    def tick(self) -> None:
        """Do nothing: regular lines would only fill the log of a batch job."""

    def __exit__(self, *_: object) -> None:
        with self._drawing():
            if self._bar is not None:
                self._bar.close()

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Go on without the bar if it raises an exception."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (it is logged)
            log_exception(logger, "the bar cannot be drawn, and the work goes on without it", error)
            bar, self._bar = self._bar, None
            with suppress(Exception):  # it must not draw again when it is forgotten
                bar.close()

    def _begin(self, event: RunStarted) -> None:
        """Begin a run; the bar of the run before stays on a line of its own."""
        if self._has_begun:
            self._bar.close()
            self._bar = self._new_bar()
        self._has_begun = True
        self._outcomes.clear()
        self._bar.set_description_str(event.verb, refresh=False)
        self._bar.reset(total=event.rows)

    def _new_bar(self) -> Any:
        # Not at the top: tqdm.auto looks for a notebook and its widgets, which takes time.
        from tqdm.auto import tqdm

        return tqdm(unit="row", mininterval=_INTERVAL_S, file=sys.stderr, dynamic_ncols=True, delay=1e-9)

    def _postfix(self) -> str:
        moving = [event for event in self._in_flight.values() if event]
        return " | ".join(part for part in (self._said(), _instances(moving)) if part)

    def _said(self) -> str:
        return ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.most_common() if count)


def _instances(moving: Sequence[SubOperationEvent]) -> str:
    """Return the progress of all rows in flight in a few words, because the bar needs the rest of the line.

    Examples
    --------
    >>> rest = dict(failed=0, warning=0, remaining=None, elapsed_s=1.0)
    >>> one = SubOperationEvent.of(total=10, completed=4, **rest)
    >>> other = SubOperationEvent.of(total=5, completed=1, **rest)
    >>> _instances([one, other]), _instances([])
    ('5 of 15 instances', '')
    """
    counted = [event for event in moving if event.total is not None]
    if not counted:
        return ""
    done = sum((event.completed or 0) + (event.failed or 0) + (event.warning or 0) for event in counted)
    return f"{done:,} of {sum(event.total or 0 for event in counted):,} instances"
