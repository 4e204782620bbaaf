"""Makes tasks from the rows of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dicomove import columns
from dicomove.cohort import Requested
from dicomove.frozen import in_bulk
from dicomove.run.path_cells import Cells
from dicomove.run.requests import RunSettings, Task
from dicomove.run.row_cells import RowCells, rows_of
from dicomove.words import SLOW


@in_bulk()
def tasks_of(
    table: pd.DataFrame, identifiers: Sequence[Requested], settings: RunSettings, path_cells: Sequence[Cells] = ()
) -> list[Task]:
    """Return the tasks of a table: rows with the same identifier share a task.

    The PACS is not asked again for numbers of instances that a plan has. It is asked again for the patient: the plan
    may have been edited since then, and a receiver has to know if the PACS does not give the patient.
    """
    cells, tasks = RowCells(table), []
    is_planned = columns.is_plan(table.columns)
    expected_there = cells.planned("expected") if is_planned else []
    on_disk = cells.planned("on_disk") if is_planned else []
    for identifier, rows in rows_of(identifiers).items():
        level, first = identifier.level, rows[0]
        expected = columns.whole_number(expected_there[first]) if is_planned else cells.expected(level, rows)
        is_begun = is_planned and bool(columns.whole_number(on_disk[first]))
        task = Task(
            identifier,
            tuple(rows),
            settings.key(identifier),
            expected,
            patients=cells.patients(identifier, rows),
            named=cells.named(identifier, rows),
            asks_patient=not cells.is_answered(level, rows),
            is_placed=is_planned and bool(expected),
            look_first=settings.archive is not None or is_begun,
            cells=path_cells[first] if path_cells else (),
            sop_classes=cells.sop_classes(rows),
            is_slow=cells.availability(rows) in SLOW,
        )
        tasks.append(task)
    return tasks
