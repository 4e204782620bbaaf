"""The command: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.scale.files import Files
from benchmarks.scale.pacs import answers_at_once
from benchmarks.scale.report import Case, markdown
from benchmarks.scale.run import Measured


def main() -> None:
    """Measure, and report."""
    options = _options()
    measured = list(_rounds(options.rows, options.repeats))
    files = [Files(**_child("files", options.files)) for _ in range(options.repeats if options.files else 0)]
    text = markdown(measured, files)
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "scale.md").write_text(text, encoding="utf-8")
        runs = {"rows": [asdict(one) for one in measured], "files": [asdict(one) for one in files]}
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
    for number in range(repeats):
        for rows, concurrency, shown in cases[:: -1 if number % 2 else 1]:
            with answers_at_once() as port:
                yield Measured(**_child("run", rows, concurrency, port, int(shown)))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _child(module: str, *arguments: int) -> dict[str, Any]:
    """Run a size in a process of its own, and return what it prints last."""
    command = [sys.executable, "-m", f"benchmarks.scale.{module}", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
