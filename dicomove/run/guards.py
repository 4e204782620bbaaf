"""Checks the limits of a run before it sends anything. Pure, except that it may ask for counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomove.cohort import Identifier
from dicomove.errors import LimitError
from dicomove.outcome import sentences
from dicomove.results import Row
from dicomove.run.requests import Task
from dicomove.words import ADVICE

_UNKNOWN: Final = "The PACS does not say how many instances it holds, so that the limit cannot be kept."


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The limits; ``None`` is no limit.

    Parameters
    ----------
    max_studies, max_instances, max_bytes
        Of the whole run.
    max_per_row
        Instances of one row.
    """

    max_studies: int | None = None
    max_instances: int | None = None
    max_bytes: int | None = None
    max_per_row: int | None = None

    @property
    def count_instances(self) -> bool:
        """Whether the limits need the numbers of instances."""
        return any(limit is not None for limit in (self.max_instances, self.max_bytes, self.max_per_row))


def guarded(
    tasks: Sequence[Task],
    guards: Guards,
    count: Callable[[Identifier], int | None],
    bytes_of: Callable[[Task], float],
) -> tuple[list[Task], dict[Task, Row]]:
    """Return the tasks within the limits, and the results of those that are too large.

    Parameters
    ----------
    tasks
        The tasks of the run.
    guards
        The limits.
    count
        Asks the PACS for the number of instances that the table lacks.
    bytes_of
        Estimates the bytes of a task with a known number of instances.

    Raises
    ------
    LimitError
        The sum is above a limit, or it cannot be known.
    """
    if guards.count_instances:
        tasks = [_counted(task, count) for task in tasks]
    left = {task: row for task in tasks if (row := _too_large(task, guards.max_per_row))}
    going = [task for task in tasks if task not in left]
    studies = len({_study(task) for task in going})
    _check("max_studies", studies, guards.max_studies, "studies")
    known = {task: task.expected for task in going if task.expected is not None}
    if len(known) < len(going) and (guards.max_instances is not None or guards.max_bytes is not None):
        name = "max_bytes" if guards.max_instances is None else "max_instances"
        msg = (
            f"{name}: the PACS does not say how many instances {len(going) - len(known)} of {len(going)} rows hold. "
            "Nothing was sent. Leave these rows out (plan() names them), or the limit"
        )
        raise LimitError(msg)
    _check("max_instances", sum(known.values()), guards.max_instances, "instances")
    size = int(sum(map(bytes_of, going))) if guards.max_bytes is not None else 0
    _check("max_bytes", size, guards.max_bytes, "bytes, as far as can be estimated")
    return going, left


def _counted(task: Task, count: Callable[[Identifier], int | None]) -> Task:
    return task if task.expected is not None else replace(task, expected=count(task.identifier))


def _too_large(task: Task, most: int | None) -> Row | None:
    if most is None or (task.expected is not None and task.expected <= most):
        return None
    said = _UNKNOWN if task.expected is None else f"{task.expected:,} instances, and max_per_row is {most:,}"
    return Row(
        outcome="invalid", error="too_large", expected=task.expected, advice=sentences(said, ADVICE["too_large"])
    )


def _study(task: Task) -> str:
    keys: Mapping[str, str] = dict(task.identifier.keys)
    return keys.get("StudyInstanceUID") or f"patient {keys.get('PatientID', '')}"


def _check(name: str, number: int, most: int | None, what: str) -> None:
    if most is not None and number > most:
        msg = f"the run would bring {number:,} {what}, and {name} is {most:,}. Nothing was sent"
        raise LimitError(msg)
