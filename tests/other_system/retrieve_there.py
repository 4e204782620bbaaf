"""Retrieves on such a system, with receivers, a journal and workers, and prints what came of it as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_start_method
from pathlib import Path
from typing import Any

import pandas as pd

import dicomove as dm
from dicomove.errors import ReceiverWarning
from dicomove.testing import RehearsalPacs, Synthetic

STUDIES, INSTANCES = 3, 2
#: More than the receiver keeps back before another thread begins with the hash.
LARGE = 12 << 20


def outcomes(results: pd.DataFrame) -> list[str]:
    return [str(word) for word in results["outcome"]]


def retrieved(pacs: dm.Pacs, receiver: dm.Receiver, **options: Any) -> pd.DataFrame:
    cohort = pd.DataFrame({"PatientID": [f"SYN{number:06}" for number in range(1, STUDIES + 1)]})
    studies = dm.find(cohort, pacs, progress=False)
    return dm.move(studies, pacs, receiver, progress=False, **options)


def whole(receiver: dm.Receiver) -> bool:
    """Whether every file has the hash that the record names."""
    manifest = receiver.manifest()
    hashes = [hashlib.sha256((receiver.folder / path).read_bytes()).hexdigest() for path in manifest["path"]]
    return hashes == manifest["sha256"].tolist() and not [*receiver.folder.rglob("*.part")]


def first_run_and_resume(pacs: dm.Pacs, receiver: dm.Receiver, journal: Path) -> dict[str, Any]:
    first = retrieved(pacs, receiver, journal=journal)
    is_whole = whole(receiver)
    lost = next(receiver.folder.rglob("*.dcm"))
    lost.unlink()
    again = retrieved(pacs, receiver, journal=journal)
    return {
        "first": outcomes(first),
        "whole": is_whole,
        "again": outcomes(again),
        "resumed": int(again["resumed"].sum()),
        "lost is back": lost.exists() and whole(receiver),
        "verified": sorted(set(dm.verify(receiver.folder)["verified"])),
        "journal": len(dm.read_journal(journal)),
    }


def twice_and_changed(pacs: dm.Pacs, receiver: dm.Receiver) -> dict[str, Any]:
    """The same bytes come again; then a file has other bytes."""
    duplicates = outcomes(retrieved(pacs, receiver, journal=False))
    changed = next(receiver.folder.rglob("*.dcm"))
    changed.write_bytes(b"changed")
    repaired = outcomes(retrieved(pacs, receiver, journal=False))
    return {"duplicates": duplicates, "repaired": repaired, "changed is back": changed.stat().st_size > LARGE // 2}


def after_a_kill(pacs: dm.Pacs, receiver: dm.Receiver) -> list[str]:
    before = receiver.pid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReceiverWarning)
        os.kill(before, signal.SIGKILL)
        while receiver.pid == before:
            time.sleep(0.05)
        return outcomes(retrieved(pacs, receiver, journal=False))


def main(folder: Path) -> None:
    with (
        dm.Receiver(folder / "images", port=0) as receiver,
        dm.Receiver(folder / "got", port=None) as got,
        RehearsalPacs(
            Synthetic(studies=STUDIES, instances=INSTANCES, size=LARGE), destinations=receiver.as_destination()
        ) as pacs,
    ):
        found: dict[str, Any] = {"pids": [os.getpid(), receiver.pid, got.pid], "start": get_start_method()}
        found |= first_run_and_resume(pacs, receiver, folder / "pull.sqlite")
        found |= twice_and_changed(pacs, receiver)
        found["got"] = outcomes(retrieved(pacs, got, method="get"))
        found["got whole"] = whole(got)
        with ProcessPoolExecutor(2) as pool:
            found["by workers"] = outcomes(retrieved(pacs, receiver, journal=False, executor=pool, concurrency=2))
        found["killed"] = after_a_kill(pacs, receiver)
        found["pids"].append(receiver.pid)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
