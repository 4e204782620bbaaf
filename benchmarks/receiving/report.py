"""The report: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from benchmarks.paired import machine, table
from benchmarks.receiving.busy import contestants as busy_contestants
from benchmarks.receiving.contestants import CONTESTANTS
from benchmarks.receiving.results import REFERENCE, Results, Spread, bar
from benchmarks.receiving.rounds import Run
from benchmarks.receiving.workloads import Workload

_HEADER = (
    "",
    "instances/s",
    "MB/s",
    "ms per study",
    "CPU ms per instance",
    "peak MB",
    "arrived",
    "bit for bit",
    "dicomove is so many times as fast",
)
_PASSES = {True: "pass", False: "**fail**", None: "?"}


def markdown(results: Results, repeats: int) -> str:
    """Everything that was measured, for people."""
    measured = f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}. Median (least to most) of {repeats} rounds."
    parts = [measured, _bar(results), *(_workload(results, workload) for workload in results.workloads)]
    failed = [f"- {one.workload}, {one.contestant}: not measured. {one.reason}" for one in results.failed]
    return "\n\n".join([*parts, *(["\n".join(failed)] if failed else []), _who()]) + "\n"


def as_json(results: Results, repeats: int) -> str:
    """Everything that was measured, for programs."""
    return json.dumps(
        {
            "measured_on": time.strftime("%Y-%m-%d"),
            "machine": machine(),
            "repeats": repeats,
            "workloads": [asdict(workload) for workload in results.workloads],
            "runs": [asdict(run) for run in results.runs],
            "not_measured": [asdict(one) for one in results.failed],
            "ratios": _ratios(results),
            "bar": [asdict(verdict) for verdict in bar(results)],
        },
        indent=1,
    )


def _ratios(results: Results) -> dict[str, dict[str, list[float]]]:
    return {
        workload.name: {
            name: list(ratio.values)
            for name in results.contestants(workload.name)
            if (ratio := results.ratio(workload, name))
        }
        for workload in results.workloads
    }


def _bar(results: Results) -> str:
    rows = [(one.asked, one.measured, _PASSES[one.passes]) for one in bar(results)]
    return f"## The bar\n\n{table(('', 'measured', ''), rows)}"


def _workload(results: Results, workload: Workload) -> str:
    rows = [_row(results, workload, name) for name in results.contestants(workload.name)]
    return f"## `{workload.name}`: {workload.title}\n\n{table(_HEADER, rows)}"


def _row(results: Results, workload: Workload, name: str) -> tuple[str, ...]:
    runs = results.of(workload.name, name)
    ratio = results.ratio(workload, name) if name != REFERENCE else None
    busy = name != REFERENCE and workload.name.startswith("busy")
    return (
        name,
        Spread([run.rate("instances") for run in runs]).text("{:.0f}" if workload.unit != "bytes" else "{:.2f}"),
        Spread([run.rate("bytes") / 1e6 * run.arrived / run.instances for run in runs]).text("{:.1f}"),
        Spread([1000 * run.seconds / run.studies for run in runs]).text("{:.1f}"),
        "" if busy else _cpu(runs),
        f"{max(run.peak for run in runs) / 1e6:.0f}",
        _share(sum(run.arrived for run in runs), runs),
        _share(sum(run.identical or 0 for run in runs), runs) if runs[0].identical is not None else "",
        ratio.text("{:.2f}") if ratio else "1" if name == REFERENCE else "",
    )


def _cpu(runs: list[Run]) -> str:
    return Spread([1000 * run.cpu_s / max(run.arrived, 1) for run in runs]).text("{:.2f}")


def _share(count: int, runs: list[Run]) -> str:
    return f"{count} of {sum(run.instances for run in runs)}"


def _who() -> str:
    everyone = {one.name: one.how for one in (*CONTESTANTS, *busy_contestants())}
    return "## The contestants\n\n" + "\n".join(f"- {name}: {how}" for name, how in everyone.items())
