from __future__ import annotations

import html.parser
import itertools
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import nbformat
import pytest
from hypothesis import given, strategies as st
from nbclient import NotebookClient

from dicomove.events import (
    Arriving,
    Continuing,
    Event,
    RowFinished,
    RowStarted,
    RowWillRetry,
    RunEnded,
    RunStarted,
    SubOperationEvent,
    Waiting,
)
from dicomove.notebook import JobPanel, PanelState, rendering, to_html, to_text
from dicomove.notebook.drawing import Pace, Panel, PanelDisplay
from dicomove.notebook.state import StateBuilder
from dicomove.words import OUTCOME_COLOURS, OUTCOMES, Outcome
from tests import site

NOW = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)


def started(rows: int, requests: int | None = None, verb: str = "move") -> RunStarted:
    return RunStarted(verb=verb, rows=rows, requests=rows if requests is None else requests)


def begun(position: int, row: Any = None) -> RowStarted:
    return RowStarted(row=position if row is None else row, position=position)


def finished(position: int, outcome: str = "complete", **known: Any) -> RowFinished:
    given = {"instances": 10, "duration_s": 1.0 + position, "error": None, "bytes": None} | known
    return RowFinished(row=position, position=position, outcome=outcome, **given)


def pending(position: int, completed: int | None, total: int | None = 10) -> SubOperationEvent:
    return SubOperationEvent(
        total=total,
        completed=completed,
        failed=0,
        warning=None,
        remaining=None,
        percent=None,
        rate=None,
        eta_s=None,
        elapsed_s=1.0,
        row=position,
        position=position,
    )


def arriving(position: int, instances: int, size: int) -> Arriving:
    return Arriving(row=position, position=position, instances=instances, bytes=size)


def state_of(*events: Event | tuple[float, Event]) -> PanelState:
    """The state after events: one each tenth of a second, or when it is said."""
    state, at = PanelState(), 0.0
    for one in events:
        at, event = one if isinstance(one, tuple) else (at + 0.1, one)
        state = state.after(event, at)
    return state


def text(state: PanelState, hint: str = "") -> str:
    return to_text(state, now=NOW, hint=hint)


class Wellformed(html.parser.HTMLParser):
    """Fails where a tag is not closed; keeps what a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def seen(state: PanelState, hint: str = "") -> str:
    return "\n".join(Wellformed(to_html(state, now=NOW, hint=hint)).seen)


def heights(html: str) -> list[str]:
    return re.findall(r"min-height:([\d.]+)em", html)


def test_the_panel_keeps_its_height_while_rows_come_and_go() -> None:
    both = state_of(started(9), begun(0), begun(1))
    one = both.after(finished(0), 1.0)
    none = one.after(finished(1), 1.1)
    waits = none.after(Waiting(reason="hours", message="until the evening", until=None), 1.2)
    seen = [heights(to_html(state, now=NOW)) for state in (both, one, none, waits)]
    assert seen == [["1.5", "3"]] * 4
    assert heights(to_html(waits.ended("done", 2.0), now=NOW)) == []


def test_the_bar_says_in_words_what_its_colours_say() -> None:
    state = state_of(started(3), begun(0), finished(0), begun(1), finished(1, "partial"))
    assert 'role="img" aria-label="1 complete, 1 partial"' in to_html(state, now=NOW)


def test_a_row_that_is_read_again_counts_once() -> None:
    state = state_of(started(2), begun(0), finished(0, "interrupted"), begun(1), finished(1))
    assert state.after(finished(0, "interrupted", before="interrupted"), 9.0).outcomes == state.outcomes
    again = state.after(finished(0, "complete", before="interrupted"), 9.0)
    assert (again.done, dict(again.outcomes)) == (2, {"complete": 2})


POSITIONS = st.integers(0, 3)
EVENTS = st.one_of(
    st.builds(begun, POSITIONS),
    st.builds(finished, POSITIONS, st.sampled_from(OUTCOMES), bytes=st.none() | st.just(5)),
    st.builds(finished, POSITIONS, before=st.sampled_from(OUTCOMES)),
    st.builds(pending, POSITIONS, st.none() | st.just(4)),
    st.builds(arriving, POSITIONS, st.just(3), st.just(30)),
    st.builds(RowWillRetry, row=POSITIONS, position=POSITIONS),
    st.just(Continuing()),
    st.just(started(4)),
    st.just(RunEnded(verb="move", interrupted=False)),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 3))))
def test_events_that_are_taken_in_together_read_as_one_by_one(steps: list[tuple[Event, float]]) -> None:
    at = list(itertools.accumulate(seconds for _, seconds in steps))
    events = [(event, moment) for (event, _), moment in zip(steps, at, strict=True)]
    one_by_one = PanelState()
    for event, moment in events:
        one_by_one = one_by_one.after(event, moment)
    builder = StateBuilder(PanelState())
    for event, moment in events:
        builder.take(event, moment)
    state = builder.state
    assert state == one_by_one
    builder.take(begun(1000), at[-1] if at else 0.0)
    assert state == one_by_one, "what was made stays as it is"


def test_rows_and_outcomes_so_far() -> None:
    state = state_of(started(4), begun(0), finished(0), begun(1), finished(1, "failed"), begun(2))
    for shown in (text(state), seen(state)):
        assert "move: 2 of 4 rows" in shown
        assert "1 complete" in shown
        assert "1 failed" in shown
    assert "[####################....................]" in text(state)


def test_the_bar_gives_each_outcome_its_share_and_its_colour() -> None:
    state = state_of(started(8), *(finished(row) for row in range(3)), finished(3, "failed"))
    bar = to_html(state, now=NOW)
    assert re.findall(r'class="dicomove-(\w+)"[^>]*width:([\d.]+)%;background-color:(#\w+)', bar) == [
        ("complete", "37.500", OUTCOME_COLOURS["complete"]),
        ("failed", "12.500", OUTCOME_COLOURS["failed"]),
    ]


def test_every_outcome_has_its_place_and_its_colour() -> None:
    assert set(get_args(Outcome)) <= set(OUTCOMES)
    assert set(OUTCOME_COLOURS) == set(OUTCOMES)
    state = state_of(started(2), finished(0, "unheard_of"), finished(1, "failed"))
    assert [outcome for outcome, _ in rendering.outcomes(state)] == ["failed", "unheard_of"]
    assert "1 unheard_of" in seen(state)


def test_a_row_in_flight_says_how_far_it_is() -> None:
    state = state_of(started(2), begun(0, "first"), begun(1, "second"), pending(1, 4))
    assert "row second: 4 of 10 instances" not in text(state)  # the label comes with the news
    assert "row 1: 4 of 10 instances" in text(state)
    assert "row first: no answer yet" in text(state)
    assert "width:40.0%" in to_html(state, now=NOW)


def test_arrivals_count_more_than_the_counts_of_the_pacs() -> None:
    state = state_of(started(1), begun(0), pending(0, 4), arriving(0, 3, 1_500_000), pending(0, 9))
    assert "3 of 10 instances, 1.5 MB" in text(state)
    assert (state.instances, state.bytes) == (3, 1_500_000)


def test_absent_counts_are_not_made_up() -> None:
    state = state_of(started(1), begun(0), pending(0, None, None))
    assert "row 0: no answer yet" in text(state)
    assert "row 0: ? of 7 instances" in text(state.after(pending(0, None, 7), 1.0))
    assert "MB/s" not in text(state)


def test_rates_are_those_of_the_last_seconds() -> None:
    fast = [(second, arriving(0, 10 * second, 5_000_000 * second)) for second in range(1, 11)]
    state = state_of((0.0, started(2)), (0.0, begun(0)), *fast)
    assert (state.rate, state.byte_rate) == (10.0, 5e6)
    assert "100 instances, 50.0 MB, 10.0 instances/s, 5.0 MB/s" in text(state)
    # Then the PACS makes it wait: the rate fades, and is forgotten after the window.
    assert state.seen_at(20.0).rate == 5.0
    assert state_of((0.0, started(2)), (0.0, begun(0)), *fast, *((t, begun(1)) for t in range(11, 41))).rate == 0.0


def test_a_row_that_is_tried_again_takes_its_instances_back() -> None:
    retry = RowWillRetry(row=0, position=0, outcome="failed", error="out_of_resources", attempt=1, wait_s=60.0)
    state = state_of((0.0, started(2)), (0.1, begun(0)), (2.0, pending(0, 9)), (3.0, retry), (4.0, retry))
    assert (state.instances, state.rate, state.in_flight) == (0, 0.0, {})
    assert "2 retries" in text(state)
    assert state.after(begun(0), 5.0).in_flight.keys() == {0}


def test_rows_that_name_the_same_are_counted_once() -> None:
    same: dict[str, Any] = {"instances": 10, "bytes": 1_000_000, "duration_s": 4.5}
    state = state_of(started(3, requests=2), begun(0), begun(1), finished(0, **same), finished(1, **same, shares=0))
    assert (state.done, state.instances, state.bytes, state.finished_requests) == (2, 10, 1_000_000, 1)
    # Another one is another one, also if it took exactly as long.
    other = state.after(begun(2), 9.0).after(finished(2, **same), 10.0)
    assert (other.instances, other.bytes, other.finished_requests) == (20, 2_000_000, 2)


def test_rows_of_an_earlier_run_do_not_count_as_moved() -> None:
    earlier = [finished(row, bytes=1_000_000, resumed=True) for row in range(7)]
    state = state_of((0.0, started(9, requests=2)), *((0.1, row) for row in earlier), (0.1, begun(8)))
    assert (state.done, state.instances, state.bytes, state.finished_requests) == (7, 0, None, 0)
    assert "7 complete from an earlier run" in text(state)
    assert state.after(finished(8), 10.0).eta_s == pytest.approx(10.0)


def test_the_remaining_time_is_estimated_from_requests() -> None:
    # One of four rows is invalid: it takes no time. After two requests of three in 20 s, 10 s are left.
    state = state_of((0.0, started(4, requests=3)), (0.0, finished(3, "invalid", duration_s=None, instances=None)))
    assert state.eta_s is None
    state = state.after(begun(0), 0.1).after(finished(0), 10.0).after(begun(1), 10.0).after(finished(1), 20.0)
    assert state.eta_s == pytest.approx(10.0)
    assert "about 10 s left, until 20:00:10" in text(state)
    # Half of the third is half of what was left.
    assert state.after(begun(2), 20.0).after(pending(2, 5), 20.0).eta_s == pytest.approx(20 / 2.5 / 2)


def test_the_time_that_is_waited_does_not_count() -> None:
    waiting = Waiting(reason="pacs_down", message="The PACS is down.", until=NOW + timedelta(hours=2))
    state = state_of((0.0, started(2)), (0.0, begun(0)), (10.0, finished(0)), (10.0, waiting))
    assert state.eta_s is None
    assert "Waits: The PACS is down. (until 22:00)" in text(state)
    assert "Waits: The PACS is down. (until 22:00)" in seen(state)
    state = state.after(Continuing(), 1000.0).after(begun(1), 1000.0)
    assert state.eta_s == pytest.approx(10.0)
    assert "Waits" not in text(state)


def test_the_end_says_how_long_and_how_fast() -> None:
    state = state_of((0.0, started(1)), (0.0, begun(0)), (10.0, finished(0, bytes=5_000_000)))
    ended = state.after(RunEnded(verb="move", interrupted=False), 10.0)
    assert text(ended, "press").splitlines() == [
        "move: 1 of 1 row in 10 s",
        f"[{40 * '#'}]",
        "1 complete",
        "10 instances, 5.0 MB, 1.0 instances/s, 0.5 MB/s",
    ]


def test_an_interrupted_run_says_what_was_not_attempted() -> None:
    state = state_of(started(5), begun(0), finished(0, "cancelled"), RunEnded(verb="move", interrupted=True))
    assert "move: 1 of 5 rows in 0.3 s, stopped, 4 not attempted" in seen(state, "press")
    assert "press" not in seen(state, "press")


def test_find_counts_matches() -> None:
    state = state_of(started(2, verb="find"), begun(0), finished(0, "matched", instances=3, duration_s=None))
    assert "find: 1 of 2 rows" in text(state)
    assert "3 matches" in text(state)


def test_labels_are_escaped_and_stay_on_their_line() -> None:
    state = state_of(started(1), RowStarted(row="<script>alert(1)</script>\n&\x1b[0m", position=0))
    page = to_html(state, now=NOW)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in text(state)
    assert "\n&" not in text(state)
    long = state_of(started(1), RowStarted(row="x" * 500, position=0))
    assert len(max(text(long).splitlines(), key=len)) < 100


def test_outside_the_hours_only_their_beginning_is_shown() -> None:
    message = "outside the hours 22:00-06:00: goes on at Mon 22:00"
    waiting = Waiting(reason="hours", message=message, until=NOW + timedelta(minutes=1))  # the next look at the clock
    assert text(state_of(started(1), waiting)).endswith(f"Waits: {message}")


def test_the_reason_of_a_wait_is_escaped() -> None:
    state = state_of(started(1), Waiting(reason="pacs_down", message="<b>down</b>"))
    assert "<b>down" not in to_html(state, now=NOW)


def test_a_hundred_thousand_rows_and_fifty_in_flight() -> None:
    state = state_of((0.0, started(100_000)))
    for position in range(50):
        state = state.after(begun(position), 1.0)
    state = state.after(pending(49, 7), 1.0)
    assert "row 49: 7 of 10 instances" in text(state)  # who has news comes first
    assert "and 45 more in flight" in text(state)
    assert "and 45 more in flight" in seen(state)
    assert len(to_html(state, now=NOW)) < 4000


def test_an_event_costs_little_whatever_is_in_flight() -> None:
    # 20 000 rows that name one study are begun at once, and end at once: nothing may be copied for each of them.
    state, began = state_of(started(20_000, requests=1)), time.process_time()
    for position in range(20_000):
        state = state.after(begun(position), 1.0)
    assert rendering.in_flight(state)[1] == 20_000 - rendering.SHOWN_IN_FLIGHT
    for position in range(20_000):
        state = state.after(finished(position, shares=0 if position else None), 2.0)
    assert (state.done, state.instances, state.more_in_flight, state.in_flight) == (20_000, 10, 0, {})
    # Some 10 microseconds each here; a hundred would be 7 % of a receiver's time.
    assert (time.process_time() - began) / 40_000 < 100e-6


def test_at_most_five_drawings_in_any_second() -> None:
    pace, drawn = Pace(), []
    for millisecond in range(0, 10_000, 2):
        if pace.allows(now=millisecond / 1000, reserve=millisecond % 3):
            drawn.append(millisecond)
    assert all(later - earlier > 1000 for earlier, later in zip(drawn, drawn[5:], strict=False))
    assert 20 <= len(drawn) <= 30


def test_news_is_drawn_at_once_after_a_stream_of_counts() -> None:
    pace = Pace()
    for millisecond in range(0, 2_000, 10):
        pace.allows(now=millisecond / 1000, reserve=2)
    assert pace.allows(now=2.0, reserve=1)
    assert pace.allows(now=2.001, reserve=0)


def test_the_bundle_has_html_and_text() -> None:
    bundle = Panel(state_of(started(3)), "press")._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert all("move: 0 of 3 rows" in shown and "press" in shown for shown in bundle.values())


class Front:
    """Takes the place of the front end: IPython's `display`, and its handles."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[PanelState] = []
        self.hints: list[str] = []
        self.others: list[object] = []
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, shown: object, *, display_id: bool) -> Front:
        assert display_id
        self.update(shown)
        return self

    def update(self, shown: object) -> None:
        if isinstance(shown, Panel):
            self.shown.append(shown.state)
            self.hints.append(shown.hint)
        else:
            self.others.append(shown)


class Job:
    """Writes down what its buttons ask for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def cancel(self) -> None:
        self.asked.append("cancel")

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")


def buttons_of(front: Front) -> tuple[Any, Any]:
    box = front.others[0]
    cancel, pause = box.children  # type: ignore[attr-defined]  # an ipywidgets.HBox, which has no types
    return cancel, pause


def test_the_first_and_the_last_state_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(monkeypatch)
    with PanelDisplay(clock=lambda: 7.0) as show:
        assert front.shown == []
        show(started(900))
        for row in range(900):
            show(finished(row))
    assert (front.shown[0].rows, front.shown[0].done) == (900, 0)
    assert (front.shown[-1].done, front.shown[-1].end) == (900, "done")
    assert len(front.shown) <= 5


def test_counts_that_were_not_drawn_are_there_with_the_next_news(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(monkeypatch)
    show = PanelDisplay(clock=lambda: 7.0)
    show(started(2))
    show(begun(0))
    for count in range(50):
        show(pending(0, count, 100))
    show(arriving(0, 60, 1000))
    assert len(front.shown) == 2
    show(begun(1))
    flight = front.shown[-1].in_flight[0]
    assert (flight.instances, flight.total, flight.bytes) == (60, 100, 1000)


def test_an_error_of_the_run_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(monkeypatch)
    with suppress(KeyError), PanelDisplay() as show:
        show(started(3))
        raise KeyError
    assert "broke off" in text(front.shown[-1])


def test_silence_is_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    front, now = Front(monkeypatch), [0.0]
    show = PanelDisplay(clock=lambda: now[0])
    show.tick()
    assert front.shown == []  # there is nothing yet
    show(started(9))
    for row in range(9):
        show(begun(row))
    assert len(front.shown[-1].in_flight) < 9  # more than there is time for
    now[0] = 1.5
    show.tick()
    assert len(front.shown[-1].in_flight) == 9


def test_a_front_end_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr("IPython.display.display", broken)
    with PanelDisplay() as show:
        for event in (started(3), begun(0), finished(0)):
            show(event)
    assert len([record for record in caplog.records if "panel" in record.message]) == 1


def test_the_buttons_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    front, job = Front(monkeypatch), Job()
    show = JobPanel(job)
    assert "starting" in text(front.shown[0])  # at once, in the caller's thread
    cancel, pause = buttons_of(front)
    with show:
        show(started(3))
        pause.click()
        assert pause.description == "Resume"
        show(Waiting(reason="paused", message="paused"))
        pause.click()
        show(Continuing())
        assert pause.description == "Pause"
        show(Waiting(reason="paused", message="paused"))  # by `job.pause()` in another cell
        assert pause.description == "Resume"
        show(Continuing())
        show(Waiting(reason="hours", message="Outside of the hours."))
        assert pause.description == "Pause"
        cancel.click()
        assert (cancel.disabled, pause.disabled) == (True, True)
        assert len(front.others) == 1
        show(RunEnded(verb="move", interrupted=True))
    assert job.asked == ["pause", "resume", "cancel"]
    assert len(front.others) == 2
    assert front.others[1]._repr_mimebundle_() == {"text/html": "", "text/plain": ""}  # type: ignore[attr-defined]  # what takes their place


def test_a_job_that_breaks_loses_its_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(monkeypatch)
    with suppress(KeyError), JobPanel(Job()):
        raise KeyError
    assert "broke off" in text(front.shown[-1])
    assert len(front.others) == 2


def test_without_ipywidgets_a_job_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    front = Front(monkeypatch)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with JobPanel(Job()) as show:
        show(started(3))
    assert front.others == []
    assert "job.cancel()" in front.hints[0]


CELL = """
import dicomove as dm, pandas as pd
from dicomove.testing import RehearsalPacs, Synthetic
with RehearsalPacs(Synthetic(studies=3, instances=4, size=512)) as pacs:
    studies = dm.find(pd.DataFrame({"PatientID": ["SYN*"]}), pacs, progress=False)
    results = dm.move(studies, pacs, pacs.destination)
"""


def test_a_saved_notebook_keeps_the_end_state(tmp_path: Path) -> None:
    # nbclient is what papermill and nbconvert run notebooks with.
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])  # type: ignore[no-untyped-call]  # nbformat has no types
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=60, resources=where, kernel_manager_class=site.KernelWithoutPorts).execute()
    (output,) = notebook.cells[0].outputs
    assert output["data"]["text/plain"].startswith("move: 3 of 3 rows in ")
    assert "3 complete" in output["data"]["text/html"]
    assert "12 instances" in output["data"]["text/plain"]
    assert "stop button" not in output["data"]["text/html"]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no tzset")
def test_the_hour_of_the_clocks_change_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        now = datetime(2026, 10, 24, 22, tzinfo=UTC).astimezone()  # as the panel asks for it: only the offset
        shown = rendering.clock(datetime(2026, 10, 25, 5, tzinfo=UTC), now)
        before = rendering.clock(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), now)
    time.tzset()
    assert (shown, before) == ("06:00", "02:30")
