"""What the panel of a notebook costs: the same run in a real kernel, with the panel and without any display.

Usage: python -m benchmarks.panel [--rows 20000] [--rounds 3]

The PACS answers each C-MOVE at once, from another process; the destination is another AE, with a journal. Both runs of
a round take turns in going first. What is compared is the processor time of the kernel's process.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from statistics import median
from typing import Any, Final

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from benchmarks.paired import require, table
from benchmarks.scale.pacs import answers_at_once

_LONGEST_S: Final = 3600
_PREPARE: Final = """
import time
from pathlib import Path
from tempfile import TemporaryDirectory
import pandas as pd
import dicomove as dm

def measure(rows, port, progress):
    uids = [f"1.2.826.0.1.3680043.8.498.{number}" for number in range(1, rows + 1)]
    cohort = pd.DataFrame({"StudyInstanceUID": uids, "NumberOfStudyRelatedInstances": 1})
    with TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        pacs, journal = dm.Pacs(f"FAST@127.0.0.1:{port}"), Path(folder, "journal.sqlite")
        results = dm.move(cohort, pacs, "SINK", journal=journal, progress=progress)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return int((results["outcome"] == "complete").sum()), seconds, cpu
"""


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    manager, client = start_new_kernel()
    try:
        _executed(client, _PREPARE)
        with answers_at_once() as port:
            _measured(client, 20, port, "auto")  # what is imported late
            rounds = [_round(client, options.rows, port, first=number % 2) for number in range(options.rounds)]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"\n{options.rows:,} rows, {options.rounds} rounds; {os.cpu_count()} cores, load {load}. Medians:\n")
    rows = [[name, *_told([one[name] for one in rounds], options.rows)] for name in ("no display", "the panel")]
    print(table(["", "ms per row", "CPU ms per row"], rows))
    ratios = [one["the panel"][1] / one["no display"][1] for one in rounds]
    print(f"\nWith the panel, the kernel needs {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) times as")
    print("much processor time.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.panel", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="of the table; default: 20,000")
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured; default: 3")
    return parser.parse_args()


def _round(client: BlockingKernelClient, rows: int, port: int, *, first: int) -> dict[str, tuple[float, float]]:
    ways: list[tuple[str, Any]] = [("no display", False), ("the panel", "auto")]
    found = {name: _measured(client, rows, port, progress) for name, progress in (ways[::-1] if first else ways)}
    print(".", end="", file=sys.stderr, flush=True)
    return found


def _measured(client: BlockingKernelClient, rows: int, port: int, progress: object) -> tuple[float, float]:
    """Move so many rows in the kernel, and return the seconds and the seconds of processor time."""
    printed = _executed(client, f"print(measure({rows}, {port}, {progress!r}))")
    complete, seconds, cpu = ast.literal_eval(printed.splitlines()[-1])
    require(complete == rows, "not all rows are complete")
    return seconds, cpu


def _executed(client: BlockingKernelClient, code: str) -> str:
    """Run code in the kernel, and return what it prints."""
    printed: list[str] = []

    def take(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=_LONGEST_S, output_hook=take)
    require(reply["content"]["status"] == "ok", "the kernel raised an error: " + str(reply["content"].get("evalue")))
    return "".join(printed)


def _told(measured: list[tuple[float, float]], rows: int) -> list[str]:
    return [f"{1e3 * median(values) / rows:.3f}" for values in zip(*measured, strict=True)]


if __name__ == "__main__":
    main()
