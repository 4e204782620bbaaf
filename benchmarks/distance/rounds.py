"""Rounds at each length of the wire: all have their turn in each round, and the order changes."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.distance.contestants import Entry
from benchmarks.distance.results import Row
from benchmarks.distance.wire import Length, Wire
from benchmarks.distance.workloads import STEPS
from benchmarks.receiving.pacs import Orthanc
from benchmarks.receiving.rounds import Run, one_turn
from benchmarks.receiving.workloads import Held

#: The self-check: how much the round trip may differ from the chosen one.
TOLERANCE_S = 0.0003
_ROUND_TRIPS, _TRIES = 50, 5
_LOOK_S = 0.3


@dataclass(frozen=True)
class Plan:
    """How it is measured.

    Attributes
    ----------
    repeats
        Rounds that count. A turn of each before them warms up, and tells how much a contestant moves in `seconds`.
    patience_s
        For how long a turn waits until other programs leave the machine at rest.
    """

    repeats: int
    seconds: float
    patience_s: float
    scratch: Path


def check(wire: Wire, delays_s: Sequence[float]) -> Iterator[str]:
    """Measure whether the wire has the chosen round trip, and end the benchmark if it has another."""
    for delay_s in delays_s:
        wire.set(Length(delay_s))
        for _ in range(_TRIES):
            found = round_trip_s(wire)
            if abs(found - 2 * delay_s) <= TOLERANCE_S:
                break
        else:
            message = (
                f"The wire takes {1000 * found:.2f} ms there and back, and not {2000 * delay_s:g} ms: other programs "
                "keep this machine too busy to measure anything"
            )
            raise SystemExit(message)
        yield f"{1000 * delay_s:g} ms each way: {1000 * found:.2f} ms there and back"
    wire.set(Length())


def round_trip_s(wire: Wire) -> float:
    """Return the median of many round trips."""
    return statistics.median(wire.round_trip_s() for _ in range(_ROUND_TRIPS))


class Section:
    """One kind of studies at one length of the wire."""

    def __init__(self, server: Orthanc, wire: Wire, held: Held, length: Length, plan: Plan) -> None:
        self._server, self._wire, self._held, self._length, self._plan = server, wire, held, length, plan
        self._out: set[str] = set()

    def rows(self, entries: Sequence[Entry]) -> Iterator[Row]:
        """Give a row for each turn of each contestant."""
        self._wire.set(self._length)
        amounts: dict[str, int] = {}
        for number in range(-1, self._plan.repeats):
            first = max(number, 0) % len(entries)
            for entry in (*entries[first:], *entries[:first]):
                if entry.name in self._out:
                    continue
                row = self._turn(entry, amounts.get(entry.name, self._pilot(entry)), number)
                if number < 0 and not row.reason:
                    amounts[entry.name] = self._amount(entry, row)
                elif number >= 0 or row.reason:
                    yield row
        self._wire.set(Length())

    def _pilot(self, entry: Entry) -> int:
        few = 10 if self._held.workload.name == "small" else 1
        return self._whole(few * entry.associations)

    def _amount(self, entry: Entry, pilot: Row) -> int:
        wanted = entry.lasts * self._plan.seconds * pilot.studies / pilot.seconds
        # As many for each association: else the last ones move while the others have nothing left to do.
        return self._whole(entry.associations * math.ceil(wanted / entry.associations))

    def _whole(self, studies: int) -> int:
        step = STEPS[self._held.workload.name]
        return min(step * math.ceil(studies / step), len(self._held.studies))

    def _turn(self, entry: Entry, studies: int, number: int) -> Row:
        others = others_at_rest(self._plan.patience_s)
        found, load = round_trip_s(self._wire), os.getloadavg()[0]
        run, reason = None, ""
        try:
            run = one_turn(self._server, self._held.first(studies), entry.contestant, number, self._plan.scratch)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (the others go on, and the report names it)
            traceback.print_exc()
            self._out.add(entry.name)
            reason = f"{type(error).__name__}: {error}"
        row = self._row(entry, number, found, run, reason, others, load)
        _show(row)
        return row

    def _row(
        self, entry: Entry, number: int, found_s: float, run: Run | None, reason: str, others: float, load: float
    ) -> Row:
        rate = self._length.bytes_per_s
        return Row(
            kind=self._held.workload.name,
            delay_ms=1000 * self._length.delay_s,
            mbit_per_s=rate * 8 / 1e6 if rate else 0.0,
            contestant=entry.name,
            round=number,
            studies=run.studies if run else 0,
            instances=run.instances if run else 0,
            arrived=run.arrived if run else 0,
            changed=run.arrived - run.identical if run and run.identical is not None else 0,
            bytes=run.bytes if run else 0,
            seconds=run.seconds if run else 0.0,
            cpu_s=run.cpu_s if run else 0.0,
            round_trip_ms=1000 * found_s,
            others_cores=others,
            load=load,
            reason=reason,
        )


def others_at_rest(patience_s: float) -> float:
    """Return how many cores other programs use now; wait for a while until they use few."""
    end = time.monotonic() + patience_s
    while True:
        before, began = _busy_s(), time.monotonic()
        time.sleep(_LOOK_S)
        cores = (_busy_s() - before) / (time.monotonic() - began)
        if cores < 0.25 or time.monotonic() > end:
            return cores


def _busy_s() -> float:
    """Return the seconds in which the cores of this machine were busy: user, nice, system, and interrupts."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _show(row: Row) -> None:
    print(
        f"{row.kind}, {row.where}, round {row.round}, {row.contestant}: "
        + (row.reason or f"{row.arrived}/{row.instances} in {row.seconds:.2f} s, {row.rate:.1f}/s")
        + f" (there and back {row.round_trip_ms:.2f} ms, others {row.others_cores:.1f} cores)",
        file=sys.stderr,
        flush=True,
    )
