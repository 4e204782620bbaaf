"""From the rows of a table to the tasks of a run: in the order that the user wants, and within its limits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import Requested, has_plan_digests, replanned_rows
from dicomove.errors import LimitError
from dicomove.interpreter import changed, in_bulk
from dicomove.outcome import sentences
from dicomove.results import Row, left_nearline
from dicomove.run.options import Nearline, Options
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.run.settings import RunSettings
from dicomove.run.table.cells import Cells, RowCells
from dicomove.run.table.estimates import Sizes
from dicomove.run.table.shared_rows import rows_of
from dicomove.words import ADVICE, SLOW

#: The actions of a plan that are moved.
_GO: Final = frozenset({"move", "repeated"})
_UNKNOWN: Final = "The PACS does not say how many instances it holds, so that the limit cannot be kept."


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


def within_limits(
    tasks: Sequence[Task],
    table: pd.DataFrame,
    options: Options,
    sizes: Sizes,
    results: RowResults,
    studies: Mapping[int, int | None],
) -> list[Task]:
    """Return the tasks within the limits of the options; those that are too large get their result.

    Parameters
    ----------
    tasks, table, options
        The tasks of the run, the caller's table, and the limits.
    sizes
        The sizes of instances, for ``max_bytes``.
    results
        The results of the rows.
    studies
        For ``max_studies``: the number of studies of each whole patient, by the position of its first row.

    Raises
    ------
    LimitError
        The sum is above a limit, or it cannot be known.
    """
    going = []
    for task in tasks:
        if row := _too_large(task, options.max_per_row):
            results.set_row(task, row)
        else:
            going.append(task)
    _check_patients([studies[task.first] for task in going if task.first in studies])
    alone = {task.identifier.get("StudyInstanceUID") for task in going if task.first not in studies}
    number = len(alone) + sum(studies.get(task.first) or 0 for task in going)
    _check("max_studies", number, options.max_studies, "studies")
    _check_known(going, options)
    _check("max_instances", sum(task.expected or 0 for task in going), options.max_instances, "instances")
    size = _bytes(going, table, sizes) if options.max_bytes is not None else 0
    _check("max_bytes", size, options.max_bytes, "bytes, as far as can be estimated")
    return going


def _too_large(task: Task, most: int | None) -> Row | None:
    if most is None or (task.expected is not None and task.expected <= most):
        return None
    said = _UNKNOWN if task.expected is None else f"{task.expected:,} instances, and max_per_row is {most:,}"
    return Row(
        outcome="invalid", error="too_large", expected=task.expected, advice=sentences(said, ADVICE["too_large"])
    )


def _bytes(tasks: Sequence[Task], table: pd.DataFrame, sizes: Sizes) -> int:
    """Return the bytes according to the plan, or else an estimate."""
    cells = RowCells(table)
    modalities = cells.modalities()
    planned = cells.planned("bytes") if columns.is_plan(table.columns) else [""] * len(table)

    def of_task(task: Task) -> float:
        known = columns.whole_number(planned[task.first])
        return (task.expected or 0) * sizes.of(modalities[task.first]).median if known is None else known

    return int(sum(map(of_task, tasks)))


def _check_known(tasks: Sequence[Task], options: Options) -> None:
    unknown = sum(task.expected is None for task in tasks)
    if unknown and (options.max_instances is not None or options.max_bytes is not None):
        name = "max_bytes" if options.max_instances is None else "max_instances"
        msg = (
            f"{name}: the PACS does not say how many instances {unknown} of {len(tasks)} rows hold. "
            "Nothing was sent. Leave these rows out (plan() names them), or the limit"
        )
        raise LimitError(msg)


def _check_patients(studies: Sequence[int | None]) -> None:
    if None in studies:
        msg = (
            f"max_studies: the PACS does not say how many studies {studies.count(None)} of {len(studies)} patients "
            "have. Nothing was sent. Leave these rows out, or the limit"
        )
        raise LimitError(msg)


def _check(name: str, number: int, most: int | None, what: str) -> None:
    if most is not None and number > most:
        msg = f"the run would bring {number:,} {what}, and {name} is {most:,}. Nothing was sent"
        raise LimitError(msg)
