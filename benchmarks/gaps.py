"""How long an association waits for the next C-MOVE, as the PACS sees it: from a final response to the next request.

Usage: python -m benchmarks.gaps [--studies 300] [--instances 4] [--kib 64] [--rounds 3]

The PACS has a process of its own. It writes down when the final response is sent, and when the next C-MOVE-RQ on the
same association is read. Journal, hash and `fsync` are on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

import dicomove as dm
from benchmarks.paired import require, table
from dicomove.dimse.association import Association
from dicomove.dimse.deadlines import Deadlines
from dicomove.dimse.messages import C_MOVE_RQ, Message
from dicomove.dimse.opening import Peer
from dicomove.testing import Synthetic
from dicomove.testing.archive import Archive
from dicomove.testing.associations import Listener
from dicomove.testing.faults.injector import Injector
from dicomove.testing.server import QueryRetrieveScp

AE_TITLE: Final = "HERE"


class _Timed(Association):
    """An association that knows when it sent something last."""

    def __init__(self, association: Association) -> None:
        vars(self).update(vars(association))
        self.sent_at = 0.0

    def send(self, message: Message, deadlines: Deadlines) -> None:
        super().send(message, deadlines)
        self.sent_at = time.perf_counter()


class TimedScp(QueryRetrieveScp):
    """Writes down the gaps before each C-MOVE but the first of an association, in seconds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gaps: list[float] = []
        self._ended: dict[Association, float] = {}

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        """Answer a request."""
        read, is_move = time.perf_counter(), message.number("CommandField") == C_MOVE_RQ
        ended = self._ended.pop(association, None) if is_move else None
        if ended is not None:
            self.gaps.append(read - ended)
        timed = _Timed(association)
        super().handle(timed, peer, message)
        if is_move:
            self._ended[association] = timed.sent_at


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    source = Synthetic(studies=options.studies, instances=options.instances, size=options.kib * 1024)
    rows = []
    for name, changes in _ways().items():
        gaps = [gap for _ in range(options.rounds) for gap in _gaps(source, changes)]
        rows.append([name, str(len(gaps)), *_told(gaps)])
        print(".", end="", file=sys.stderr, flush=True)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"\n{options.studies} studies of {options.instances} instances of {options.kib} KiB, ", end="")
    print(f"{options.rounds} rounds; {os.cpu_count()} cores, load {load}. Milliseconds:\n")
    print(table(["`move` of a table from `find`", "gaps", "median", "p95", "most"], rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gaps", description=__doc__)
    parser.add_argument("--studies", type=int, default=300, help="rows of the table; default: 300")
    parser.add_argument("--instances", type=int, default=4, help="of each study; default: 4")
    parser.add_argument("--kib", type=int, default=64, help="the size of an instance; default: 64")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; default: 3")
    return parser.parse_args()


def _ways() -> dict[str, dict[str, Any]]:
    return {
        "one association": {},
        "one association, a panel's events": {"progress": lambda _: None},
        "one association, `verify='hash'`": {"verify": "hash"},
        "`concurrency=2`": {"concurrency": 2},
    }


def _gaps(source: Synthetic, changes: dict[str, Any]) -> list[float]:
    """Move all studies into a new folder, and return what the PACS saw."""
    with (
        TemporaryDirectory(prefix="dicomove-benchmark-") as folder,
        dm.Receiver(Path(folder, "here"), ae_title=AE_TITLE, port=0, host="127.0.0.1") as receiver,
        timed_pacs(source, receiver.port) as (port, gaps),
    ):
        pacs = dm.Pacs(f"PACS@127.0.0.1:{port}")
        uids = dict.fromkeys(one.study_instance_uid for one in source.instances_of_all())
        counted = pd.DataFrame({"StudyInstanceUID": list(uids), "NumberOfStudyRelatedInstances": source.instances})
        results = dm.move(counted, pacs, receiver, **{"progress": False, **changes})
        require((results["outcome"] == "complete").all(), "not all rows are complete")
        told: list[float] = gaps()
        return told


@contextmanager
def timed_pacs(source: Synthetic, destination: int) -> Iterator[Any]:
    """Run the PACS in a process of its own; yield its port, and what returns the gaps."""
    context = get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(its, source, destination), daemon=True)
    process.start()
    try:

        def gaps() -> list[float]:
            ours.send("gaps")
            told: list[float] = ours.recv()
            return told

        yield ours.recv(), gaps
    finally:
        process.terminate()
        process.join()


def _serve(parent: Connection, source: Synthetic, destination: int) -> None:
    archive = Archive(source.instances_of_all())
    for instance in archive.instances:
        instance.read()  # it is generated once
    scp = TimedScp("PACS", archive, {AE_TITLE: ("127.0.0.1", destination)}, Injector())
    with Listener(scp) as listener:
        parent.send(listener.port)
        while parent.recv():
            parent.send(scp.gaps)


def _told(gaps: list[float]) -> list[str]:
    require(len(gaps) > 1, "an association of its own for each move has no gaps")
    p95 = quantiles(gaps, n=20)[-1]
    return [f"{1000 * seconds:.2f}" for seconds in (median(gaps), p95, max(gaps))]


if __name__ == "__main__":
    main()
