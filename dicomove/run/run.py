"""The loop of a run, in the caller's thread: it hands events to the state, and executes the instructions."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from dicomove.dimse import MoveScu
from dicomove.dimse.scu import CANCEL_GRACE_S
from dicomove.errors import AddressError, AssociationError, ReceiverError, StatusError
from dicomove.events import RunEnded, RunStarted
from dicomove.notebook import Display
from dicomove.pacs import Pacs
from dicomove.run.attempt.archive_at_destination import held_at_end
from dicomove.run.attempt.ends import Unidentified
from dicomove.run.journal import JournalWriter
from dicomove.run.messages import (
    Arrived,
    AttemptEnded,
    Begin,
    Cancel,
    End,
    Flushed,
    HeldAtEnd,
    Instruction,
    Look,
    LookAgain,
    Probe,
    Probed,
    Report,
    RowWithLosses,
    RunEvent,
    Show,
    StopWished,
    Wait,
    WaitedEnough,
    Write,
    Written,
)
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings
from dicomove.run.state import RunState

#: The longest wait for a report, in seconds: on some systems an interrupt is noticed only after the wait.
_LOOK_UP_S: Final = 0.2
#: After a stop: the time that a PACS has to answer C-CANCEL, and the time to release the associations.
LONGEST_STOP_S: Final = CANCEL_GRACE_S + 7
_LONGEST_FLUSH_S: Final = 30.0
#: The longest wait for the answer to a probe, if the PACS has no limit of its own, in seconds.
_PROBE_S: Final = 60.0


class Pool(Protocol):
    """The workers of a run. They put their reports into the queue of the run."""

    def submit(self, task: Task) -> None:
        """Let a worker move a task. The run never submits more tasks than the limit of associations allows."""

    def keep(self, number: int) -> None:
        """Release the associations above this number that are not in use."""

    def stop(self) -> None:
        """Cancel what is in flight."""

    def sent(self) -> Mapping[int, int]:
        """Return the requests that may have been sent for each task in flight, by the position of its first row."""

    def close(self, wanted: Callable[[], bool]) -> None:
        """Release everything; this waits a moment at the most, and only while `wanted` returns true."""


class Run:
    """One run.

    Parameters
    ----------
    settings, state
        The settings for all rows; and the state, which decides.
    reports
        Gets the reports of the pool and of the writer.
    pool
        The workers.
    writer
        The writer of the journal; ``None`` without a journal.
    show
        Gets the events.
    stops
        Returns how often the caller has asked to stop: the first time, the run sends C-CANCEL; after the second, it
        does not wait for the PACS.
    paused
        Returns whether the caller has paused the run.

    Attributes
    ----------
    interrupted
        Whether it was stopped before its end.
    problem
        Why the end of the run is not in the journal.
    """

    def __init__(
        self,
        settings: RunSettings,
        state: RunState,
        reports: queue.SimpleQueue[Report | Written],
        pool: Pool,
        writer: JournalWriter | None,
        show: Display,
        stops: Callable[[], int],
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings, self._state, self._show, self._stops, self._paused = settings, state, show, stops, paused
        self._reports, self._pool, self._writer = reports, pool, writer
        #: The instructions that are left, so that an interrupt in a display loses none of them.
        self._to_do: deque[Instruction] = deque()
        self._at_end = False
        #: How many attempts went to the journal.
        self._writes = 0
        self._error: BaseException | None = None
        self.interrupted = True  # until the loop has come to its end
        self.problem: str | None = None

    def go(self, rows: int, requests: int, done_before: Sequence[int]) -> None:
        """Do the tasks until their end or a stop. First show the rows `done_before`, which have a result already.

        Raises
        ------
        BaseException
            A callback raised it (`SystemExit`), or it is a defect. The run was stopped, and everything is recorded.
        """
        steps: tuple[Callable[[], object], ...] = (
            lambda: self._move(RunStarted(verb="move", rows=rows, requests=requests), done_before),
            self._stop,
            lambda: self._tell(WaitedEnough(self._pool.sent())),
            lambda: self._pool.close(lambda: self._stops() < 2),
            self._flush,
            lambda: self._tell(self._flushed()),
            self._flush,
            *(partial(self._end_at, number) for number in range(len(self._settings.receivers))),
            self._end_at_archive,
            self._close_writer,
            lambda: self._show(RunEnded(verb="move", interrupted=self.interrupted)),
        )
        for step in steps:  # an interrupt comes from a display, or from a signal handler that is not ours
            with self._deferred():
                step()
        if self._error:
            raise self._error

    @contextmanager
    def _deferred(self) -> Iterator[None]:
        """Keep an exception until everything is recorded. An interrupt is none: the caller gets the table."""
        try:
            yield
        except KeyboardInterrupt:
            pass
        except BaseException as error:  # noqa: BLE001 (`go` raises it)
            self._error = self._error or error

    def _move(self, started: RunStarted, done_before: Sequence[int]) -> None:
        for receiver, run in zip(self._settings.receivers, self._settings.runs, strict=True):
            receiver.runs.watch_for_stop(run, self._stops)
        self._show(started)
        for event in self._state.results.finished(done_before):
            self._show(event)
        self._loop(lambda: not self._stops())
        self.interrupted = not self._at_end

    def _loop(self, goes_on: Callable[[], bool]) -> None:
        self._at_end = False
        while not self._at_end and goes_on():
            outages = self._state.schedule.outages
            has_room = not outages.suspects_disk or (not outages.is_asleep and self._has_room())
            self._tell(Look(datetime.now(UTC), has_room=has_room, paused=self._paused()))

    def _stop(self) -> None:
        """After an interrupt: cancel the tasks in flight, and handle reports for a few seconds at the most."""
        if not self.interrupted:
            return
        self._tell(StopWished())
        end = time.monotonic() + LONGEST_STOP_S
        self._loop(lambda: self._stops() < 2 and time.monotonic() < end)
        # First handle all reports that have come: a task that has begun must never count as not begun.
        self._take_all()

    def _end_at(self, number: int) -> None:
        receiver, run = self._settings.receivers[number], self._settings.runs[number]
        receiver.runs.end_run(run, self._state.results.discrepancies(number))

    def _end_at_archive(self) -> None:
        if self._settings.archive:
            self._settings.archive.end_run(self._state.results.discrepancies_at_archive())

    def _close_writer(self) -> None:
        if self._writer:
            self._writer.close()

    def _flush(self) -> None:
        """Make durable what has come, and what comes meanwhile: a worker that was given up may still end its row."""
        problem, is_news = None, True
        while is_news and not problem:
            with self._deferred():
                problem = self._writer.flush(_LONGEST_FLUSH_S) if self._writer else None
            writes = self._writes
            while self._to_do or not self._reports.empty():
                with self._deferred():  # of each report: a display that raises loses no other
                    self._take_all()
            is_news = self._writes > writes
        self.problem = problem or self.problem

    def _flushed(self) -> Flushed:
        """Make all arrivals durable; return the rows with lost files."""
        results, rows, has_journal = self._state.results, [], self._writer is not None
        for number, receiver in enumerate(self._settings.receivers):
            try:
                durability = receiver.runs.durability()
                found = results.with_lost(durability.lost, number)
                rows += [
                    RowWithLosses(position, problem, receiver.runs.held(keys)) for position, keys, problem in found
                ]
            except ReceiverError as error:
                return Flushed(str(error), has_journal=has_journal)
            if durability.problem:
                return Flushed(durability.problem, has_journal=has_journal)
        return Flushed(lost=rows)

    def _tell(self, event: RunEvent) -> None:
        """Hand an event to the state, and execute its instructions."""
        self._to_do += self._state.handle(event, time.monotonic())
        self._do_all()

    def _do_all(self) -> None:
        while self._to_do:
            self._do(self._to_do.popleft())

    def _do(self, instruction: Instruction) -> None:
        match instruction:
            case Begin():
                self._begin(instruction.task)
            case Probe():
                try:
                    threading.Thread(target=self._probe, name="dicomove-probe", daemon=True).start()
                except RuntimeError:  # the system allows no more threads
                    self._reports.put(Probed(worked=False))
            case Cancel():
                self._pool.stop()
            case Write():
                self._write(instruction)
            case Show():
                self._show(instruction.event)
            case LookAgain():
                self._look_again(instruction.task)
            case Wait():
                self._pool.keep(instruction.associations)
                self._wait(instruction.until)
            case End():
                self._at_end = True

    def _begin(self, task: Task) -> None:
        try:
            self._pool.submit(task)
        except Exception:
            self._reports.put(AttemptEnded(task, Unidentified(None)))  # the run ends, and must not wait for it
            raise

    def _write(self, write: Write) -> None:
        self._writes += 1
        if self._writer:
            self._writer.put(write)
        else:
            self._to_do += self._state.handle(Written(write, write.last.row), time.monotonic())

    def _look_again(self, task: Task) -> None:
        try:
            held = self._held(task)
        except ReceiverError:  # the receiver is gone, and cannot answer for the other tasks either
            self._to_do = deque(one for one in self._to_do if not isinstance(one, LookAgain))
        else:
            self._to_do += self._state.handle(held, time.monotonic())

    def _held(self, task: Task) -> HeldAtEnd:
        archive = self._settings.archive
        if archive is None:
            row = self._settings.row(task)
            return HeldAtEnd(task, row.held(), row.other_patients())
        return HeldAtEnd(task, held_at_end(archive, task.identifier))

    def _wait(self, until: float | None) -> None:
        """Handle the next report, and all others that have come by then."""
        seconds = _LOOK_UP_S if until is None else min(_LOOK_UP_S, max(0.0, until - time.monotonic()))
        self._look_at_arrivals()
        try:
            report = self._reports.get(timeout=seconds or None, block=bool(seconds))
        except queue.Empty:
            self._show.tick()
            return
        self._tell(report)
        self._take_all()

    def _take_all(self) -> None:
        """Handle all reports that have come by now, and execute the instructions that are left."""
        while not self._reports.empty():  # only this thread reads the queue
            self._tell(self._reports.get())
        self._do_all()

    def _look_at_arrivals(self) -> None:
        for task in self._state.results.in_flight if self._settings.receivers else ():
            self._tell(Arrived(task, *self._settings.row(task).progress()))

    def _probe(self) -> None:
        worked = False
        try:
            pacs = _with_limits(self._settings.pacs)
            with suppress(AddressError, AssociationError, StatusError), MoveScu(pacs) as scu:
                scu.echo()
                worked = True
        finally:  # the run waits for this
            self._reports.put(Probed(worked=worked))

    def _has_room(self) -> bool:
        return all(receiver.runs.has_room() for receiver in self._settings.receivers)


def _with_limits(pacs: Pacs) -> Pacs:
    """Return the PACS with limits for a probe: without an answer, the run could never give up."""
    return replace(
        pacs,
        connect_timeout=_PROBE_S if pacs.connect_timeout is None else pacs.connect_timeout,
        association_timeout=_PROBE_S if pacs.association_timeout is None else pacs.association_timeout,
        idle_timeout=_PROBE_S if pacs.idle_timeout is None else pacs.idle_timeout,
    )
