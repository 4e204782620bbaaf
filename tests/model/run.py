"""One `move`: what went in, what came out, what was shown, and what the world saw of it."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import Any, Final

import pandas as pd

import dicomove as dm
from dicomove.dimse.messages import C_FIND_RQ, C_MOVE_RQ
from dicomove.events import Event
from dicomove.move import RESULT_COLUMNS
from dicomove.outcome import ALTOGETHER, difference, spelling, stripped
from dicomove.run import rows, run, state
from dicomove.run.attempt.inventory import Verify
from dicomove.testing.faults.base import Fault, Request
from tests.model.table import NOTHING, Asked, Row, asked, is_hopeless
from tests.model.words import HARMLESS, MOST_UNANSWERED, NUMBER_KEYS, STORE, reaches_everyone
from tests.model.world import Arrived, Heard, World, holds_soon, shared


def is_unsent(verdict: Mapping[str, Any]) -> bool:
    """Whether nothing was sent since C-FIND does not have the series, or the instance, in the study of its row."""
    return verdict["outcome"] == "empty" and verdict["attempts"] == 0 and "nothing was sent" in str(verdict["advice"])


@dataclass(frozen=True)
class Press:
    """When Ctrl-C is pressed: while the n-th event is shown, or at the n-th line that the caller's thread runs."""

    at: str
    number: int


@dataclass(frozen=True)
class Options:
    """The arguments of `move`, and the moments of an interrupt."""

    into: str = STORE
    level: str | None = None
    query_model: str = "StudyRoot"
    concurrency: int = 1
    delay: float = 0
    verify: Verify = "auto"
    total_timeout: float | None = None
    presses: tuple[Press, ...] = ()


class Keyboard:
    """Gets the events of a run, and presses Ctrl-C at the moments that were chosen.

    A signal's handler runs between two instructions of the main thread, wherever it is: "line" presses while a line of
    `move` or of its workers' front is about to be run, and so also where nothing is shown.
    """

    _WATCHED: Final = {dm.move.__code__.co_filename, run.__file__, state.__file__, rows.__file__}

    def __init__(self, presses: Sequence[Press]) -> None:
        self._due = {(press.at, press.number) for press in presses}
        self._lines = 0
        self.events: list[Event] = []
        #: For each press, what had been shown by then.
        self.pressed: list[tuple[Event, ...]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.gettrace()
        if any(at == "line" for at, _ in self._due):
            sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def show(self, event: Event) -> None:
        self.events.append(event)
        self._press_if_due("event", len(self.events))

    def _trace(self, frame: FrameType, _: str, __: object) -> Callable[..., Any] | None:
        return self._line if frame.f_code.co_filename in self._WATCHED else None

    def _line(self, _: FrameType, kind: str, __: object) -> Callable[..., Any]:
        self._lines += kind == "line"
        if kind == "line":
            self._press_if_due("line", self._lines)
        return self._line

    def _press_if_due(self, at: str, number: int) -> None:
        if (at, number) in self._due:
            self.pressed.append(tuple(self.events))
            signal.raise_signal(signal.SIGINT)


@dataclass(frozen=True)
class Run:
    """One `move`, and all that is known of it."""

    world: World
    table: pd.DataFrame
    before: pd.DataFrame
    rows: Sequence[Row]
    options: Options
    asked: Sequence[Asked | None]
    attempts_before: Mapping[Asked, int]
    heard: Sequence[Heard]
    associations: int
    landed: Sequence[Arrived]
    raised: BaseException | None
    returned: pd.DataFrame | None
    warned: Sequence[Warning]
    keyboard: Keyboard
    seconds: float
    left_threads: Sequence[str]
    left_connections: int

    @property
    def hopeless(self) -> bool:
        return is_hopeless(self.rows, self.options.level, self.options.query_model)

    @property
    def result(self) -> pd.DataFrame:
        assert self.returned is not None
        return self.returned

    @property
    def arrived(self) -> set[str]:
        """The SOP Instance UIDs of what is at the destination."""
        return {one.uid for one in self.landed}

    @property
    def interrupted(self) -> bool:
        return bool(self.keyboard.pressed)

    @cached_property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """The result of each row."""
        # Promises ask for it again and again, and pandas takes its time.
        return self.result[list(RESULT_COLUMNS)].to_dict("records")  # type: ignore[return-value]  # names are text

    def verdicts(self) -> Iterator[tuple[Asked, Mapping[str, Any]]]:
        """Yield what each row that can be asked asked for, and its result, unless C-FIND contradicts the row."""
        for wanted, verdict in zip(self.asked, self.records, strict=True):
            if wanted is not None and verdict["error"] != "other_patient" and not is_unsent(verdict):
                yield wanted, verdict

    def moves(self, wanted: Asked | None = None) -> list[Heard]:
        """Return the C-MOVEs that the PACS heard."""
        moves = [one for one in self.heard if one.command == C_MOVE_RQ]
        return moves if wanted is None else [one for one in moves if one.asked == wanted]

    def verdicts_of_one_patient(self) -> Iterator[tuple[Asked, Mapping[str, Any]]]:
        """Yield the same where the rows that ask the same do not name several patients: they share one request."""
        yield from ((wanted, verdict) for wanted, verdict in self.verdicts() if self.is_shared(wanted))

    def names_another_patient(self, wanted: Asked, position: int | None = None) -> bool:
        """Whether a row, or else each one that asks for it and names a patient, names another one than the archive."""
        keys = dict(wanted.keys)
        beside = [one for row, one in self._patients(wanted).items() if position in (None, row)]
        single = [keys["PatientID"]] if "PatientID" in keys else beside
        uid = keys.get("StudyInstanceUID")
        study = [one for one in self.world.archive.instances if one.study_instance_uid == uid]
        return bool(single and study) and difference(study[0].patient_id, single) == ALTOGETHER

    def has_rivals(self, wanted: Asked) -> bool:
        """Whether rows that ask for it, or for another part of its study, name several patients."""
        uid = dict(wanted.keys).get("StudyInstanceUID")
        parts = {one for one in self.asked if one is not None and dict(one.keys).get("StudyInstanceUID") == uid}
        named = [one for part in parts for one in self._patients(part).values()] if uid else []
        return any(difference(one, named[:1]) == ALTOGETHER for one in named)

    @property
    def requests(self) -> int:
        """How many different requests the table has."""
        return sum(self._requests_for(wanted) for wanted in {one for one in self.asked if one is not None})

    def is_shared(self, wanted: Asked) -> bool:
        """Whether all rows that ask for it name the same patient, or none: they share one request."""
        return self._requests_for(wanted) == 1

    def _requests_for(self, wanted: Asked) -> int:
        named = self._patients(wanted)
        patients = {spelling(stripped(one)) for one in named.values()}
        return len(patients) + (len(named) < sum(other == wanted for other in self.asked))

    def _patients(self, wanted: Asked) -> dict[int, str]:
        """Return the PatientID that each row names beside what it asks for, if images can be compared with it."""
        if "PatientID" in dict(wanted.keys):
            return {}
        named = {
            position: row["PatientID"].raw
            for position, (row, other) in enumerate(zip(self.rows, self.asked, strict=True))
            if other == wanted and "PatientID" in row and not row["PatientID"].blank
        }
        return {
            position: str(one)
            for position, one in named.items()
            if isinstance(one, str | int | float) and not set(str(one)) & set("*?\\")
        }

    def may_meet(self, wanted: Asked) -> list[Fault]:
        """Return the faults that its C-MOVE can have met, beside those that reach everyone."""
        request = self._request("C-MOVE", wanted, self.attempts_before.get(wanted, 0) + 1)
        return [fault for fault in self.world.faults if fault.concerns(request)]

    def blind(self, wanted: Asked) -> bool:
        """Whether a fault may reach the C-FINDs for it, so that an inventory is absent or wrong."""
        unanswered = [one for one in self.heard if one.command == C_FIND_RQ and one.final is None]
        return self.reaches_everyone or len(unanswered) >= MOST_UNANSWERED or bool(self.faults_of_c_find(wanted))

    def faults_of_c_find(self, wanted: Asked) -> list[str]:
        """The faults that may reach the C-FINDs for it, and matter."""
        request = self._request("C-FIND", wanted, 1)
        concerned = [fault.name for fault in self.world.faults if fault.concerns(request)]
        return [name for name in concerned if name not in HARMLESS]

    @property
    def reaches_everyone(self) -> bool:
        return any(map(reaches_everyone, self.world.faults))

    def _request(self, command: str, wanted: Asked, attempt: int) -> Request:
        keys = dict(wanted.keys)
        return Request(command, wanted.level, wanted.query_model, keys, attempt, self.world.archive)

    def number_in_table(self, wanted: Asked) -> int | None:
        """Return how many instances the table says that there are."""
        if wanted.level == "IMAGE":
            return 1
        cells = [
            row.get(NUMBER_KEYS[wanted.level], NOTHING)
            for row, other in zip(self.rows, self.asked, strict=True)
            if other == wanted
        ]
        return next((int(cell.value) for cell in cells if cell.value is not None), None)


def perform(world: World, table: pd.DataFrame, rows: Sequence[Row], options: Options) -> Run:
    """Move a table, and write down what happens."""
    world.forget_arrivals()
    before, keyboard, pacs = deepcopy(table), Keyboard(options.presses), world.pacs()
    since, associations = len(world.heard), world.associations
    attempts = _attempts(world.heard[world.since :])
    raised, returned, started = None, None, time.monotonic()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", dm.errors.DicomoveWarning)
        try:
            with keyboard.watching():
                returned = _move(table, pacs, options, keyboard)
        except (dm.errors.DicomoveError, KeyboardInterrupt) as error:
            raised = error
    seconds = time.monotonic() - started
    left_threads, left_connections = _left(world, options)
    world.settle()
    return Run(
        world=world,
        table=table,
        before=before,
        rows=rows,
        options=options,
        asked=[asked(row, options.level, options.query_model) for row in rows],
        attempts_before=attempts,
        heard=world.heard[since:],
        associations=world.associations - associations,
        landed=world.arrived(options.into),
        raised=raised,
        returned=returned,
        warned=[one.message for one in warned if isinstance(one.message, Warning)],
        keyboard=keyboard,
        seconds=seconds,
        left_threads=left_threads,
        left_connections=left_connections,
    )


def _move(table: pd.DataFrame, pacs: dm.Pacs, options: Options, keyboard: Keyboard) -> pd.DataFrame:
    return dm.move(
        table,
        pacs,
        STORE if options.into == STORE else shared().receiver,
        level=options.level,
        query_model=options.query_model,
        concurrency=options.concurrency,
        delay=options.delay,
        total_timeout=options.total_timeout,
        verify=options.verify,
        journal=False,
        progress=keyboard.show,
    )


def _attempts(heard: Sequence[Heard]) -> dict[Asked, int]:
    moves = [one.asked for one in heard if one.command == C_MOVE_RQ]
    return {wanted: moves.count(wanted) for wanted in moves}


#: A second Ctrl-C does not wait for the PACS, so that its threads may need the time that the first one would have had.
_FAREWELL_S: Final = 13.0


def _left(world: World, options: Options) -> tuple[list[str], int]:
    """Return the threads and connections that a run left behind, after the moment that they need to be gone."""

    def threads() -> list[str]:
        return [one.name for one in threading.enumerate() if re.fullmatch(r"dicomove-\d+", one.name)]

    holds_soon(lambda: not threads(), _FAREWELL_S if len(options.presses) > 1 else 5)
    holds_soon(lambda: not world.open_connections(), 5)
    return threads(), world.open_connections()
