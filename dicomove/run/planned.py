"""The rows of a plan: action, advice, and the table of `plan`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Requested, Unmatched, is_blank, keyword_columns
from dicomove.columns import PLAN_COLUMNS
from dicomove.errors import CohortWarning, warn
from dicomove.events import RowFinished
from dicomove.results import not_sent
from dicomove.run.cells import SOP_CLASSES, RowCells, rows_of
from dicomove.run.estimates import Estimate, Sizes, estimate
from dicomove.run.patients import Named
from dicomove.words import SLOW

Action = Literal["move", "repeated", "skip", "nothing", "invalid"]
_LEVEL: Final = "QueryRetrieveLevel"
_REPEATED: Final = "An earlier row is the same: it is moved once, and both get the result."
_NOTHING: Final = "The PACS has nothing for this identifier: is it right?"
_SLOW: Final = "The PACS has it {}, and takes longer to send it: nearline= of move says what becomes of it."


@dataclass(frozen=True, slots=True)
class Known:
    """Facts for the estimates: sizes of instances, the rate of the latest run, and the room on the disk."""

    sizes: Sizes
    instances_per_s: float | None
    free_bytes: int | None


@dataclass(slots=True)
class Step:
    """The plan for the rows with one identifier."""

    first: int
    action: Action = "move"
    expected: int | None = None
    on_disk: int | None = None
    availability: str | None = None
    advice: str | None = None
    where: Literal["on disk", "at the destination"] = "on disk"
    patients: tuple[str, ...] = ()
    named: Named = ()
    sop_classes: tuple[str, ...] = ()
    modalities: str = ""


Steps = Mapping[Identifier, Step]


def steps_of(table: pd.DataFrame, identifiers: Sequence[Requested]) -> dict[Identifier, Step]:
    """Return the steps of a table, by identifier: rows with the same identifier share a step."""
    cells = RowCells(table)
    return {identifier: _step(cells, identifier, rows) for identifier, rows in rows_of(identifiers).items()}


def _step(cells: RowCells, identifier: Identifier, rows: Sequence[int]) -> Step:
    is_typed = not cells.is_answered(identifier.level, rows)
    return Step(
        rows[0],
        expected=cells.expected(identifier.level, rows),
        availability=cells.availability(rows),
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


def _action(position: int, step: Step) -> Action:
    return step.action if position == step.first or step.action != "move" else "repeated"


def _advice(action: Action, step: Step) -> str | None:
    if action == "repeated":
        return _REPEATED
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
            rows.append((_action_without(identifier), _text(had[position]), None, None, None, advice, Estimate()))
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


def _to_come(step: Step) -> int | None:
    return None if step.expected is None else max(0, step.expected - (step.on_disk or 0))


def _is_another(had: Sequence[object], levels: Sequence[str | None]) -> bool:
    """Whether the table's column of levels differs from the levels at which the rows would be moved."""
    return any(
        not is_blank(cell) and str(cell).strip().upper() != (level or "").upper()
        for cell, level in zip(had, levels, strict=False)
    )


def _text(cell: object) -> str | None:
    return None if is_blank(cell) else str(cell)
