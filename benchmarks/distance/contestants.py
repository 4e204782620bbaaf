"""Those who move over a distance: dicomove with several numbers of associations, its peers, and a sink."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO

from benchmarks.receiving import contestants as local
from benchmarks.receiving.children import peak_memory, run
from benchmarks.receiving.contestants import Contestant, Stand, Turn
from tests.servers import free_port, running

#: The native part of node-dicom-rs. Its package for JavaScript adds nothing but the choice of the machine's one.
NODE_DICOM = "@nuxthealth/node-dicom-linux-x64-gnu@0.3.0-beta.2"
_PYNETDICOM = (sys.executable, "-m", "pynetdicom")
ONE, AUTO = "dicomove, 1 association", "dicomove, auto"


@dataclass(frozen=True)
class Entry:
    """A contestant, and for how long it is measured.

    Attributes
    ----------
    associations
        Studies that it moves at a time: it is given as many, or more.
    lasts
        How many times as long as the others. `auto` begins with one association: it gets studies that would take one
        association so long, and is done much earlier.
    """

    contestant: Contestant
    associations: int = 1
    lasts: int = 1

    @property
    def name(self) -> str:
        return self.contestant.name


@contextmanager
def pynetdicom(turn: Turn) -> Iterator[Stand]:
    """Two programs: `movescu --store` listens at localhost only, where a PACS of another machine does not reach it."""
    title, port = "PYNETDICOM", free_port()
    command = [*_PYNETDICOM, "storescp", str(port), "-aet", title, "-od", str(turn.folder)]
    with running(command, port, turn.folder.parent) as process:
        turn.server.register(title, port)
        yield Stand(partial(_movescu, turn, title), process.pid, partial(peak_memory, process.pid))


def _movescu(turn: Turn, title: str) -> None:
    pacs = turn.server.pacs
    titles = ["-S", "-aec", str(pacs.called_ae_title), "-aem", title]
    for uid in turn.held.studies:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
        run([*_PYNETDICOM, "movescu", pacs.host, str(pacs.port), *titles, *keys], {})


@contextmanager
def node_dicom(turn: Turn) -> Iterator[Stand]:
    """Both in one process of Node.js, as the documentation of node-dicom-rs shows them: a study after the other."""
    title, port, server = "NODE", free_port(), turn.server
    told = {
        "module": str(node_module(turn.folder.parent.parent)),
        "folder": str(turn.folder),
        "title": title,
        "port": port,
        "pacs": f"{server.pacs.host}:{server.pacs.port}",
        "called": server.pacs.called_ae_title,
    }
    command = ["node", str(Path(__file__).with_name("node_dicom.cjs")), json.dumps(told)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin  # noqa: S101 (it is a pipe, and so is the next one)
        assert process.stdout  # noqa: S101
        try:
            _expect(process.stdout, "ready")
            server.register(title, port)
            move = partial(_move_in_node, turn.held.studies, process.stdin, process.stdout)
            yield Stand(move, process.pid, partial(peak_memory, process.pid))
        finally:
            process.kill()


def _move_in_node(studies: list[str], told: IO[str], answers: IO[str]) -> None:
    print(json.dumps(studies), file=told, flush=True)
    _expect(answers, "moved")


def _expect(answers: IO[str], word: str) -> None:
    answer = answers.readline().strip()
    if answer != word:
        message = f"node-dicom-rs said {answer!r}, and not {word!r}"
        raise RuntimeError(message)


@cache
def node_module(scratch: Path) -> Path:
    """Install node-dicom-rs with npm, and return its native part."""
    folder = scratch / "node"
    try:
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), NODE_DICOM]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except FileNotFoundError as error:
        message = "npm and node are not installed"
        raise RuntimeError(message) from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        message = f"npm could not install {NODE_DICOM}"
        raise RuntimeError(message) from error
    return next(folder.rglob("*.node"))


def _dicomove(number: int) -> Entry:
    name = ONE if number == 1 else f"dicomove, {number} associations"
    how = f"`move(concurrency={number})` into a `Receiver`"
    return Entry(Contestant(name, how, partial(local.dicomove, concurrency=number)), number)


def _peers() -> Iterator[Entry]:
    names = {"DCMTK", "DCMTK tuned", "pynetdicom best", "sink"}
    return (Entry(one) for one in local.CONTESTANTS if one.name in names)


ENTRIES = (
    *map(_dicomove, (1, 2, 4, 8)),
    Entry(
        Contestant(AUTO, '`move(concurrency="auto")` into a `Receiver`', partial(local.dicomove, concurrency="auto")),
        associations=2,
        lasts=20,
    ),
    *_peers(),
    Entry(Contestant("pynetdicom", "`python -m pynetdicom storescp`, and `movescu` for each study", pynetdicom)),
    Entry(Contestant("node-dicom-rs", "`StoreScp`, and `MoveScu.moveStudy` for each study", node_dicom)),
)
