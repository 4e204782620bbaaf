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

from benchmarks.distance.contestants import ENTRIES, Entry
from benchmarks.distance.plots import draw
from benchmarks.distance.report import details, for_users, markdown
from benchmarks.distance.results import Results, Row, read, write
from benchmarks.distance.rounds import Plan, Section, check
from benchmarks.distance.wire import Length, wire
from benchmarks.distance.workloads import KINDS, upload
from benchmarks.paired import PERFORMANCE, prefer_dcmtk, publish
from benchmarks.receiving.pacs import orthanc


def main() -> None:
    """Measure, and report."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that all is stopped, as with Ctrl-C
    prefer_dcmtk()
    os.environ.pop("TCP_NODELAY", None)  # only they who are told so go without delay
    rows = [row for path in options.again for row in read(path)] if options.again else _measured(options)
    results, today = Results(rows), time.strftime("%Y-%m-%d")
    text = markdown(results, today)
    print(text)
    if options.output:
        (options.output / "distance.md").write_text(text, encoding="utf-8")
        draw(results, options.output / "distance.svg")
    if options.publish:
        publish("distance_for_users", for_users(results))
        publish("distance", details(results, today))
        draw(results, PERFORMANCE.parent / "pictures" / "distance.svg")


def _measured(options: argparse.Namespace) -> list[Row]:
    """Measure everything; what is known is kept after each turn."""
    rows: list[Row] = []
    with TemporaryDirectory(prefix="dicomove-benchmark-", dir=options.scratch) as scratch:
        for row in measure(options, Path(scratch)):
            rows.append(row)
            if options.output:
                write(rows, options.output / "distance.csv")
    return rows


def measure(options: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    """Lay the wire, check it, and give the contestants their turns."""
    plan = Plan(options.repeats, options.seconds, options.patience, scratch)
    delays_s = [one / 1000 for one in options.delays]
    with wire() as laid:
        for line in check(laid, delays_s):
            print(line, file=sys.stderr, flush=True)
        with orthanc(scratch, laid) as server:
            for kind in options.kinds:
                held = upload(server, kind, options.studies)
                for rate in options.rates:
                    for delay_s in delays_s:
                        section = Section(server, laid, held, Length(delay_s, rate), plan)
                        yield from section.rows(options.contestants)


def _entry(name: str) -> Entry:
    return {entry.name: entry for entry in ENTRIES}[name]


def _rate(word: str) -> float | None:
    """Return bytes per second for Mbit/s."""
    return None if word == "unlimited" else float(word) * 1e6 / 8


def _folder(word: str) -> Path:
    folder = Path(word)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _options() -> argparse.Namespace:
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
    return parser.parse_args()


if __name__ == "__main__":
    main()
