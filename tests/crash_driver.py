"""The script of a user who pulls a cohort overnight: what `tests.test_crash` kills, and starts again."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import dicomove as dm


def main(table: str, folder: str, pacs_port: str, port: str, concurrency: str) -> None:
    """Pull the cohort, and keep the table under its final name only when it is whole."""
    warnings.simplefilter("ignore", dm.errors.ReceiverWarning)
    cohort = dm.read_cohort(table)
    pacs = dm.Pacs(f"ORTHANC@127.0.0.1:{pacs_port}", idle_timeout=5, connect_timeout=2, association_timeout=5)
    with dm.Receiver(folder, port=int(port), host="127.0.0.1", quiet_period=0.5) as receiver:
        # Each kill in the middle of a row costs it an attempt, and one row may meet many.
        retry = dm.Retry(attempts=16, wait=0.5)
        results = dm.move(cohort, pacs, receiver, concurrency=int(concurrency), delay=0.03, retry=retry, progress=False)
    dm.export(results, Path(folder).with_suffix(".csv"))


def drive(log: str, *arguments: str) -> None:
    """Pull the cohort as the leader of a session, and write what is printed into a log."""
    os.setsid()
    with open(log, "ab") as file:  # noqa: PTH123 (for its number)
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    main(*arguments)
