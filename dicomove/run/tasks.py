"""What the rows of a table ask for, as tasks; and what a plan says of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dicomove import columns
from dicomove.cohort import LEVELS, Identifier, Level, Requested, is_answered, is_blank, keyword_columns, plain_label
from dicomove.frozen import in_bulk
from dicomove.run.holdings import slow_rows, sop_classes_of
from dicomove.run.path_cells import Cells
from dicomove.run.patients import beside, further_keys_of, named_by, patients_of
from dicomove.run.questions import COUNT_KEYS
from dicomove.run.requests import RunSettings, Task


@in_bulk()
def tasks_of(
    table: pd.DataFrame, identifiers: Sequence[Requested], settings: RunSettings, cells: Sequence[Cells] = ()
) -> list[Task]:
    """Return what the rows of a table ask for: rows that name the same are one task.

    What a plan has asked is not asked again: the number of instances, and of rows that have one, the patient.
    """
    positions: dict[Identifier, list[int]] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            positions.setdefault(identifier, []).append(position)
    where = keyword_columns(table.columns, COUNT_KEYS.values()) if positions else {}
    known = {name: table.iloc[:, column].tolist() for name, column in where.items()}
    planned = columns.is_plan(table.columns)
    answered = {level: is_answered(table.columns, level) for level in LEVELS}
    if planned:
        numbers: list[object] = [*plan_cells(table, "expected")]
        known = dict.fromkeys((*COUNT_KEYS.values(), ""), numbers)
    on_disk = plan_cells(table, "on_disk") if planned else [""] * len(table)
    patients = patients_of(table)
    further = {} if all(answered.values()) else further_keys_of(table)
    slow = slow_rows(table) if positions else set()
    classes = sop_classes_of(table) if positions else []
    tasks = []
    for identifier, rows in positions.items():
        expected = _expected(identifier.level, known, rows)
        task = Task(
            identifier,
            tuple(rows),
            settings.key(identifier),
            expected,
            patients=beside(identifier, [patients[row] for row in rows]),
            named=named_by(rows, further),
            asks_patient=not (answered[identifier.level] or (planned and expected)),
            look_first=settings.archive is not None or bool(columns.whole_number(on_disk[rows[0]])),
            cells=cells[rows[0]] if cells else (),
            sop_classes=classes[rows[0]],
            is_slow=not slow.isdisjoint(rows),
        )
        tasks.append(task)
    return tasks


def plan_cells(table: pd.DataFrame, name: str) -> list[str]:
    """Return a column of a plan as text."""
    place = next(place for place, label in enumerate(table.columns) if plain_label(label) == name)
    return ["" if is_blank(cell) else str(cell).strip() for cell in table.iloc[:, place].tolist()]


def modalities_of(table: pd.DataFrame) -> list[str]:
    """Return the modalities of each row, as far as the table has them."""
    where = keyword_columns(table.columns, ("Modality", "ModalitiesInStudy"))
    place = where.get("Modality", where.get("ModalitiesInStudy"))
    cells = [""] * len(table) if place is None else table.iloc[:, place].tolist()
    return ["" if is_blank(cell) else str(cell) for cell in cells]


def _expected(level: Level, known: Mapping[str, list[object]], rows: Sequence[int]) -> int | None:
    """Return how many instances the table says that there are, in the first of these rows that says it."""
    cells = known.get(COUNT_KEYS.get(level, ""))
    numbers = [columns.whole_number(cells[row]) for row in rows] if cells else []
    return next((number for number in numbers if number is not None), None)
