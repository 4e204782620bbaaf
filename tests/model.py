"""What must hold of every `move`, whatever the table, the PACS and the moment of an interrupt: a model of the truth.

::

    World            a PACS in this process: what it holds, what it was asked, what it answered, what arrived from it
    Landed           a file that has arrived, at a Storage SCP of the PACS or in the folder of a `Receiver`
    Cell, Row        what a table says, and what is meant by it
    Options          the arguments of `move`, and when Ctrl-C is pressed
    perform -> Run   one `move`: what went in, what came out, what was shown, and what the world saw of it
    PROMISES         what has to be true of a run: one function for each promise

The truth never comes from what is tested: an identifier is derived from what its cells mean, the counts are overheard
at the PACS's side of the association, and what arrived is looked for in folders. `tests/test_model.py` makes tables,
faults and interrupts at random. Another kind of destination is another way to ask a `World` what arrived; another
keyword of `move` is another field of `Options`; what either promises is another function among `PROMISES`.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from types import FrameType
from typing import Any, Final, Self

import pandas as pd
from pydicom import Dataset
from pynetdicom.dsutils import split_dataset

import dicomove as dm
from dicomove.dimse.association import Association
from dicomove.dimse.messages import C_CANCEL_RQ, C_FIND_RQ, C_MOVE_RQ, Message
from dicomove.dimse.negotiation import Peer
from dicomove.dimse.transport import Connection, Watch
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.inventory import Verify
from dicomove.move import RESULT_COLUMNS
from dicomove.outcome import ADVICE, category
from dicomove.receiver.shelf import SERVICE_FOLDER
from dicomove.run import book, loop
from dicomove.testing import Synthetic
from dicomove.testing.acceptor import Listener, Service
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.faults.base import Fault, Injector, Request
from dicomove.testing.responder import decode_identifier
from dicomove.testing.server import QueryRetrieveScp
from dicomove.testing.storage import StorageScp

#: Where rows may be moved to: a third AE, and a `Receiver`.
STORE: Final = "STORE"
RECEIVER: Final = "RECEIVER"
LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE")
KEYS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
FIELDS: Final = ("patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
FIRST_KEY: Final = {"PatientRoot": 0, "StudyRoot": 1}
MODELS: Final = {"1.2.840.10008.5.1.4.1.2.1": "PatientRoot", "1.2.840.10008.5.1.4.1.2.2": "StudyRoot"}
NUMBER_KEYS: Final = {
    "PATIENT": "NumberOfPatientRelatedInstances",
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
}
COUNTS: Final = ("completed", "failed", "warning", "remaining")

OUTCOMES: Final = {
    *("complete", "partial", "empty", "unconfirmed", "failed", "unreachable", "interrupted", "cancelled", "invalid"),
    *("skipped", "not_attempted"),
}
#: "internal_error" is not among them: no PACS and no table may bring out a defect of ours.
ERRORS: Final = {*ADVICE, "cancelled"}
NOT_SENT: Final = {"unreachable", "invalid", "skipped", "not_attempted"}

# ---------------------------------------------------------------------------------------------------------- faults

#: The counts say that something was moved, and it was not sent, or it was sent under another name.
LIES: Final = {"false-success", "wrong-counts", "other-instance-uids", "final-before-stores"}
#: Together with another fault, one of these hides a loss: it counts what failed as stored, or something else instead.
LIES_TOGETHER: Final = {"stored-with-warnings", "stores-another-study"}
#: What is lost is not counted either: only an inventory can tell.
LOSES_SILENTLY: Final = {"loses-instances", "success-with-nothing-moved"}
#: C-FIND gives other numbers, or fewer instances, than there are.
MISCOUNTS: Final = {"caps-find", "counts-overflow"}
#: After a C-FIND without an answer the PACS is asked for no more numbers, whichever row it was for.
NEVER_ASKED_AGAIN: Final = {"hangs-at-find"}
#: These make counts of their own, from whatever counts there are.
FORGES_COUNTS: Final = {"wrong-counts", "zero-counts-on-failure", "pending-forever"}
#: The row reads as if they were not there.
HARMLESS: Final = {
    *("no-pendings", "stale-response", "latency", "small-pdus", "association-per-instance", "stores-twice"),
    *("bandwidth", "private-sop-classes", "corrupts-instances", "truncates-instances", "empty-instances"),
    *("garbage-instances", "final-before-stores", "false-success", "ignores-cancel", "late-cancel", "refuses-lists"),
}
#: What is sent is not what the PACS holds, or is not sent at all: to another AE it reads as if it were.
SPOILS: Final = {
    *("corrupts-instances", "truncates-instances", "empty-instances", "garbage-instances", "false-success"),
}
#: They end every association, whoever's it is.
ENDS_EVERYTHING: Final = {"dies"}
#: They leave us waiting, so that the timeouts are short where one of them is.
SILENT: Final = {
    *("hangs", "hangs-at-find", "vanishes-at-response", "silent-association", "pending-forever", "dies"),
}


def reaches_everyone(fault: Fault) -> bool:
    """Whether a fault is one of the association, which knows of no row."""
    return fault.name in ENDS_EVERYTHING or type(fault).on_association is not Fault.on_association


# ----------------------------------------------------------------------------------------------------------- table


@dataclass(frozen=True)
class Cell:
    """A cell, and the value that a C-MOVE may be sent with for it: none where it is blank, or cannot be sent."""

    raw: object
    value: str | None = None
    blank: bool = False

    def __repr__(self) -> str:
        return repr(self.raw) if self.value == self.raw or self.blank else f"<{self.raw!r} means {self.value!r}>"

    @property
    def is_number(self) -> bool:
        return isinstance(self.raw, int | float) and not self.blank


NOTHING: Final = Cell(None, blank=True)
#: The cells of one row, by keyword.
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Asked:
    """What one C-MOVE is to ask for."""

    level: str
    query_model: str
    keys: tuple[tuple[str, str], ...]


def asked(row: Row, level: str | None, query_model: str) -> Asked | None:
    """Return what a row asks for, or nothing where it cannot be asked."""
    word = level or _level_of(row)
    if word not in LEVELS[FIRST_KEY[query_model] :]:
        return None
    names = KEYS[FIRST_KEY[query_model] : LEVELS.index(word) + 1]
    values = [row.get(name, NOTHING).value for name in names]
    if None in values:
        return None
    return Asked(word, query_model, tuple(zip(names, map(str, values), strict=True)))


def _level_of(row: Row) -> str | None:
    cell = row.get("QueryRetrieveLevel", NOTHING)
    if not cell.blank:
        return cell.value
    deepest = [level for level, name in zip(LEVELS, KEYS, strict=True) if not row.get(name, NOTHING).blank]
    return deepest[-1] if deepest and deepest[-1] != "PATIENT" else None


def is_hopeless(rows: Sequence[Row], level: str | None, query_model: str) -> bool:
    """Whether no row of a table could be right, so that it is refused as a whole."""
    if level == "PATIENT" and query_model == "StudyRoot":
        return True
    if not rows:
        return False
    top = "PATIENT" if query_model == "PatientRoot" and "QueryRetrieveLevel" in rows[0] else "STUDY"
    first = FIRST_KEY[query_model]
    needed = KEYS[first : LEVELS.index(level or top) + 1]
    read = needed if level else KEYS[first:]
    columns = [[row[name] for row in rows if not row[name].blank] for name in read if name in rows[0]]
    if any(column and all(cell.is_number for cell in column) for column in columns):
        return True
    levels = [row["QueryRetrieveLevel"] for row in rows if not row.get("QueryRetrieveLevel", NOTHING).blank]
    no_level = bool(levels) and not any(cell.value for cell in levels) and level is None
    return no_level or any(name not in rows[0] for name in needed)


# ----------------------------------------------------------------------------------------------------------- world


@dataclass
class Heard:
    """One request as the PACS heard it, and what it answered."""

    command: int
    query_model: str
    identifier: Mapping[str, object]
    destination: str | None
    message_id: int
    connection: Connection
    responses: list[Message] = field(default_factory=list)
    cancelled: bool = False

    @property
    def asked(self) -> Asked:
        keys = tuple((name, str(self.identifier[name])) for name in KEYS if name in self.identifier)
        return Asked(str(self.identifier.get("QueryRetrieveLevel")), self.query_model, keys)

    @property
    def answers(self) -> list[Message]:
        """The responses that name this request."""
        return [one for one in self.responses if one.number("MessageIDBeingRespondedTo") == self.message_id]

    @property
    def final(self) -> Message | None:
        return next((one for one in self.answers if category(one.number("Status") or 0) != "pending"), None)


class _Overheard(Association):
    """An association on which all that is said about one request is written down."""

    def __init__(self, association: Association, heard: Heard) -> None:
        vars(self).update(vars(association))
        self._heard = heard

    def send(self, message: Message, watch: Watch) -> None:
        super().send(message, watch)
        self._heard.responses.append(message)

    def receive(self, watch: Watch) -> Message:
        message = super().receive(watch)
        self._heard.cancelled |= message.number("CommandField") == C_CANCEL_RQ
        return message


class _Overhearing:
    """A service whose requests are written down before it answers them."""

    def __init__(self, service: Service, heard: list[Heard]) -> None:
        self._service, self._heard = service, heard
        self._lock = threading.Lock()
        self.busy = 0

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        heard = _heard(association, message)
        if heard.command != C_CANCEL_RQ:  # one that came after the end
            self._heard.append(heard)
        with self._lock:
            self.busy += 1
        try:
            self._service.handle(_Overheard(association, heard), peer, message)
        finally:
            with self._lock:
                self.busy -= 1


def _heard(association: Association, message: Message) -> Heard:
    identifier: Dataset = decode_identifier(association, message)
    service = association.contexts[message.context_id].abstract_syntax.rpartition(".")[0]
    return Heard(
        command=message.number("CommandField") or 0,
        query_model=MODELS.get(service, service),
        identifier={element.keyword: element.value for element in identifier},
        destination=message.text("MoveDestination"),
        message_id=message.number("MessageID") or 0,
        connection=association._connection,
    )


@lru_cache(maxsize=64)
def _archive(holds: Synthetic) -> Archive:
    return Archive(holds.instances_of_all())


#: After so long without an arrival nothing more is expected: a PACS in this process sends at once what it sends.
QUIET_S: Final = 0.3


@dataclass(frozen=True)
class Landed:
    """A file that has arrived."""

    uid: str
    size: int
    data_set: bytes = field(repr=False)


class Shore:
    """A receiver for all worlds, since each has a process of its own, and what it had open when it was new."""

    def __init__(self) -> None:
        self.receiver = dm.Receiver(mkdtemp(), ae_title=RECEIVER, port=0, host="127.0.0.1", quiet_period=QUIET_S)
        self.pid = self.receiver.pid
        threads, files = self.opened()
        # SQLite keeps its journal open from the first entry on, and a process that is busy starts its last thread late:
        # what one run in a row leaves behind is seen all the same, a few runs later.
        self.open = threads + 2, files + 3

    def close(self) -> None:
        self.receiver.close()
        rmtree(self.receiver.folder)

    def opened(self) -> tuple[int, int]:
        """Count the threads and the file descriptors of its process, where the system tells."""
        process = Path("/proc", str(self.receiver.pid))
        return sum(1 for _ in process.glob("task/*")), sum(1 for _ in process.glob("fd/*"))

    def is_as_it_was(self) -> bool:
        return all(now <= then for now, then in zip(self.opened(), self.open, strict=True))

    def files(self) -> list[Path]:
        """Return what is outside of quarantine."""
        return [path for path in self.receiver.folder.rglob("*") if path.is_file() and SERVICE_FOLDER not in path.parts]

    def half_written(self) -> list[Path]:
        return list(self.receiver.folder.rglob("*.part"))

    def clear(self) -> None:
        """Remove what has landed, and what was put aside."""
        for path in [*self.files(), *self.receiver.folder.rglob("*.quarantined")]:
            path.unlink()


@lru_cache(maxsize=1)
def shore() -> Shore:
    return Shore()


class World:
    """A PACS and its Storage SCP, in threads of this process.

    Parameters
    ----------
    holds
        What is in its archive.
    """

    def __init__(self, holds: Synthetic) -> None:
        self.archive = _archive(holds)
        self.heard: list[Heard] = []
        self.associations = 0
        self.faults: tuple[Fault, ...] = ()
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        self._storage = self._stack.enter_context(Listener(StorageScp(self._folder)))
        self._pacs = ExitStack()
        self.meets(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pacs.close()
        self._stack.close()

    def meets(self, present: Sequence[Fault], seed: int = 0) -> None:
        """Start the PACS anew, with these faults and no others."""
        self._pacs.close()
        self.faults, self.since = tuple(present), len(self.heard)
        injector = Injector(self.faults, seed)
        destinations = {STORE: ("127.0.0.1", self._storage.port), **shore().receiver.as_destination()}
        self._service = _Overhearing(QueryRetrieveScp("PACS", self.archive, destinations, injector), self.heard)
        self._listener = self._pacs.enter_context(
            Listener(self._service, gate=self._gate(injector), max_pdu_length=injector.max_pdu_length)
        )

    def _gate(self, injector: Injector) -> Callable[[int], None]:
        def gate(open_associations: int) -> None:
            self.associations += 1
            injector.enter(open_associations)

        return gate

    def pacs(self) -> dm.Pacs:
        """Return its address, with no more patience than the faults need."""
        short = any(fault.name in SILENT for fault in self.faults)
        patience = 0.4 if short else 10.0
        return dm.Pacs(
            f"PACS@127.0.0.1:{self._listener.port}",
            connect_timeout=2,
            association_timeout=patience,
            idle_timeout=patience,
            first_response_timeout=patience,
        )

    def instances(self, wanted: Asked) -> list[Instance]:
        """Return what the archive holds of what is asked."""
        named = {name: FIELDS[KEYS.index(name)] for name, _ in wanted.keys}
        return [
            one
            for one in self.archive.instances
            if all(getattr(one, named[name]) == value for name, value in wanted.keys)
        ]

    def landed(self, into: str) -> list[Landed]:
        """Return what is in the folder of its Storage SCP, or of the receiver."""
        files = list(self._folder.glob("*.dcm")) if into == STORE else shore().files()
        return [Landed(path.stem, path.stat().st_size, _data_set(path)) for path in files]

    def forget_arrivals(self) -> None:
        """Empty both folders."""
        for path in self._folder.iterdir():
            path.unlink()
        shore().clear()

    def settle(self) -> None:
        """Wait until the PACS has nothing more to do: it may go on when the client has gone."""
        assert holds_soon(lambda: not self._service.busy, 10), "the PACS does not come to an end"

    def open_connections(self) -> int:
        """Count the connections that the client has not closed."""
        with self._listener._lock:
            return sum(_is_open(client) for client in self._listener._clients)


def _data_set(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


def _is_open(client: socket.socket) -> bool:
    """Whether the other side has not closed a connection; what it sent before that is read away."""
    try:
        while client.recv(4096, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holds_soon(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, and return whether it came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


# ------------------------------------------------------------------------------------------------------------- run


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

    _WATCHED: Final = {dm.move.__code__.co_filename, loop.__file__, book.__file__}

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
    landed: Sequence[Landed]
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

    def verdicts(self) -> Iterator[tuple[Asked, dict[str, Any]]]:
        """Yield what each row that can be asked asked for, and its result."""
        for wanted, verdict in zip(self.asked, self.result[list(RESULT_COLUMNS)].to_dict("records"), strict=True):
            if wanted is not None:
                yield wanted, {str(name): value for name, value in verdict.items()}

    def moves(self, wanted: Asked | None = None) -> list[Heard]:
        """Return the C-MOVEs that the PACS heard."""
        moves = [one for one in self.heard if one.command == C_MOVE_RQ]
        return moves if wanted is None else [one for one in moves if one.asked == wanted]

    def may_meet(self, wanted: Asked) -> list[Fault]:
        """Return the faults that its C-MOVE can have met, beside those that reach everyone."""
        request = self._request("C-MOVE", wanted, self.attempts_before.get(wanted, 0) + 1)
        return [fault for fault in self.world.faults if fault.concerns(request)]

    def blind(self, wanted: Asked) -> bool:
        """Whether a fault may reach the C-FINDs for it, so that an inventory is absent or wrong."""
        request = self._request("C-FIND", wanted, 1)
        return self.reaches_everyone or any(
            fault.name in NEVER_ASKED_AGAIN or (fault.concerns(request) and fault.name not in HARMLESS)
            for fault in self.world.faults
        )

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
        landed=world.landed(options.into),
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
        STORE if options.into == STORE else shore().receiver,
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


# -------------------------------------------------------------------------------------- expected verdicts


@dataclass(frozen=True)
class Expected:
    """How a row reads that meets no fault: from a PACS that follows the standard there is one answer only."""

    outcome: str
    completed: int


def without_faults(run: Run, wanted: Asked) -> Expected:
    """Return how a row reads from a PACS without faults."""
    held = len(run.world.instances(wanted))
    return Expected("complete" if held else "empty", held)


def is_untouched(run: Run, wanted: Asked) -> bool:
    """Whether a row's C-MOVE meets nothing that could change how it reads."""
    harmless = HARMLESS - SPOILS if run.options.into == RECEIVER else HARMLESS
    return not run.reaches_everyone and all(fault.name in harmless for fault in run.may_meet(wanted))


def is_honest(run: Run, wanted: Asked) -> bool:
    """Whether the counts that the PACS gives for a row can be believed."""
    met = {fault.name for fault in run.may_meet(wanted)}
    return not met & LIES and not (len(met) > 1 and met & LIES_TOGETHER)


def has_inventory(run: Run, wanted: Asked) -> bool:
    """Whether somebody tells truly, by C-FIND or in the table, how many instances there are."""
    told, there = run.number_in_table(wanted), len(run.world.instances(wanted))
    listed = wanted.level != "PATIENT" or run.options.verify != "instances"
    asks = run.options.verify != "arrivals" and listed and not run.blind(wanted) and not run.interrupted
    return wanted.level != "IMAGE" and asks and told in (None, there)


def is_misled(run: Run, wanted: Asked) -> bool:
    """Whether the table has another number of instances than the archive, and C-FIND does not put it right."""
    told = None if wanted.level == "IMAGE" else run.number_in_table(wanted)
    puts_right = run.options.verify in ("auto", "counts") and not run.blind(wanted) and not run.interrupted
    return told not in (None, len(run.world.instances(wanted))) and not puts_right


# ----------------------------------------------------------------------------------------------- promises


def a_table_that_cannot_be_right_is_refused_before_the_first_association(run: Run) -> None:
    if run.hopeless:
        too_soon = isinstance(run.raised, KeyboardInterrupt) and not run.keyboard.events
        assert too_soon or isinstance(run.raised, dm.errors.CohortError), run.raised
        assert (run.associations, run.heard) == (0, [])
    else:
        assert not isinstance(run.raised, dm.errors.DicomoveError), run.raised


def nothing_is_lost_to_a_traceback_once_the_run_has_started(run: Run) -> None:
    if run.raised is not None and not run.hopeless:
        assert isinstance(run.raised, KeyboardInterrupt)
        assert (run.keyboard.events, run.heard) == ([], []), "the interrupt reached the caller instead of the table"


def there_is_one_result_row_for_each_row_on_its_index(run: Run) -> None:
    pd.testing.assert_index_equal(run.result.index, run.before.index, exact=True)


def the_callers_columns_are_as_they_were(run: Run) -> None:
    kept = [number for number, name in enumerate(run.before.columns) if name not in RESULT_COLUMNS]
    assert list(run.result.columns) == [*run.before.columns[kept], *RESULT_COLUMNS]
    pd.testing.assert_frame_equal(run.result.iloc[:, : len(kept)], run.before.iloc[:, kept])


def the_callers_table_is_not_touched(run: Run) -> None:
    pd.testing.assert_frame_equal(run.table, run.before)


def the_columns_have_their_types(run: Run) -> None:
    text = "str" if pd.__version__ >= "3" else "object"
    types = dict.fromkeys(RESULT_COLUMNS, "Int64") | dict.fromkeys(
        ("outcome", "status", "error", "advice", "error_comment", "failed_sop_instance_uids"), text
    )
    types["duration_s"] = "float64"
    for name in ("started_at", "finished_at"):
        types[name] = str(run.result[name].dtype)
        assert isinstance(run.result[name].dtype, pd.DatetimeTZDtype), types[name]
        assert types[name].endswith(", UTC]")
    assert {name: str(run.result[name].dtype) for name in RESULT_COLUMNS} == types


def the_words_are_of_the_closed_sets(run: Run) -> None:
    assert set(run.result["outcome"]) <= OUTCOMES
    assert set(run.result["error"].dropna()) <= ERRORS | {"invalid_row"}
    assert run.result["status"].dropna().str.fullmatch("0x[0-9A-F]{4}").all()


def what_only_a_receiver_knows_is_null_elsewhere(run: Run) -> None:
    if run.options.into != RECEIVER:
        assert run.result[["received", "bytes", "missing"]].isna().all(axis=None)


def a_row_is_invalid_if_it_cannot_be_asked_and_only_then(run: Run) -> None:
    for wanted, (_, verdict) in zip(run.asked, run.result.iterrows(), strict=True):
        assert (verdict["outcome"] == "invalid") == (wanted is None)
        assert (verdict["error"] == "invalid_row") == (wanted is None)


def only_what_a_row_asks_for_is_sent_by_level_and_unique_keys(run: Run) -> None:
    wanted = {one for one in run.asked if one is not None}
    for move in run.moves():
        assert move.asked in wanted, f"no row asks for {move.asked}"
        sent = {name: str(value) for name, value in move.identifier.items()}
        assert sent == {"QueryRetrieveLevel": move.asked.level, **dict(move.asked.keys)}
        assert move.destination == run.options.into
        assert not any(set(value) & set("*?\\") or not value for value in sent.values())


def no_c_find_asks_for_what_no_row_names(run: Run) -> None:
    """To verify is to ask by the unique keys of a row that was moved, and never for the whole archive."""
    for find in (one for one in run.heard if one.command == C_FIND_RQ):
        keys = {name: value for name, value in find.asked.keys if value not in ("", "None")}
        assert any(dict(move.asked.keys).items() <= keys.items() for move in run.moves()), keys


def what_is_asked_twice_is_moved_once(run: Run) -> None:
    sent = [move.asked for move in run.moves()]
    assert len(sent) == len(set(sent)), sent


def rows_that_ask_the_same_get_the_same(run: Run) -> None:
    found: dict[Asked, dict[str, Any]] = {}
    for wanted, verdict in run.verdicts():
        pd.testing.assert_series_equal(pd.Series(verdict), pd.Series(found.setdefault(wanted, verdict)))


def the_attempts_are_the_moves_that_the_pacs_saw(run: Run) -> None:
    """A request that was sent into an association that just ended is an attempt that no PACS saw."""
    for wanted, verdict in run.verdicts():
        seen, attempts = len(run.moves(wanted)), verdict["attempts"]
        assert attempts >= seen, f"{wanted}: {attempts} attempts, {seen} seen"
        assert attempts == seen or verdict["outcome"] == "interrupted", f"{wanted}: {attempts} attempts, {seen} seen"


def nothing_was_sent_where_the_outcome_says_so(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if verdict["outcome"] in NOT_SENT:
            assert not run.moves(wanted), f"{wanted} was sent, and is {verdict['outcome']}"
            assert verdict["attempts"] == 0
            assert pd.isna([verdict[name] for name in ("status", "total", *COUNTS)]).all()


def a_time_is_there_for_what_was_tried(run: Run) -> None:
    for _, verdict in run.verdicts():
        started, finished = verdict["started_at"], verdict["finished_at"]
        assert pd.isna(started) == pd.isna(finished) == pd.isna(verdict["duration_s"])
        assert pd.isna(started) or started <= finished
        # Where five rows in a row were unreachable, and the PACS does not answer C-ECHO either, the rest is not tried.
        untried = verdict["outcome"] in ("not_attempted", "interrupted", "unreachable")
        assert pd.notna(started) or untried
        assert verdict["outcome"] != "not_attempted" or pd.isna(started)


def status_and_counts_are_those_that_the_pacs_gave(run: Run) -> None:
    """What it did not give is null; where the answer broke off, the counts are those of a response before that."""
    for wanted, verdict in run.verdicts():
        given = [_counts(answer) for move in run.moves(wanted) for answer in move.answers]
        told = [counts for counts in given if any(counts[:3])]
        row = tuple(None if pd.isna(verdict[name]) else str(verdict[name]) for name in COUNTS)
        if pd.isna(verdict["status"]):
            assert row in [(None,) * 4, *told], f"{wanted}: {row} is none of {told}"
            continue
        (move,) = run.moves(wanted)
        final = move.final
        assert final is not None, f"{wanted}: {verdict['status']}, and the PACS has not answered"
        assert verdict["status"] == f"0x{final.number('Status'):04X}"
        assert row == (told[-1] if told else (None,) * 4), f"{wanted}: {row}, and the PACS said {given}"
        comment = final.text("ErrorComment")
        assert (None if pd.isna(verdict["error_comment"]) else verdict["error_comment"]) == comment


def _counts(answer: Message) -> tuple[str | None, ...]:
    """Return the counts of a response as text, so that a null is never taken for a number."""
    numbers = [answer.number(f"NumberOf{name.title()}Suboperations") for name in COUNTS]
    return tuple(None if number is None else str(number) for number in numbers)


def the_counts_add_up(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if FORGES_COUNTS & {fault.name for fault in run.may_meet(wanted)}:
            continue
        counts = [verdict[name] for name in ("total", "completed", "failed", "warning")]
        if not pd.isna(counts).any():
            assert counts[0] >= sum(counts[1:]), f"{wanted}: {counts}"


def complete_is_never_false(run: Run) -> None:
    """To another AE it is as true as the PACS is honest; of a receiver, see below."""
    for wanted, verdict in run.verdicts() if run.options.into == STORE else ():
        met = {fault.name for fault in run.may_meet(wanted)}
        unseen = met & LOSES_SILENTLY and not has_inventory(run, wanted)
        if verdict["outcome"] == "complete" and is_honest(run, wanted) and not unseen:
            missing = {one.sop_instance_uid for one in run.world.instances(wanted)} - run.arrived
            assert not missing, f"{wanted} is complete without {missing}"
            assert run.world.instances(wanted), f"{wanted} is complete, and there is no such thing"


def empty_is_never_false(run: Run) -> None:
    """With an inventory, an empty answer for what is there is an error, and not an absence."""
    for wanted, verdict in run.verdicts():
        if verdict["outcome"] == "empty" and has_inventory(run, wanted):
            assert not run.world.instances(wanted), f"{wanted} is empty, and it is there"


def a_fault_in_one_row_does_not_reach_its_neighbours(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if not is_untouched(run, wanted) or run.interrupted:
            continue
        expected = without_faults(run, wanted)
        if is_misled(run, wanted):
            assert verdict["outcome"] == expected.outcome or verdict["error"] == "missing_instances"
            continue
        assert verdict["outcome"] == expected.outcome, f"{wanted}: {verdict}"
        assert pd.isna(verdict["error"]), f"{wanted}: {verdict}"
        counts = [verdict[name] for name in ("status", "attempts", "total", "completed", "failed", "warning")]
        assert counts == ["0x0000", 1, expected.completed, expected.completed, 0, 0], f"{wanted}: {verdict}"


def what_is_expected_is_what_there_is_or_what_the_table_says(run: Run) -> None:
    if MISCOUNTS & {fault.name for fault in run.world.faults}:
        return
    for wanted, verdict in run.verdicts():
        there = len(run.world.instances(wanted))
        if pd.notna(verdict["expected"]):
            assert verdict["expected"] in (there, run.number_in_table(wanted)), f"{wanted}: {verdict}"
        elif verdict["outcome"] in ("complete", "empty") and is_untouched(run, wanted):
            assert not has_inventory(run, wanted), f"{wanted}: {verdict}"


def associations_are_reused_and_never_more_than_concurrency(run: Run) -> None:
    sees_no_end = not run.reaches_everyone and all(fault.name in HARMLESS for fault in run.world.faults)
    if sees_no_end and not run.interrupted:
        assert run.associations <= run.options.concurrency


def an_association_is_used_again_only_after_a_final_response(run: Run) -> None:
    latest: dict[Connection, Heard] = {}
    for one in run.heard:
        before = latest.get(one.connection)
        assert before is None or before.final is not None, "a request over an association that was not clean"
        latest[one.connection] = one
    identities = [(one.connection, one.message_id) for one in run.heard]
    assert len(identities) == len(set(identities)), "a Message ID was used twice"


def it_ends_within_its_timeouts(run: Run) -> None:
    """The limit is generous: it tells what waits for ever from what does not."""
    pacs, options = run.world.pacs(), run.options
    silence = pacs.idle_timeout or 0
    tasks = len({one for one in run.asked if one is not None})
    responses = 2 + max((len(run.world.instances(one)) for one in run.asked if one is not None), default=0)
    quiet = 3 * (QUIET_S + 0.5) if options.into == RECEIVER else 0
    for_each = options.delay + (responses + 8) * silence + (options.total_timeout or 0) + quiet
    assert run.seconds < 10 + tasks * for_each
    if run.interrupted:
        assert run.seconds < 10 + tasks * for_each / options.concurrency + loop.LONGEST_STOP_S


def nothing_is_left_open(run: Run) -> None:
    assert (list(run.left_threads), run.left_connections) == ([], 0)


def an_interrupt_is_told_and_nothing_else_is(run: Run) -> None:
    told = sum(isinstance(one, dm.errors.InterruptedWarning) for one in run.warned)
    sendable = {position for position, wanted in enumerate(run.asked) if wanted is not None}
    unfinished = run.interrupted and not sendable <= _finished(run.keyboard.pressed[0]).keys()
    assert told <= (1 if run.interrupted else 0)
    assert told or not unfinished, "no InterruptedWarning"
    if not run.interrupted:
        assert not set(run.result["outcome"]) & {"not_attempted", "cancelled"}


def what_had_finished_before_an_interrupt_stays(run: Run) -> None:
    if run.interrupted:
        for position, event in _finished(run.keyboard.pressed[0]).items():
            verdict = run.result.iloc[position]
            assert (verdict["outcome"], verdict["duration_s"]) == (
                _since(run, event.outcome, verdict["outcome"]),
                event.duration_s if event.duration_s is not None else verdict["duration_s"],
            ), f"row {position} was {event.outcome}, and is {verdict['outcome']} after the interrupt"


def after_an_interrupt_what_was_not_begun_is_not_attempted(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if run.interrupted and not run.moves(wanted) and not _was_begun(run, wanted):
            assert verdict["outcome"] == "not_attempted", f"{wanted} is {verdict['outcome']}"


def an_interrupted_row_reads_as_it_ended(run: Run) -> None:
    """In flight, a row is cancelled, in doubt, or has its true result; a first interrupt leaves nothing in doubt."""
    doubtful = {"cancelled", "interrupted", "not_attempted"}
    for wanted, verdict in run.verdicts():
        if not run.interrupted or not is_untouched(run, wanted) or is_misled(run, wanted):
            continue
        assert verdict["outcome"] in {without_faults(run, wanted).outcome, *doubtful}, f"{wanted}: {verdict}"
        if len(run.keyboard.pressed) == 1:
            assert verdict["outcome"] != "interrupted", f"{wanted}: {verdict}"


def what_is_shown_is_what_the_table_says(run: Run) -> None:
    events = run.keyboard.events
    assert isinstance(events[0], RunStarted)
    assert events[0].requests == len({one for one in run.asked if one is not None})
    if not run.interrupted:
        assert isinstance(events[-1], RunEnded)
        assert sorted(_finished(events)) == list(range(len(run.rows)))
    outcomes = run.result["outcome"].tolist()
    shown = _finished(events)
    assert {position: outcomes[position] for position in shown} == {
        position: _since(run, event.outcome, outcomes[position]) for position, event in shown.items()
    }
    times = [event.position for event in events if isinstance(event, RowFinished)]
    # What the second interrupt did not wait for may come all the same, and is shown anew.
    assert len(times) == len(set(times)) or len(run.keyboard.pressed) > 1, "a row that finished twice"


def _finished(events: Sequence[Event]) -> dict[int, RowFinished]:
    return {event.position: event for event in events if isinstance(event, RowFinished)}


def _since(run: Run, shown: str, outcome: str) -> str:
    """Return how a row may read that was shown: a receiver looks again, and what came late can only complete it."""
    return outcome if run.options.into == RECEIVER and outcome in ("complete", "partial") else shown


def _was_begun(run: Run, wanted: Asked) -> bool:
    begun = {event.position for event in run.keyboard.events if isinstance(event, RowStarted)}
    return any(other == wanted and position in begun for position, other in enumerate(run.asked))


# ------------------------------------------------------------------------------------- with a receiver


def _there(run: Run, wanted: Asked) -> list[Landed]:
    """Return what has landed of a row."""
    uids = {one.sop_instance_uid for one in run.world.instances(wanted)}
    return [one for one in run.landed if one.uid in uids]


def knows_what_there_is(run: Run, wanted: Asked) -> bool:
    """Whether somebody tells truly how many instances there are, or the PACS's counts can be taken for it."""
    if wanted.level == "IMAGE" or has_inventory(run, wanted):
        return True
    met = {fault.name for fault in run.may_meet(wanted)}
    return is_honest(run, wanted) and not met & (LOSES_SILENTLY | FORGES_COUNTS) and not is_misled(run, wanted)


def complete_is_on_disk(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if verdict["outcome"] == "complete":
            assert _there(run, wanted), f"{wanted} is complete, and nothing of it is on disk"
            missing = len(run.world.instances(wanted)) - len(_there(run, wanted))
            assert not missing or not knows_what_there_is(run, wanted), f"{wanted} is complete without {missing}"


def what_is_on_disk_is_complete_whatever_the_pacs_said(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        whole = len(run.world.instances(wanted))
        if verdict["attempts"] and not run.interrupted and verdict["expected"] is not pd.NA:
            all_there = 0 < whole == len(_there(run, wanted)) == verdict["expected"]
            assert not all_there or verdict["outcome"] == "complete", f"{wanted} is on disk: {verdict}"


def what_is_on_disk_is_what_the_pacs_holds(run: Run) -> None:
    if any(fault.name in SPOILS for fault in run.world.faults):
        return
    held = {one.sop_instance_uid: one for one in run.world.archive.instances}
    for one in run.landed:
        assert one.data_set == held[one.uid].read(), one


def received_and_bytes_are_what_is_on_disk(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        there = _there(run, wanted)
        if pd.isna(verdict["received"]):
            assert pd.isna(verdict["bytes"])
            assert pd.isna(verdict["missing"])
            assert not verdict["attempts"] or run.interrupted, f"{wanted}: {verdict}"
            continue
        assert verdict["received"] <= len(there), f"{wanted}: {verdict}"
        if not run.interrupted:
            assert verdict["received"] == len(there), f"{wanted}: {verdict}, and {len(there)} are on disk"
            assert verdict["bytes"] == sum(one.size for one in there)


def missing_is_what_is_expected_and_not_on_disk(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        whole, received, missing = (verdict[name] for name in ("expected", "received", "missing"))
        if pd.isna(missing):
            assert pd.isna(received) or pd.isna(whole), f"{wanted}: {verdict}"
        elif pd.notna(whole):
            assert missing == max(0, whole - received), f"{wanted}: {verdict}"


def nothing_unrequested_is_outside_of_quarantine(run: Run) -> None:
    asked_for = {one.sop_instance_uid for wanted in run.asked if wanted for one in run.world.instances(wanted)}
    assert run.arrived <= asked_for


def the_record_is_that_of_the_files(run: Run) -> None:
    manifest = shore().receiver.manifest()
    there = manifest[manifest["path"].map(lambda path: (shore().receiver.folder / path).is_file()).astype(bool)]
    assert set(dm.verify(there)["verified"]) <= {"ok"}
    kept = there[there["quarantine"].isna()]
    assert sorted(kept["SOPInstanceUID"]) == sorted(one.uid for one in run.landed)


def nothing_is_left_of_what_went_wrong_at_the_receiver(run: Run) -> None:
    ground = shore()
    assert ground.receiver.pid == ground.pid, "it died"
    assert holds_soon(lambda: not ground.half_written(), 5), ground.half_written()
    back = holds_soon(ground.is_as_it_was, 10)
    assert back, f"threads and file descriptors: {ground.opened()}, and {ground.open} when it was new"
    if run.returned is not None:
        assert not set(run.result["error"].dropna()) & {"storage_failed", "receiver_failed"}


#: Of every run into a receiver, and of one that returns a table.
OF_A_RECEIVER: Final = (
    what_is_on_disk_is_what_the_pacs_holds,
    nothing_unrequested_is_outside_of_quarantine,
    the_record_is_that_of_the_files,
    nothing_is_left_of_what_went_wrong_at_the_receiver,
)
OF_A_RECEIVERS_TABLE: Final = (
    complete_is_on_disk,
    what_is_on_disk_is_complete_whatever_the_pacs_said,
    received_and_bytes_are_what_is_on_disk,
    missing_is_what_is_expected_and_not_on_disk,
)

# ----------------------------------------------------------------------------------------- all of them

#: Of every run.
ALWAYS: Final = (
    a_table_that_cannot_be_right_is_refused_before_the_first_association,
    nothing_is_lost_to_a_traceback_once_the_run_has_started,
    the_callers_table_is_not_touched,
    only_what_a_row_asks_for_is_sent_by_level_and_unique_keys,
    no_c_find_asks_for_what_no_row_names,
    what_is_asked_twice_is_moved_once,
    an_association_is_used_again_only_after_a_final_response,
    it_ends_within_its_timeouts,
    nothing_is_left_open,
)

#: Of every run that returns a table.
OF_A_TABLE: Final = (
    there_is_one_result_row_for_each_row_on_its_index,
    the_callers_columns_are_as_they_were,
    the_columns_have_their_types,
    the_words_are_of_the_closed_sets,
    what_only_a_receiver_knows_is_null_elsewhere,
    a_row_is_invalid_if_it_cannot_be_asked_and_only_then,
    rows_that_ask_the_same_get_the_same,
    the_attempts_are_the_moves_that_the_pacs_saw,
    nothing_was_sent_where_the_outcome_says_so,
    a_time_is_there_for_what_was_tried,
    status_and_counts_are_those_that_the_pacs_gave,
    the_counts_add_up,
    complete_is_never_false,
    empty_is_never_false,
    a_fault_in_one_row_does_not_reach_its_neighbours,
    what_is_expected_is_what_there_is_or_what_the_table_says,
    associations_are_reused_and_never_more_than_concurrency,
    an_interrupt_is_told_and_nothing_else_is,
    what_had_finished_before_an_interrupt_stays,
    after_an_interrupt_what_was_not_begun_is_not_attempted,
    an_interrupted_row_reads_as_it_ended,
    what_is_shown_is_what_the_table_says,
)


#: By the destination, and by whether there is a table.
PROMISES: Final = {
    (STORE, False): ALWAYS,
    (STORE, True): (*ALWAYS, *OF_A_TABLE),
    (RECEIVER, False): (*ALWAYS, *OF_A_RECEIVER),
    (RECEIVER, True): (*ALWAYS, *OF_A_TABLE, *OF_A_RECEIVER, *OF_A_RECEIVERS_TABLE),
}


def keeps_its_promises(run: Run) -> None:
    """Raise AssertionError for the first promise that a run broke."""
    for promise in PROMISES[run.options.into, run.returned is not None]:
        promise(run)


# ------------------------------------------------------------------------------------------- find


@dataclass(frozen=True)
class Found:
    """One `find` of studies by their UID, and what it returned."""

    world: World
    uids: Sequence[str]
    level: str
    result: pd.DataFrame

    @property
    def may_be_wrong(self) -> bool:
        """Whether a fault may reach one of its C-FINDs."""
        return any("C-FIND" in fault.commands or reaches_everyone(fault) for fault in self.world.faults)

    def rows(self) -> list[Row]:
        """Return its rows as they can be moved."""
        names = [name for name in (*KEYS, *NUMBER_KEYS.values()) if name in self.result]
        return [{name: _found_cell(row[name]) for name in names} for row in self.result.to_dict("records")]


def _found_cell(raw: Any) -> Cell:
    return Cell(raw, blank=True) if pd.isna(raw) else Cell(raw, str(raw))


def search(world: World, uids: Sequence[str], level: str) -> Found:
    """Find studies, or what is in them."""
    table = pd.DataFrame({"StudyInstanceUID": uids}, dtype=object)
    result = dm.find(table, world.pacs(), level=level, progress=False)
    assert holds_soon(lambda: not world.open_connections(), 5), "find left a connection open"
    world.settle()
    return Found(world, uids, level, result)


def each_row_that_asked_is_answered_in_its_order(found: Found) -> None:
    asked_by = found.result["cohort_row"].tolist()
    assert asked_by == sorted(asked_by)
    assert set(asked_by) == set(range(len(found.uids)))


def nothing_is_found_that_nobody_asked_for(found: Found) -> None:
    uids = [found.uids[row] for row in found.result["cohort_row"]]
    assert found.result["StudyInstanceUID"].tolist() == uids


def what_is_found_is_what_is_there(found: Found) -> None:
    if found.may_be_wrong:
        return
    name = KEYS[LEVELS.index(found.level)]
    for row, uid in enumerate(found.uids):
        there = found.world.instances(Asked("STUDY", "StudyRoot", (("StudyInstanceUID", uid),)))
        answers = found.result[found.result["cohort_row"] == row]
        wanted = {getattr(one, FIELDS[KEYS.index(name)]) for one in there}
        assert set(answers["outcome"]) == {"matched" if there else "empty"}
        assert not there or sorted(answers[name]) == sorted(wanted)


def finds_the_truth(found: Found) -> None:
    """Raise AssertionError for the first promise that a `find` broke."""
    each_row_that_asked_is_answered_in_its_order(found)
    nothing_is_found_that_nobody_asked_for(found)
    what_is_found_is_what_is_there(found)
