"""The command: `python -m benchmarks.distance`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.distance.contestants import AUTO, ENTRIES, ONE, Entry
from benchmarks.distance.plots import draw
from benchmarks.distance.report import details, for_users, markdown
from benchmarks.distance.results import Results, Row, read, write
from benchmarks.distance.rounds import Plan, Section, check
from benchmarks.distance.wire import Length, wire
from benchmarks.distance.workloads import KINDS, upload
from benchmarks.paired import PERFORMANCE, publish
from benchmarks.receiving.pacs import orthanc

#: `--goal`: what answers whether auto is so many times as fast as one association. Each turn lasts for twice as long as
#: usual, so that one association is measured well.
_GOAL: Final = {"delays": [5.0], "rates": [None], "repeats": 5, "seconds": 8.0}
_OF_THE_GOAL: Final = (ONE, AUTO)


def main() -> None:
    """Measure, and report."""
    told = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that all is stopped, as with Ctrl-C
    os.environ.pop("TCP_NODELAY", None)  # only they who are told so go without delay
    rows = [row for path in told.again for row in read(path)] if told.again else _measured(told)
    results, today = Results(rows), time.strftime("%Y-%m-%d")
    text = markdown(results, today)
    print(text)
    if told.output:
        (told.output / "distance.md").write_text(text, encoding="utf-8")
        draw(results, told.output / "distance.svg")
    if told.publish:
        publish("distance_for_users", for_users(results))
        publish("distance", details(results, today))
        draw(results, PERFORMANCE.parent / "pictures" / "distance.svg")


def _measured(told: argparse.Namespace) -> list[Row]:
    """Measure everything; what is known is kept after each turn."""
    rows: list[Row] = []
    with TemporaryDirectory(prefix="dicomove-benchmark-", dir=told.scratch) as scratch:
        for row in measure(told, Path(scratch)):
            rows.append(row)
            if told.output:
                write(rows, told.output / "distance.csv")
    return rows


def measure(told: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    """Lay the wire, check it, and give the contestants their turns."""
    plan = Plan(told.repeats, told.seconds, told.patience, scratch)
    delays_s = [one / 1000 for one in told.delays]
    with wire() as laid:
        for line in check(laid, delays_s):
            print(line, file=sys.stderr, flush=True)
        with orthanc(scratch, laid) as server:
            for kind in told.kinds:
                held = upload(server, kind, told.studies)
                for rate in told.rates:
                    for delay_s in delays_s:
                        section = Section(server, laid, held, Length(delay_s, rate), plan)
                        yield from section.rows(told.contestants)


def _entry(name: str) -> Entry:
    return {entry.name: entry for entry in ENTRIES}[name]


def _rate(word: str) -> float | None:
    """Return bytes per second for Mbit/s."""
    return None if word == "unlimited" else float(word) * 1e6 / 8


def _folder(word: str) -> Path:
    folder = Path(word)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distance", description=__doc__)
    parser.add_argument("--delays", nargs="+", type=float, default=[0, 1, 5, 10], help="ms each way")
    parser.add_argument("--rates", nargs="+", type=_rate, default=[None, 12.5e6], help="Mbit/s, or unlimited")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--contestants", nargs="+", type=_entry, metavar="NAME", default=list(ENTRIES))
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--seconds", type=float, default=4, help="that a turn takes, more or less")
    parser.add_argument("--studies", type=int, help="in the archive; a number that suits each kind")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait before a turn while others compute")
    parser.add_argument("--output", type=_folder, help="a folder for the report, its numbers and its picture")
    parser.add_argument("--again", nargs="+", type=Path, help="report what these files (distance.csv) hold")
    parser.add_argument("--publish", action="store_true", help="put the report into docs/performance.md")
    parser.add_argument("--scratch", type=Path, help="where Orthanc and the receivers write; the system's default")
    parser.add_argument(
        "--goal", action="store_true", help="only auto against one association at 5 ms, in 5 rounds: about 15 minutes"
    )
    if parser.parse_args().goal:
        parser.set_defaults(**_GOAL, contestants=[_entry(name) for name in _OF_THE_GOAL])
    return parser.parse_args()


if __name__ == "__main__":
    main()
