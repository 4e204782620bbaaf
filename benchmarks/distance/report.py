"""The report: first what a user wants to know, then each kind of studies, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.distance.contestants import AUTO, ENTRIES, ONE
from benchmarks.distance.results import Results, Row
from benchmarks.distance.rounds import TOLERANCE_S
from benchmarks.distance.workloads import KINDS
from benchmarks.paired import machine, table
from benchmarks.receiving.results import Spread

_STUDIES, _IMAGES, _AT_MS = 1000, 200, 1.0
_NAMES = {"ct": "CT", "small": "Small studies", "mixed": "A mixture"}
_BAR, _BAR_AT_MS = 3.0, 5.0
#: What a user chooses from. A sink keeps nothing.
_TOOLS = (AUTO, ONE, "DCMTK", "DCMTK tuned", "pynetdicom", "pynetdicom best", "node-dicom-rs")


def markdown(results: Results, measured_on: str) -> str:
    """Everything that was measured, for people."""
    return f"{for_users(results)}\n\n{details(results, measured_on)}\n".lstrip()


def details(results: Results, measured_on: str) -> str:
    """Return the conditions, the goal, and each kind."""
    parts = [
        _conditions(results, measured_on),
        *_bar(results),
        *(part for kind, mbit_per_s in results.kinds() for part in _kind(results, kind, mbit_per_s)),
        *_not_measured(results),
    ]
    return "\n\n".join(parts)


def _conditions(results: Results, measured_on: str) -> str:
    rows = results.measured
    if not rows:
        return "Nothing was measured."
    rounds = sorted({len(results.of(*key)) for key in {_key(row) for row in rows}})
    off = max(abs(row.round_trip_ms - 2 * row.delay_ms) for row in rows)
    others = Spread([row.others_cores for row in rows]).text("{:.2f}")
    load = Spread([row.load for row in rows]).text("{:.1f}")
    late = sum(abs(row.round_trip_ms - 2 * row.delay_ms) > 1000 * TOLERANCE_S for row in rows)
    return (
        f"Measured on {measured_on}: {machine().replace('loopback', 'a wire between two network namespaces')}. Median "
        f"(least to most) of {_range(rounds)}. Before the {len(rows)} turns, other programs used "
        f"{others} cores, and the load average was {load}. The measured round trip differed by at most "
        f"{off:.2f} ms from the chosen one, and by more than {1000 * TOLERANCE_S:g} ms before {late} of the turns."
    )


def _range(rounds: list[int]) -> str:
    fewest, most = rounds[0], rounds[-1]
    return f"{'' if fewest == most else f'{fewest} to '}{most} {'round' if most == 1 else 'rounds'}"


def _key(row: Row) -> tuple[str, float, float, str]:
    return row.kind, row.mbit_per_s, row.delay_ms, row.contestant


def for_users(results: Results) -> str:
    """Return what a user wants to know: how long it takes with each tool."""
    rates = {name: results.rates("ct", 0.0, _AT_MS, name) for name in results.contestants() if name in _TOOLS}
    known = sorted(((name, one) for name, one in rates.items() if one), key=lambda pair: -pair[1].median)
    if not known:
        return ""
    rows = [(name, _duration(_STUDIES * _IMAGES / one.median), f"{one.median:.0f}", _how(name)) for name, one in known]
    return (
        f"How long {_STUDIES:,} CT studies of {_IMAGES} images take ({_STUDIES * _IMAGES * 0.524 / 1000:.0f} GB), if "
        f"the PACS is {_AT_MS:g} ms away:\n\n{table(('', 'time', 'images/s', 'with'), rows)}\n\n"
        "The times are computed from the measured images per second."
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _how(name: str) -> str:
    return next((entry.contestant.how for entry in ENTRIES if entry.name == name), "")


def _bar(results: Results) -> Iterator[str]:
    reached = [line for kind, mbit_per_s in results.kinds() if not mbit_per_s for line in _reached(results, kind)]
    if reached:
        yield (
            f'Our goal: at {_BAR_AT_MS:g} ms, `concurrency="auto"` is at least {_BAR:g} times as fast as one '
            "association. Measured:\n\n" + "\n".join(reached)
        )


def _reached(results: Results, kind: str) -> Iterator[str]:
    ratio = results.ratio(kind, 0.0, _BAR_AT_MS, AUTO, ONE)
    if ratio:
        reached = "reached" if ratio.median >= _BAR else "**not reached**"
        times = ", ".join(f"{one:.2f}" for one in ratio.values)
        yield f"- {_NAMES[kind]}: {ratio.text('{:.2f}')} times, {reached}. Round by round: {times}."


def _kind(results: Results, kind: str, mbit_per_s: float) -> Iterator[str]:
    rate = f", through {mbit_per_s:g} Mbit/s" if mbit_per_s else ""
    yield f"### {_NAMES[kind]}: {KINDS[kind].title}{rate}"
    yield "Instances per second, by the time that a packet travels each way:"
    yield _by_delay(results, kind, mbit_per_s, partial(_rate, results))
    yield "So many times as fast as dicomove with one association, in the same round:"
    yield _by_delay(results, kind, mbit_per_s, partial(_compared, results))


def _compared(results: Results, kind: str, mbit_per_s: float, delay_ms: float, name: str) -> str:
    return "1" if name == ONE else _text(results.ratio(kind, mbit_per_s, delay_ms, name, ONE), "{:.2f}", "{:.2f}")


def _rate(results: Results, kind: str, mbit_per_s: float, delay_ms: float, name: str) -> str:
    return _text(results.rates(kind, mbit_per_s, delay_ms, name), "{:.0f}", "{:.1f}")


def _by_delay(results: Results, kind: str, mbit_per_s: float, cell: Callable[[str, float, float, str], str]) -> str:
    delays = results.delays(kind, mbit_per_s)
    names = [name for name in results.contestants() if any(results.of(kind, mbit_per_s, one, name) for one in delays)]
    rows = [(name, *(cell(kind, mbit_per_s, delay, name) for delay in delays)) for name in names]
    return table(("", *(f"{delay:g} ms" for delay in delays)), rows)


def _text(spread: Spread | None, form: str, form_of_few: str) -> str:
    if spread is None:
        return "-"
    return spread.text(form if spread.median >= 20 else form_of_few)


def _not_measured(results: Results) -> Iterator[str]:
    lines = [
        f"- {row.kind}, {row.where}, {row.contestant}: could not run. {row.reason}"
        for row in results.rows
        if row.reason
    ]
    lines += [
        f"- {row.kind}, {row.where}, {row.contestant}: {row.arrived} of {row.instances} instances arrived in round "
        f"{row.round}, {row.changed} of them changed."
        for row in results.measured
        if not row.is_whole
    ]
    if lines:
        yield "Not in the tables:\n\n" + "\n".join(dict.fromkeys(lines))
