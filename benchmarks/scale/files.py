"""Rows whose files a Receiver has on disk: moved once, then resumed, which looks for every file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import pandas as pd

import dicomove as dm
from benchmarks.scale.run import require
from dicomove.testing import RehearsalPacs, Synthetic

_SIZE = 512


@dataclass(frozen=True)
class Files:
    """What it costs with files; the rehearsal PACS's time is in `seconds`, and in nothing else."""

    rows: int
    seconds: float
    resume_seconds: float
    hash_seconds: float


def measure(rows: int) -> Files:
    """Move `rows` studies of one small instance into a Receiver, and resume them twice."""
    archive = Synthetic(studies=rows, instances=1, size=_SIZE)
    uids = [instance.study_instance_uid for instance in archive.instances_of_all()]
    table = pd.DataFrame({"StudyInstanceUID": uids, "NumberOfStudyRelatedInstances": 1})
    with (
        TemporaryDirectory(prefix="dicomove-benchmark-") as folder,
        dm.Receiver(folder, port=0, host="127.0.0.1") as receiver,
        RehearsalPacs(archive, destinations={receiver.ae_title: ("127.0.0.1", receiver.port)}) as pacs,
    ):
        started = time.perf_counter()
        require(dm.move(table, pacs, receiver, progress=False), "complete")
        moved = time.perf_counter()
        require(dm.move(table, pacs, receiver, progress=False), "complete", resumed=True)
        resumed = time.perf_counter()
        require(dm.move(table, pacs, receiver, verify="hash", progress=False), "complete", resumed=True)
        hashed = time.perf_counter()
    return Files(rows, moved - started, resumed - moved, hashed - resumed)
