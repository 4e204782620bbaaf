"""From the rows of a table to the tasks of a run: in the order that the user wants. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import Requested, has_plan_digests, replanned_rows
from dicomove.interpreter import changed, in_bulk
from dicomove.results import Row, left_nearline
from dicomove.run.cells import Cells, RowCells
from dicomove.run.options import Nearline
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.run.settings import RunSettings
from dicomove.run.shared_rows import rows_of
from dicomove.words import SLOW

#: The actions of a plan that are moved.
_GO: Final = frozenset({"move", "repeated"})


@in_bulk()
def tasks_of(
    table: pd.DataFrame, identifiers: Sequence[Requested], settings: RunSettings, path_cells: Sequence[Cells] = ()
) -> list[Task]:
    """Return the tasks of a table: rows with the same identifier share a task.

    The PACS is not asked again for numbers of instances that a plan has. It is asked again for the patient: the plan
    may have been edited since then, and a receiver has to know if the PACS does not give the patient. Whether a series
    is below its study, it is asked again if the row has other keys than the plan gave it, or may have, as after a
    file, and no receiver would notice.
    """
    cells, tasks = RowCells(table), []
    is_planned = columns.is_plan(table.columns)
    on_disk = cells.planned("on_disk") if is_planned else []
    is_changed = replanned_rows(table) if is_planned else []
    # A file has no digests. A receiver compares the images with the UIDs of the row.
    is_placed = is_planned and (bool(settings.receivers) or has_plan_digests(table))
    asked = rows_of(identifiers)
    apart = {(one.level, one.keys) for one in asked if one.claims}
    for identifier, rows in asked.items():
        level, first = identifier.level, rows[0]
        expected = cells.planned_or_expected(level, rows)
        is_begun = is_planned and bool(columns.whole_number(on_disk[first]))
        task = Task(
            identifier,
            tuple(rows),
            settings.key(identifier),
            expected,
            patients=cells.patients(identifier, rows),
            named=cells.named(identifier, rows),
            asks_patient=not cells.is_answered(level, rows),
            has_siblings=(level, identifier.keys) in apart,
            is_placed=is_placed and bool(expected) and not any(is_changed[row] for row in rows),
            look_first=settings.archive is not None or is_begun,
            cells=path_cells[first] if path_cells else (),
            sop_classes=cells.sop_classes(rows),
            is_slow=cells.availability(rows) in SLOW,
        )
        tasks.append(task)
    return tasks


def as_planned(tasks: list[Task], table: pd.DataFrame, results: RowResults) -> list[Task]:
    """Return the tasks that the plan moves; the others get their result."""
    if not columns.is_plan(table.columns):
        return tasks
    actions = RowCells(table).planned("action")
    going = []
    for task in tasks:
        if any(actions[position] in _GO for position in task.positions):
            going.append(task)
        else:
            action = actions[task.first]
            results.set_row(task, Row(outcome="not_attempted", advice=f"The plan leaves it out: action is {action}."))
    return going


def in_order(tasks: Sequence[Task], nearline: Nearline, results: RowResults) -> list[Task]:
    """Return the tasks in their order, nearline ones last; those that ``"skip"`` leaves out get their result."""
    if nearline == "as_is":
        return [changed(task, is_slow=False) for task in tasks]
    at_hand = [task for task in tasks if not task.is_slow]
    slow = [task for task in tasks if task.is_slow]
    if nearline == "last":
        return [*at_hand, *slow]
    for task in slow:
        results.set_row(task, left_nearline())
    return at_hand
