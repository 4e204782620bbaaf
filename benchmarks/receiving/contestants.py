"""Who receives and who moves: each contestant as a context in which its receiver runs and is known to Orthanc."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from pydicom import Dataset

import dicomove as dm
from benchmarks.paired import require
from benchmarks.receiving import storage_scp
from benchmarks.receiving.children import Served, peak_memory, run, run_watched, serving
from benchmarks.receiving.pacs import AE_TITLE, Orthanc
from benchmarks.receiving.workloads import Held
from benchmarks.small_studies import STUDY_ROOT_MOVE, associate
from dicomove.tls import TLS
from tests.servers import free_port, running

_AS_IT_IS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Turn:
    """What a contestant is given: a PACS, studies in it, and an empty folder."""

    server: Orthanc
    held: Held
    folder: Path


@dataclass(frozen=True)
class Stand:
    """A contestant that is ready.

    Attributes
    ----------
    move
        Moves the studies, and returns when they are moved. This is what is timed.
    pid
        The process that receives, unless `move` starts it.
    peak
        The peak memory of the receiving process.
    served
        Counts what arrives, where nothing is kept.
    """

    move: Callable[[], object]
    pid: int | None
    peak: Callable[[], int]
    served: Served | None = None


@dataclass(frozen=True)
class Contestant:
    """One way to receive.

    Attributes
    ----------
    at_most
        Studies that it is given, by workload, where it would take too long for all of them.
    """

    name: str
    how: str
    open: Callable[[Turn], AbstractContextManager[Stand]]
    at_most: Mapping[str, int] = field(default_factory=dict)
    keeps: bool = True


@contextmanager
def dicomove(turn: Turn, *, tls: bool = False, concurrency: int | Literal["auto"] = 1) -> Iterator[Stand]:
    server = turn.server
    ours = TLS(certificate=server.identity.certificate, key=server.identity.key, ca=server.authority.file)
    with dm.Receiver(turn.folder, ae_title="DICOMOVE", port=0, host=server.ours, tls=ours if tls else None) as receiver:
        server.register("DICOMOVE", receiver.port, tls=tls)
        yield Stand(partial(_move_table, turn, receiver, concurrency), receiver.pid, partial(peak_memory, receiver.pid))


def _move_table(turn: Turn, receiver: dm.Receiver, concurrency: int | Literal["auto"]) -> None:
    results = dm.move(turn.held.table, turn.server.pacs, receiver, concurrency=concurrency, progress=False)
    outcomes = results["outcome"].value_counts().to_dict()
    require(set(outcomes) == {"complete"}, f"outcomes {outcomes}")


@contextmanager
def dicomove_get(turn: Turn) -> Iterator[Stand]:
    with dm.Receiver(turn.folder, port=None) as receiver:
        yield Stand(partial(_get_table, turn, receiver), receiver.pid, partial(peak_memory, receiver.pid))


def _get_table(turn: Turn, receiver: dm.Receiver) -> None:
    results = dm.move(turn.held.table, turn.server.pacs, receiver, method="get", progress=False)
    outcomes = results["outcome"].value_counts().to_dict()
    require(set(outcomes) == {"complete"}, f"outcomes {outcomes}")


@contextmanager
def getscu(turn: Turn, *, environment: Mapping[str, str] | None = None) -> Iterator[Stand]:
    peaks = [0]
    yield Stand(partial(_getscu, turn, environment or {}, peaks), None, lambda: max(peaks))


def _getscu(turn: Turn, environment: Mapping[str, str], peaks: list[int]) -> None:
    pacs = turn.server.pacs
    program = ["/usr/bin/getscu", "-S", "+B", "-aec", AE_TITLE, "-od", str(turn.folder), pacs.host, str(pacs.port)]
    for uid in turn.held.studies:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
        peaks.append(run_watched([*program, *keys], environment))


@contextmanager
def dcmtk(
    turn: Turn, *, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None, tls: bool = False
) -> Iterator[Stand]:
    environment, port, title = environment or {}, free_port(), "DCMTK"
    if tls:
        identity, ca = turn.server.identity, turn.server.authority.file
        options = (*options, "+tls", str(identity.key), str(identity.certificate), "+cf", str(ca))
    command = ["/usr/bin/storescp", *options, "-aet", title, "-od", str(turn.folder), str(port)]
    with running(command, port, turn.folder.parent, **environment) as process:
        turn.server.register(title, port, tls=tls)
        yield Stand(partial(_movescu, turn, title, environment), process.pid, partial(peak_memory, process.pid))


def _movescu(turn: Turn, title: str, environment: Mapping[str, str]) -> None:
    pacs = turn.server.pacs
    for uid in turn.held.studies:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
        run(["/usr/bin/movescu", "-S", "-aec", AE_TITLE, "-aem", title, *keys, pacs.host, str(pacs.port)], environment)


@contextmanager
def pynetdicom_program(turn: Turn) -> Iterator[Stand]:
    port, title, peaks = free_port(), "PYNETDICOM", [0]
    turn.server.register(title, port)
    yield Stand(partial(_pynetdicom_movescu, turn, title, port, peaks), None, lambda: max(peaks))


def _pynetdicom_movescu(turn: Turn, title: str, port: int, peaks: list[int]) -> None:
    pacs = turn.server.pacs
    store = ["--store", "--store-port", str(port), "--store-aet", title, "-od", str(turn.folder)]
    program = [sys.executable, "-m", "pynetdicom", "movescu", pacs.host, str(pacs.port)]
    for uid in turn.held.studies:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
        peaks.append(run_watched([*program, "-S", "-aec", AE_TITLE, "-aem", title, *store, *keys]))


@contextmanager
def pynetdicom_best(turn: Turn) -> Iterator[Stand]:
    title = "PYNETDICOM"
    with serving("storage_scp", str(turn.folder), "--ae-title", title, "--host", turn.server.ours) as served:
        turn.server.register(title, served.port)
        yield Stand(partial(_send_c_moves, turn, title), served.pid, partial(peak_memory, served.pid))


@contextmanager
def pynetdicom_here(turn: Turn) -> Iterator[Stand]:
    """In the process that moves, as in a notebook."""
    title = "PYNETDICOM"
    server, _ = storage_scp.start(turn.folder, title, 0, turn.server.ours)
    try:
        turn.server.register(title, server.socket.getsockname()[1])
        yield Stand(partial(_send_c_moves, turn, title), None, partial(peak_memory, os.getpid()))
    finally:
        server.shutdown()


def _send_c_moves(turn: Turn, title: str) -> None:
    association = associate(turn.server.pacs, storage_scp.NO_DELAY)
    for uid in turn.held.studies:
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", uid
        list(association.send_c_move(identifier, title, STUDY_ROOT_MOVE))
    association.release()


@contextmanager
def sink(turn: Turn, *, writes: bool = False) -> Iterator[Stand]:
    keep = ("--keep", str(turn.folder)) if writes else ()
    with serving("sink", "--host", turn.server.ours, *keep) as served:
        turn.server.register("SINK", served.port)
        yield Stand(partial(_move_studies, turn, "SINK"), served.pid, partial(peak_memory, served.pid), served)


def _move_studies(turn: Turn, title: str) -> None:
    with dm.MoveScu(turn.server.pacs) as scu:
        for uid in turn.held.studies:
            scu.move_study({"StudyInstanceUID": uid}, title)


_NO_DELAY = {"TCP_NODELAY": "1"}
_MOVESCU = {"ct": 1, "small": 40}
REFERENCE = Contestant("dicomove", "`move` into a `Receiver`", dicomove)
RECORDER = Contestant(
    "DCMTK tuned",
    "TCP_NODELAY=1 and `storescp +B +xa --max-pdu 32768`",
    partial(dcmtk, options=("+B", "+xa", "-pdu", "32768"), environment=_NO_DELAY),
    {"small": 40},
)
CONTESTANTS = (
    REFERENCE,
    Contestant("dicomove, TLS", "the same, with TLS from Orthanc to the `Receiver`", partial(dicomove, tls=True)),
    Contestant("dicomove, C-GET", '`move(method="get")` into a `Receiver` without a port', dicomove_get),
    Contestant("DCMTK getscu", "`getscu +B` as it comes, for each study", getscu, _MOVESCU),
    Contestant(
        "DCMTK getscu, no delay", "the same with TCP_NODELAY=1", partial(getscu, environment=_NO_DELAY), {"small": 40}
    ),
    Contestant("DCMTK", "`movescu` and `storescp` as they come", dcmtk, _MOVESCU),
    Contestant(
        "DCMTK, no delay",
        "the same, both with TCP_NODELAY=1",
        partial(dcmtk, environment=_NO_DELAY),
        {"ct": 4, "small": 40},
    ),
    RECORDER,
    Contestant(
        "DCMTK tuned, TLS",
        "the same as tuned, and `+tls`",
        partial(dcmtk, options=("+B", "+xa", "-pdu", "32768"), environment=_NO_DELAY, tls=True),
        {"small": 40},
    ),
    Contestant("pynetdicom", "`python -m pynetdicom movescu --store`", pynetdicom_program, {"ct": 2, "small": 10}),
    Contestant(
        "pynetdicom best",
        "a process of its own that writes raw bytes, TCP_NODELAY and TCP_QUICKACK, one association for the moves",
        pynetdicom_best,
        {"ct": 4, "small": 200},
    ),
    Contestant("sink", "`MoveScu`; the destination writes and hashes nothing", sink, keeps=False),
    Contestant(
        "sink that writes",
        "the same, and the destination writes a file for each instance and renames it",
        partial(sink, writes=True),
        keeps=False,
    ),
)
# What a busy kernel is measured with: see `busy`.
IN_KERNEL = Contestant(
    "pynetdicom here",
    "pynetdicom best, within the process that moves",
    pynetdicom_here,
    {"busy ct": 1, "busy small": 40},
)
