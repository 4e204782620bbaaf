"""The command: `python -m benchmarks.receiving`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.receiving import busy
from benchmarks.receiving.contestants import CONTESTANTS, Contestant
from benchmarks.receiving.pacs import Orthanc, orthanc
from benchmarks.receiving.plots import draw
from benchmarks.receiving.report import as_json, markdown
from benchmarks.receiving.results import Results
from benchmarks.receiving.rounds import recorded, rounds
from benchmarks.receiving.workloads import FULL, QUICK, Held, Workload, upload

_BUSY = ("ct", "small")


def main() -> None:
    """Measure, and report."""
    options = _options()
    os.environ.pop("TCP_NODELAY", None)  # only they who are told so go without delay
    with TemporaryDirectory(prefix="dicomove-benchmark-", dir=options.scratch) as scratch:
        results = measure(options, Path(scratch))
    text = markdown(results, options.repeats)
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "receiving.md").write_text(text, encoding="utf-8")
        (options.output / "receiving.json").write_text(as_json(results, options.repeats), encoding="utf-8")
        draw(results, options.output)


def measure(options: argparse.Namespace, scratch: Path) -> Results:
    """Run every section; each uploads what it needs to the same Orthanc."""
    sizes = QUICK if options.quick else FULL
    results = Results([], [], [])
    with orthanc(scratch) as server:
        for name in options.workload:
            for held, contestants in _sections(server, sizes[name], options, scratch):
                chosen = [one for one in contestants if not options.only or one.name in options.only]
                runs, failed = rounds(server, held, chosen, options.repeats, scratch, quick=options.quick)
                results = Results(
                    [*results.workloads, held.workload], [*results.runs, *runs], [*results.failed, *failed]
                )
    return results


def _sections(
    server: Orthanc, workload: Workload, options: argparse.Namespace, scratch: Path
) -> Iterator[tuple[Held, tuple[Contestant, ...]]]:
    held = recorded(server, upload(server, workload), scratch)
    yield held, CONTESTANTS
    if options.busy and workload.name in _BUSY:
        yield busy.renamed(held), busy.contestants()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receiving", description=__doc__)
    parser.add_argument("--workload", nargs="+", choices=list(FULL), default=list(FULL))
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--quick", action="store_true", help="small archives: minutes instead of an hour")
    parser.add_argument("--output", type=Path, help="a folder for the report, its numbers and its pictures")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contestants only")
    parser.add_argument("--busy", action=argparse.BooleanOptionalAction, default=True, help="measure a busy kernel too")
    parser.add_argument("--scratch", type=Path, help="where Orthanc and the receivers write; the system's default")
    return parser.parse_args()


if __name__ == "__main__":
    main()
