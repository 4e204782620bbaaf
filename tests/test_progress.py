from __future__ import annotations

import errno
import io
import sys
from dataclasses import replace

import pytest

from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted, SubOperationEvent
from dicomove.notebook import PanelDisplay
from dicomove.notebook.progress import BarDisplay, CallbackDisplay, Display, Progress, display, job_display


def moving(completed: int) -> SubOperationEvent:
    event = SubOperationEvent.of(
        total=10, completed=completed, failed=1, warning=0, remaining=9 - completed, elapsed_s=2.0
    )
    assert event.rate == (completed + 1) / 2
    return event


def test_percent_rate_and_what_is_left() -> None:
    event = moving(4)
    assert (event.percent, event.rate, event.eta_s) == (50.0, 2.5, 2.0)
    assert str(event) == "4 of 10 instances, 50 %, 2.5/s, 2 s left, 1 failed"


def test_unknown_numbers_are_not_made_up() -> None:
    event = SubOperationEvent.of(total=None, completed=None, failed=None, warning=None, remaining=None, elapsed_s=0.0)
    assert (event.percent, event.rate, event.eta_s) == (None, None, None)
    assert str(event) == "? of ? instances"


def test_the_bar_shows_rows_outcomes_and_instances(capsys: pytest.CaptureFixture[str]) -> None:
    with display("tqdm") as show:
        show(RunStarted(verb="move", rows=2, requests=2))
        show(RowStarted(row="a", position=0))
        show(moving(4))
        show(RowFinished(row="a", position=0, outcome="complete", error=None, instances=10, duration_s=1.0))
        show(RowStarted(row="b", position=1))
        show(RowFinished(row="b", position=1, outcome="failed", error="no_match", instances=0, duration_s=1.0))
        show(RunEnded(verb="move", interrupted=False))
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "1 complete, 1 failed" in shown


class Terminal(io.StringIO):
    """May be closed: then each write fails."""

    is_gone = False

    def write(self, text: str) -> int:
        if self.is_gone:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize("at", range(5))
def test_a_terminal_that_is_gone_ends_nothing(
    at: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = [
        RunStarted(verb="move", rows=2, requests=2),
        RowFinished(row="a", position=0, outcome="complete", error=None, instances=9, duration_s=1.0),
        RunEnded(verb="move", interrupted=False),
        RunStarted(verb="move", rows=1, requests=1),
    ]
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with display("tqdm") as show:
        for number, event in enumerate(events):
            terminal.is_gone = number >= at
            show(event)
        terminal.is_gone = True
    assert len(caplog.records) == 1
    assert "the work goes on without it" in caplog.text


def test_without_stderr_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with display("tqdm") as show:
        show(RunStarted(verb="move", rows=2, requests=2))
        show(RunEnded(verb="move", interrupted=False))


def test_a_row_that_is_read_again_counts_once_in_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    row = RowFinished(row="a", position=0, outcome="partial", error=None, instances=9, duration_s=1.0)
    with display("tqdm") as show:
        show(RunStarted(verb="move", rows=2, requests=2))
        show(row)
        show(replace(row, outcome="complete", before="partial"))
        show(RunEnded(verb="move", interrupted=False))
    shown = capsys.readouterr().err.rpartition("\r")[2]
    assert "1/2" in shown
    assert "1 complete" in shown
    assert "partial" not in shown


def test_a_function_gets_the_events_and_may_raise() -> None:
    got = []

    def callback(event: object) -> None:
        got.append(event)
        raise RuntimeError

    with display(callback) as show:
        show(RunStarted(verb="find", rows=0, requests=0))
    assert got == [RunStarted(verb="find", rows=0, requests=0)]


@pytest.mark.parametrize("progress", ["panel of glass", 3, None])
def test_no_display(progress: Progress) -> None:
    with pytest.raises(ValueError, match="progress="):
        display(progress)


class ZMQInteractiveShell:
    """Takes the place of ipykernel's shell, by which a notebook is known."""


class Shell(ZMQInteractiveShell):
    """As Colab has it."""


class TerminalInteractiveShell:
    """IPython in a terminal."""


@pytest.mark.parametrize("progress", ["auto", "panel", True])
@pytest.mark.parametrize(
    ("shell", "shown"),
    [(ZMQInteractiveShell(), PanelDisplay), (Shell(), PanelDisplay), (TerminalInteractiveShell(), BarDisplay)],
    ids=lambda value: type(value).__name__,
)
def test_a_notebook_gets_a_panel(
    progress: Progress, shell: object, shown: type[Display], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    assert type(display(progress)) is shown
    assert type(display("tqdm")) is BarDisplay
    assert type(display(False)) is type(display(print)) is CallbackDisplay


@pytest.mark.parametrize("progress", ["auto", "panel"])
def test_without_ipython_there_is_a_bar(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert type(display(progress)) is BarDisplay


def test_a_job_outside_of_a_notebook_has_a_bar() -> None:
    class Idle:
        def cancel(self) -> None: ...

        def pause(self) -> None: ...

        def resume(self) -> None: ...

    assert type(job_display("auto", Idle())) is BarDisplay
    with pytest.raises(ValueError, match="progress="):
        job_display(3, Idle())  # type: ignore[arg-type]  # what a user may write
