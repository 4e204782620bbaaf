"""The rows of a plan: action, estimates of bytes and seconds, advice; the table of `plan`. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Final, Literal

import pandas as pd
from pydicom.uid import UID

from dicomove import columns
from dicomove.cohort import Identifier, Requested, Unmatched, is_blank, keyword_columns, text_unless_blank
from dicomove.columns import PLAN_COLUMNS
from dicomove.errors import CohortWarning, warn
from dicomove.events import RowFinished
from dicomove.outcome import sentences
from dicomove.results import not_sent
from dicomove.run.cells import SOP_CLASSES, RowCells
from dicomove.run.pacing import Hours
from dicomove.run.patients import Named
from dicomove.run.shared_rows import rows_of
from dicomove.words import SLOW

_STEP: Final = timedelta(minutes=15)
_LONGEST: Final = timedelta(days=400)
#: Median sizes of one instance, for a first guess. They are uncompressed, unless compression is usual.
USUAL: Final[Mapping[str, int]] = {
    "CT": 530_000,
    "MR": 330_000,
    "PT": 70_000,
    "NM": 500_000,
    "CR": 9_000_000,
    "DX": 14_000_000,
    "MG": 26_000_000,
    "RF": 2_000_000,
    "XA": 12_000_000,
    "US": 1_400_000,
    "SC": 1_000_000,
    "OT": 1_000_000,
    "SR": 20_000,
    "PR": 10_000,
    "KO": 10_000,
}
_OTHER: Final = 1_000_000
_FEW: Final = 20
#: Words in the names of SOP classes, and the modality that they mean.
_CLASSES: Final = (
    ("CT Image", "CT"),
    ("MR Image", "MR"),
    ("Positron Emission", "PT"),
    ("PET Image", "PT"),
    ("Nuclear Medicine", "NM"),
    ("Computed Radiography", "CR"),
    ("Mammography", "MG"),
    ("Tomosynthesis", "MG"),
    ("Digital X-Ray", "DX"),
    ("X-Ray Angiographic", "XA"),
    ("Radiofluoroscopic", "RF"),
    ("Ultrasound", "US"),
    ("Secondary Capture", "SC"),
    (" SR ", "SR"),
    ("Presentation State", "PR"),
    ("Key Object", "KO"),
)
Action = Literal["move", "repeated", "skip", "nothing", "invalid"]
_LEVEL: Final = "QueryRetrieveLevel"
_REPEATED: Final = "An earlier row is the same: it is moved once, and both get the result."
_NOTHING: Final = "The PACS has nothing for this identifier: is it right?"
_SLOW: Final = "The PACS has it {}, and takes longer to send it: nearline= of move says what becomes of it."


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate for one row: the bytes, the range in which they are likely to be, and the seconds."""

    bytes: int | None = None
    bytes_low: int | None = None
    bytes_high: int | None = None
    duration_s: float | None = None


def estimate(instances: int | None, modalities: str, sizes: Sizes, instances_per_s: float | None) -> Estimate:
    """Return the estimate for instances that are still to come; it is empty if their number is unknown.

    Examples
    --------
    >>> estimate(100, "CT", Sizes([]), 50.0)
    Estimate(bytes=53000000, bytes_low=26500000, bytes_high=106000000, duration_s=2.0)
    """
    if instances is None:
        return Estimate()
    size = sizes.of(modalities)
    median, low, high = (int(instances * value) for value in (size.median, size.low, size.high))
    return Estimate(median, low, high, instances / instances_per_s if instances_per_s else None)


def rate_of(results: pd.DataFrame, concurrency: int) -> float | None:
    """Return the instances per second of a run, from its result table; ``None`` if it moved nothing.

    Examples
    --------
    >>> run = {"attempts": [1, 0], "completed": [100, 7], "received": [None, None], "duration_s": [4.0, None]}
    >>> rate_of(pd.DataFrame(run), concurrency=2)
    50.0
    """
    moved = results[(results["attempts"] > 0) & (results["duration_s"] > 0)]
    instances = moved["received"].fillna(moved["completed"]).fillna(0).sum()
    seconds = float(moved["duration_s"].sum()) / max(1, concurrency)
    return float(instances) / seconds if instances and seconds else None


def windows_needed(hours: Hours | None, seconds: float | None, now: datetime) -> int | None:
    """Return how many windows of the hours (nights, say) the work needs.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 6, 15, 12, tzinfo=UTC)
    >>> windows_needed(Hours.parse("20:00-06:00 UTC"), 25 * 3600, noon)
    3
    """
    if hours is None or seconds is None:
        return None
    windows, left, at, was_open = 0, seconds, now, False
    while left > 0 and at - now < _LONGEST:
        is_open = hours.is_open(at)
        windows += is_open and not was_open
        left -= _STEP.total_seconds() if is_open else 0
        was_open, at = is_open, at + _STEP
    return windows


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes of one instance: the median, and the range that contains half of all instances."""

    median: float
    low: float
    high: float


class Sizes:
    """Sizes of instances: from a folder, or else usual ones.

    Parameters
    ----------
    stored
        The SOP class and the bytes of each instance of a folder.

    Examples
    --------
    >>> sizes = Sizes([])
    >>> round(sizes.of("CT").median)
    530000
    """

    def __init__(self, stored: Iterable[tuple[str, int]]) -> None:
        seen: dict[str, list[int]] = {}
        for sop_class, size in stored:
            seen.setdefault(modality_of(sop_class), []).append(size)
        self._learnt = {name: _size(sizes) for name, sizes in seen.items() if len(sizes) >= _FEW}

    def of(self, modalities: str) -> Size:
        r"""Return the size of an instance of a modality, or of several: the largest part of a study decides.

        Examples
        --------
        >>> Sizes([]).of("PR\\CT") == Sizes([]).of("CT")
        True
        """
        name = _main(modalities)
        usual = USUAL.get(name, _OTHER)
        return self._learnt.get(name) or Size(usual, usual / 2, usual * 2)


def modality_of(sop_class: str) -> str:
    """Return the modality of a SOP class.

    Examples
    --------
    >>> modality_of("1.2.840.10008.5.1.4.1.1.2"), modality_of("1.2.3")
    ('CT', 'OT')
    """
    name = UID(sop_class).name
    return next((modality for words, modality in _CLASSES if words in f" {name} "), "OT")


def _main(modalities: str) -> str:
    """Return the modality that usually has the largest part of the bytes."""
    names = [name.strip() for name in modalities.split("\\") if name.strip()]
    small = {"SR", "PR", "KO", "SC", "OT"}
    return next((name for name in names if name not in small), names[0] if names else "OT")


def _size(sizes: list[int]) -> Size:
    low, _, high = quantiles(sizes, n=4)
    return Size(median(sizes), low, high)


@dataclass(frozen=True, slots=True)
class Known:
    """Facts for the estimates: sizes of instances, the rate of the latest run, and the room on the disk."""

    sizes: Sizes
    instances_per_s: float | None
    free_bytes: int | None


@dataclass(slots=True)
class PlannedRow:
    """The plan for the rows with one identifier.

    `is_typed` tells whether they are the user's own, and not yet compared; `is_there`, whether the
    PACS has it below the keys above it, if it was asked.
    """

    first: int
    action: Action = "move"
    expected: int | None = None
    on_disk: int | None = None
    availability: str | None = None
    advice: str | None = None
    where: Literal["on disk", "at the destination"] = "on disk"
    is_typed: bool = False
    is_there: bool | None = None
    patients: tuple[str, ...] = ()
    named: Named = ()
    sop_classes: tuple[str, ...] = ()
    modalities: str = ""


Steps = Mapping[Identifier, PlannedRow]


def steps_of(table: pd.DataFrame, identifiers: Sequence[Requested]) -> dict[Identifier, PlannedRow]:
    """Return the steps of a table, by identifier: rows with the same identifier share a step."""
    cells = RowCells(table)
    return {identifier: _step(cells, identifier, rows) for identifier, rows in rows_of(identifiers).items()}


def _step(cells: RowCells, identifier: Identifier, rows: Sequence[int]) -> PlannedRow:
    is_typed = not cells.is_answered(identifier.level, rows)
    return PlannedRow(
        rows[0],
        # The table's own number does not show whether it is below the keys above it: the PACS is asked.
        expected=None if is_typed and len(identifier.keys) > 1 else cells.expected(identifier.level, rows),
        availability=cells.availability(rows),
        is_typed=is_typed,
        patients=cells.patients(identifier, rows) if is_typed else (),
        named=cells.named(identifier, rows) if is_typed else (),
        sop_classes=cells.sop_classes(rows),
    )


def finished(label: Hashable, position: int, requested: Requested, steps: Steps) -> RowFinished:
    """Return the event for a row of the plan."""
    step = steps[requested] if isinstance(requested, Identifier) else None
    said = None if step else not_sent(requested)
    return RowFinished(
        row=label,
        position=position,
        outcome=_action(position, step) if step else _action_without(requested),
        error=said.error if said else None,
        instances=step.expected if step else None,
        duration_s=None,
    )


def _action_without(requested: Requested) -> Action:
    return "nothing" if isinstance(requested, Unmatched) and requested.outcome != "invalid" else "invalid"


def _action(position: int, step: PlannedRow) -> Action:
    return step.action if position == step.first or step.action != "move" else "repeated"


def _advice(action: Action, step: PlannedRow) -> str | None:
    if action == "repeated":
        return sentences(_REPEATED, step.advice or "") if step.action == "repeated" else _REPEATED
    if step.advice or action != "move":
        return step.advice
    if step.expected == 0:
        return _NOTHING
    if step.expected and (step.on_disk or 0) >= step.expected:
        return f"All of it is {step.where} already."
    return _SLOW.format(step.availability) if step.availability in SLOW else None


def plan_table(
    table: pd.DataFrame, identifiers: Sequence[Requested], steps: Steps, known: Known, *, with_classes: bool
) -> pd.DataFrame:
    """Return the table with the columns of the plan; with the SOP classes, if the PACS was asked for them."""
    where = keyword_columns(table.columns, [_LEVEL])
    had = table.iloc[:, where[_LEVEL]].tolist() if where else [None] * len(table)
    modalities = RowCells(table).modalities()
    rows: list[tuple[Action, str | None, int | None, int | None, str | None, str | None, Estimate]] = []
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            step = steps[identifier]
            action = _action(position, step)
            there = (step.expected, step.on_disk, step.availability)
            to_come = _to_come(step) if action == "move" else 0
            guess = estimate(to_come, modalities[position] or step.modalities, known.sizes, known.instances_per_s)
            rows.append((action, identifier.level, *there, _advice(action, step), guess))
        else:
            advice = not_sent(identifier).advice
            rows.append(
                (_action_without(identifier), text_unless_blank(had[position]), None, None, None, advice, Estimate())
            )
    actions, levels, expected, on_disk, available, advices, guesses = zip(*rows, strict=True) if rows else ((),) * 7
    made = {
        "action": columns.text(actions),
        _LEVEL: columns.text(levels),
        "expected": columns.counts(expected),
        "on_disk": columns.counts(on_disk),
        "availability": columns.text(available),
        **{
            name: columns.counts(getattr(guess, name) for guess in guesses)
            for name in ("bytes", "bytes_low", "bytes_high")
        },
        "duration_s": columns.seconds(guess.duration_s for guess in guesses),
        "advice": columns.text(advices),
    }
    classes = ["\\".join(steps[one].sop_classes) if isinstance(one, Identifier) else None for one in identifiers]
    if with_classes and any(classes):
        made[SOP_CLASSES] = columns.text(classes)
    added = [name for name in PLAN_COLUMNS if name != _LEVEL or _is_another(had, levels)]
    message = columns.kept_message(table, added)
    if message:
        warn(message, CohortWarning)
    return columns.with_columns(table, made, added)


def _to_come(step: PlannedRow) -> int | None:
    return None if step.expected is None else max(0, step.expected - (step.on_disk or 0))


def _is_another(had: Sequence[object], levels: Sequence[str | None]) -> bool:
    """Whether the table's column of levels differs from the levels at which the rows would be moved."""
    return any(
        not is_blank(cell) and str(cell).strip().upper() != (level or "").upper()
        for cell, level in zip(had, levels, strict=False)
    )
