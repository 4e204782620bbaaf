"""The report: Markdown for people."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from benchmarks.receiving.results import Spread
from benchmarks.scale.files import Files
from benchmarks.scale.run import Measured

_HEADER = """\
| rows | `concurrency` | ms per row | CPU ms per row | memory, KB per row | peak MB | journal, bytes/row | resumed, s |
| --: | --: | --: | --: | --: | --: | --: | --: |"""
_FILES_HEADER = """\
| rows | ms per row | resumed, s | resumed with `verify="hash"`, s |
| --: | --: | --: | --: |"""

#: How a case is told from another: rows, concurrency, and whether a display gets the events.
Case = tuple[int, int, bool]


def markdown(measured: Sequence[Measured], files: Sequence[Files]) -> str:
    """Return the report: a line for each case, and the ratios of runs that share a round."""
    cases: dict[Case, list[Measured]] = {}
    for one in measured:
        cases.setdefault((one.rows, one.concurrency, one.shown), []).append(one)
    rounds = max(map(len, cases.values()))
    lines = [f"{_machine()} Median (least to most) of {rounds} rounds.", "", _HEADER]
    lines += [_line(runs) for (_, _, shown), runs in cases.items() if not shown]
    lines += ["", *_flatness(cases), *_display(cases)]
    if files:
        lines += ["", "Into a `Receiver`, from a rehearsal PACS, one instance a row:", "", _FILES_HEADER, _files(files)]
    return "\n".join([*lines, ""])


def _machine() -> str:
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, pandas {version('pandas')}"
    return f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores, loopback, {platform.system()}; {python}."


def _line(runs: Sequence[Measured]) -> str:
    def spread(value: Callable[[Measured], float], form: str) -> str:
        return Spread([value(run) for run in runs]).text(form)

    cells = [
        f"{runs[0].rows:,}",
        str(runs[0].concurrency),
        spread(lambda run: 1e3 * run.seconds / run.rows, "{:.2f}"),
        spread(lambda run: 1e3 * run.cpu_seconds / run.rows, "{:.2f}"),
        spread(lambda run: 1e3 * run.resident_mb / run.rows, "{:.1f}"),
        f"{max(run.peak_mb for run in runs):.0f}",
        f"{max(run.journal_bytes for run in runs) / runs[0].rows:.0f}",
        spread(lambda run: run.resume_seconds, "{:.1f}"),
    ]
    return f"| {' | '.join(cells)} |"


def _flatness(cases: dict[Case, list[Measured]]) -> Iterator[str]:
    """Compare the most rows with the fewest, round by round."""
    sizes = sorted({rows for rows, _, shown in cases if not shown})
    if len(sizes) > 1:
        for concurrency in sorted({concurrency for _, concurrency, _ in cases}):
            ratio = _ratio(cases[sizes[-1], concurrency, False], cases[sizes[0], concurrency, False])
            times = f"a row of {sizes[-1]:,} takes {ratio} times as long as one of {sizes[0]:,}"
            yield f"- `concurrency={concurrency}`: {times}."


def _display(cases: dict[Case, list[Measured]]) -> Iterator[str]:
    for (rows, concurrency, shown), runs in cases.items():
        if shown:
            ratio = _ratio(runs, cases[rows, concurrency, False])
            yield f"- With a display that gets every event, {rows:,} rows take {ratio} times as long."


def _ratio(runs: Sequence[Measured], reference: Sequence[Measured]) -> str:
    """Return the ratio of the times per row; the runs of a round are at the same place in both."""
    pairs = zip(runs, reference, strict=True)
    return Spread([(a.seconds / a.rows) / (b.seconds / b.rows) for a, b in pairs]).text("{:.2f}")


def _files(files: Sequence[Files]) -> str:
    cells = [
        f"{files[0].rows:,}",
        Spread([1e3 * one.seconds / one.rows for one in files]).text("{:.1f}"),
        Spread([one.resume_seconds for one in files]).text("{:.1f}"),
        Spread([one.hash_seconds for one in files]).text("{:.1f}"),
    ]
    return f"| {' | '.join(cells)} |"
