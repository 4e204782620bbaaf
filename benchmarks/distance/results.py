"""What was measured: a row for each turn, kept as CSV, and what the rows say together."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.receiving.results import Spread


@dataclass(frozen=True)
class Row:
    """One turn of a contestant.

    Attributes
    ----------
    mbit_per_s
        The rate of the wire; 0 where it has none.
    arrived, changed
        Instances that came, and those of them that are not bit for bit what Orthanc holds.
    round_trip_ms, others_cores, load
        Measured just before: the round trip, the cores that other programs used, and the load average of the last
        minute, in which the benchmark itself counts, too.
    reason
        Why there is nothing to tell, where the contestant could not run.
    """

    kind: str
    delay_ms: float
    mbit_per_s: float
    contestant: str
    round: int
    studies: int
    instances: int
    arrived: int
    changed: int
    bytes: int
    seconds: float
    cpu_s: float
    round_trip_ms: float
    others_cores: float
    load: float
    reason: str

    @property
    def rate(self) -> float:
        """Instances per second, of what has arrived."""
        return self.arrived / self.seconds if self.seconds else 0.0

    @property
    def is_whole(self) -> bool:
        return not self.reason and self.arrived == self.instances and not self.changed

    @property
    def where(self) -> str:
        return f"{self.delay_ms:g} ms{f', {self.mbit_per_s:g} Mbit/s' if self.mbit_per_s else ''}"


def write(rows: Iterable[Row], path: Path) -> None:
    """Keep the rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read(path: Path) -> Iterator[Row]:
    """Take rows that were kept."""
    kinds = {"int": int, "float": float, "str": str}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield Row(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(Row)})


@dataclass(frozen=True)
class Results:
    """All rows."""

    rows: Sequence[Row]

    @property
    def measured(self) -> list[Row]:
        return [row for row in self.rows if row.round >= 0 and not row.reason]

    def kinds(self) -> list[tuple[str, float]]:
        """Return each kind with each rate of the wire, in the order in which they were measured."""
        return list(dict.fromkeys((row.kind, row.mbit_per_s) for row in self.rows))

    def delays(self, kind: str, mbit_per_s: float) -> list[float]:
        return sorted({row.delay_ms for row in self.rows if (row.kind, row.mbit_per_s) == (kind, mbit_per_s)})

    def contestants(self) -> list[str]:
        return list(dict.fromkeys(row.contestant for row in self.rows))

    def of(self, kind: str, mbit_per_s: float, delay_ms: float, contestant: str) -> list[Row]:
        wanted = (kind, mbit_per_s, delay_ms, contestant)
        return [row for row in self.measured if (row.kind, row.mbit_per_s, row.delay_ms, row.contestant) == wanted]

    def rates(self, kind: str, mbit_per_s: float, delay_ms: float, contestant: str) -> Spread | None:
        """Instances per second in each round; None where something is missing or changed in one of them."""
        rows = self.of(kind, mbit_per_s, delay_ms, contestant)
        return Spread([row.rate for row in rows]) if rows and all(row.is_whole for row in rows) else None

    def ratio(self, kind: str, mbit_per_s: float, delay_ms: float, one: str, other: str) -> Spread | None:
        """How many times as fast one is as the other, in each round; None where one of them has lost something."""
        mine, theirs = (self.of(kind, mbit_per_s, delay_ms, name) for name in (one, other))
        by_round = {row.round: row for row in theirs}
        pairs = [(row, by_round[row.round]) for row in mine if row.round in by_round]
        if not pairs or not all(row.is_whole for pair in pairs for row in pair):
            return None
        return Spread([fast.rate / slow.rate for fast, slow in pairs])
