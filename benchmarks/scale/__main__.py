"""The command: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.scale.pacs import answers_at_once
from benchmarks.scale.run import Measured

_HEADER = """\
| rows | `concurrency` | ms per row | CPU ms per row | memory, KB per row | peak MB | journal, bytes/row | resumed, s |
| --: | --: | --: | --: | --: | --: | --: | --: |"""


def main() -> None:
    """Measure, and report."""
    options = _options()
    measured = [
        _run(rows, concurrency, shown=shown)
        for _ in range(options.repeats)
        for rows in options.rows
        for concurrency, shown in [(1, False), (4, False), (4, True)]
        if not shown or rows == options.rows[0]
    ]
    text = markdown(measured)
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "scale.md").write_text(text, encoding="utf-8")
        (options.output / "scale.json").write_text(json.dumps([asdict(one) for one in measured]), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a folder for scale.md and scale.json")
    return parser.parse_args()


def _run(rows: int, concurrency: int, *, shown: bool) -> Measured:
    with answers_at_once() as port:
        command = [sys.executable, "-m", "benchmarks.scale.run", *map(str, (rows, concurrency, port, int(shown)))]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def markdown(measured: Sequence[Measured]) -> str:
    """Return the report: a line for each run, and how flat it is from the fewest rows to the most."""
    plain = [one for one in measured if not one.shown]
    lines = [_machine(), "", _HEADER, *map(_line, plain), ""]
    for concurrency in sorted({one.concurrency for one in plain}):
        few, *_, most = sorted((one for one in plain if one.concurrency == concurrency), key=lambda one: one.rows)
        ratio = (most.seconds / most.rows) / (few.seconds / few.rows)
        of_many = f"a row of {most.rows:,} takes {ratio:.2f} times as long as one of {few.rows:,}"
        lines.append(f"- `concurrency={concurrency}`: {of_many}.")
    for one in measured:
        if one.shown:
            same = [(each.rows, each.concurrency) == (one.rows, one.concurrency) for each in plain]
            pair = next(each for each, fits in zip(plain, same, strict=True) if fits)
            lines.append(
                f"- With a display that gets every event, {one.rows:,} rows take "
                f"{one.seconds / pair.seconds:.2f} times as long."
            )
    return "\n".join([*lines, ""])


def _machine() -> str:
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, pandas {version('pandas')}"
    return f"Measured on {date.today()}: {os.cpu_count()} cores, loopback, {platform.system()}; {python}."  # noqa: DTZ011 (the day of the person who measures)


def _line(one: Measured) -> str:
    cells = [
        f"{one.rows:,}",
        str(one.concurrency),
        f"{1e3 * one.seconds / one.rows:.2f}",
        f"{1e3 * one.cpu_seconds / one.rows:.2f}",
        f"{1e3 * one.resident_mb / one.rows:.1f}",
        f"{one.peak_mb:.0f}",
        f"{one.journal_bytes / one.rows:.0f}",
        f"{one.resume_seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
