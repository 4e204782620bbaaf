"""What the runs say together: medians, ratios of runs of the same round, and the bar."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.receiving.busy import BUSY, ELSEWHERE
from benchmarks.receiving.rounds import Failed, Run
from benchmarks.receiving.workloads import Workload

REFERENCE = "dicomove"
GET = "dicomove, C-GET"
MEMORY = 150e6


@dataclass(frozen=True)
class Spread:
    """Values of several rounds."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, form: str = "{:.1f}") -> str:
        middle, least, most = (form.format(value) for value in (self.median, min(self.values), max(self.values)))
        return f"{middle} ({least} to {most})"


@dataclass(frozen=True)
class Results:
    """Every run, and who failed."""

    workloads: Sequence[Workload]
    runs: Sequence[Run]
    failed: Sequence[Failed]

    def of(self, workload: str, contestant: str) -> list[Run]:
        return [run for run in self.runs if (run.workload, run.contestant) == (workload, contestant)]

    def contestants(self, workload: str) -> list[str]:
        return list(dict.fromkeys(run.contestant for run in self.runs if run.workload == workload))

    def rates(self, workload: Workload, contestant: str) -> Spread | None:
        """Units of the workload per second; None where nothing has arrived in some round."""
        runs = self.of(workload.name, contestant)
        return Spread([run.rate(workload.unit) for run in runs]) if runs and all(run.arrived for run in runs) else None

    def ratio(self, workload: Workload, contestant: str, reference: str = REFERENCE) -> Spread | None:
        """How many times as fast the reference is, in each round; None where one of them has lost something."""
        mine, theirs = self.of(workload.name, reference), self.of(workload.name, contestant)
        by_round = {run.round: run for run in theirs}
        pairs = [(run, by_round[run.round]) for run in mine if run.round in by_round]
        if not pairs or not all(run.complete for pair in pairs for run in pair):
            return None
        return Spread([one.rate(workload.unit) / other.rate(workload.unit) for one, other in pairs])


@dataclass(frozen=True)
class Verdict:
    """One line of the bar: what was asked, what was measured, and whether it passes; None where it was not measured."""

    asked: str
    measured: str
    passes: bool | None


def bar(results: Results) -> list[Verdict]:
    """Judge the medians."""
    return [verdict for judge in _BAR for verdict in judge(results)]


def _faster(
    workload: str, contestant: str, least: float, results: Results, reference: str = REFERENCE
) -> list[Verdict]:
    who = "" if reference == REFERENCE else f"{reference}, "
    asked = f"{workload}: {who}at least {least:g} times as fast as {contestant}"
    ratio = _ratio(results, workload, contestant, reference)
    if ratio is None:
        return [Verdict(asked, "not measured", None)]
    return [Verdict(asked, ratio.text("{:.2f}"), ratio.median >= least)]


def _slower(workload: str, contestant: str, reference: str, results: Results) -> list[Verdict]:
    """Judge how much longer one takes than the other."""
    asked = f"{workload}: less than 10 % slower with {BUSY}, against {reference}"
    ratio = _ratio(results, workload, contestant, reference)
    if ratio is None:
        return [Verdict(asked, "not measured", None)]
    percent = Spread([100 * (value - 1) for value in ratio.values])
    return [Verdict(asked, f"{percent.text('{:+.1f}')} %", percent.median < 10)]


def _memory(results: Results) -> list[Verdict]:
    names = dict.fromkeys(run.workload for run in results.runs if run.contestant == REFERENCE)
    peaks = {name: max(run.peak for run in results.of(name, REFERENCE)) for name in names}
    return [
        Verdict(f"{name}: peak memory of the receiver below 150 MB", f"{peak / 1e6:.0f} MB", peak < MEMORY)
        for name, peak in peaks.items()
    ]


def _nothing_lost(results: Results) -> list[Verdict]:
    asked = "nothing lost: every data set of dicomove's runs has arrived"
    mine = [run for run in results.runs if run.contestant.startswith(REFERENCE)]
    if not mine:
        return [Verdict(asked, "not measured", None)]
    expected, arrived = (sum(getattr(run, name) for run in mine) for name in ("instances", "arrived"))
    identical = sum(run.identical or 0 for run in mine)
    text = f"{arrived} of {expected}, {identical} of them bit for bit as Orthanc holds or sends them"
    return [Verdict(asked, text, arrived == identical == expected)]


def _ratio(results: Results, workload: str, contestant: str, reference: str = REFERENCE) -> Spread | None:
    found = [one for one in results.workloads if one.name == workload]
    return results.ratio(found[0], contestant, reference) if found else None


_BAR: tuple[Callable[[Results], list[Verdict]], ...] = (
    partial(_faster, "ct", "pynetdicom best", 3),
    partial(_faster, "ct", "DCMTK tuned", 1.2),
    partial(_faster, "ct", "DCMTK, no delay", 2.5),
    partial(_faster, "ct", "DCMTK", 8),
    partial(_faster, "ct", "sink that writes", 0.85),
    partial(_faster, "small", "sink that writes", 0.8),
    partial(_faster, "small", "DCMTK", 10),
    partial(_faster, "ct", REFERENCE, 1, reference=GET),
    partial(_faster, "small", REFERENCE, 1, reference=GET),
    partial(_faster, "ct", "DCMTK getscu", 5, reference=GET),
    partial(_faster, "small", "DCMTK getscu", 5, reference=GET),
    partial(_slower, "busy ct", f"{REFERENCE}, {BUSY}", f"{REFERENCE}, {ELSEWHERE}"),
    _memory,
    _nothing_lost,
)
