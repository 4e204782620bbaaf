"""How each fault is tried: found, moved to another AE, and moved into a `Receiver`, each at a PACS of its own.

Each fault concerns the first of two studies, of six instances each; the second shows that a fault in one row does not
reach its neighbour. Timeouts are short.
"""

from __future__ import annotations

import functools
import queue
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, ParamSpec, Self, TypeVar

import pandas as pd

from dicomove.cohort import with_digests
from dicomove.dimse.data_sets import data_set_offset
from dicomove.errors import DicomoveWarning
from dicomove.events import Event, SubOperationEvent
from dicomove.files import SERVICE_FOLDER
from dicomove.find import find
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver
from dicomove.testing import faults
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Request, Response
from dicomove.testing.process import Order, serve
from dicomove.testing.synthetic import Synthetic

_ARCHIVE: Final = Synthetic(studies=12, instances=6, size=512, patients=12)
_INSTANCES: Final = list(_ARCHIVE.instances_of_all())
STUDIES: Final = list(dict.fromkeys(one.study_instance_uid for one in _INSTANCES))
_DESTINATION: Final = "STORE"
_QUIET_S: Final = 0.3
#: Faults for which dicomove waits until a limit.
_SILENT: Final = frozenset(
    {
        *("find-promises-data-set", "hangs", "hangs-at-find", "late-cancel", "pending-forever", "promises-data-set"),
        *("silent-association", "vanishes-at-response"),
    }
)
_LONGEST_WAIT_S: Final = 5.0
#: The PACS is given half a second. Where this process did not run for so long, a fault is tried again, so many times.
_STOOD_STILL_S: Final = 0.2
_MOST_TRIALS: Final = 5
_BEAT_S: Final = 0.02

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Rehearsal:
    """How a fault is tried, where the usual way does not show it."""

    fault: Fault
    also: tuple[Fault, ...] = ()
    interrupt: bool = False
    cohort: Mapping[str, object] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    level: str = "STUDY"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pacs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Disk:
    """What a destination has of the first row when the PACS has nothing more to do.

    Attributes
    ----------
    wanted
        Instances that the row names; none where it is no C-MOVE.
    there
        Those of them that there are, under their names.
    altered
        Those of them that have other bytes than the PACS's.
    put_aside
        Files in quarantine, whosever they are.
    """

    wanted: int
    there: int
    altered: int
    put_aside: int


@dataclass(frozen=True)
class Trial:
    """What one destination made of it: the result table, and what arrived of the first row."""

    results: pd.DataFrame
    disk: Disk


@dataclass(frozen=True)
class _Pauses(Fault):
    """The PACS looks for a C-CANCEL only a while after each response: one on that response has come by then."""

    commands: ClassVar[tuple[str, ...]] = ("C-MOVE", "C-GET")
    seconds: float = 0.3

    def on_response(self, request: Request, response: Response) -> Iterator[Response]:  # noqa: ARG002
        yield response
        time.sleep(self.seconds)


def rehearsals() -> Iterator[Rehearsal]:
    """Yield one for each fault, by name."""
    special = {
        "limits-associations": Rehearsal(faults.LimitsAssociations(limit=0), note="other clients use all of them"),
        "refuses-image-level": Rehearsal(faults.RefusesImageLevel(), level="IMAGE", note="rows of instances"),
        "matches-prefixes": Rehearsal(
            faults.MatchesPrefixes(), cohort={"AccessionNumber": ["00000", "000002"]}, note="asked for `00000`"
        ),
        "ignores-case": Rehearsal(
            faults.IgnoresCase(), cohort={"PatientID": ["syn000001", "SYN000002"]}, note="asked for `syn000001`"
        ),
        "ignores-keys": Rehearsal(
            faults.IgnoresKeys(),
            cohort={"PatientID": ["SYN000001", "SYN000002"], "Modality": ["MR", "CT"]},
            note="asked for MR, which does not exist",
        ),
        "ignores-cancel": Rehearsal(
            _limited(faults.IgnoresCancel()), also=(faults.Latency(seconds=0.3),), interrupt=True, note="interrupted"
        ),
        "late-cancel": Rehearsal(
            _limited(faults.LateCancel(seconds=1)),
            also=(_Pauses(),),
            interrupt=True,
            note="interrupted",
        ),
        "caps-find": Rehearsal(
            faults.CapsFind(most=3), cohort={"PatientID": ["SYN*", "SYN000002"]}, note="12 studies match"
        ),
        "crosses-requests": Rehearsal(faults.CrossesRequests(), note="both studies over one association"),
        "speaks-no-tls": Rehearsal(faults.SpeaksNoTls(), pacs={"tls": True}, note="with `tls=True`"),
        "pending-forever": Rehearsal(
            faults.PendingForever(studies=(STUDIES[0],)), arguments={"total_timeout": 1}, note="with `total_timeout=1`"
        ),
    }
    for name, kind in sorted(faults.BY_NAME.items()):
        yield special.get(name) or Rehearsal(_limited(kind()))


class _Heartbeat:
    """Notices for how long this process did not run, since others were busy."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._end.wait(_BEAT_S):
            now = time.monotonic()
            self.longest_s, last = max(self.longest_s, now - last - _BEAT_S), now


def _undisturbed(trial: Callable[P, T]) -> Callable[P, T]:
    """Do a trial again whose limits of time say more about the machine than about the fault."""

    @functools.wraps(trial)
    def tried(*arguments: P.args, **keywords: P.kwargs) -> T:
        for _ in range(_MOST_TRIALS):
            with _Heartbeat() as heart:
                made = trial(*arguments, **keywords)
            if heart.longest_s < _STOOD_STILL_S:
                break
        return made

    return tried


class Stage:
    """A receiver for all rehearsals: each of them finds its folder empty.

    Parameters
    ----------
    receiver
        The receiver.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @_undisturbed
    def find(self, rehearsal: Rehearsal) -> pd.DataFrame:
        """Return what `find` makes of the cohort of a rehearsal."""
        cohort = pd.DataFrame(rehearsal.cohort or {"AccessionNumber": ["000001", "000002"]})
        with tempfile.TemporaryDirectory() as scratch, self._running(rehearsal, Path(scratch)) as pacs:
            return find(cohort, pacs, level=rehearsal.level, keys=rehearsal.keys, progress=False)

    @_undisturbed
    def to_an_ae(self, rehearsal: Rehearsal, found: pd.DataFrame) -> Trial:
        """Move what was found to an AE that dicomove cannot look into."""
        with tempfile.TemporaryDirectory() as scratch:
            with self._running(rehearsal, Path(scratch)) as pacs:
                results = _move(rehearsal, found, pacs, _DESTINATION)
            return Trial(results, _disk(Path(scratch), results))

    @_undisturbed
    def to_the_receiver(self, rehearsal: Rehearsal, found: pd.DataFrame, method: str = "move") -> Trial:
        """Move or get what was found into the receiver."""
        with tempfile.TemporaryDirectory() as scratch, self._running(rehearsal, Path(scratch)) as pacs:
            results = _move(rehearsal, found, pacs, self._receiver, method=method)
        self._receiver.flush()  # what came after the end is in its place now, too
        trial = Trial(results, _disk(self._receiver.folder, results))
        _empty(self._receiver.folder)
        return trial

    @contextmanager
    def _running(self, rehearsal: Rehearsal, scratch: Path) -> Iterator[Pacs]:
        """Run the PACS in a thread until it has nothing more to do: a process for each fault would take a minute."""
        ports: queue.SimpleQueue[int] = queue.SimpleQueue()
        end = threading.Event()
        order = Order(
            ae_title="PACS",
            source=_ARCHIVE,
            scratch=scratch,
            destination=_DESTINATION,
            destinations=self._receiver.as_destination(),
            faults=(rehearsal.fault, *rehearsal.also),
        )
        others = set(threading.enumerate())
        threading.Thread(target=serve, args=(order, ports.put, end.wait)).start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DicomoveWarning)
                yield _pacs(ports.get(timeout=_LONGEST_WAIT_S), rehearsal)
        finally:
            end.set()
            _await_the_end(others)


@contextmanager
def stage() -> Iterator[Stage]:
    """Lend a stage."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Receiver(folder, port=0, host="127.0.0.1", quiet_period=_QUIET_S) as receiver,
    ):
        yield Stage(receiver)


def given(rehearsal: Rehearsal) -> pd.DataFrame:
    """Return the studies themselves, where C-FIND does not work."""
    return pd.DataFrame({"StudyInstanceUID": STUDIES[:2], "level": rehearsal.level})


def _move(
    rehearsal: Rehearsal, found: pd.DataFrame, pacs: Pacs, destination: str | Receiver, **how: Any
) -> pd.DataFrame:
    found = found.copy()
    # The PACS of each trial has an address of its own; a user finds and moves at one.
    found.attrs["dicomove.told_by"] = with_digests(found.head(0), "STUDY", told_by=pacs.address).attrs[
        "dicomove.told_by"
    ]
    progress = _interrupter() if rehearsal.interrupt else False
    # A journal would have the next fault skip what this one completed.
    return move(found, pacs, destination, journal=False, progress=progress, **rehearsal.arguments, **how)


def _limited(fault: Fault) -> Fault:
    """Limit a fault to the first study; one of the association, or of finding, cannot be."""
    return replace(fault, studies=(STUDIES[0],)) if "C-GET" in fault.commands or "C-MOVE" in fault.commands else fault


def _pacs(port: int, rehearsal: Rehearsal) -> Pacs:
    # On a busy machine, a PACS that answers may need a second.
    seconds = 0.5 if rehearsal.fault.name in _SILENT else 5
    return Pacs(
        f"PACS@127.0.0.1:{port}",
        connect_timeout=1,
        association_timeout=seconds,
        idle_timeout=seconds,
        first_response_timeout=seconds,
        **rehearsal.pacs,
    )


def _interrupter() -> Callable[[Event], None]:
    """Return a display that presses Ctrl-C once, when the move is under way."""
    pressed: list[Event] = []

    def show(event: Event) -> None:
        if isinstance(event, SubOperationEvent) and not pressed:
            pressed.append(event)
            signal.raise_signal(signal.SIGINT)

    return show


def _await_the_end(others: set[threading.Thread]) -> None:
    """Wait until no thread but these others is left: what a PACS still sends belongs to this fault, not to the next."""
    end = time.monotonic() + _LONGEST_WAIT_S
    while left := set(threading.enumerate()) - others:
        if time.monotonic() > end:
            message = f"these do not come to an end: {', '.join(thread.name for thread in left)}"
            raise TimeoutError(message)
        left.pop().join(_LONGEST_WAIT_S)


def _disk(folder: Path, results: pd.DataFrame) -> Disk:
    first = results.iloc[0]
    wanted = [] if first["outcome"] == "invalid" else _named(first)
    files = {path.stem: path for path in folder.rglob("*.dcm")}
    there = [one for one in wanted if one.sop_instance_uid in files]
    return Disk(
        wanted=len(wanted),
        there=len(there),
        altered=sum(_data_set(files[one.sop_instance_uid]) != one.read() for one in there),
        put_aside=sum(1 for _ in folder.rglob("*.quarantined")),
    )


def _named(row: pd.Series) -> list[Instance]:
    """Return the instances that a row of studies or of instances names."""
    keys = [key for key in ("StudyInstanceUID", "SOPInstanceUID") if key in row]
    fields = {"StudyInstanceUID": "study_instance_uid", "SOPInstanceUID": "sop_instance_uid"}
    return [one for one in _INSTANCES if all(getattr(one, fields[key]) == row[key] for key in keys)]


def _data_set(path: Path) -> bytes:
    return path.read_bytes()[data_set_offset(path) :]


def _empty(folder: Path) -> None:
    """Remove everything but the receiver's own files, so that what it has recorded is not there any more."""
    for path in folder.iterdir():
        if path.name != SERVICE_FOLDER:
            shutil.rmtree(path)
    for path in folder.rglob("*.quarantined"):
        path.unlink()
