"""One size, in a process of its own: a cohort is moved, and the finished journal is resumed."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import psutil

import dicomove as dm


@dataclass(frozen=True)
class Measured:
    """What a size costs."""

    rows: int
    concurrency: int
    shown: bool
    seconds: float
    cpu_seconds: float
    resident_mb: float
    peak_mb: float
    journal_bytes: int
    resume_seconds: float


def measure(rows: int, concurrency: int, port: int, *, shown: bool) -> Measured:
    """Move and resume `rows` studies of one instance each."""
    table = pd.DataFrame(
        {
            "StudyInstanceUID": [f"1.2.826.0.1.3680043.8.498.{number}" for number in range(1, rows + 1)],
            "NumberOfStudyRelatedInstances": 1,
        }
    )
    pacs = dm.Pacs(f"FAST@127.0.0.1:{port}")
    progress: bool | Callable[[object], None] = (lambda _: None) if shown else False
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite"
        options: Mapping[str, Any] = {"journal": journal, "concurrency": concurrency, "progress": progress}
        dm.move(table[:20], pacs, "SINK", **{**options, "journal": None})  # what is imported late, and the first pages
        before, started, cpu = _resident_mb(), time.perf_counter(), time.process_time()
        results = dm.move(table, pacs, "SINK", **options)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        resident = _resident_mb() - before
        require(results, "complete")
        size, peak = journal.stat().st_size, _peak_mb()
        del results
        started = time.perf_counter()
        require(dm.move(table, pacs, "SINK", **options), "complete", resumed=True)
        resumed = time.perf_counter() - started
    return Measured(rows, concurrency, shown, seconds, cpu, resident, peak, size, resumed)


def require(results: pd.DataFrame, outcome: str, *, resumed: bool = False) -> None:
    """Stop where a speed would be that of doing something else."""
    if set(results["outcome"]) != {outcome} or set(results["resumed"]) != {resumed}:
        message = f"not all rows are {outcome}: {results['outcome'].value_counts().to_dict()}"
        raise SystemExit(message)


def _resident_mb() -> float:
    return psutil.Process(os.getpid()).memory_info().rss / 1e6


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
