"""`plan`: what a move would do. Nothing is moved."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from dicomove.cohort import Identifier, Requested, table_for, with_plan_digests
from dicomove.columns import PLAN_COLUMNS
from dicomove.dimse import FindScu
from dicomove.errors import InterruptedWarning, warn
from dicomove.events import RowStarted, RunEnded, RunStarted
from dicomove.files import user_path
from dicomove.interpreter import short_switch_interval
from dicomove.notebook import Display, Progress, display
from dicomove.outcome import Unverified, of_other_person, sentences
from dicomove.pacs import Pacs
from dicomove.receiver import AskedRow, RowId
from dicomove.results import contradicted_by_pacs, resumed
from dicomove.run import MoveDestination, Options, identifiers_of, path_cells, run_settings
from dicomove.run.attempt.archive_at_destination import ArchiveAtDestination
from dicomove.run.attempt.counting import Counted, Counting
from dicomove.run.attempt.inventory import Inventory
from dicomove.run.attempt.patient_check import check_patient
from dicomove.run.journal import not_completed
from dicomove.run.options import Method
from dicomove.run.pacing import Hours
from dicomove.run.prepared import sizes_of
from dicomove.run.rows import Keys, RowResults
from dicomove.run.settings import RunSettings, chosen_method
from dicomove.run.table.estimates import Known, Sizes, rate_of, windows_needed
from dicomove.run.table.patients import compared
from dicomove.run.table.planned import PlannedRow, Steps, finished, plan_table, steps_of
from dicomove.run.table.tasks import tasks_of
from dicomove.store import JOURNAL_FILE, Journal, read_journal, read_runs

__all__ = ["PLAN_COLUMNS", "plan"]


def plan(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination | None = None,
    *,
    level: str | None = None,
    query_model: str = "StudyRoot",
    method: Method = "move",
    journal: str | os.PathLike[str] | Literal[False] | None = None,
    hours: Hours | str | None = None,
    progress: Progress = "auto",
) -> pd.DataFrame:
    """Return a table with what `move` would do with each row. Nothing is moved.

    The plan sends one C-FIND for each row that would be moved, unless the table of `find` has its number of instances
    already; a typed series or instance is always looked up below its study. If a table of your own names a PatientID or
    AccessionNumber beside the UID, another C-FIND asks for the patient of the study. ``move(plan)`` follows the plan:
    it leaves out rows with another ``action`` than ``move`` or ``repeated``, also with a word of your own. It does not
    ask for the numbers again, but it does ask again for the patients, and a `Destination` for its instances.
    ``summary(plan)`` has the sums.

    Parameters
    ----------
    table
        As for `move`.
    pacs
        The PACS.
    destination
        As for `move`. Without it, the plan does not know which instances are there already.
    level, query_model
        As for `move`.
    method
        As for `move`. For C-GET, the same C-FIND also asks for the SOP classes of a study.
    journal
        As for `move`, but the plan creates no file. The latest run in it shows the speed of the PACS.
    hours
        As for `move`. ``summary(plan)`` has the number of windows (nights, say) that the move needs.
    progress
        ``"auto"``, ``"panel"``, ``"tqdm"``, ``False``, or a function that gets the events.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `table`, on its index and in its order, and

        - ``action``: ``move``; ``repeated`` (an earlier row is the same); ``skip`` (an earlier run completed it);
          ``nothing`` (`find` has matched nothing for it, or the PACS has no such series below the UIDs of the row;
          ``advice`` has the reason); ``invalid`` (it cannot be sent).
        - ``QueryRetrieveLevel``: the level at which it would be moved. An invalid row keeps its own value.
        - ``expected``: the number of its instances; null if it is unknown.
        - ``on_disk``: the number of them that a `Receiver` or a `Destination` has already; null for another
          destination.
        - ``availability``: whether the PACS has it at hand (``ONLINE``), or has to fetch it from a slow medium
          (``NEARLINE``, ``OFFLINE``), or cannot (``UNAVAILABLE``); null if the PACS does not give it.
        - ``bytes``, ``bytes_low``, ``bytes_high``: an estimate of the bytes still to come, and a range that contains
          half of all instances: from the sizes of the modality's instances in the receiver's folder, or else from usual
          sizes; null if the number of instances is unknown.
        - ``duration_s``: an estimate from the rate of the latest run in the journal; null without one.
        - ``advice``: one line for a person.
        - ``SOPClassesInStudy``, for C-GET: the SOP classes that `move` proposes to the PACS.

    Raises
    ------
    CohortError
        The table is invalid. Nothing was sent.
    AddressError
        `destination` is not an AE title.
    JournalError
        The journal has other content, is damaged, or another process has it.
    ReceiverError
        The receiver is closed, or gone for good.
    ValueError
        A journal without a destination; or the method cannot reach this destination.

    Warns
    -----
    CohortWarning
        Rows bring more than the others, or a whole patient, as in `move`; a column of your own got another name in the
        table; or a key of the patient is the index of the table, and is not compared.
    InterruptedWarning
        The plan was interrupted: the numbers of instances of the remaining rows are unknown.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> cohort = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4", "1.2.3.4", "1.2.*"]})
    >>> with demo_pacs() as pacs:
    ...     planned = plan(cohort, pacs, progress=False)
    >>> planned["action"].tolist()
    ['move', 'repeated', 'invalid']
    """
    table = table_for(table, pacs)
    identifiers = identifiers_of(table, level, query_model)
    checked = Options(journal=journal, hours=hours, method=method)
    steps = steps_of(table, identifiers)
    settings = None if destination is None else run_settings(pacs, destination, checked)
    if journal and settings is None:
        message = f"journal={os.fspath(journal)!r}: say to which destination, as in move(table, pacs, destination)"
        raise ValueError(message)
    known = _look_here(settings, journal, table, identifiers, steps) if settings else Known(Sizes(()), None, None)
    is_get = (chosen_method(settings, checked) if settings else checked.method) == "get"
    with display(progress) as show:
        interrupted = _ask_all(pacs, settings, list(table.index), identifiers, steps, show, with_classes=is_get)
    if interrupted:
        warn("interrupted: some rows were not looked up", InterruptedWarning)
    made = plan_table(table, identifiers, steps, known, with_classes=is_get)
    seconds = made["duration_s"].sum() if made["duration_s"].notna().any() else None
    windows = windows_needed(checked.read_hours(), seconds, datetime.now(UTC))
    made.attrs["plan"] = {"windows": windows, "free_bytes": known.free_bytes}
    return with_plan_digests(made, pacs.address)


def _look_here(
    settings: RunSettings,
    journal: str | os.PathLike[str] | Literal[False] | None,
    table: pd.DataFrame,
    identifiers: Sequence[Requested],
    steps: Steps,
) -> Known:
    """Note what the folders of receivers and the journal say about the rows; return facts for the estimates."""
    path_cells(table, identifiers, settings.receivers)
    _look_at_disk(settings, steps)
    path = _journal_path(settings, journal)
    if path:
        _look_into_journal(settings, path, table, identifiers, steps)
    free = [shutil.disk_usage(receiver.folder).free for receiver in settings.receivers]
    return Known(sizes_of(settings), _rate(path) if path else None, min(free, default=None))


def _rate(journal: Path) -> float | None:
    if read_runs(journal).empty:  # the first run was refused, for example by `max_studies`
        return None
    results = read_journal(journal)
    options = results.attrs["run"].get("options") or {}
    concurrency = options.get("concurrency", 1) if isinstance(options, Mapping) else 1
    return rate_of(results, concurrency if isinstance(concurrency, int) else 1)


def _look_at_disk(settings: RunSettings, steps: Steps) -> None:
    for identifier, step in steps.items() if settings.receivers else ():
        rows = [
            receiver.runs.row(AskedRow(RowId(run, step.first), dict(identifier.keys)))
            for receiver, run in zip(settings.receivers, settings.runs, strict=True)
        ]
        step.on_disk = len({uid for row in rows for uid in row.held()})


def _journal_path(settings: RunSettings, journal: str | os.PathLike[str] | Literal[False] | None) -> Path | None:
    path = settings.receivers[0].folder / JOURNAL_FILE if journal is None and settings.receivers else journal
    return user_path(path) if path and user_path(path).exists() else None


def _look_into_journal(
    settings: RunSettings, path: Path, table: pd.DataFrame, identifiers: Sequence[Requested], steps: Steps
) -> None:
    """Note what an earlier run completed. `move` compares some of it with the PACS before it counts."""
    results = RowResults(list(table.index), identifiers, asks_archive=settings.archive is not None)
    tasks = tasks_of(table, identifiers, settings)
    with Journal.open(path) as opened:
        left = {task.first: task for task in not_completed(opened, table, tasks, settings, results)}
    for step in steps.values():
        task = left.get(step.first)
        row = results.rows[step.first] if task is None else task.earlier and resumed(*task.earlier)
        if row and (task is None or not settings.receivers):  # what is in a folder is compared with the PACS
            step.earlier, step.expected = row, row.expected
            if task is None or not task.asks_patient:
                _skip(step)


def _skip(step: PlannedRow) -> None:
    """Leave out a row that an earlier run completed."""
    if step.earlier:
        step.action, step.advice = "skip", sentences(step.earlier.advice or "", step.advice or "")


def _look_at_archive(archive: ArchiveAtDestination, identifier: Identifier, step: PlannedRow) -> None:
    """Note the instances at the destination; those of an earlier run may be gone."""
    found = archive.look(identifier)
    if isinstance(found, Unverified):
        step.advice = sentences(step.advice or "", found.why)
        return
    step.on_disk, step.where = len(found.held), "at the destination"
    if step.action == "skip" and step.on_disk < (step.expected or 1):
        step.action, step.advice = "move", None


@short_switch_interval()
def _ask_all(
    pacs: Pacs,
    settings: RunSettings | None,
    labels: Sequence[Hashable],
    identifiers: Sequence[Requested],
    steps: Steps,
    show: Display,
    *,
    with_classes: bool,
) -> bool:
    """Ask the PACS for the numbers of instances; return whether that was interrupted."""
    there = settings.archive if settings else None
    archive = ArchiveAtDestination(there, threading.Event(), stores=False) if there else None
    to_receiver = bool(settings and settings.receivers)
    unknown = {identifier for identifier, step in steps.items() if step.action == "move" and step.expected is None}
    unseen = set(steps) if archive else set()
    to_move: dict[Keys, Identifier] = {}
    interrupted = False
    try:
        show(RunStarted(verb="plan", rows=len(labels), requests=len(unknown)))
        with FindScu(pacs) as scu:
            counting, inventory = Counting(scu, with_classes=with_classes), Inventory(scu, "auto", threading.Event())
            for position, identifier in enumerate(identifiers):
                show(RowStarted(row=labels[position], position=position))
                if isinstance(identifier, Identifier) and identifier in unknown:
                    unknown.remove(identifier)
                    _take_in(counting.expected(identifier), steps[identifier])
                if isinstance(identifier, Identifier):
                    _check_patients(inventory, identifier, steps[identifier], to_receiver=to_receiver)
                    _move_once(to_move, identifier, steps[identifier])
                if archive and isinstance(identifier, Identifier) and identifier in unseen:
                    unseen.remove(identifier)
                    _look_at_archive(archive, identifier, steps[identifier])
                show(finished(labels[position], position, identifier, steps))
    except KeyboardInterrupt:
        interrupted = True
    with suppress(KeyboardInterrupt):  # too late to stop anything
        if archive:
            archive.close()
        show(RunEnded(verb="plan", interrupted=interrupted))
    return interrupted


def _check_patients(inventory: Inventory, identifier: Identifier, step: PlannedRow, *, to_receiver: bool) -> None:
    """Leave out rows whose study is of another patient, and those that an earlier run completed.

    After one C-FIND without an answer, stop asking.
    """
    if step.action == "move" and step.is_typed and not _is_silent(inventory):
        _compare(inventory, identifier, step, to_receiver=to_receiver)
    if step.action == "move" and not (identifier.is_disputed and _is_silent(inventory)):
        _skip(step)


def _compare(inventory: Inventory, identifier: Identifier, step: PlannedRow, *, to_receiver: bool) -> None:
    """Compare a row with the PACS. At a receiver, images show whose they are, even if the PACS does not say it."""
    named = compared(step.patients, step.named)
    inventory.begin()  # it keeps the questions since then, and each row looks through them
    said = check_patient(inventory, identifier, named, is_there=step.is_there, at_receiver=to_receiver)
    if said.contrary and said.contrary.endswith("UID"):
        step.action, step.expected, step.advice = "nothing", 0, contradicted_by_pacs(said.contrary).advice
    elif said.contrary or (said.is_of_unknown_patient and not _is_silent(inventory)):
        step.action, step.advice = "invalid", contradicted_by_pacs(said.contrary).advice
    else:
        step.advice = sentences(step.advice or "", *map(of_other_person, said.doubtful)) or None
    step.is_typed, step.patients, step.named = False, (), ()


def _move_once(to_move: dict[Keys, Identifier], identifier: Identifier, step: PlannedRow) -> None:
    """Note that rows are repeated if others with the same keys are moved already, whatever else these name."""
    if step.action == "move" and to_move.setdefault((identifier.level, identifier.keys), identifier) != identifier:
        step.action = "repeated"


def _is_silent(inventory: Inventory) -> bool:
    return any(one.lost_s is not None for one in inventory.asked)


def _take_in(answer: Counted, step: PlannedRow) -> None:
    step.expected, step.advice = answer.expected, answer.advice
    step.is_there = None if answer.expected is None else answer.expected > 0
    step.sop_classes, step.modalities = answer.sop_classes or step.sop_classes, answer.modalities
    step.availability = step.availability or answer.availability
