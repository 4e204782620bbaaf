"""The command: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.scale import files, run
from benchmarks.scale.pacs import answers_at_once
from benchmarks.scale.report import Case, markdown
from benchmarks.scale.run import Measured

Result = TypeVar("Result")

#: Forks from a process that has loaded dicomove, and moved nothing.
_FORKS: Final = get_context("forkserver")
_FORKS.set_forkserver_preload([run.__name__, files.__name__])


def main() -> None:
    """Measure, and report."""
    options = _options()
    measured = list(_rounds(options.rows, options.repeats))
    filled = [_apart(files.measure, options.files) for _ in range(options.repeats if options.files else 0)]
    text = markdown(measured, filled)
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "scale.md").write_text(text, encoding="utf-8")
        runs = {"rows": [asdict(one) for one in measured], "files": [asdict(one) for one in filled]}
        (options.output / "scale.json").write_text(json.dumps(runs, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--files", type=int, default=10_000, help="rows that go into a Receiver; 0 leaves them out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a folder for scale.md and scale.json")
    return parser.parse_args()


def _rounds(sizes: Sequence[int], repeats: int) -> Iterator[Measured]:
    """Run every case once in each round, every other round backwards: what drifts favours nobody."""
    cases: list[Case] = []
    for rows in sorted(set(sizes)):
        cases += [(rows, 1, False), (rows, 4, False)]
    # A display is compared in the middle: fewer rows end too soon, and more say nothing that these do not.
    middle = sorted(set(sizes))[len(set(sizes)) // 2]
    cases.insert(cases.index((middle, 1, False)) + 1, (middle, 1, True))
    with answers_at_once() as port:
        for number in range(repeats):
            for rows, concurrency, shown in cases[:: -1 if number % 2 else 1]:
                yield _apart(partial(run.measure, shown=shown), rows, concurrency, port)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _apart(measure: Callable[..., Result], *arguments: int) -> Result:
    """Measure a size in a process of its own."""
    with ProcessPoolExecutor(1, _FORKS) as process:
        return process.submit(measure, *arguments).result()


if __name__ == "__main__":
    main()
