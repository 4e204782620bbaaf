"""What a row of `find` costs: beside pynetdicom and findscu, and in a cohort of 100,000 rows.

Usage: python -m benchmarks.find [--rows 1000 10000 100000] [--compared 20]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
from pydicom import Dataset
from pynetdicom import AE

import dicomove as dm
from benchmarks.paired import peers, require
from benchmarks.scale.pacs import answers_at_once
from dicomove.cohort import RETURN_KEYS

_RETURNED = dict.fromkeys((name for name in RETURN_KEYS["STUDY"] if name != "StudyInstanceUID"), "")
_STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"


def main() -> None:
    """Measure, and print two tables."""
    options = _options()
    if options.child:
        address, key, rows, associations = options.child
        print(json.dumps(_large(address, key, int(rows), int(associations))))
        return
    with peers({}, studies=options.compared, instances=2, size=512) as there:
        print("| way | ms per row |\n| --- | --: |")
        for name, ask in _ways(there.pacs).items():
            times = sorted(_timed(ask, there.studies) for _ in range(5))
            print(f"| {name} | {median(times):.1f} ({times[0]:.1f} to {times[-1]:.1f}) |", flush=True)
    with answers_at_once() as port:
        print("\n| rows | asked by | associations | ms per row | CPU ms per row | memory, KB per row | peak MB |")
        print("| --: | --- | --: | --: | --: | --: | --: |")
        for rows in options.rows:
            for key, concurrency in (("PatientID", 1), ("PatientID", 4), ("StudyInstanceUID", 1)):
                child = ["--child", f"127.0.0.1:{port}", key, str(rows), str(concurrency)]
                command = [sys.executable, "-m", "benchmarks.find", *child]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"| {rows:,} | {key} | {concurrency} | {found['ms']:.2f} | {found['cpu_ms']:.2f} "
                    f"| {found['kb']:.1f} | {found['peak']:.0f} |",
                    flush=True,
                )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.find", description=__doc__)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--compared", type=int, default=50, help="rows in each round of the comparison")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def _timed(ask: Callable[[list[str]], None], uids: list[str]) -> float:
    began = time.perf_counter()
    ask(uids)
    return 1000 * (time.perf_counter() - began) / len(uids)


def _ways(pacs: dm.Pacs) -> dict[str, Callable[[list[str]], None]]:
    def in_lists(uids: list[str]) -> None:
        found = dm.find(pd.DataFrame({"StudyInstanceUID": uids}), pacs, progress=False)
        require((found["outcome"] == "matched").all(), found)

    def one_by_one(uids: list[str]) -> None:
        with dm.FindScu(pacs) as scu:
            for uid in uids:
                require(len(scu.find_studies({**_RETURNED, "StudyInstanceUID": uid})) == 1, "`FindScu`")

    def theirs(uids: list[str]) -> None:
        ae = AE("BENCHMARK")
        ae.add_requested_context(_STUDY_ROOT)
        association = ae.associate(pacs.host, pacs.port, ae_title=pacs.called_ae_title)
        for uid in uids:
            keys = Dataset()
            for name, value in {**_RETURNED, "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid}.items():
                setattr(keys, name, value)
            require(len(list(association.send_c_find(keys, _STUDY_ROOT))) == 2, "pynetdicom")
        association.release()

    def findscu(uids: list[str]) -> None:
        returned = [word for name in _RETURNED for word in ("-k", name)]
        for uid in uids:
            keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}", *returned]
            command = ["findscu", "-S", "-aec", pacs.called_ae_title, *keys, pacs.host, str(pacs.port)]
            subprocess.run(command, check=True, capture_output=True)

    return {
        "`find`, UIDs in lists": in_lists,
        "`FindScu`, one by one": one_by_one,
        "pynetdicom, one association": theirs,
        "DCMTK `findscu` per row": findscu,
    }


def _large(address: str, key: str, rows: int, concurrency: int) -> dict[str, float]:
    """Ask for so many different rows, of which the PACS has none; UIDs are then asked for in lists and alone."""
    table = pd.DataFrame({key: [f"1.2.3.{number}" for number in range(rows)]})
    before = _peak_kb()
    with TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        journal = Path(folder) / "find.sqlite"
        found = dm.find(table, dm.Pacs(address), concurrency=concurrency, journal=journal, progress=False)
        wall, used = time.perf_counter() - began, time.process_time() - cpu
    require(len(found) == rows, found)
    peak = _peak_kb()
    return {"ms": 1000 * wall / rows, "cpu_ms": 1000 * used / rows, "kb": (peak - before) / rows, "peak": peak / 1024}


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
