"""One run of a contestant, and rounds of them: all have their turn in each round, and the order changes."""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.receiving.children import cpu_seconds
from benchmarks.receiving.contestants import RECORDER, Contestant, Stand, Turn
from benchmarks.receiving.datasets import digests
from benchmarks.receiving.pacs import Orthanc
from benchmarks.receiving.workloads import Held

_QUICK_SHARE = 4


@dataclass(frozen=True)
class Run:
    """What one turn of a contestant took, and what had arrived after it.

    Attributes
    ----------
    cpu_s
        Of the processes that move and receive, Orthanc's not.
    peak
        Peak memory of the receiving process, in bytes.
    arrived
        Instances that were asked for and came.
    identical
        Of those, the ones whose data set is bit for bit what Orthanc holds or sends; None where nothing is kept.
    """

    workload: str
    contestant: str
    round: int
    studies: int
    instances: int
    bytes: int
    seconds: float
    cpu_s: float
    peak: int
    arrived: int
    identical: int | None

    @property
    def complete(self) -> bool:
        return self.arrived == self.instances

    def rate(self, unit: str) -> float:
        """Units per second, of what has arrived: instances, studies or bytes."""
        amounts = {"instances": self.arrived, "studies": self.studies, "bytes": self.bytes}
        return amounts[unit] / self.seconds


@dataclass(frozen=True)
class Failed:
    """A contestant that could not run, and why."""

    workload: str
    contestant: str
    reason: str


def rounds(
    server: Orthanc, held: Held, contestants: Sequence[Contestant], repeats: int, scratch: Path, *, quick: bool
) -> tuple[list[Run], list[Failed]]:
    """Let each contestant have a turn in each round; one that fails is out."""
    runs: list[Run] = []
    failed: dict[str, Failed] = {}
    for number in range(repeats):
        turn = number % len(contestants)
        for contestant in (*contestants[turn:], *contestants[:turn]):
            if contestant.name in failed:
                continue
            mine = held.first(_studies(contestant.at_most, held.workload.name, quick=quick))
            try:
                runs.append(one_turn(server, mine, contestant, number, scratch))
                _show(runs[-1])
            except (Exception, SystemExit) as error:  # noqa: BLE001 (the others go on, and the report names it)
                traceback.print_exc()
                failed[contestant.name] = Failed(
                    held.workload.name, contestant.name, f"{type(error).__name__}: {error}"
                )
    return runs, list(failed.values())


def _studies(at_most: Mapping[str, int], workload: str, *, quick: bool) -> int | None:
    most = at_most.get(workload)
    return max(1, most // _QUICK_SHARE) if most and quick else most


def one_turn(server: Orthanc, held: Held, contestant: Contestant, number: int, scratch: Path) -> Run:
    """Let a contestant move, and compare what has arrived."""
    with _empty(scratch) as folder:
        with contestant.open(Turn(server, held, folder)) as stand:
            seconds, cpu_s = _timed(stand)
            peak = stand.peak()
        if stand.served:
            arrived, identical = stand.served.instances or 0, None
        else:
            arrived, identical = _compare(held, folder)
    return Run(
        workload=held.workload.name,
        contestant=contestant.name,
        round=number,
        studies=len(held.studies),
        instances=len(held.instances),
        bytes=held.bytes,
        seconds=seconds,
        cpu_s=cpu_s,
        peak=peak,
        arrived=arrived,
        identical=identical,
    )


@contextmanager
def _empty(scratch: Path) -> Iterator[Path]:
    """A folder on a disk that is at rest: no contestant pays for what the one before has left to be written.

    Files are emptied rather than removed, until all have had their turns. ext4 without a journal gives no inode away
    again for minutes after its file was removed, and searches past all of these for each new file: a quarter of the
    receiver's processor time was that search.
    """
    folder = Path(mkdtemp(dir=scratch)) / "received"
    folder.mkdir()
    os.sync()
    yield folder
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
    os.sync()


def _timed(stand: Stand) -> tuple[float, float]:
    cpu_before, started = _cpu(stand.pid), time.perf_counter()
    stand.move()
    seconds = time.perf_counter() - started
    return seconds, _cpu(stand.pid) - cpu_before


def _cpu(pid: int | None) -> float:
    """Of this process, its children that have ended, and the one that receives."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) + (cpu_seconds(pid) if pid else 0)


def _compare(held: Held, folder: Path) -> tuple[int, int]:
    """Count what has arrived, and what of it has not changed by a bit."""
    asked = held.instances
    came = {one.sop_instance_uid: one for one in digests(folder) if one.sop_instance_uid in asked}
    return len(came), sum(held.is_intact(one) for one in came.values())


def recorded(server: Orthanc, held: Held, scratch: Path) -> Held:
    """Let DCMTK, bit-preserving, keep what Orthanc sends, where that is not what it holds."""
    if not held.workload.rewritten:
        return held
    with _empty(scratch) as folder:
        with RECORDER.open(Turn(server, held, folder)) as stand:
            stand.move()
        return replace(held, sent={one.sop_instance_uid: one.sha256 for one in digests(folder)})


def _show(run: Run) -> None:
    """Say on standard error how it went."""
    print(
        f"{run.workload} {run.round} {run.contestant}: {run.arrived}/{run.instances} in {run.seconds:.2f} s, "
        f"{run.arrived / run.seconds:.0f}/s, {run.peak >> 20} MiB",
        file=sys.stderr,
        flush=True,
    )
