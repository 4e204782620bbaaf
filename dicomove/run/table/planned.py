"""The rows of a plan: action, numbers of instances, advice; the table of `plan`. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Requested, Unmatched, is_blank, keyword_columns, text_unless_blank
from dicomove.columns import PLAN_COLUMNS
from dicomove.errors import CohortWarning, warn
from dicomove.events import RowFinished
from dicomove.outcome import sentences
from dicomove.results import Row, not_sent
from dicomove.run.table.cells import SOP_CLASSES, RowCells
from dicomove.run.table.estimates import Estimate, Known, estimate
from dicomove.run.table.patients import Named
from dicomove.run.table.shared_rows import rows_of
from dicomove.words import SLOW

Action = Literal["move", "repeated", "skip", "nothing", "invalid"]
_LEVEL: Final = "QueryRetrieveLevel"
#: The position of rows that cannot be a request.
_NO_REQUEST: Final = -1
_REPEATED: Final = "An earlier row is the same: it is moved once, and both get the result."
_NOTHING: Final = "The PACS has nothing for this identifier: is it right?"
_SLOW: Final = "The PACS has it {}, and takes longer to send it: nearline= of move says what becomes of it."


@dataclass(slots=True)
class PlannedRow:
    """The plan for the rows with one identifier.

    `is_typed` tells whether they are the user's own, and not yet compared; `is_there`, whether the
    PACS has it below the keys above it, if it was asked; `earlier` is the result of an earlier run.
    """

    first: int
    action: Action = "move"
    expected: int | None = None
    on_disk: int | None = None
    availability: str | None = None
    advice: str | None = None
    where: Literal["on disk", "at the destination"] = "on disk"
    earlier: Row | None = None
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
    step = _planned(requested, steps)
    return RowFinished(
        row=label,
        position=position,
        outcome=_action(position, step),
        error=None if isinstance(requested, Identifier) else not_sent(requested).error,
        instances=step.expected,
        duration_s=None,
    )


def _planned(requested: Requested, steps: Steps) -> PlannedRow:
    """Return the plan for a row, also for one that cannot be moved."""
    if isinstance(requested, Identifier):
        return steps[requested]
    is_empty = isinstance(requested, Unmatched) and requested.outcome != "invalid"
    return PlannedRow(_NO_REQUEST, "nothing" if is_empty else "invalid", advice=not_sent(requested).advice)


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
    levels = [
        one.level if isinstance(one, Identifier) else text_unless_blank(cell)
        for one, cell in zip(identifiers, had, strict=True)
    ]
    rows = [_planned(one, steps) for one in identifiers]
    actions = [_action(position, row) for position, row in enumerate(rows)]
    modalities = RowCells(table).modalities()
    guesses = [
        _guess(action, row, modality, known) for action, row, modality in zip(actions, rows, modalities, strict=True)
    ]
    made = {
        "action": columns.text(actions),
        _LEVEL: columns.text(levels),
        "expected": columns.counts(row.expected for row in rows),
        "on_disk": columns.counts(row.on_disk for row in rows),
        "availability": columns.text(row.availability for row in rows),
        "bytes": columns.counts(guess.bytes for guess in guesses),
        "bytes_low": columns.counts(guess.bytes_low for guess in guesses),
        "bytes_high": columns.counts(guess.bytes_high for guess in guesses),
        "duration_s": columns.seconds(guess.duration_s for guess in guesses),
        "advice": columns.text(_advice(action, row) for action, row in zip(actions, rows, strict=True)),
    }
    classes = ["\\".join(row.sop_classes) or None for row in rows]
    if with_classes and any(classes):
        made[SOP_CLASSES] = columns.text(classes)
    added = [name for name in PLAN_COLUMNS if name != _LEVEL or _is_another(had, levels)]
    message = columns.kept_message(table, added)
    if message:
        warn(message, CohortWarning)
    return columns.with_columns(table, made, added)


def _guess(action: Action, row: PlannedRow, modalities: str, known: Known) -> Estimate:
    """Return the estimate for the instances of a row that are still to come."""
    if row.first == _NO_REQUEST:
        return Estimate()
    to_come: int | None = 0
    if action == "move":
        to_come = None if row.expected is None else max(0, row.expected - (row.on_disk or 0))
    return estimate(to_come, modalities or row.modalities, known.sizes, known.instances_per_s)


def _is_another(had: Sequence[object], levels: Sequence[str | None]) -> bool:
    """Whether the table's column of levels differs from the levels at which the rows would be moved."""
    return any(
        not is_blank(cell) and str(cell).strip().upper() != (level or "").upper()
        for cell, level in zip(had, levels, strict=False)
    )
