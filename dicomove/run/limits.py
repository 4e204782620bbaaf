"""The limits of a run: how many studies, instances and bytes it may bring, and how large a row may be. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.errors import LimitError
from dicomove.outcome import sentences
from dicomove.results import Row
from dicomove.run.cells import RowCells
from dicomove.run.estimates import Sizes
from dicomove.run.options import Options
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.words import ADVICE

_UNKNOWN: Final = "The PACS does not say how many instances it holds, so that the limit cannot be kept."


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
